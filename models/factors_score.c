/* SPDX-License-Identifier: Apache-2.0 */
#include <cblas-openblas.h>

#include "models/model_internal.h"

/* OpenBLAS keeps the scratch of a gemv on the stack as long as rows + columns are at most this
 * (2 KiB of floats less its padding).  Beyond, it takes a buffer from a pool that all threads share
 * under a lock.  Blocks of rows stay below, and cost no measurable time. */
enum { GEMV_STACK_FLOATS = 480, GEMV_ROWS_MIN = 256, GEMV_ROWS_ALIGN = 16 };

uint32_t factors_dim(const struct factors *factors)
{
    return factors->dim;
}

const float *factors_user(const struct factors *factors, struct text user)
{
    uint32_t row = ids_find(factors->user_ids, user);
    return row == UINT32_MAX ? NULL : factors->user + (size_t)row * factors->dim;
}

void factors_score(const struct factors *factors, const float *user, float *ret_scores)
{
    uint32_t dim = factors->dim;
    uint32_t block = factors->item_count; /* of wide rows: blocks would be too small to pay */
    if (dim <= GEMV_STACK_FLOATS - GEMV_ROWS_MIN)
        block = (GEMV_STACK_FLOATS - dim) / GEMV_ROWS_ALIGN * GEMV_ROWS_ALIGN;
    for (uint32_t first = 0; first < factors->item_count; first += block) {
        uint32_t left = factors->item_count - first;
        uint32_t rows = left < block ? left : block;
        cblas_sgemv(CblasRowMajor, CblasNoTrans, (int)rows, (int)dim, 1.0f,
                    factors->item + (size_t)first * dim, (int)dim, user, 1, 0.0f,
                    ret_scores + first, 1);
    }
}

float factors_score_row(const struct factors *factors, const float *user, uint32_t row)
{
    ASSERT(row < factors->item_count);
    const float *item = factors->item + (size_t)row * factors->dim;
    float sum = 0.0f;
    for (uint32_t i = 0; i < factors->dim; i++)
        sum += user[i] * item[i];
    return sum;
}
