/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/train/ials.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "tools/train/linear_algebra.h"
#include "tools/train/parallel.h"

#define GATHER_ROWS    256 /* rows of factors put side by side for one syrk; 64 KiB at dim 64 */
#define ROWS_PER_SHARE 32
#define INIT_DEVIATION 0.1

struct scratch {
    float *system; /* dim x dim */
    float *rows;   /* GATHER_ROWS x dim */
};

/* One half of a sweep: `out` is solved for while `fixed` stands still. */
struct half {
    const struct matrix *pairs; /* rows of `out` by rows of `fixed` */
    const struct ials_options *options;
    const float *fixed;
    const float *gram; /* a0 * fixed' * fixed, lower triangle */
    float *out;
    struct scratch scratch[PARALLEL_THREADS_MAX];
    /* Relaxed: read after the threads are joined. */
    _Atomic bool singular;
};

static void *new_floats(size_t count)
{
    size_t bytes = (count * sizeof(float) + 63) & ~(size_t)63;
    return aligned_alloc(64, bytes > 0 ? bytes : 64);
}

static bool half_init(struct half *half, uint32_t threads, uint32_t dim)
{
    bool ok = true;
    for (uint32_t t = 0; t < threads; t++) {
        half->scratch[t].system = new_floats((size_t)dim * dim);
        half->scratch[t].rows = new_floats((size_t)GATHER_ROWS * dim);
        ok = ok && half->scratch[t].system != NULL && half->scratch[t].rows != NULL;
    }
    return ok;
}

static void half_deinit(struct half *half)
{
    for (uint32_t t = 0; t < PARALLEL_THREADS_MAX; t++) {
        free(half->scratch[t].system);
        free(half->scratch[t].rows);
    }
}

/* Adds the rows v of the items to the system (v v') and to the right-hand side (v). */
static void add_observed(const struct half *half, struct scratch *scratch, const uint32_t *column,
                         uint32_t count, float *right)
{
    const uint32_t dim = half->options->dim;
    for (uint32_t begin = 0; begin < count; begin += GATHER_ROWS) {
        uint32_t rows = count - begin < GATHER_ROWS ? count - begin : GATHER_ROWS;
        for (uint32_t r = 0; r < rows; r++) {
            const float *from = half->fixed + (size_t)column[begin + r] * dim;
            float *to = scratch->rows + (size_t)r * dim;
            for (uint32_t d = 0; d < dim; d++) {
                to[d] = from[d];
                right[d] += from[d];
            }
        }
        linear_algebra_add_gram(scratch->rows, rows, dim, scratch->system);
    }
}

static void solve_row(struct half *half, struct scratch *scratch, uint32_t row)
{
    const struct matrix *pairs = half->pairs;
    const struct ials_options *options = half->options;
    const uint32_t dim = options->dim;
    const uint32_t count = matrix_row_length(pairs, row);
    float *right = half->out + (size_t)row * dim;
    double seen = count + options->unobserved_weight * pairs->column_count;
    float reg = (float)(options->regularization * pow(seen, options->regularization_exponent));

    memset(right, 0, dim * sizeof right[0]);
    if (count == 0)
        return; /* the solution is the zero vector */
    memcpy(scratch->system, half->gram, (size_t)dim * dim * sizeof scratch->system[0]);
    for (uint32_t d = 0; d < dim; d++)
        scratch->system[(size_t)d * dim + d] += reg;
    add_observed(half, scratch, pairs->column + pairs->offset[row], count, right);
    if (!linear_algebra_solve(scratch->system, dim, right))
        atomic_store_explicit(&half->singular, true, memory_order_relaxed);
}

static void solve_rows(void *ctx, uint32_t thread, uint32_t begin, uint32_t end)
{
    struct half *half = ctx;
    for (uint32_t row = begin; row < end; row++)
        solve_row(half, &half->scratch[thread], row);
}

/* By one thread: against the systems of the rows it is little work, and so its sums always come in
 * the same order. */
static void weighted_gram(const float *rows, uint32_t count, const struct ials_options *options,
                          float *ret_gram)
{
    size_t places = (size_t)options->dim * options->dim;
    memset(ret_gram, 0, places * sizeof ret_gram[0]);
    linear_algebra_add_gram(rows, count, options->dim, ret_gram);
    for (size_t i = 0; i < places; i++)
        ret_gram[i] *= (float)options->unobserved_weight;
}

