/* SPDX-License-Identifier: Apache-2.0 */
/* The best items by their factors.  Where a filter leaves few, those are computed and nothing else
 * is read. */
#include <math.h>
#include <string.h>

#include "models/clusters.h"
#include "models/model_internal.h"

#define FEW_SHARE 64 /* an item found through its bit costs what this many cost in a scan */

_Static_assert(FACTORS_DIM_MAX + 1 <= SIEVE_DIM_MAX, "means of lists have one factor more");
/* An order of more lists than this costs more than reading all of them in theirs. */
#define ORDERED_MAX 4096
_Static_assert(FACTORS_TOP_BYTES(0) >=
                   SIEVE_SCAN_BYTES(0) + INDEX_ORDER_BYTES(ORDERED_MAX) + CLUSTERS_MAX / 8,
               "the order of lists has room");

static uint64_t count_allowed(const struct factors_query *query)
{
    uint64_t count = 0;
    for (uint32_t word = 0; word < (query->allowed_count + 63) / 64; word++)
        count += (uint64_t)__builtin_popcountll(query->allowed[word]);
    return count;
}

/* ---- one by one ------------------------------------------------------------------------------ */

static uint32_t row_of(const struct model *model, uint32_t item)
{
    if (model->row_of_item != NULL)
        return model_row(model, item);
    return item < model->as.factors->item_count ? item : MODEL_NO_ROW;
}

static void scan_allowed(struct sieve_scan *scan, const struct model *model,
                         const struct factors_query *query)
{
    for (uint32_t first = 0; first < query->allowed_count; first += 64) {
        for (uint64_t left = query->allowed[first / 64]; left != 0; left &= left - 1) {
            uint32_t row = row_of(model, first + (uint32_t)__builtin_ctzll(left));
            if (row != MODEL_NO_ROW)
                sieve_scan_row(scan, row);
        }
    }
}

/* ---- by lists ---------------------------------------------------------------------------------
 */

bool factors_index_order(const struct factors_index *index, const float *vector, uint32_t count,
                         struct arena *arena, struct sieve_scan *ret_lists)
{
    uint32_t dim = index->lists->dim;
    float *wider = ARENA_NEW(arena, float, dim + 1);
    if (wider == NULL)
        return false;
    memcpy(wider, vector, dim * sizeof *wider);
    wider[dim] = INDEX_SPREAD * sieve_length(vector, dim) / sqrtf((float)dim);
    if (!sieve_scan_begin(ret_lists, index->means, wider, count, NULL, arena))
        return false;
    sieve_scan_list(ret_lists, 0);
    sieve_scan_settle(ret_lists);
    top_sort(&ret_lists->best);
    return true;
}

/* Reads the lists up to the place `end` in the order of the vector, or all that are left. */
static bool scan_until(struct sieve_scan *scan, const struct factors_index *index, uint32_t end,
                       uint64_t *read, struct arena *arena)
{
    size_t mark = arena_mark(arena);
    struct sieve_scan order;
    uint32_t list_count = index->lists->list_count;
    bool all = end > ORDERED_MAX || end >= list_count;
    bool ok = all || factors_index_order(index, scan->vector, end, arena, &order);
    for (uint32_t i = 0; ok && i < (all ? list_count : order.best.count); i++) {
        uint32_t list = all ? i : order.best.slot[i].key;
        if ((read[list / 64] >> (list % 64) & 1) == 0)
            sieve_scan_list(scan, list);
        read[list / 64] |= (uint64_t)1 << (list % 64);
    }
    arena_rewind(arena, mark);
    return ok;
}

/* With a filter that passes one in k items, or for more items than recall was measured at, as many
 * more lists are read: then as many items were in the running as when it was measured. */
static uint32_t lists_needed(const struct factors_index *index, const struct sieve_scan *scan,
                             uint32_t n)
{
    double needed = index->probes;
    if (n > INDEX_RECALL_AT)
        needed *= (double)n / INDEX_RECALL_AT;
    needed *= (double)(scan->reached + 1) / (double)(scan->passed + 1);
    return needed < index->lists->list_count ? (uint32_t)needed : index->lists->list_count;
}

static bool scan_lists(struct sieve_scan *scan, const struct factors_index *index, uint32_t n,
                       struct arena *arena, uint32_t *ret_probed)
{
    uint32_t list_count = index->lists->list_count;
    uint32_t words = (list_count + 63) / 64;
    uint32_t needed = lists_needed(index, scan, n);
    uint32_t probed = 0;
    uint64_t *read = ARENA_NEW(arena, uint64_t, words);
    if (read == NULL)
        return false;
    memset(read, 0, words * sizeof *read);
    while (probed < needed || (scan->lower.count < scan->lower.capacity && probed < list_count)) {
        probed = needed > probed ? needed : probed * 2;
        probed = probed > ORDERED_MAX || probed > list_count ? list_count : probed;
        if (!scan_until(scan, index, probed, read, arena))
            return false;
        needed = lists_needed(index, scan, n);
    }
    *ret_probed = probed;
    return true;
}

bool factors_top(const struct model *model, const struct factors_query *query, struct arena *arena,
                 struct factors_found *ret_found)
{
    const struct factors *factors = model->as.factors;
    const struct sieve_filter filter = {.key = model->item_of_row,
                                        .allowed = query->allowed,
                                        .allowed_count = query->allowed_count,
                                        .admits = query->admits,
                                        .ctx = query->ctx};
    struct sieve_scan scan;
    struct factors_found found = {.unseen = -INFINITY, .is_exact = true};
    uint32_t most = query->n < factors->item_count ? query->n : factors->item_count;
    size_t before = arena_mark(arena);
    found.top = top_make(arena, most);
    size_t mark = arena_mark(arena);
    bool ok = found.top.slot != NULL &&
              sieve_scan_begin(&scan, factors->sieve, query->user, query->n, &filter, arena);
    if (ok && query->allowed != NULL && count_allowed(query) < factors->item_count / FEW_SHARE)
        scan_allowed(&scan, model, query);
    else if (ok && factors->index != NULL)
        ok = scan_lists(&scan, factors->index, query->n, arena, &found.lists_probed);
    else if (ok)
        sieve_scan_list(&scan, 0);
    if (!ok) {
        arena_rewind(arena, before);
        return false;
    }
    sieve_scan_settle(&scan);
    found.top.count = scan.best.count;
    memcpy(found.top.slot, scan.best.slot, scan.best.count * sizeof scan.best.slot[0]);
    top_sort(&found.top);
    arena_rewind(arena, mark);
    found.is_exact = found.lists_probed == 0 || found.lists_probed == factors->sieve->list_count;
    if (found.top.count == query->n)
        found.unseen = found.top.slot[query->n - 1].score;
    *ret_found = found;
    return true;
}
