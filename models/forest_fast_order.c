/* SPDX-License-Identifier: Apache-2.0 */
/* The splits of each chunk of trees by column and threshold. */
#include <stdlib.h>

#include "models/forest_fast_internal.h"

static int compare_keys(const void *a, const void *b)
{
    const struct fast_key *x = a;
    const struct fast_key *y = b;
    if (x->chunk != y->chunk)
        return x->chunk < y->chunk ? -1 : 1;
    if (x->column != y->column)
        return x->column < y->column ? -1 : 1;
    if (x->threshold != y->threshold)
        return x->threshold < y->threshold ? -1 : 1;
    return x->number < y->number ? -1 : 1; /* each is there once */
}

static bool begins_run(const struct fast_key *key, uint32_t index)
{
    return index == 0 || key[index].chunk != key[index - 1].chunk ||
           key[index].column != key[index - 1].column;
}

static bool make_room(struct forest_fast *fast, const struct fast_key *key, uint32_t count)
{
    uint32_t runs = 0;
    for (uint32_t i = 0; i < count; i++)
        runs += begins_run(key, i);
    fast->run = malloc((runs + 1ULL) * sizeof *fast->run);
    if (fast->has_floats)
        fast->split32 = malloc((count + 1ULL) * sizeof *fast->split32);
    else
        fast->split64 = malloc((count + 1ULL) * sizeof *fast->split64);
    return fast->run != NULL && (fast->split32 != NULL || fast->split64 != NULL);
}

static void add_split(struct forest_fast *fast, const struct fast_key *key)
{
    if (fast->has_floats)
        fast->split32[fast->split_count++] =
            (struct fast_split32){(float)key->threshold, (uint32_t)key->keep, key->piece};
    else
        fast->split64[fast->split_count++] =
            (struct fast_split64){key->threshold, key->keep, key->piece};
}

enum err_code forest_fast_order(struct forest_fast *fast, struct fast_key *key, uint32_t count,
                                struct err *err)
{
    qsort(key, count, sizeof *key, compare_keys);
    if (!make_room(fast, key, count))
        return err_set(err, ERR_NOMEM, "out of memory for a forest");
    uint32_t next = 0;
    for (uint32_t c = 0; c < fast->chunk_count; c++) {
        for (; next < count && key[next].chunk == c; next++) {
            if (begins_run(key, next))
                fast->run[fast->run_count++].column = key[next].column * FOREST_FAST_ROWS;
            add_split(fast, &key[next]);
            fast->run[fast->run_count - 1].split_end = fast->split_count;
        }
        fast->chunk[c].run_end = fast->run_count;
    }
    return ERR_OK;
}
