/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/train/evaluate.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "tools/train/parallel.h"

#define ROWS_PER_SHARE 16

const char *evaluate_mode_name(enum evaluate_mode mode)
{
    return mode == EVALUATE_NEW ? "new" : "any";
}

static bool is_target(const uint32_t *targets, uint32_t count, uint32_t column)
{
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (targets[middle] < column)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && targets[low] == column;
}

struct person_metrics evaluate_list(const uint32_t *columns, uint32_t count, uint32_t k,
                                    const uint32_t *targets, uint32_t target_count)
{
    const uint32_t reachable = target_count < k ? target_count : k;
    uint32_t hits = 0;
    double gain = 0.0, best = 0.0;
    for (uint32_t place = 0; place < count && place < k; place++) {
        if (!is_target(targets, target_count, columns[place]))
            continue;
        hits++;
        gain += 1.0 / log2(place + 2.0);
    }
    for (uint32_t place = 0; place < reachable; place++)
        best += 1.0 / log2(place + 2.0);
    return (struct person_metrics){(double)hits / reachable, gain / best, hits > 0 ? 1.0 : 0.0};
}

/* One pass over all people in one mode. */
struct pass {
    const struct dataset *dataset;
    const struct targets *targets;
    const struct lists_source *source;
    uint32_t k;
    enum evaluate_mode mode;
    struct person_metrics *of_row;           /* recall below 0: has no targets */
    uint32_t *scratch[PARALLEL_THREADS_MAX]; /* a list, then the targets */
    /* Relaxed: only so that the others stop early. */
    _Atomic bool failed;
    pthread_mutex_t lock; /* guards what follows */
    enum err_code rc;
    struct err *err;
    uint64_t done, total;
};

/* The targets of the row that count in this mode. */
static uint32_t pick_targets(const struct pass *pass, uint32_t row, uint32_t *ret_targets)
{
    const struct matrix *items = &pass->targets->items;
    uint32_t count = 0;
    for (uint64_t i = items->offset[row]; i < items->offset[row + 1]; i++) {
        float before = matrix_at(&pass->dataset->pairs, row, items->column[i]);
        if (pass->mode == EVALUATE_ANY || !targets_known(pass->targets, before))
            ret_targets[count++] = items->column[i];
    }
    return count;
}

static void note(struct pass *pass, uint32_t rows, enum err_code rc, const struct err *err)
{
    pthread_mutex_lock(&pass->lock);
    pass->done += rows;
    if (rc != ERR_OK && pass->rc == ERR_OK) {
        pass->rc = rc;
        if (pass->err != NULL)
            *pass->err = *err;
        atomic_store_explicit(&pass->failed, true, memory_order_relaxed);
    }
    if (rc == ERR_OK && pass->source->progress != NULL)
        pass->source->progress(pass->source->progress_ctx, pass->done, pass->total);
    pthread_mutex_unlock(&pass->lock);
}

static void evaluate_rows(void *ctx, uint32_t thread, uint32_t begin, uint32_t end)
{
    struct pass *pass = ctx;
    uint32_t *list = pass->scratch[thread];
    uint32_t *targets = list + pass->k;
    enum err_code rc = ERR_OK;
    struct err err = {0};
    if (atomic_load_explicit(&pass->failed, memory_order_relaxed))
        return;
    for (uint32_t row = begin; row < end && rc == ERR_OK; row++) {
        uint32_t count = 0;
        uint32_t target_count = pick_targets(pass, row, targets);
        pass->of_row[row].recall = -1.0;
        if (target_count == 0)
            continue;
        rc = pass->source->list(pass->source->ctx, thread, row, pass->mode, pass->k, list, &count,
                                &err);
        if (rc == ERR_OK)
            pass->of_row[row] = evaluate_list(list, count, pass->k, targets, target_count);
    }
    note(pass, end - begin, rc, &err);
}

/* In the order of the rows, so that the sums are the same whoever computed the parts. */
static struct mode_metrics mean_of(const struct pass *pass)
{
    struct mode_metrics out = {0};
    for (uint32_t row = 0; row < pass->dataset->pairs.row_count; row++) {
        const struct person_metrics *one = &pass->of_row[row];
        if (one->recall < 0.0)
            continue;
        out.users++;
        out.mean.recall += one->recall;
        out.mean.ndcg += one->ndcg;
        out.mean.hr += one->hr;
    }
    if (out.users > 0) {
        out.mean.recall /= out.users;
        out.mean.ndcg /= out.users;
        out.mean.hr /= out.users;
    }
    return out;
}

static bool allocate(struct pass *pass, uint32_t threads)
{
    const size_t rows = pass->dataset->pairs.row_count;
    const size_t columns = pass->dataset->pairs.column_count;
    bool ok = true;
    pass->of_row = calloc(rows + 1, sizeof pass->of_row[0]);
    for (uint32_t t = 0; t < threads; t++) {
        pass->scratch[t] = calloc(pass->k + columns, sizeof pass->scratch[t][0]);
        ok = ok && pass->scratch[t] != NULL;
    }
    return ok && pass->of_row != NULL;
}

enum err_code evaluate(const struct dataset *dataset, const struct targets *targets,
                       const struct lists_source *source, uint32_t k, uint32_t threads,
                       struct evaluation *ret_evaluation, struct err *err)
{
    ASSERT(k >= 1 && k <= EVALUATE_K_MAX);
    const uint32_t rows = dataset->pairs.row_count;
    struct evaluation evaluation = {.k = k};
    struct pass pass = {.dataset = dataset,
                        .targets = targets,
                        .source = source,
                        .k = k,
                        .lock = PTHREAD_MUTEX_INITIALIZER,
                        .err = err,
                        .total = (uint64_t)rows * EVALUATE_MODES};
    if (!allocate(&pass, threads))
        pass.rc = err_set(err, ERR_NOMEM, "evaluation of %u people: out of memory", rows);
    for (int mode = 0; mode < EVALUATE_MODES && pass.rc == ERR_OK; mode++) {
        pass.mode = (enum evaluate_mode)mode;
        parallel_for(threads, rows, ROWS_PER_SHARE, evaluate_rows, &pass);
        evaluation.mode[mode] = mean_of(&pass);
    }
    for (uint32_t t = 0; t < PARALLEL_THREADS_MAX; t++)
        free(pass.scratch[t]);
    free(pass.of_row);
    if (pass.rc == ERR_OK)
        *ret_evaluation = evaluation;
    return pass.rc;
}
