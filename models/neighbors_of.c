/* SPDX-License-Identifier: Apache-2.0 */
#include "models/model_internal.h"

void neighbors_of(const struct neighbors *neighbors, uint32_t row, struct neighbor_list *ret_list)
{
    ASSERT(row < neighbors->row_count);
    int64_t first = neighbors->offset[row];
    *ret_list = (struct neighbor_list){.count = (uint32_t)(neighbors->offset[row + 1] - first),
                                       .other = neighbors->other + first,
                                       .weight = neighbors->weight + first};
}
