/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "models/model_internal.h"

enum err_code linear_load(struct bundle *bundle, struct model *model, struct err *err)
{
    const struct tensor *weights = NULL;
    const struct tensor *bias = NULL;
    struct bundle_file *source = NULL;
    double logistic = 0;
    struct linear *linear = calloc(1, sizeof *linear);
    model->as.linear = linear;
    if (linear == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for model %s", model->label);
    enum err_code rc = bundle_param(bundle, "logistic", 0, 1, 0, &logistic, err);
    if (rc == ERR_OK && logistic != 0.0 && logistic != 1.0)
        rc = err_set(err, ERR_CORRUPT, "manifest.json: params.logistic: expected 0 or 1, got %g",
                     logistic);
    if (rc == ERR_OK)
        rc = bundle_file(bundle, "weights", &source, err);
    if (rc == ERR_OK)
        rc = model_take_tensors(bundle, "weights", 2, &linear->file, err);
    if (rc == ERR_OK)
        rc = model_make_floats(model, linear->file, "weights", TENSOR_F64, err);
    if (rc == ERR_OK)
        rc = model_make_floats(model, linear->file, "bias", TENSOR_F64, err);
    if (rc == ERR_OK)
        rc = safetensors_expect(linear->file, "weights", TENSOR_F64,
                                (const uint64_t[]){bundle->feature_count}, 1, &weights, err);
    if (rc == ERR_OK)
        rc = safetensors_expect(linear->file, "bias", TENSOR_F64, (const uint64_t[]){1}, 1, &bias,
                                err);
    if (rc == ERR_OK)
        rc = model_check_values(source->path, weights, -LINEAR_ABS_MAX, LINEAR_ABS_MAX, err);
    if (rc == ERR_OK)
        rc = model_check_values(source->path, bias, -LINEAR_ABS_MAX, LINEAR_ABS_MAX, err);
    if (rc != ERR_OK)
        return rc;
    linear->logistic = logistic == 1.0;
    linear->weight = weights->data;
    linear->bias = *(const double *)bias->data;
    linear->feature_count = bundle->feature_count;
    linear->feature = bundle->feature; /* handed over */
    bundle->feature = NULL;
    bundle->feature_count = 0;
    model->feature = linear->feature;
    model->feature_count = linear->feature_count;
    model->bytes += sizeof *linear + linear->feature_count * sizeof *linear->feature;
    return ERR_OK;
}

void linear_destroy(struct linear *linear)
{
    if (linear == NULL)
        return;
    free(linear->feature);
    safetensors_close(&linear->file);
    free(linear);
}
