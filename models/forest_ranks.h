/* SPDX-License-Identifier: Apache-2.0 */
/* forest_ranks - evaluates one row at a time with AVX2, bit-identical to forest_margins.
 *
 * A value is replaced by its rank: the number of its feature's thresholds below it.  Ranks are
 * bytes, so that one instruction compares 32 of them; a shuffle brings each split the rank that it
 * tests.  The splits that send the row to the right form a 32-bit word.  A leaf is alive if none of
 * these splits has it in its left subtree, and the first one alive is the row's leaf (QuickScorer,
 * Lucchese et al. 2015).  Every tree takes the same steps whatever the row, so there are no branch
 * mispredictions.
 *
 * 32 splits and 32 leaves form a block: a tree of up to 32 leaves, several small ones in a row, or
 * a piece of a larger one.
 *
 * Does not fit: a forest that needs more than 128 rank columns.  A numeric feature takes one for
 * each kind of missing value among its splits and for each 254 thresholds; each category-set split
 * takes its own.  Trees that forest_fast walks are walked here too, and so are trees with a leaf in
 * the left subtrees of more than 32 splits, or that need more than 16 blocks.
 *
 * Memory: 224 bytes per block, 12 per tree or piece, and each feature's thresholds once, in nodes
 * of 16.  300 trees of 31 leaves: 96 KiB for XGBoost, 118 KiB for LightGBM.
 *
 * Threads: create and destroy on the loader; the rest on any, without allocation or locks. */
#ifndef MODELS_FOREST_RANKS_H
#define MODELS_FOREST_RANKS_H

#include "models/forest_fast_internal.h"

struct forest_ranks;

/* Of the trees of `fast`, which stays.  *ret_ranks is NULL where the forest does not fit.
 * ERR_NOMEM. */
MUST_CHECK enum err_code forest_ranks_create(const struct forest_fast *fast,
                                             struct forest_ranks **ret_ranks, struct err *err);
void forest_ranks_destroy(struct forest_ranks **ranks);

uint64_t forest_ranks_bytes(const struct forest_ranks *ranks);

/* Adds what the trees give to the sums of the outputs, in the order of the trees; only where the
 * machine has AVX2.  The sums of doubles stand FOREST_FAST_ROWS apart. */
void forest_ranks_add32(const struct forest_ranks *ranks, const double *values, float *sum);
void forest_ranks_add64(const struct forest_ranks *ranks, const double *values, double *sum);

#endif
