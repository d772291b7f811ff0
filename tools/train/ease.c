/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/train/best.h"
#include "tools/train/energy.h"
#include "tools/train/linear_algebra.h"
#include "tools/train/neighbors.h"
#include "tools/train/parallel.h"
#include "tools/train/strongest.h"

#define ROWS_PER_SHARE 16
#define STEPS          4

struct ease {
    const struct matrix *by_person;
    struct matrix by_item;
    uint32_t items;
    float lambda;
    float *weight;   /* items x items: X'X, then its inverse, then B */
    float *diagonal; /* of the inverse */
    uint32_t per_row, per_row_sure;
    struct best_entry *last_sure; /* of each row, by magnitude: the weakest that it surely keeps */
    struct best_entry *heap[PARALLEL_THREADS_MAX];
};

static float *row_of(const struct ease *ease, uint32_t row)
{
    return ease->weight + (size_t)row * ease->items;
}

static void fill_gram(void *ctx, uint32_t thread, uint32_t begin, uint32_t end)
{
    const struct ease *ease = ctx;
    (void)thread;
    for (uint32_t item = begin; item < end; item++) {
        float *row = row_of(ease, item);
        memset(row, 0, ease->items * sizeof row[0]);
        neighbors_add_products(ease->by_person, &ease->by_item, item, row);
        row[item] += ease->lambda;
    }
}

/* The inverse becomes B. */
static void weigh_rows(void *ctx, uint32_t thread, uint32_t begin, uint32_t end)
{
    const struct ease *ease = ctx;
    (void)thread;
    for (uint32_t item = begin; item < end; item++) {
        float *row = row_of(ease, item);
        for (uint32_t other = 0; other < ease->items; other++)
            row[other] = other == item ? 0.0f : -row[other] / ease->diagonal[other];
    }
}

/* Entries per row, on average: as many as are asked for, or as many of the strongest as hold the
 * share of the energy. */
static enum err_code choose_per_row(struct ease *ease, const struct neighbors_options *options,
                                    struct err *err)
{
    ease->per_row = options->per_row;
    if (options->energy > 0.0 && ease->items > 0) {
        struct energy *energy = calloc(1, sizeof *energy);
        if (energy == NULL)
            return err_set(err, ERR_NOMEM, "ease: out of memory");
        for (size_t i = 0; i < (size_t)ease->items * ease->items; i++)
            energy_see(energy, fabsf(ease->weight[i]));
        uint64_t enough = energy_count(energy, options->energy) / ease->items + 1;
        free(energy);
        if (enough < ENERGY_PER_ROW_MIN)
            enough = ENERGY_PER_ROW_MIN;
        if (enough < ease->per_row)
            ease->per_row = (uint32_t)enough;
    }
    ease->per_row_sure = (ease->per_row + 2) / 3;
    return ERR_OK;
}

/* Each row learns what it surely keeps. */
static void find_sure(void *ctx, uint32_t thread, uint32_t begin, uint32_t end)
{
    const struct ease *ease = ctx;
    for (uint32_t item = begin; item < end; item++) {
        const float *row = row_of(ease, item);
        struct best best = {ease->heap[thread], 0, ease->per_row_sure};
        for (uint32_t other = 0; other < ease->items; other++)
            best_offer(&best, fabsf(row[other]), other);
        ease->last_sure[item] = best.entry[0];
    }
}

static bool is_sure(const struct ease *ease, uint32_t item, uint32_t other, float magnitude)
{
    return !best_before(ease->last_sure[item], (struct best_entry){magnitude, other});
}

/* The threshold for what no row keeps surely: as many of those pass it as `budget` allows. */
static float rest_threshold(const struct ease *ease, uint64_t budget)
{
    struct strongest strongest;
    strongest_begin(&strongest, budget);
    while (strongest_again(&strongest)) {
        for (uint32_t item = 0; item < ease->items; item++) {
            const float *row = row_of(ease, item);
            for (uint32_t other = 0; other < ease->items; other++) {
                float magnitude = fabsf(row[other]);
                if (!is_sure(ease, item, other, magnitude))
                    strongest_see(&strongest, magnitude);
            }
        }
    }
    return strongest.threshold;
}

/* The kept entries of a row, in ret_entry unless it is NULL; returns their number. */
static uint32_t keep_of_row(const struct ease *ease, float threshold, uint32_t item,
                            struct best_entry *ret_entry)
{
    const float *row = row_of(ease, item);
    uint32_t kept = 0;
    for (uint32_t other = 0; other < ease->items; other++) {
        float magnitude = fabsf(row[other]);
        if (magnitude == 0.0f || (magnitude <= threshold && !is_sure(ease, item, other, magnitude)))
            continue;
        if (ret_entry != NULL)
            ret_entry[kept] = (struct best_entry){row[other], other};
        kept++;
    }
    return kept;
}

static int by_weight(const void *a, const void *b)
{
    const struct best_entry *left = a, *right = b;
    return best_before(*left, *right) ? -1 : best_before(*right, *left);
}

static int by_magnitude(const void *a, const void *b)
{
    struct best_entry left = *(const struct best_entry *)a, right = *(const struct best_entry *)b;
    left.weight = fabsf(left.weight);
    right.weight = fabsf(right.weight);
    return by_weight(&left, &right);
}

