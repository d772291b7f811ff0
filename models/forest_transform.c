/* SPDX-License-Identifier: Apache-2.0 */
/* What the objectives of both libraries make of a margin: XGBoost in float, LightGBM in double. */
#include "models/forest.h"

uint32_t forest_transformed_count(const struct forest *forest)
{
    return forest->transform == TRANSFORM_CLASS ? 1 : forest->output_count;
}

static double sigmoid32(double margin)
{
    float x = -(float)margin;
    return (double)(1.0f / (expf(x < 88.7f ? x : 88.7f) + 1.0f + 1e-16f));
}

static void softmax32(double *margin, uint32_t count)
{
    float most = (float)margin[0];
    double sum = 0.0;
    for (uint32_t k = 1; k < count; k++)
        most = fmaxf(most, (float)margin[k]);
    for (uint32_t k = 0; k < count; k++) {
        margin[k] = (double)expf((float)margin[k] - most);
        sum += margin[k];
    }
    for (uint32_t k = 0; k < count; k++)
        margin[k] = (double)((float)margin[k] / (float)sum);
}

static void softmax64(double *margin, uint32_t count)
{
    double most = margin[0];
    double sum = 0.0;
    for (uint32_t k = 1; k < count; k++)
        most = fmax(most, margin[k]);
    for (uint32_t k = 0; k < count; k++) {
        margin[k] = exp(margin[k] - most);
        sum += margin[k];
    }
    for (uint32_t k = 0; k < count; k++)
        margin[k] /= sum;
}

/* The first of equal ones. */
static uint32_t largest(const double *margin, uint32_t count)
{
    uint32_t best = 0;
    for (uint32_t k = 1; k < count; k++) {
        if (margin[k] > margin[best])
            best = k;
    }
    return best;
}

static double transformed(const struct forest *forest, double margin)
{
    bool is_float = forest->family == FOREST_XGBOOST;
    switch (forest->transform) {
    case TRANSFORM_SIGMOID:
        return is_float ? sigmoid32(margin) : 1.0 / (1.0 + exp(-forest->scale * margin));
    case TRANSFORM_EXP: return is_float ? (double)expf((float)margin) : exp(margin);
    case TRANSFORM_SIGN: return margin > 0.0 ? 1.0 : 0.0;
    case TRANSFORM_SQUARE: return margin < 0.0 ? -margin * margin : margin * margin;
    case TRANSFORM_LOG1P_EXP: return log1p(exp(margin));
    default: return margin;
    }
}

bool forest_mixes_outputs(const struct forest *forest)
{
    return forest->transform == TRANSFORM_SOFTMAX || forest->transform == TRANSFORM_CLASS;
}

double forest_transform_one(const struct forest *forest, double *margin, uint32_t output)
{
    if (!forest_mixes_outputs(forest))
        return transformed(forest, forest->averages ? margin[output] / (double)forest->round_count
                                                    : margin[output]);
    forest_transform(forest, margin);
    return margin[output];
}

void forest_transform(const struct forest *forest, double *margin)
{
    for (uint32_t k = 0; forest->averages && k < forest->output_count; k++)
        margin[k] /= (double)forest->round_count;
    if (forest->transform == TRANSFORM_SOFTMAX) {
        if (forest->family == FOREST_XGBOOST)
            softmax32(margin, forest->output_count);
        else
            softmax64(margin, forest->output_count);
    } else if (forest->transform == TRANSFORM_CLASS) {
        margin[0] = (double)largest(margin, forest->output_count);
    } else {
        for (uint32_t k = 0; k < forest->output_count; k++)
            margin[k] = transformed(forest, margin[k]);
    }
}
