/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "models/model_internal.h"

uint32_t linear_feature_count(const struct linear *linear)
{
    return linear->feature_count;
}

const char *linear_feature_name(const struct linear *linear, uint32_t index)
{
    ASSERT(index < linear->feature_count);
    return linear->feature[index].name;
}

double linear_feature_fallback(const struct linear *linear, uint32_t index)
{
    ASSERT(index < linear->feature_count);
    return linear->feature[index].fallback;
}

double linear_weight(const struct linear *linear, uint32_t index)
{
    ASSERT(index < linear->feature_count);
    return linear->weight[index];
}

double linear_score(const struct linear *linear, const double *values)
{
    double sum = linear->bias;
    for (uint32_t i = 0; i < linear->feature_count; i++) {
        double value = isnan(values[i]) ? linear->feature[i].fallback : values[i];
        sum += linear->weight[i] * fmin(fmax(value, -LINEAR_ABS_MAX), LINEAR_ABS_MAX);
    }
    return linear->logistic ? 1.0 / (1.0 + exp(-sum)) : sum;
}
