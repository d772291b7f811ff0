/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/ctl/model_speed.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "models/blend.h"
#include "models/ranker.h"

#define RUNS           201
#define RUN_NS         250000 /* a run repeats its rows until it takes so long */
#define REPEATS_MAX    65536
#define PRICE_CURRENCY "EUR"

struct speed {
    const struct model *model;
    double *values; /* rankers: MODEL_SPEED_BATCH rows */
    double *score;
    void *scratch;
    float *user;                                 /* factors */
    struct price_input price[MODEL_SPEED_BATCH]; /* prices */
    volatile double sink;                        /* so that nothing is optimised away */
};

static void fill_values(struct speed *speed, const cJSON *rows)
{
    const struct model *model = speed->model;
    const cJSON *row = rows->child;
    for (uint32_t r = 0; r < MODEL_SPEED_BATCH; r++) {
        const cJSON *features = cJSON_GetObjectItemCaseSensitive(row, "features");
        for (uint32_t f = 0; f < model->feature_count; f++) {
            const cJSON *value = cJSON_GetObjectItemCaseSensitive(features, model->feature[f].name);
            speed->values[(size_t)r * model->feature_count + f] =
                cJSON_IsNumber(value) ? value->valuedouble : (double)NAN;
        }
        row = row == NULL || row->next == NULL ? rows->child : row->next;
    }
}

static struct text member_text(const cJSON *row, const char *key)
{
    return text_of(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(row, key)));
}

static void fill_prices(struct speed *speed, const cJSON *rows)
{
    currency_code currency = 0;
    const cJSON *row = rows->child;
    bool known = currency_parse(TEXT_LITERAL(PRICE_CURRENCY), &currency);
    ASSERT(known);
    for (uint32_t r = 0; r < MODEL_SPEED_BATCH; r++) {
        const cJSON *price = cJSON_GetObjectItemCaseSensitive(row, "price");
        speed->price[r] = (struct price_input){
            .item = member_text(row, "item"),
            .category = member_text(row, "category"),
            .brand = member_text(row, "brand"),
            .price_minor = cJSON_IsNumber(price) ? (int64_t)price->valuedouble : 1000,
            .cost_minor = INT64_MIN,
            .currency = currency,
            .qty = 1};
        row = row == NULL || row->next == NULL ? rows->child : row->next;
    }
}

static enum err_code prepare(struct speed *speed, const cJSON *rows, struct err *err)
{
    const struct model *model = speed->model;
    bool ranks = ranker_is(model->kind);
    size_t scratch_bytes = ranks ? ranker_scratch_bytes(model) : RANKER_ALIGN_BYTES;
    _Static_assert(MODEL_SPEED_BATCH >= BLEND_PARTS_MAX, "values hold a score of each part");
    speed->values =
        calloc((size_t)MODEL_SPEED_BATCH * (model->feature_count + 1U), sizeof *speed->values);
    speed->score = calloc(MODEL_SPEED_BATCH, sizeof *speed->score);
    speed->scratch = aligned_alloc(RANKER_ALIGN_BYTES, scratch_bytes);
    speed->user = calloc(FACTORS_DIM_MAX, sizeof *speed->user);
    if (speed->values == NULL || speed->score == NULL || speed->scratch == NULL ||
        speed->user == NULL)
        return err_set(err, ERR_NOMEM, "out of memory");
    if (ranks)
        fill_values(speed, rows);
    if (model->kind == MODEL_prices)
        fill_prices(speed, rows);
    for (uint32_t f = 0; model_has_vectors(model) && f < factors_dim(model->as.factors); f++)
        speed->user[f] = 0.5f;
    return ERR_OK;
}

static double of_item(struct speed *speed, uint32_t row)
{
    const struct model *model = speed->model;
    struct neighbor_list list = {.count = 0};
    switch (model->kind) {
    case MODEL_factors:
    case MODEL_embeddings: return (double)factors_score(model->as.factors, speed->user, row);
    case MODEL_neighbors:
        neighbors_of(model->as.neighbors, row, &list);
        return list.count > 0 ? (double)list.weight[list.count - 1] : 0;
    default: return (double)popularity_score(model->as.popularity, row);
    }
}

static void score(struct speed *speed, uint32_t rows)
{
    const struct model *model = speed->model;
    if (ranker_is(model->kind)) {
        ranker_score_rows(model, speed->values, rows, speed->scratch, speed->score);
        speed->sink = speed->score[rows - 1];
        return;
    }
    if (model->kind == MODEL_blend) { /* what it takes beyond its parts */
        for (uint32_t r = 0; r < rows; r++)
            speed->sink = blend_of_scores(model, speed->values);
        return;
    }
    for (uint32_t r = 0; r < rows; r++) {
        struct price_output output;
        if (model->kind == MODEL_prices) {
            prices_apply(model->as.prices, &speed->price[r], &output);
            speed->sink = (double)output.amount_minor;
        } else {
            speed->sink = of_item(speed, r % model_row_count(model));
        }
    }
}

static uint64_t time_ns(struct speed *speed, uint32_t rows, uint32_t repeats)
{
    uint64_t began_ns = clock_now_ns(clock_system());
    for (uint32_t i = 0; i < repeats; i++)
        score(speed, rows);
    return clock_now_ns(clock_system()) - began_ns;
}

static int by_size(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* Microseconds of one row. */
static double median_us(struct speed *speed, uint32_t rows)
{
    double took_us[RUNS];
    uint32_t repeats = 1;
    while (repeats < REPEATS_MAX && time_ns(speed, rows, repeats) < RUN_NS)
        repeats *= 2;
    for (uint32_t i = 0; i < RUNS; i++)
        took_us[i] = (double)time_ns(speed, rows, repeats) / 1e3 / repeats / rows;
    qsort(took_us, RUNS, sizeof took_us[0], by_size);
    return took_us[RUNS / 2];
}

enum err_code model_speed(const struct model *model, const cJSON *rows,
                          struct model_speed *ret_speed, struct err *err)
{
    struct speed speed = {.model = model};
    enum err_code rc = prepare(&speed, rows, err);
    if (rc == ERR_OK) {
        ret_speed->one_row_us = median_us(&speed, 1);
        ret_speed->batch_row_us = median_us(&speed, MODEL_SPEED_BATCH);
    }
    free(speed.values);
    free(speed.score);
    free(speed.scratch);
    free(speed.user);
    return rc;
}
