/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/train/linear_algebra.h"

#include <cblas.h>

/* LAPACK's Fortran interface; Debian's OpenBLAS has no C header for it.  Fortran is column-major:
 * what we call the lower triangle is its upper one. */
extern void spotrf_(const char *uplo, const blasint *n, float *a, const blasint *lda,
                    blasint *info);
extern void spotrs_(const char *uplo, const blasint *n, const blasint *nrhs, const float *a,
                    const blasint *lda, float *b, const blasint *ldb, blasint *info);
extern void spotri_(const char *uplo, const blasint *n, float *a, const blasint *lda,
                    blasint *info);

static const char lower_row_major[] = "U";

void linear_algebra_start(void)
{
    openblas_set_num_threads(1);
}

void linear_algebra_add_gram(const float *rows, uint32_t count, uint32_t dim, float *gram)
{
    blasint n = (blasint)dim;
    cblas_ssyrk(CblasRowMajor, CblasLower, CblasTrans, n, (blasint)count, 1.0f, rows, n, 1.0f, gram,
                n);
}

bool linear_algebra_solve(float *system, uint32_t dim, float *right)
{
    const blasint n = (blasint)dim, one = 1;
    blasint info = 0;
    spotrf_(lower_row_major, &n, system, &n, &info);
    if (info == 0)
        spotrs_(lower_row_major, &n, &one, system, &n, right, &n, &info);
    return info == 0;
}

void linear_algebra_score(const float *rows, uint32_t count, uint32_t dim, const float *vector,
                          float *ret_scores)
{
    blasint n = (blasint)dim;
    cblas_sgemv(CblasRowMajor, CblasNoTrans, (blasint)count, n, 1.0f, rows, n, vector, 1, 0.0f,
                ret_scores, 1);
}

#define MIRROR_BLOCK 64

/* Block by block, since a column of a large matrix touches a new page with each element. */
static void mirror_lower(float *matrix, uint32_t dim)
{
    for (uint32_t top = 0; top < dim; top += MIRROR_BLOCK) {
        uint32_t bottom = top + MIRROR_BLOCK < dim ? top + MIRROR_BLOCK : dim;
        for (uint32_t left = 0; left < bottom; left += MIRROR_BLOCK) {
            for (uint32_t i = top; i < bottom; i++) {
                for (uint32_t j = left; j < left + MIRROR_BLOCK && j < i; j++)
                    matrix[(size_t)j * dim + i] = matrix[(size_t)i * dim + j];
            }
        }
    }
}

bool linear_algebra_invert(float *matrix, uint32_t dim, uint32_t threads)
{
    const blasint n = (blasint)dim;
    blasint info = 0;
    openblas_set_num_threads((int)threads);
    spotrf_(lower_row_major, &n, matrix, &n, &info);
    if (info == 0)
        spotri_(lower_row_major, &n, matrix, &n, &info);
    openblas_set_num_threads(1);
    if (info != 0)
        return false;
    mirror_lower(matrix, dim);
    return true;
}
