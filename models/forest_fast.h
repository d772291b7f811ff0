/* SPDX-License-Identifier: Apache-2.0 */
/* forest_fast - evaluates up to 32 rows at once, bit-identical to forest_margins.
 *
 * After QuickScorer (Lucchese et al. 2015): each leaf of a tree is a bit; each split that sends a
 * row to the right clears the leaves of its left subtree; the lowest bit that remains is the row's
 * leaf.  Evaluation goes feature by feature over the splits sorted by threshold, with rows in
 * vector lanes.  Splits above all rows are skipped; those below all rows clear their leaves in one
 * word shared by all; those between cost one comparison and two bit operations per eight floats.
 * Similar rows are therefore cheapest.
 *
 * A split reads a column: a feature's values in which missing ones are already replaced according
 * to the split's default side (-infinity goes left, NaN goes right).  So missing values, LightGBM's
 * zeros and category sets all become `column <= threshold`.
 *
 * Trees with many leaves or many category sets are walked node by node.  Trees are processed in
 * batches small enough that their leaf words stay in the nearest cache.
 *
 * Few rows are evaluated one at a time by ranks if the forest fits (forest_ranks.h): up to four
 * rows, or up to three left over after groups of eight.
 *
 * Threads: create and destroy on the loader; margins on any, without allocation or locks. */
#ifndef MODELS_FOREST_FAST_H
#define MODELS_FOREST_FAST_H

#include "models/forest.h"

#define FOREST_FAST_ROWS   32
#define FOREST_ALL_OUTPUTS UINT32_MAX

struct forest_fast;

/* The forest stays and is not changed.  Trees of other outputs than `output` are left out, unless
 * that is FOREST_ALL_OUTPUTS.  Not for gblinear.  ERR_NOMEM, ERR_LIMIT. */
MUST_CHECK enum err_code forest_fast_create(const struct forest *forest, uint32_t output,
                                            struct forest_fast **ret_fast, struct err *err);
void forest_fast_destroy(struct forest_fast **fast);

uint64_t forest_fast_bytes(const struct forest_fast *fast);
/* Aligned to 64 bytes; its size is a multiple of that. */
size_t forest_fast_scratch_bytes(const struct forest_fast *fast);

/* values[row_count][feature_count]; ret_margin[output_count][FOREST_FAST_ROWS]. */
void forest_fast_margins(const struct forest_fast *fast, const double *values, uint32_t row_count,
                         void *scratch, double *ret_margin);
/* The same one row after the other, as machines without AVX2 do it. */
void forest_fast_margins_portable(const struct forest_fast *fast, const double *values,
                                  uint32_t row_count, void *scratch, double *ret_margin);

#endif
