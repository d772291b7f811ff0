/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>

#include "models/model_internal.h"

/* Sums in double: a row of 512 numbers up to FACTOR_ABS_MAX has a length that a float holds, but
 * not its square. */
static double row_scale(const float *row, uint32_t dim)
{
    double squares = 0.0;
    for (uint32_t k = 0; k < dim; k++)
        squares += (double)row[k] * (double)row[k];
    return squares > 0.0 ? 1.0 / sqrt(squares) : 0.0;
}

/* Rows of length 1, so that inner products are cosines; a row of zeros stays one, and is like
 * nothing. */
static enum err_code make_unit_rows(const struct tensor *tensor, struct factors *factors,
                                    struct err *err)
{
    const float *from = tensor->data;
    size_t dim = factors->dim;
    factors->unit = malloc(factors->item_count * dim * sizeof *factors->unit);
    if (factors->unit == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for %u embeddings", factors->item_count);
    for (size_t row = 0; row < factors->item_count; row++) {
        double scale = row_scale(from + row * dim, factors->dim);
        for (size_t k = 0; k < dim; k++)
            factors->unit[row * dim + k] = (float)(scale * (double)from[row * dim + k]);
    }
    factors->item = factors->unit;
    return ERR_OK;
}

enum err_code embeddings_load(struct bundle *bundle, struct model *model, struct err *err)
{
    const struct tensor *tensor = NULL;
    struct factors *factors = calloc(1, sizeof *factors);
    model->as.factors = factors;
    if (factors == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for model %s", model->label);
    enum err_code rc = factors_take_matrix(bundle, model, "embeddings", UINT64_MAX,
                                           &factors->item_file, &tensor, err);
    if (rc == ERR_OK)
        rc = model_take_ids(bundle, "item_ids", tensor->dim[0], &model->items, err);
    if (rc != ERR_OK)
        return rc;
    if (tensor->dim[0] == 0)
        return err_set(err, ERR_CORRUPT, "tensor 'embeddings': expected at least one row");
    factors->item_count = (uint32_t)tensor->dim[0];
    factors->dim = (uint32_t)tensor->dim[1];
    rc = make_unit_rows(tensor, factors, err);
    if (rc != ERR_OK)
        return rc;
    uint64_t unit_bytes = (uint64_t)factors->item_count * factors->dim * sizeof *factors->unit;
    model->bytes += sizeof *factors + unit_bytes - safetensors_bytes(factors->item_file);
    safetensors_close(&factors->item_file);
    return factors_prepare(bundle, model, err);
}
