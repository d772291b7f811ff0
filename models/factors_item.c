/* SPDX-License-Identifier: Apache-2.0 */
#include "models/model_internal.h"

const float *factors_item(const struct factors *factors, uint32_t row)
{
    ASSERT(row < factors->item_count);
    return factors->item + (size_t)row * factors->dim;
}
