/* SPDX-License-Identifier: Apache-2.0 */
#include "featurestore/feature_rows.h"

uint32_t feature_rows_find_pair(const struct feature_rows *rows, uint64_t key)
{
    const struct feature_index *index = atomic_load_explicit(&rows->index, memory_order_acquire);
    uint32_t at = feature_rows_spread(key) & index->mask;
    for (;;) {
        uint32_t slot = atomic_load_explicit(&index->slot[at], memory_order_acquire);
        if (slot == 0)
            return IDMAP_NONE;
        if (feature_rows_pair(rows, slot - 1) == key)
            return slot - 1;
        at = (at + 1) & index->mask;
    }
}
