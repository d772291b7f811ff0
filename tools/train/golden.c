/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/train/golden.h"

#include <stdlib.h>

#define SAMPLES          64   /* places spread over the rows of the model */
#define FOLD_IN_SAMPLES  16   /* whole histories, which take room */
#define HISTORY_ROWS_MAX 1000 /* the daemon looks at no more */

struct golden {
    const struct trained *trained;
    const struct interactions *interactions;
    const struct dataset *dataset;
    cJSON *rows;
    bool failed; /* out of memory; looked at once, at the end */
};

/* Sample `i` of `samples` among `count`: first and last are in. */
static uint32_t spread(uint32_t i, uint32_t samples, uint32_t count)
{
    return samples <= 1 ? 0 : (uint32_t)((uint64_t)i * (count - 1) / (samples - 1));
}

static uint32_t at_most(uint32_t samples, uint32_t count)
{
    return samples < count ? samples : count;
}

/* Ids are not terminated; cJSON wants them so. */
static void add_id(struct golden *golden, cJSON *to, const char *key, struct text id)
{
    char buf[ID_BYTES_MAX + 1];
    cJSON *item = cJSON_CreateString(text_copy(id, buf, sizeof buf));
    bool added = item != NULL && (key != NULL ? cJSON_AddItemToObject(to, key, item)
                                              : cJSON_AddItemToArray(to, item));
    if (!added) {
        cJSON_Delete(item);
        golden->failed = true;
    }
}

static void add_column(struct golden *golden, cJSON *to, const char *key, uint32_t column)
{
    add_id(golden, to, key, idmap_text(golden->interactions->items, golden->dataset->item[column]));
}

static void add_number(struct golden *golden, cJSON *to, const char *key, double value)
{
    if (cJSON_AddNumberToObject(to, key, value) == NULL)
        golden->failed = true;
}

static cJSON *add_row(struct golden *golden)
{
    cJSON *row = cJSON_CreateObject();
    if (row == NULL || !cJSON_AddItemToArray(golden->rows, row)) {
        cJSON_Delete(row);
        golden->failed = true;
        return NULL;
    }
    return row;
}

static double product(const float *a, const float *b, uint32_t dim)
{
    double sum = 0.0;
    for (uint32_t d = 0; d < dim; d++)
        sum += (double)a[d] * (double)b[d];
    return sum;
}

static void add_user_rows(struct golden *golden)
{
    const struct ials *ials = &golden->trained->ials;
    const uint32_t samples = at_most(SAMPLES, ials->user_count);
    for (uint32_t i = 0; i < samples; i++) {
        uint32_t user = spread(i, samples, ials->user_count);
        uint32_t column = spread(samples - 1 - i, samples, ials->item_count);
        bool anonymous = false;
        struct text id =
            interactions_id(golden->interactions, golden->dataset->person[user], &anonymous);
        cJSON *row = anonymous ? NULL : add_row(golden);
        if (row == NULL)
            continue; /* only users have rows in the bundle */
        add_id(golden, row, "user", id);
        add_column(golden, row, "item", column);
        add_number(golden, row, "score",
                   product(ials->user + (size_t)user * ials->dim,
                           ials->item + (size_t)column * ials->dim, ials->dim));
    }
}

/* The history of a person of the training part as if it were a newcomer's. */
static enum err_code add_fold_in(struct golden *golden, uint32_t user, float *vector,
                                 struct err *err)
{
    const struct ials *ials = &golden->trained->ials;
    const struct matrix *pairs = &golden->dataset->pairs;
    const uint32_t *history = pairs->column + pairs->offset[user];
    const uint32_t count = at_most(HISTORY_ROWS_MAX, matrix_row_length(pairs, user));
    if (count == 0)
        return ERR_OK;
    enum err_code rc =
        ials_fold_in(ials, &golden->trained->ials_options, history, count, vector, err);
    if (rc != ERR_OK)
        return rc;
    cJSON *row = add_row(golden);
    cJSON *list = row == NULL ? NULL : cJSON_AddArrayToObject(row, "history");
    if (list == NULL) {
        golden->failed = true;
        return ERR_OK;
    }
    for (uint32_t i = 0; i < count; i++)
        add_column(golden, list, NULL, history[i]);
    uint32_t column = history[count / 2];
    add_column(golden, row, "item", column);
    add_number(golden, row, "score",
               product(vector, ials->item + (size_t)column * ials->dim, ials->dim));
    return ERR_OK;
}

