/* SPDX-License-Identifier: Apache-2.0 */
/* The user half-step of iALS for one history.  In double, since the system is badly conditioned
 * where histories are short; the triangles and the rank updates go through BLAS, which is four
 * times as fast as our own loops and allocates nothing once its buffers are warm. */
#include <cblas-openblas.h>
#include <f77blas.h>
#include <math.h>
#include <string.h>

#include "models/model_internal.h"

enum { ROWS_MAX = 1000, BLOCK_ROWS = 32 };

/* Adds sum v v' to the upper triangle and sum v to the right side. */
static void add_rows(const struct factors *factors, const uint32_t *rows, uint32_t row_count,
                     double *block, double *system, double *side)
{
    uint32_t dim = factors->dim;
    uint32_t filled = 0;
    for (uint32_t i = 0; i < row_count; i++) {
        ASSERT(rows[i] < factors->item_count);
        const float *item = factors->item + (size_t)rows[i] * dim;
        for (uint32_t k = 0; k < dim; k++) {
            block[filled * dim + k] = item[k];
            side[k] += item[k];
        }
        filled++;
        if (filled == BLOCK_ROWS || i + 1 == row_count) {
            cblas_dsyrk(CblasRowMajor, CblasUpper, CblasTrans, (int)dim, (int)filled, 1.0, block,
                        (int)dim, 1.0, system, (int)dim);
            filled = 0;
        }
    }
}

/* Cholesky of the upper triangle of rows, which LAPACK sees as the lower one of columns. */
static bool solve(double *system, double *side, uint32_t dim)
{
    blasint n = (blasint)dim;
    blasint info = 0;
    char triangle = 'L';
    BLASFUNC(dpotrf)(&triangle, &n, system, &n, &info);
    if (info != 0)
        return false;
    cblas_dtrsv(CblasRowMajor, CblasUpper, CblasTrans, CblasNonUnit, n, system, n, side, 1);
    cblas_dtrsv(CblasRowMajor, CblasUpper, CblasNoTrans, CblasNonUnit, n, system, n, side, 1);
    return true;
}

static bool copy_bounded(const double *from, uint32_t dim, float *ret_user)
{
    for (uint32_t k = 0; k < dim; k++) {
        if (!(fabs(from[k]) <= FACTOR_ABS_MAX)) /* a system that is all but singular */
            return false;
    }
    for (uint32_t k = 0; k < dim; k++)
        ret_user[k] = (float)from[k];
    return true;
}

bool factors_fold_in(const struct factors *factors, const uint32_t *rows, uint32_t row_count,
                     struct arena *arena, float *ret_user)
{
    size_t dim = factors->dim;
    size_t mark = arena_mark(arena);
    uint32_t used = row_count < ROWS_MAX ? row_count : ROWS_MAX;
    double *system = ARENA_NEW(arena, double, dim *dim);
    double *block = ARENA_NEW(arena, double, dim *BLOCK_ROWS);
    double *side = ARENA_NEW(arena, double, dim);
    bool solved = false;
    if (used > 0 && system != NULL && block != NULL && side != NULL) {
        memcpy(system, factors->gram, dim * dim * sizeof *system);
        memset(side, 0, dim * sizeof *side);
        double scale = (double)used + factors->unobserved_weight * factors->item_count;
        double ridge = factors->regularization * pow(scale, factors->regularization_exponent);
        for (size_t k = 0; k < dim; k++)
            system[k * dim + k] += ridge;
        add_rows(factors, rows, used, block, system, side);
        solved = solve(system, side, factors->dim) && copy_bounded(side, factors->dim, ret_user);
    }
    arena_rewind(arena, mark);
    return solved;
}
