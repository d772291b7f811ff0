/* SPDX-License-Identifier: Apache-2.0 */
/* Scores over all items would read every factor, which for thousands of items is more than a near
 * cache holds.  So the best are found by upper bounds from a copy in bytes, a quarter as large, and
 * only those that the bounds let through are computed.
 *
 * With a row v = s q + r (q whole numbers, r what rounding left) and the person u = t p + w alike:
 *   u v = (t p + w) v = t p (s q + r) + w v  <=  t s (p q) + |t p| |r| + |w| |v|      (Cauchy)
 * and |t p| <= |u| + |w|.  A little is added for the rounding of the sums themselves. */
#include <cblas-openblas.h>
#include <math.h>
#include <string.h>

#include "models/model_internal.h"

enum { BLOCK_ROWS = 256 };

#define ROUNDING 1e-5f /* of |u| |v|: far above dim * FLT_EPSILON / 2 for FACTORS_DIM_MAX */

uint32_t factors_dim(const struct factors *factors)
{
    return factors->dim;
}

const float *factors_user(const struct factors *factors, struct text user)
{
    uint32_t row = ids_find(factors->user_ids, user);
    return row == UINT32_MAX ? NULL : factors->user + (size_t)row * factors->dim;
}

float factors_score(const struct factors *factors, const float *user, uint32_t row)
{
    ASSERT(row < factors->item_count);
    return cblas_sdot((int)factors->dim, user, 1, factors->item + (size_t)row * factors->dim, 1);
}

float factors_to_bytes(const float *from, uint32_t dim, int8_t *ret_bytes, float *ret_rest)
{
    float largest = 0.0f;
    double rest = 0.0;
    for (uint32_t k = 0; k < dim; k++)
        largest = fmaxf(largest, fabsf(from[k]));
    float step = largest / 127.0f;
    for (uint32_t k = 0; k < dim; k++) {
        float whole = step > 0.0f ? rintf(from[k] / step) : 0.0f;
        whole = fminf(fmaxf(whole, -127.0f), 127.0f);
        double left = (double)from[k] - (double)step * (double)whole;
        rest += left * left;
        ret_bytes[k] = (int8_t)whole;
    }
    *ret_rest = (float)sqrt(rest);
    return step;
}

void factors_upper(const struct factors *factors, const float *user, float *ret_upper)
{
    int8_t bytes[FACTORS_STRIDE_MAX];
    int32_t product[BLOCK_ROWS];
    float rest = 0.0f;
    memset(bytes, 0, factors->stride);
    float step = factors_to_bytes(user, factors->dim, bytes, &rest);
    float length = cblas_snrm2((int)factors->dim, user, 1);
    float per_rest = length + rest;
    float per_length = rest + ROUNDING * length;
    for (uint32_t first = 0; first < factors->item_count; first += BLOCK_ROWS) {
        uint32_t left = factors->item_count - first;
        uint32_t rows = left < BLOCK_ROWS ? left : BLOCK_ROWS;
        factors->dot(factors->bytes + (size_t)first * factors->stride, rows, factors->stride, bytes,
                     product);
        for (uint32_t i = 0; i < rows; i++) {
            const struct factors_row *row = &factors->row[first + i];
            ret_upper[first + i] = step * row->step * (float)product[i] + per_rest * row->rest +
                                   per_length * row->length;
        }
    }
}
