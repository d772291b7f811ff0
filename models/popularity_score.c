/* SPDX-License-Identifier: Apache-2.0 */
#include "models/model_internal.h"

float popularity_score(const struct popularity *popularity, uint32_t row)
{
    ASSERT(row < popularity->row_count);
    return popularity->score[row];
}

const uint32_t *popularity_order(const struct popularity *popularity)
{
    return popularity->order;
}
