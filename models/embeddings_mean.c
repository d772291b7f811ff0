/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "models/model_internal.h"

/* Shorter than what is left of rows that cancel each other out. */
#define LENGTH_MIN 1e-6f

bool embeddings_mean(const struct factors *factors, const uint32_t *rows, const float *weight,
                     uint32_t row_count, float *ret_vector)
{
    uint32_t dim = factors->dim;
    float total = 0.0f;
    memset(ret_vector, 0, dim * sizeof *ret_vector);
    for (uint32_t i = 0; i < row_count; i++) {
        float factor = weight != NULL ? weight[i] : 1.0f;
        if (rows[i] == MODEL_NO_ROW || factor == 0.0f)
            continue;
        const float *row = factors_item(factors, rows[i]);
        for (uint32_t k = 0; k < dim; k++)
            ret_vector[k] += factor * row[k];
        total += factor;
    }
    float length = sieve_length(ret_vector, dim);
    if (!(length > LENGTH_MIN * total))
        return false;
    for (uint32_t k = 0; k < dim; k++)
        ret_vector[k] /= length;
    return true;
}
