/* SPDX-License-Identifier: Apache-2.0 */
/* One row through all trees at once: column by column, its splits in the order of their thresholds,
 * as far as they send the row to the right. */
#include "models/forest_fast_internal.h"

static uint32_t walked(const struct forest_fast *fast, const struct fast_tree *tree,
                       const double *values)
{
    return forest_leaf(fast->forest, &fast->forest->tree[tree->number], values);
}

void forest_fast_one32(const struct forest_fast *fast, const double *values, const float *columns,
                       uint32_t *alive, float *sum)
{
    const struct fast_ordered32 *split = fast->ordered32;
    for (uint32_t p = 0; p < fast->piece_count; p++)
        alive[p] = UINT32_MAX;
    for (uint32_t c = 0; c < fast->column_count; c++) {
        float value = columns[(size_t)c * FOREST_FAST_ROWS];
        const struct fast_ordered32 *end = fast->ordered32 + fast->column[c].ordered_end;
        for (; split < end && !(value <= split->threshold); split++)
            alive[split->piece] &= split->keep;
        split = end;
    }
    for (uint32_t t = 0; t < fast->tree_count; t++) {
        const struct fast_tree *tree = &fast->tree[t];
        uint32_t piece = 0;
        if (tree->piece_count == 0) {
            sum[tree->output] += fast->leaf32[walked(fast, tree, values)];
            continue;
        }
        while (alive[tree->piece_begin + piece] == 0)
            piece++;
        uint32_t leaf = piece * 32 + (uint32_t)__builtin_ctz(alive[tree->piece_begin + piece]);
        sum[tree->output] += fast->leaf32[tree->leaf_begin + leaf];
    }
}

void forest_fast_one64(const struct forest_fast *fast, const double *values, const double *columns,
                       uint64_t *alive, double *sum)
{
    const struct forest *forest = fast->forest;
    const struct fast_ordered64 *split = fast->ordered64;
    for (uint32_t p = 0; p < fast->piece_count; p++)
        alive[p] = UINT64_MAX;
    for (uint32_t c = 0; c < fast->column_count; c++) {
        double value = columns[(size_t)c * FOREST_FAST_ROWS];
        const struct fast_ordered64 *end = fast->ordered64 + fast->column[c].ordered_end;
        for (; split < end && !(value <= split->threshold); split++)
            alive[split->piece] &= split->keep;
        split = end;
    }
    for (uint32_t t = 0; t < fast->tree_count; t++) {
        const struct fast_tree *tree = &fast->tree[t];
        double *own = sum + (size_t)tree->output * FOREST_FAST_ROWS;
        uint32_t piece = 0;
        if (tree->piece_count == 0) {
            *own += forest_leaf_output(forest, walked(fast, tree, values), values);
            continue;
        }
        while (alive[tree->piece_begin + piece] == 0)
            piece++;
        uint32_t leaf = piece * 64 + (uint32_t)__builtin_ctzll(alive[tree->piece_begin + piece]);
        *own += forest_leaf_output(forest, tree->leaf_begin + leaf, values);
    }
}
