/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/train/trained.h"

#include <stdlib.h>
#include <string.h>

#include "tools/train/best.h"
#include "tools/train/linear_algebra.h"
#include "tools/train/parallel.h"

#define DAY_S            86400u
#define EASE_NEIGHBORS   300
#define COSINE_NEIGHBORS 50

/* As the daemon counts what is popular in a window. */
static float popularity_points(float pair_weight)
{
    if (pair_weight >= dataset_weight(EVENT_CLASS_PURCHASE))
        return 10.0f;
    return pair_weight >= dataset_weight(EVENT_CLASS_CART) ? 3.0f : 1.0f;
}

/* Every person counts once per item, by the strongest thing they did: one who buys an item every
 * week says less about others than many who buy it once. */
static enum err_code make_popularity(const struct train_options *options,
                                     const struct interactions *interactions,
                                     const struct dataset *dataset, struct trained *trained,
                                     struct err *err)
{
    const uint64_t length_s = options->days * DAY_S;
    struct span span = {0, options->eval_s > 0 ? options->eval_s : DATASET_ALL};
    struct dataset recent = {0};
    if (options->days > 0 && length_s <= dataset->newest_s)
        span.from_s = (uint32_t)(dataset->newest_s - length_s + 1);
    trained->popularity =
        calloc((size_t)dataset->pairs.column_count + 1, sizeof trained->popularity[0]);
    if (trained->popularity == NULL)
        return err_set(err, ERR_NOMEM, "popularity: out of memory");
    enum err_code rc = dataset_build(interactions, span, &recent, err);
    if (rc != ERR_OK)
        return rc;
    for (uint64_t i = 0; i < matrix_count(&recent.pairs); i++) {
        uint32_t item = recent.item[recent.pairs.column[i]];
        trained->popularity[dataset->column_of_item[item]] +=
            popularity_points(recent.pairs.value[i]);
    }
    dataset_deinit(&recent);
    return ERR_OK;
}

static enum err_code make_neighbors(const struct train_options *options,
                                    const struct dataset *dataset, struct trained_progress progress,
                                    struct trained *trained, struct err *err)
{
    const bool ease = strcmp(options->method, "ease") == 0;
    const uint64_t usual = ease ? EASE_NEIGHBORS : COSINE_NEIGHBORS;
    const struct neighbors_options neighbors = {
        .per_row = (uint32_t)(options->neighbor_count > 0 ? options->neighbor_count : usual),
        .energy = options->neighbor_count > 0 ? 0.0 : options->energy,
        .lambda = options->lambda,
        .shrinkage = options->shrinkage,
        .threads = (uint32_t)options->threads,
        .progress = progress.step,
        .progress_ctx = progress.ctx};
    return ease ? neighbors_ease(&dataset->pairs, &neighbors, &trained->lists, err)
                : neighbors_cosine(&dataset->pairs, &neighbors, &trained->lists, err);
}

static enum err_code make_factors(const struct train_options *options,
                                  const struct dataset *dataset, struct trained_progress progress,
                                  struct trained *trained, struct err *err)
{
    trained->ials_options =
        (struct ials_options){.dim = (uint32_t)options->factors,
                              .sweeps = (uint32_t)options->sweeps,
                              .regularization = options->regularization,
                              .regularization_exponent = options->regularization_exponent,
                              .unobserved_weight = options->unobserved_weight,
                              .seed = options->seed,
                              .threads = (uint32_t)options->threads,
                              .progress = progress.step,
                              .progress_ctx = progress.ctx};
    return ials_train(&dataset->pairs, &trained->ials_options, &trained->ials, err);
}

enum err_code trained_make(const struct train_options *options,
                           const struct interactions *interactions, const struct dataset *dataset,
                           struct trained_progress progress, struct trained *ret_trained,
                           struct err *err)
{
    struct trained made = {.kind = options->command};
    enum err_code rc = ERR_OK;
    if (made.kind == TRAIN_FACTORS)
        rc = make_factors(options, dataset, progress, &made, err);
    else if (made.kind == TRAIN_NEIGHBORS)
        rc = make_neighbors(options, dataset, progress, &made, err);
    else
        rc = make_popularity(options, interactions, dataset, &made, err);
    if (rc == ERR_OK)
        *ret_trained = made;
    else
        trained_deinit(&made);
    return rc;
}

