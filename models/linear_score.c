/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "models/model_internal.h"

double linear_score(const struct linear *linear, const double *values)
{
    double sum = linear->bias;
    for (uint32_t i = 0; i < linear->feature_count; i++) {
        double value = isnan(values[i]) ? linear->feature[i].fallback : values[i];
        sum += linear->weight[i] * fmin(fmax(value, -LINEAR_ABS_MAX), LINEAR_ABS_MAX);
    }
    return linear->logistic ? 1.0 / (1.0 + exp(-sum)) : sum;
}
