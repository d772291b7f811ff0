/* SPDX-License-Identifier: Apache-2.0 */
/* The splits of all trees by column and threshold, which is how one row alone goes through them. */
#include <stdlib.h>

#include "models/forest_fast_internal.h"

struct key {
    double threshold;
    uint32_t column, split, piece;
};

static int compare_keys(const void *a, const void *b)
{
    const struct key *x = a;
    const struct key *y = b;
    if (x->column != y->column)
        return x->column < y->column ? -1 : 1;
    if (x->threshold != y->threshold)
        return x->threshold < y->threshold ? -1 : 1;
    return x->split < y->split ? -1 : 1; /* each is there once */
}

static void fill_keys(const struct forest_fast *fast, struct key *keys)
{
    for (uint32_t t = 0; t < fast->tree_count; t++) {
        const struct fast_tree *tree = &fast->tree[t];
        for (uint32_t p = 0; p < tree->piece_count; p++) {
            for (uint32_t s = tree->split_begin[p]; s < tree->split_begin[p + 1]; s++) {
                double threshold = fast->has_floats ? (double)fast->split32[s].threshold
                                                    : fast->split64[s].threshold;
                uint32_t column =
                    fast->has_floats ? fast->split32[s].column : fast->split64[s].column;
                keys[s] =
                    (struct key){threshold, column / FOREST_FAST_ROWS, s, tree->piece_begin + p};
            }
        }
    }
}

enum err_code forest_fast_order(struct forest_fast *fast, struct err *err)
{
    size_t count = fast->split_count;
    struct key *keys = malloc((count + 1) * sizeof *keys);
    if (fast->has_floats)
        fast->ordered32 = malloc((count + 1) * sizeof *fast->ordered32);
    else
        fast->ordered64 = malloc((count + 1) * sizeof *fast->ordered64);
    if (keys == NULL || (fast->ordered32 == NULL && fast->ordered64 == NULL)) {
        free(keys);
        return err_set(err, ERR_NOMEM, "out of memory for a forest");
    }
    fill_keys(fast, keys);
    qsort(keys, count, sizeof *keys, compare_keys);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t split = keys[i].split;
        if (fast->has_floats)
            fast->ordered32[i] = (struct fast_ordered32){(float)keys[i].threshold,
                                                         fast->split32[split].keep, keys[i].piece};
        else
            fast->ordered64[i] = (struct fast_ordered64){keys[i].threshold,
                                                         fast->split64[split].keep, keys[i].piece};
        fast->column[keys[i].column].ordered_end = i + 1;
    }
    free(keys);
    return ERR_OK;
}