/* Cut to what a bundle may hold, best first; returns how many are left. */
static uint32_t order_row(struct best_entry *entry, uint32_t count)
{
    if (count > NEIGHBORS_PER_ROW_MAX) {
        qsort(entry, count, sizeof entry[0], by_magnitude);
        count = NEIGHBORS_PER_ROW_MAX;
    }
    qsort(entry, count, sizeof entry[0], by_weight);
    return count;
}

static enum err_code pack_lists(const struct ease *ease, float threshold,
                                struct neighbor_lists *ret_lists, struct err *err)
{
    struct neighbor_lists lists = {0};
    uint64_t count = 0;
    for (uint32_t item = 0; item < ease->items; item++) {
        uint32_t kept = keep_of_row(ease, threshold, item, NULL);
        count += kept < NEIGHBORS_PER_ROW_MAX ? kept : NEIGHBORS_PER_ROW_MAX;
    }
    struct best_entry *entry = calloc((size_t)ease->items + 1, sizeof entry[0]);
    enum err_code rc = neighbor_lists_init(ease->items, count, &lists, err);
    if (rc == ERR_OK && entry == NULL)
        rc = err_set(err, ERR_NOMEM, "ease: out of memory");
    int64_t at = 0;
    for (uint32_t item = 0; item < ease->items && rc == ERR_OK; item++) {
        uint32_t kept = keep_of_row(ease, threshold, item, entry);
        kept = order_row(entry, kept);
        for (uint32_t i = 0; i < kept; i++, at++) {
            lists.row[at] = entry[i].row;
            lists.weight[at] = entry[i].weight;
        }
        lists.offset[item + 1] = at;
    }
    free(entry);
    if (rc == ERR_OK)
        *ret_lists = lists;
    else
        neighbor_lists_deinit(&lists);
    return rc;
}

static enum err_code allocate(struct ease *ease, const struct neighbors_options *options,
                              struct err *err)
{
    const size_t items = ease->items;
    bool ok = true;
    ease->weight = aligned_alloc(64, (items * items * sizeof ease->weight[0] + 64) & ~(size_t)63);
    ease->diagonal = calloc(items + 1, sizeof ease->diagonal[0]);
    ease->last_sure = calloc(items + 1, sizeof ease->last_sure[0]);
    for (uint32_t t = 0; t < options->threads; t++) {
        ease->heap[t] = calloc(options->per_row, sizeof ease->heap[t][0]);
        ok = ok && ease->heap[t] != NULL;
    }
    if (ok && ease->weight != NULL && ease->diagonal != NULL && ease->last_sure != NULL)
        return ERR_OK;
    return err_set(err, ERR_NOMEM, "ease: %u items need %.1f GiB: out of memory", ease->items,
                   (double)(items * items * sizeof(float)) / (1u << 30));
}

static void step(const struct neighbors_options *options, uint64_t done)
{
    if (options->progress != NULL)
        options->progress(options->progress_ctx, done, STEPS);
}

static enum err_code compute(struct ease *ease, const struct neighbors_options *options,
                             struct neighbor_lists *ret_lists, struct err *err)
{
    parallel_for(options->threads, ease->items, ROWS_PER_SHARE, fill_gram, ease);
    step(options, 1);
    if (!linear_algebra_invert(ease->weight, ease->items, options->threads))
        return err_set(err, ERR_BAD_INPUT,
                       "ease: the matrix is not positive definite: raise --lambda (now %g)",
                       options->lambda);
    for (uint32_t item = 0; item < ease->items; item++)
        ease->diagonal[item] = row_of(ease, item)[item];
    step(options, 2);
    parallel_for(options->threads, ease->items, ROWS_PER_SHARE, weigh_rows, ease);
    enum err_code rc = choose_per_row(ease, options, err);
    if (rc != ERR_OK)
        return rc;
    parallel_for(options->threads, ease->items, ROWS_PER_SHARE, find_sure, ease);
    step(options, 3);
    uint64_t rest = ease->per_row - ease->per_row_sure;
    rc = pack_lists(ease, rest_threshold(ease, rest * ease->items), ret_lists, err);
    step(options, STEPS);
    return rc;
}

enum err_code neighbors_ease(const struct matrix *pairs, const struct neighbors_options *options,
                             struct neighbor_lists *ret_lists, struct err *err)
{
    ASSERT(options->per_row >= 1 && options->per_row <= NEIGHBORS_PER_ROW_MAX);
    struct ease ease = {
        .by_person = pairs, .items = pairs->column_count, .lambda = (float)options->lambda};
    if (ease.items > EASE_ITEMS_MAX)
        return err_set(err, ERR_LIMIT,
                       "ease: %u items need %.1f GiB; at most %u items (%.1f GiB): use --method "
                       "cosine",
                       ease.items, pow(ease.items, 2) * sizeof(float) / (1u << 30), EASE_ITEMS_MAX,
                       pow(EASE_ITEMS_MAX, 2) * sizeof(float) / (1u << 30));
    enum err_code rc = matrix_transpose(pairs, &ease.by_item, err);
    if (rc == ERR_OK)
        rc = allocate(&ease, options, err);
    if (rc == ERR_OK)
        rc = compute(&ease, options, ret_lists, err);
    for (uint32_t t = 0; t < PARALLEL_THREADS_MAX; t++)
        free(ease.heap[t]);
    free(ease.weight);
    free(ease.diagonal);
    free(ease.last_sure);
    matrix_deinit(&ease.by_item);
    return rc;
}
