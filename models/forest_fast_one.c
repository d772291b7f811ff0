/* SPDX-License-Identifier: Apache-2.0 */
/* One row through the trees of a chunk at once: column by column, its splits in the order of their
 * thresholds, as far as they send the row to the right. */
#include "models/forest_fast_internal.h"

static uint32_t walked(const struct forest_fast *fast, const struct fast_tree *tree,
                       const double *values)
{
    return forest_leaf(fast->forest, &fast->forest->tree[tree->number], values);
}

static void add_leaves32(const struct forest_fast *fast, const struct fast_tree *tree,
                         const struct fast_tree *end, const double *values, const uint32_t *alive,
                         float *sum)
{
    for (; tree < end; tree++) {
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

void forest_fast_one32(const struct forest_fast *fast, const double *values, const float *columns,
                       uint32_t *alive, float *sum)
{
    const struct fast_split32 *split = fast->split32;
    const struct fast_run *run = fast->run;
    const struct fast_tree *tree = fast->tree;
    for (uint32_t c = 0; c < fast->chunk_count; c++) {
        const struct fast_chunk *chunk = &fast->chunk[c];
        for (uint32_t p = 0; p < chunk->piece_count; p++)
            alive[p] = UINT32_MAX;
        for (; run < fast->run + chunk->run_end; run++) {
            float value = columns[run->column];
            const struct fast_split32 *end = fast->split32 + run->split_end;
            for (; split < end && !(value <= split->threshold); split++)
                alive[split->piece] &= split->keep;
            split = end;
        }
        add_leaves32(fast, tree, fast->tree + chunk->tree_end, values, alive, sum);
        tree = fast->tree + chunk->tree_end;
    }
}

static void add_leaves64(const struct forest_fast *fast, const struct fast_tree *tree,
                         const struct fast_tree *end, const double *values, const uint64_t *alive,
                         double *sum)
{
    const struct forest *forest = fast->forest;
    for (; tree < end; tree++) {
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

void forest_fast_one64(const struct forest_fast *fast, const double *values, const double *columns,
                       uint64_t *alive, double *sum)
{
    const struct fast_split64 *split = fast->split64;
    const struct fast_run *run = fast->run;
    const struct fast_tree *tree = fast->tree;
    for (uint32_t c = 0; c < fast->chunk_count; c++) {
        const struct fast_chunk *chunk = &fast->chunk[c];
        for (uint32_t p = 0; p < chunk->piece_count; p++)
            alive[p] = UINT64_MAX;
        for (; run < fast->run + chunk->run_end; run++) {
            double value = columns[run->column];
            const struct fast_split64 *end = fast->split64 + run->split_end;
            for (; split < end && !(value <= split->threshold); split++)
                alive[split->piece] &= split->keep;
            split = end;
        }
        add_leaves64(fast, tree, fast->tree + chunk->tree_end, values, alive, sum);
        tree = fast->tree + chunk->tree_end;
    }
}
