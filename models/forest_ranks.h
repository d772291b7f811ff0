/* SPDX-License-Identifier: Apache-2.0 */
/* forest_ranks - one row at a time through a forest in AVX2, with the very bits of forest_margins.
 *
 * A value counts as its rank: how many of the thresholds that its feature is compared with lie
 * below it.  Ranks are bytes, so that one instruction compares 32 of them; a shuffle brings to each
 * split the rank it looks at.  Which splits send the row to the right becomes a word of 32 bits.
 * A leaf is alive when no split that has it on its left side is among those, and the first one
 * alive is the leaf the row ends in (QuickScorer, Lucchese et al. 2015).  Every tree takes the same
 * steps whatever the row is: there is nothing to be mispredicted.
 *
 * 32 splits and 32 leaves make a block: a tree of up to 32 leaves, several small ones in a row, or
 * a piece of a larger one.
 *
 * What does not fit: a forest that needs more than 128 columns of ranks.  A numeric feature takes
 * one for each kind of missing value its splits have and for each 254 thresholds, a split by a set
 * of categories one of its own.  A tree that forest_fast walks is walked here too, and one of whose
 * leaves more than 32 splits have on their left, or that takes more than 16 blocks.
 *
 * Memory: 224 bytes a block, 12 a tree or piece of one, and the thresholds of each feature once, in
 * nodes of 16.  300 trees of 31 leaves: 96 KiB of XGBoost, 118 KiB of LightGBM.
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
