/* SPDX-License-Identifier: Apache-2.0 */
#include "models/factors_index.h"

#include <cblas-openblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/background.h"
#include "models/clusters.h"

/* Lists for a root of the number of items: with more of them fewer items are read, and more means.
 */
#define LISTS_PER_ROOT 4
#define SEED           0x696e646578ull
#define SAMPLE_MAX     512   /* users: half of them choose, the others measure */
#define CERTAINTY      1.645 /* deviations of a mean: 19 of 20 samples are not off by more */

static uint32_t wanted_lists(uint32_t item_count)
{
    double lists = LISTS_PER_ROOT * sqrt((double)item_count);
    return lists < CLUSTERS_MAX / 2 ? (uint32_t)lists + 1 : CLUSTERS_MAX / 2;
}

/* The mean of a list's rows, and behind it the root of their mean squared distance from it. */
static void fill_mean(const struct sieve *lists, uint32_t list, float *ret_mean)
{
    uint32_t dim = lists->dim;
    const uint32_t *row = lists->row + (size_t)lists->first_group[list] * DOT_INT8_GROUP;
    const uint32_t *end = lists->row + (size_t)lists->first_group[list + 1] * DOT_INT8_GROUP;
    float count = 0.0f;
    double squares = 0.0;
    for (; row < end && *row != SIEVE_NO_ROW; row++) {
        const float *floats = lists->floats + (size_t)*row * dim;
        cblas_saxpy((int)dim, 1.0f, floats, 1, ret_mean, 1);
        squares += (double)cblas_sdot((int)dim, floats, 1, floats, 1);
        count += 1.0f;
    }
    if (count == 0.0f)
        return;
    cblas_sscal((int)dim, 1.0f / count, ret_mean, 1);
    double variance =
        squares / (double)count - (double)cblas_sdot((int)dim, ret_mean, 1, ret_mean, 1);
    ret_mean[dim] = (float)sqrt(fmax(variance, 0.0));
}

/* The order of lists is good enough by the bytes of their means. */
static enum err_code make_means(struct factors_index *index, struct err *err)
{
    const struct sieve *lists = index->lists;
    size_t stride = lists->dim + (size_t)1;
    float *mean = calloc(lists->list_count * stride, sizeof *mean);
    if (mean == NULL)
        return err_set(err, ERR_NOMEM, "no memory for the means of %u lists", lists->list_count);
    for (uint32_t list = 0; list < lists->list_count; list++)
        fill_mean(lists, list, mean + list * stride);
    enum err_code rc =
        sieve_create(mean, lists->list_count, lists->dim + 1, NULL, 1, &index->means, err);
    if (rc == ERR_OK)
        sieve_forget_floats(index->means);
    free(mean);
    return rc;
}

/* ---- recall ---------------------------------------------------------------------------------- */

struct measure {
    const struct factors_index *index;
    const uint32_t *list_of_item;
    uint32_t *place; /* of each list in the order of a user */
    uint32_t *found; /* of each user's best items, INDEX_RECALL_AT places of their lists */
    uint32_t best_count, user_count;
    struct arena arena;
};

static bool order_lists(struct measure *measure, const float *vector)
{
    struct sieve_scan scan;
    uint32_t list_count = measure->index->lists->list_count;
    if (!factors_index_order(measure->index, vector, list_count, &measure->arena, &scan))
        return false;
    for (uint32_t i = 0; i < scan.best.count; i++)
        measure->place[scan.best.slot[i].key] = i;
    return true;
}

static bool measure_one(struct measure *measure, const float *vector)
{
    struct sieve_scan scan;
    const struct sieve *lists = measure->index->lists;
    uint32_t *found = measure->found + (size_t)measure->user_count * INDEX_RECALL_AT;
    arena_reset(&measure->arena);
    if (!order_lists(measure, vector))
        return false;
    arena_reset(&measure->arena);
    if (!sieve_scan_begin(&scan, lists, vector, INDEX_RECALL_AT, NULL, &measure->arena))
        return false;
    for (uint32_t list = 0; list < lists->list_count; list++)
        sieve_scan_list(&scan, list);
    sieve_scan_settle(&scan);
    for (uint32_t i = 0; i < scan.best.count; i++)
        found[i] = measure->place[measure->list_of_item[scan.best.slot[i].key]];
    measure->best_count = scan.best.count; /* the same for all: as many as there are */
    measure->user_count++;
    return true;
}

