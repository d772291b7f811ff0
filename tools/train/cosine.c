/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/train/best.h"
#include "tools/train/neighbors.h"
#include "tools/train/parallel.h"

#define ROWS_PER_SHARE 16

struct cosine {
    const struct matrix *by_person;
    struct matrix by_item;
    float *length;                        /* of each item's column */
    float *product[PARALLEL_THREADS_MAX]; /* scratch: one row of products */
    struct best_entry *kept;              /* row by row, `per_row` places each */
    uint32_t *kept_count;
    uint32_t per_row;
    float shrinkage;
};

static void measure_items(struct cosine *cosine)
{
    const struct matrix *by_item = &cosine->by_item;
    for (uint32_t item = 0; item < by_item->row_count; item++) {
        double sum = 0.0;
        for (uint64_t i = by_item->offset[item]; i < by_item->offset[item + 1]; i++)
            sum += (double)by_item->value[i] * (double)by_item->value[i];
        cosine->length[item] = (float)sqrt(sum);
    }
}

static void find_neighbors(struct cosine *cosine, float *product, uint32_t item)
{
    const uint32_t items = cosine->by_item.row_count;
    struct best best = {cosine->kept + (size_t)item * cosine->per_row, 0, cosine->per_row};
    memset(product, 0, items * sizeof product[0]);
    neighbors_add_products(cosine->by_person, &cosine->by_item, item, product);
    for (uint32_t other = 0; other < items; other++) {
        if (product[other] <= 0.0f || other == item)
            continue;
        float lengths = cosine->length[item] * cosine->length[other];
        best_offer(&best, product[other] / (lengths + cosine->shrinkage), other);
    }
    best_sort(&best);
    cosine->kept_count[item] = best.count;
}

static void find_rows(void *ctx, uint32_t thread, uint32_t begin, uint32_t end)
{
    struct cosine *cosine = ctx;
    for (uint32_t item = begin; item < end; item++)
        find_neighbors(cosine, cosine->product[thread], item);
}

static enum err_code pack_lists(const struct cosine *cosine, struct neighbor_lists *ret_lists,
                                struct err *err)
{
    const uint32_t items = cosine->by_item.row_count;
    struct neighbor_lists lists;
    uint64_t count = 0;
    for (uint32_t item = 0; item < items; item++)
        count += cosine->kept_count[item];
    enum err_code rc = neighbor_lists_init(items, count, &lists, err);
    if (rc != ERR_OK)
        return rc;
    int64_t at = 0;
    for (uint32_t item = 0; item < items; item++) {
        const struct best_entry *entry = cosine->kept + (size_t)item * cosine->per_row;
        for (uint32_t i = 0; i < cosine->kept_count[item]; i++, at++) {
            lists.row[at] = entry[i].row;
            lists.weight[at] = entry[i].weight;
        }
        lists.offset[item + 1] = at;
    }
    *ret_lists = lists;
    return ERR_OK;
}

static bool allocate(struct cosine *cosine, uint32_t threads)
{
    const size_t items = cosine->by_item.row_count;
    bool ok = true;
    cosine->length = calloc(items + 1, sizeof cosine->length[0]);
    cosine->kept = calloc(items * cosine->per_row + 1, sizeof cosine->kept[0]);
    cosine->kept_count = calloc(items + 1, sizeof cosine->kept_count[0]);
    for (uint32_t t = 0; t < threads; t++) {
        cosine->product[t] = calloc(items + 1, sizeof cosine->product[t][0]);
        ok = ok && cosine->product[t] != NULL;
    }
    return ok && cosine->length != NULL && cosine->kept != NULL && cosine->kept_count != NULL;
}

enum err_code neighbors_cosine(const struct matrix *pairs, const struct neighbors_options *options,
                               struct neighbor_lists *ret_lists, struct err *err)
{
    ASSERT(options->per_row >= 1 && options->per_row <= NEIGHBORS_PER_ROW_MAX);
    const uint32_t items = pairs->column_count;
    struct cosine cosine = {.by_person = pairs, .shrinkage = (float)options->shrinkage};
    cosine.per_row = options->per_row < items ? options->per_row : items;
    enum err_code rc = matrix_transpose(pairs, &cosine.by_item, err);
    if (rc != ERR_OK)
        return rc;
    if (!allocate(&cosine, options->threads)) {
        rc = err_set(err, ERR_NOMEM, "cosine: %u items with %u neighbors each: out of memory",
                     items, cosine.per_row);
        goto out;
    }
    measure_items(&cosine);
    parallel_for(options->threads, items, ROWS_PER_SHARE, find_rows, &cosine);
    rc = pack_lists(&cosine, ret_lists, err);
    if (options->progress != NULL)
        options->progress(options->progress_ctx, 1, 1);
out:
    for (uint32_t t = 0; t < PARALLEL_THREADS_MAX; t++)
        free(cosine.product[t]);
    free(cosine.length);
    free(cosine.kept);
    free(cosine.kept_count);
    matrix_deinit(&cosine.by_item);
    return rc;
}
