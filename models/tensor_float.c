/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "models/safetensors.h"

bool tensor_is_float(enum tensor_type type)
{
    return type == TENSOR_F16 || type == TENSOR_BF16 || type == TENSOR_F32 || type == TENSOR_F64;
}

/* IEEE 754 binary16: 1 bit of sign, 5 of exponent (bias 15), 10 of fraction. */
static double float_of_f16(uint16_t bits)
{
    int exponent = bits >> 10 & 31;
    double fraction = bits & 1023;
    double size = exponent == 0    ? ldexp(fraction, -24)
                  : exponent == 31 ? (fraction == 0.0 ? (double)INFINITY : (double)NAN)
                                   : ldexp(fraction + 1024.0, exponent - 25);
    return bits >> 15 == 0 ? size : -size;
}

/* The upper half of a float. */
static double float_of_bf16(uint16_t bits)
{
    uint32_t whole = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &whole, sizeof value);
    return (double)value;
}

double tensor_float(const struct tensor *tensor, uint64_t index)
{
    ASSERT(index < tensor->count && tensor_is_float(tensor->type));
    switch (tensor->type) {
    case TENSOR_F16: return float_of_f16(((const uint16_t *)tensor->data)[index]);
    case TENSOR_BF16: return float_of_bf16(((const uint16_t *)tensor->data)[index]);
    case TENSOR_F32: return (double)((const float *)tensor->data)[index];
    default: return ((const double *)tensor->data)[index];
    }
}
