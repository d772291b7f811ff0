/* SPDX-License-Identifier: Apache-2.0 */
/* forest_fast - up to 32 rows through a forest at once, with the very bits of forest_margins.
 *
 * After QuickScorer (Lucchese et al. 2015): each leaf of a tree is a bit, each split that sends a
 * row to the right takes the leaves of its left side away, and the lowest bit that stays is the
 * leaf the row ends in.  It goes column by column, the splits in the order of their thresholds,
 * with rows in the lanes of a vector: splits above all rows are not looked at, those below all rows
 * take their leaves away from one word for all of them, and those between cost one comparison and
 * two bit operations for eight floats.  So rows that are alike cost least.
 *
 * A split reads a column: the values of a feature with what counts as missing already sent to the
 * split's side (-infinity goes left, NaN goes right), so that missing values, LightGBM's zeros and
 * sets of categories all become `column <= threshold`.
 *
 * Trees with many leaves or many sets of categories are walked node by node.  So many trees at a
 * time go through the columns that what is left of their leaves stays in the nearest cache.
 *
 * Few rows go one at a time by ranks where the forest fits (forest_ranks.h): up to four, and up to
 * three that are left over beside eight.
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