static enum err_code run_half(struct half *half, const struct matrix *pairs, const float *fixed,
                              float *gram, float *out, struct err *err)
{
    const struct ials_options *options = half->options;
    weighted_gram(fixed, pairs->column_count, options, gram);
    half->pairs = pairs;
    half->fixed = fixed;
    half->gram = gram;
    half->out = out;
    parallel_for(options->threads, pairs->row_count, ROWS_PER_SHARE, solve_rows, half);
    if (half->singular)
        return err_set(err, ERR_BAD_INPUT,
                       "factors: a system is not positive definite: raise --regularization (now "
                       "%g) or --unobserved-weight (now %g)",
                       options->regularization, options->unobserved_weight);
    return ERR_OK;
}

static enum err_code run_sweeps(struct ials *ials, const struct matrix *by_user,
                                const struct matrix *by_item, struct half *half, float *gram,
                                struct err *err)
{
    const struct ials_options *options = half->options;
    const uint64_t halves = 2 * (uint64_t)options->sweeps + 1;
    enum err_code rc = ERR_OK;
    for (uint64_t done = 0; done < halves && rc == ERR_OK; done++) {
        rc = done % 2 == 0 ? run_half(half, by_user, ials->item, gram, ials->user, err)
                           : run_half(half, by_item, ials->user, gram, ials->item, err);
        if (options->progress != NULL)
            options->progress(options->progress_ctx, done + 1, halves);
    }
    return rc;
}

static void start_items(struct ials *ials, uint64_t seed)
{
    struct rand rand;
    const double deviation = INIT_DEVIATION / sqrt(ials->dim);
    rand_init(&rand, seed);
    for (size_t i = 0; i < (size_t)ials->item_count * ials->dim; i++)
        ials->item[i] = (float)(deviation * rand_normal(&rand));
}

enum err_code ials_train(const struct matrix *pairs, const struct ials_options *options,
                         struct ials *ret_ials, struct err *err)
{
    ASSERT(options->dim >= 1 && options->sweeps >= 1);
    struct ials ials = {options->dim, pairs->row_count, pairs->column_count, NULL, NULL};
    struct half half = {.options = options};
    struct matrix by_item = {0};
    float *gram = new_floats((size_t)ials.dim * ials.dim);
    ials.user = new_floats((size_t)ials.user_count * ials.dim);
    ials.item = new_floats((size_t)ials.item_count * ials.dim);
    enum err_code rc = matrix_transpose(pairs, &by_item, err);
    if (rc != ERR_OK)
        goto out;
    if (gram == NULL || ials.user == NULL || ials.item == NULL ||
        !half_init(&half, options->threads, ials.dim)) {
        rc = err_set(err, ERR_NOMEM, "factors of %u users and %u items: out of memory",
                     ials.user_count, ials.item_count);
        goto out;
    }
    start_items(&ials, options->seed);
    rc = run_sweeps(&ials, pairs, &by_item, &half, gram, err);
    if (rc != ERR_OK)
        goto out;
    *ret_ials = ials;
    ials = (struct ials){0};
out:
    ials_deinit(&ials);
    half_deinit(&half);
    matrix_deinit(&by_item);
    free(gram);
    return rc;
}

enum err_code ials_fold_in(const struct ials *ials, const struct ials_options *options,
                           const uint32_t *items, uint32_t count, float *ret_user, struct err *err)
{
    struct half half = {.options = options};
    struct ials_options alone = *options;
    uint64_t offset[2] = {0, count};
    struct matrix one = {1, ials->item_count, offset, (uint32_t *)items, NULL};
    float *gram = new_floats((size_t)ials->dim * ials->dim);
    enum err_code rc = ERR_OK;
    alone.threads = 1;
    half.options = &alone;
    if (gram == NULL || !half_init(&half, 1, ials->dim))
        rc = err_set(err, ERR_NOMEM, "fold-in: out of memory");
    else
        rc = run_half(&half, &one, ials->item, gram, ret_user, err);
    half_deinit(&half);
    free(gram);
    return rc;
}

void ials_deinit(struct ials *ials)
{
    free(ials->user);
    free(ials->item);
    *ials = (struct ials){0};
}