void trained_deinit(struct trained *trained)
{
    ials_deinit(&trained->ials);
    neighbor_lists_deinit(&trained->lists);
    free(trained->popularity);
    *trained = (struct trained){0};
}

static void score_neighbors(const struct neighbor_lists *lists, const struct matrix *pairs,
                            uint32_t row, float *ret_scores)
{
    memset(ret_scores, 0, pairs->column_count * sizeof ret_scores[0]);
    for (uint64_t p = pairs->offset[row]; p < pairs->offset[row + 1]; p++) {
        const uint32_t item = pairs->column[p];
        for (int64_t i = lists->offset[item]; i < lists->offset[item + 1]; i++)
            ret_scores[lists->row[i]] += pairs->value[p] * lists->weight[i];
    }
}

void trained_score(const struct trained *trained, const struct dataset *dataset, uint32_t row,
                   float *ret_scores)
{
    const uint32_t columns = dataset->pairs.column_count;
    const struct ials *ials = &trained->ials;
    if (trained->kind == TRAIN_FACTORS)
        linear_algebra_score(ials->item, columns, ials->dim, ials->user + (size_t)row * ials->dim,
                             ret_scores);
    else if (trained->kind == TRAIN_NEIGHBORS)
        score_neighbors(&trained->lists, &dataset->pairs, row, ret_scores);
    else
        memcpy(ret_scores, trained->popularity, columns * sizeof ret_scores[0]);
}

struct own_lists {
    const struct trained *trained;
    const struct dataset *dataset;
    const struct targets *targets;
    float *scores[PARALLEL_THREADS_MAX];
    struct best_entry *heap[PARALLEL_THREADS_MAX];
};

static enum err_code own_list(void *ctx, uint32_t thread, uint32_t row, enum evaluate_mode mode,
                              uint32_t k, uint32_t *ret_columns, uint32_t *ret_count,
                              struct err *err)
{
    const struct own_lists *own = ctx;
    const struct matrix *pairs = &own->dataset->pairs;
    const float *scores = own->scores[thread];
    struct best best = {own->heap[thread], 0, k};
    uint64_t known = pairs->offset[row];
    (void)err;
    trained_score(own->trained, own->dataset, row, own->scores[thread]);
    for (uint32_t column = 0; column < pairs->column_count; column++) {
        bool bought = false;
        if (known < pairs->offset[row + 1] && pairs->column[known] == column)
            bought = targets_known(own->targets, pairs->value[known++]);
        if (mode == EVALUATE_ANY || !bought)
            best_offer(&best, scores[column], column);
    }
    best_sort(&best);
    for (uint32_t i = 0; i < best.count; i++)
        ret_columns[i] = best.entry[i].row;
    *ret_count = best.count;
    return ERR_OK;
}

enum err_code trained_evaluate(const struct trained *trained, const struct dataset *dataset,
                               const struct targets *targets, uint32_t k, uint32_t threads,
                               struct evaluation *ret_evaluation, struct err *err)
{
    struct own_lists own = {.trained = trained, .dataset = dataset, .targets = targets};
    const struct lists_source source = {.ctx = &own, .list = own_list};
    const size_t columns = dataset->pairs.column_count;
    enum err_code rc = ERR_OK;
    for (uint32_t t = 0; t < threads; t++) {
        own.scores[t] = malloc((columns + 1) * sizeof own.scores[t][0]);
        own.heap[t] = malloc(k * sizeof own.heap[t][0]);
        if (own.scores[t] == NULL || own.heap[t] == NULL)
            rc = err_set(err, ERR_NOMEM, "evaluation: out of memory");
    }
    if (rc == ERR_OK)
        rc = evaluate(dataset, targets, &source, k, threads, ret_evaluation, err);
    for (uint32_t t = 0; t < threads; t++) {
        free(own.scores[t]);
        free(own.heap[t]);
    }
    return rc;
}
