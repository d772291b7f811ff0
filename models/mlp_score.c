/* SPDX-License-Identifier: Apache-2.0 */
/* A block of rows at once through each layer, so that its weights are read once for all of them.
 *
 * Between layers values are kept within MLP_VALUE_MAX, far beyond those of any net that works: with
 * weights within MLP_WEIGHT_MAX no sum of them overflows. */
#include <cblas-openblas.h>
#include <math.h>
#include <string.h>

#include "models/model_internal.h"

#define INPUT_MAX 1e12

static size_t half_bytes(const struct mlp *mlp)
{
    size_t bytes = (size_t)mlp->width * MLP_BLOCK * sizeof(float);
    return (bytes + 63) & ~(size_t)63;
}

size_t mlp_scratch_bytes(const struct mlp *mlp)
{
    return 2 * half_bytes(mlp);
}

static double bounded(double value)
{
    return fmin(fmax(value, -MLP_VALUE_MAX), MLP_VALUE_MAX);
}

static double input_of(const struct mlp *mlp, uint32_t feature, double value)
{
    if (isnan(value))
        value = mlp->feature[feature].fallback;
    value = fmin(fmax(value, -INPUT_MAX), INPUT_MAX);
    return bounded((value - mlp->mean[feature]) / mlp->scale[feature]);
}

static double finish(const struct mlp *mlp, double value)
{
    return mlp->sigmoid ? 1.0 / (1.0 + exp(-value)) : value;
}

/* ---- plainly --------------------------------------------------------------------------------- */

static double activated(enum mlp_activation activation, double value)
{
    switch (activation) {
    case MLP_relu: return fmax(value, 0.0);
    case MLP_gelu: return 0.5 * value * (1.0 + erf(value * M_SQRT1_2));
    case MLP_tanh: return tanh(value);
    case MLP_sigmoid: return 1.0 / (1.0 + exp(-value));
    case MLP_silu: return value / (1.0 + exp(-value));
    default: return value;
    }
}

double mlp_score_plainly(const struct mlp *mlp, const double *values, void *scratch)
{
    double *from = scratch;
    double *to = from + mlp->width;
    _Static_assert(MLP_BLOCK * sizeof(float) >= sizeof(double), "the scratch holds two rows");
    for (uint32_t i = 0; i < mlp->feature_count; i++)
        from[i] = input_of(mlp, i, values[i]);
    for (uint32_t l = 0; l < mlp->layer_count; l++) {
        const struct mlp_layer *layer = &mlp->layer[l];
        for (uint32_t o = 0; o < layer->out; o++) {
            double sum = (double)layer->bias[o];
            for (uint32_t i = 0; i < layer->in; i++)
                sum += (double)layer->weight[(size_t)o * layer->in + i] * from[i];
            to[o] = activated(layer->activation, bounded(sum));
        }
        double *last = from;
        from = to;
        to = last;
    }
    return finish(mlp, from[0]);
}

/* ---- in blocks ------------------------------------------------------------------------------- */

static void activate(enum mlp_activation activation, float *value, size_t count)
{
    const float max = (float)MLP_VALUE_MAX;
    for (size_t i = 0; i < count; i++)
        value[i] = fminf(fmaxf(value[i], -max), max);
    switch (activation) {
    case MLP_relu:
        for (size_t i = 0; i < count; i++)
            value[i] = fmaxf(value[i], 0.0f);
        break;
    case MLP_gelu:
        for (size_t i = 0; i < count; i++)
            value[i] = 0.5f * value[i] * (1.0f + erff(value[i] * (float)M_SQRT1_2));
        break;
    case MLP_tanh:
        for (size_t i = 0; i < count; i++)
            value[i] = tanhf(value[i]);
        break;
    case MLP_sigmoid:
        for (size_t i = 0; i < count; i++)
            value[i] = 1.0f / (1.0f + expf(-value[i]));
        break;
    case MLP_silu:
        for (size_t i = 0; i < count; i++)
            value[i] = value[i] / (1.0f + expf(-value[i]));
        break;
    default: break;
    }
}

static void apply(const struct mlp_layer *layer, const float *from, uint32_t row_count, float *to)
{
    for (uint32_t row = 0; row < row_count; row++)
        memcpy(to + (size_t)row * layer->out, layer->bias, layer->out * sizeof *to);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)row_count, (int)layer->out,
                (int)layer->in, 1.0f, from, (int)layer->in, layer->weight, (int)layer->in, 1.0f, to,
                (int)layer->out);
    activate(layer->activation, to, (size_t)row_count * layer->out);
}

static void score_block(const struct mlp *mlp, const double *values, uint32_t row_count,
                        void *scratch, double *ret_score)
{
    float *from = scratch;
    float *to = (float *)(void *)((char *)scratch + half_bytes(mlp));
    for (uint32_t row = 0; row < row_count; row++) {
        size_t at = (size_t)row * mlp->feature_count;
        for (uint32_t i = 0; i < mlp->feature_count; i++)
            from[at + i] = (float)input_of(mlp, i, values[at + i]);
    }
    for (uint32_t l = 0; l < mlp->layer_count; l++) {
        apply(&mlp->layer[l], from, row_count, to);
        float *last = from;
        from = to;
        to = last;
    }
    for (uint32_t row = 0; row < row_count; row++)
        ret_score[row] = finish(mlp, (double)from[row]);
}

void mlp_score_rows(const struct mlp *mlp, const double *values, uint32_t row_count, void *scratch,
                    double *ret_score)
{
    for (uint32_t row = 0; row < row_count; row += MLP_BLOCK) {
        uint32_t count = row_count - row < MLP_BLOCK ? row_count - row : MLP_BLOCK;
        score_block(mlp, values + (size_t)row * mlp->feature_count, count, scratch,
                    ret_score + row);
    }
}