/* The mean recall of every other user with so many lists, and the deviation of that mean. */
static double mean_recall(const struct measure *measure, uint32_t first, uint32_t probes,
                          double *ret_deviation)
{
    double sum = 0.0, squares = 0.0, count = 0.0;
    for (uint32_t user = first; user < measure->user_count; user += 2) {
        const uint32_t *found = measure->found + (size_t)user * INDEX_RECALL_AT;
        uint32_t within = 0;
        for (uint32_t i = 0; i < measure->best_count; i++)
            within += found[i] < probes;
        double recall = (double)within / (double)measure->best_count;
        sum += recall;
        squares += recall * recall;
        count += 1.0;
    }
    double mean = sum / count;
    *ret_deviation = sqrt(fmax(squares / count - mean * mean, 0.0) / count);
    return mean;
}

/* The fewest lists that give the half of the users which chooses, were it another sample as well,
 * the wanted recall; the other half says what they do give. */
static void choose_probes(struct factors_index *index, const struct measure *measure, double wanted)
{
    uint32_t too_few = 0, enough = index->lists->list_count;
    double deviation = 0.0;
    while (enough - too_few > 1) {
        uint32_t probes = too_few + (enough - too_few) / 2;
        double mean = mean_recall(measure, 0, probes, &deviation);
        if (mean - CERTAINTY * deviation >= wanted)
            enough = probes;
        else
            too_few = probes;
    }
    uint32_t others = measure->user_count > 1;
    index->probes = enough;
    index->recall = mean_recall(measure, others, enough, &deviation);
    index->recall_queries = (measure->user_count + !others) / 2;
}

static bool measure_recall(struct factors_index *index, const struct factors_index_spec *spec,
                           const uint32_t *list_of_item)
{
    uint32_t list_count = index->lists->list_count;
    const float *from = spec->user_count > 0 ? spec->users : spec->items;
    uint32_t count = spec->user_count > 0 ? spec->user_count : spec->item_count;
    uint32_t users = count < SAMPLE_MAX ? count : SAMPLE_MAX;
    uint32_t most = list_count > INDEX_RECALL_AT ? list_count : INDEX_RECALL_AT;
    struct measure measure = {.index = index,
                              .list_of_item = list_of_item,
                              .place = calloc(list_count, sizeof *measure.place),
                              .found =
                                  calloc((size_t)users * INDEX_RECALL_AT, sizeof *measure.found)};
    bool ok = measure.place != NULL && measure.found != NULL &&
              arena_init(&measure.arena, INDEX_ORDER_BYTES(most), NULL) == ERR_OK;
    for (uint32_t u = 0; ok && u < users; u++) {
        uint64_t row = (uint64_t)u * count / users;
        ok = measure_one(&measure, from + row * spec->dim);
        background_rest();
    }
    if (ok)
        choose_probes(index, &measure, spec->recall);
    arena_deinit(&measure.arena);
    free(measure.place);
    free(measure.found);
    return ok;
}

enum err_code factors_index_create(const struct factors_index_spec *spec,
                                   struct factors_index **ret_index, struct err *err)
{
    uint32_t list_count = 0;
    struct factors_index *index = calloc(1, sizeof *index);
    uint32_t *list_of_item = malloc(spec->item_count * sizeof *list_of_item);
    enum err_code rc = ERR_OK;
    if (index == NULL || list_of_item == NULL)
        rc = err_set(err, ERR_NOMEM, "no memory for an index of %u items", spec->item_count);
    if (rc == ERR_OK)
        rc = clusters_find(spec->items, spec->item_count, spec->dim, wanted_lists(spec->item_count),
                           SEED, list_of_item, &list_count, err);
    if (rc == ERR_OK)
        rc = sieve_create(spec->items, spec->item_count, spec->dim, list_of_item, list_count,
                          &index->lists, err);
    if (rc == ERR_OK)
        rc = make_means(index, err);
    if (rc == ERR_OK && !measure_recall(index, spec, list_of_item))
        rc = err_set(err, ERR_NOMEM, "no memory to measure the recall of an index");
    free(list_of_item);
    if (rc != ERR_OK) {
        factors_index_destroy(&index);
        return rc;
    }
    *ret_index = index;
    return ERR_OK;
}

void factors_index_destroy(struct factors_index **index)
{
    struct factors_index *old = *index;
    *index = NULL;
    if (old == NULL)
        return;
    sieve_destroy(&old->lists);
    sieve_destroy(&old->means);
    free(old);
}

uint64_t factors_index_bytes(const struct factors_index *index)
{
    return sizeof *index + sieve_bytes(index->lists) + sieve_bytes(index->means);
}