/* Of the shortest, the longest and a few other histories. */
static enum err_code add_fold_ins(struct golden *golden, struct err *err)
{
    const struct matrix *pairs = &golden->dataset->pairs;
    const uint32_t samples = at_most(FOLD_IN_SAMPLES, pairs->row_count);
    float *vector = malloc(golden->trained->ials.dim * sizeof vector[0]);
    uint32_t shortest = 0, longest = 0;
    if (vector == NULL)
        return err_set(err, ERR_NOMEM, "golden rows: out of memory");
    for (uint32_t row = 0; row < pairs->row_count; row++) {
        if (matrix_row_length(pairs, row) < matrix_row_length(pairs, shortest))
            shortest = row;
        if (matrix_row_length(pairs, row) > matrix_row_length(pairs, longest))
            longest = row;
    }
    enum err_code rc = add_fold_in(golden, shortest, vector, err);
    if (rc == ERR_OK)
        rc = add_fold_in(golden, longest, vector, err);
    for (uint32_t i = 0; i < samples && rc == ERR_OK; i++)
        rc = add_fold_in(golden, spread(i, samples, pairs->row_count), vector, err);
    free(vector);
    return rc;
}

static bool lists_has(const struct neighbor_lists *lists, uint32_t row, uint32_t other)
{
    for (int64_t i = lists->offset[row]; i < lists->offset[row + 1]; i++) {
        if (lists->row[i] == other)
            return true;
    }
    return false;
}

static void add_neighbor(struct golden *golden, uint32_t item, uint32_t neighbor,
                         const float *weight)
{
    cJSON *row = add_row(golden);
    if (row == NULL)
        return;
    add_column(golden, row, "item", item);
    add_column(golden, row, "neighbor", neighbor);
    if (weight != NULL)
        add_number(golden, row, "weight", (double)*weight);
    else if (cJSON_AddNullToObject(row, "weight") == NULL)
        golden->failed = true;
}

/* Of each sampled item the strongest and the weakest neighbor, and an item that is none. */
static void add_neighbor_rows(struct golden *golden)
{
    const struct neighbor_lists *lists = &golden->trained->lists;
    const uint32_t samples = at_most(SAMPLES, lists->row_count);
    for (uint32_t i = 0; i < samples; i++) {
        const uint32_t item = spread(i, samples, lists->row_count);
        const uint32_t other = spread(samples - 1 - i, samples, lists->row_count);
        const int64_t begin = lists->offset[item], end = lists->offset[item + 1];
        if (end > begin)
            add_neighbor(golden, item, lists->row[begin], &lists->weight[begin]);
        if (end > begin + 1)
            add_neighbor(golden, item, lists->row[end - 1], &lists->weight[end - 1]);
        if (!lists_has(lists, item, other))
            add_neighbor(golden, item, other, NULL);
    }
}

static void add_popularity_rows(struct golden *golden)
{
    const uint32_t columns = golden->dataset->pairs.column_count;
    const uint32_t samples = at_most(SAMPLES, columns);
    for (uint32_t i = 0; i < samples; i++) {
        uint32_t column = spread(i, samples, columns);
        cJSON *row = add_row(golden);
        if (row == NULL)
            return;
        add_column(golden, row, "item", column);
        add_number(golden, row, "score", (double)golden->trained->popularity[column]);
    }
}

enum err_code golden_rows(const struct trained *trained, const struct interactions *interactions,
                          const struct dataset *dataset, cJSON **ret_rows, struct err *err)
{
    struct golden golden = {trained, interactions, dataset, cJSON_CreateArray(), false};
    enum err_code rc = ERR_OK;
    if (golden.rows == NULL)
        return err_set(err, ERR_NOMEM, "golden rows: out of memory");
    if (trained->kind == TRAIN_FACTORS) {
        add_user_rows(&golden);
        rc = add_fold_ins(&golden, err);
    } else if (trained->kind == TRAIN_NEIGHBORS) {
        add_neighbor_rows(&golden);
    } else {
        add_popularity_rows(&golden);
    }
    if (rc == ERR_OK && golden.failed)
        rc = err_set(err, ERR_NOMEM, "golden rows: out of memory");
    if (rc == ERR_OK)
        *ret_rows = golden.rows;
    else
        cJSON_Delete(golden.rows);
    return rc;
}
