/* SPDX-License-Identifier: Apache-2.0 */
#include "featurestore/feature_rows.h"

uint32_t feature_rows_find_pair(const struct feature_rows *rows, uint64_t key)
{
    const struct feature_index *index = atomic_load_explicit(&rows->index, memory_order_acquire);
    uint32_t hash = feature_rows_spread(key);
    for (uint32_t at = hash & index->mask;; at = (at + 1) & index->mask) {
        uint32_t slot = atomic_load_explicit(&index->slot[at], memory_order_acquire);
        if (slot == 0)
            return IDMAP_NONE;
        uint32_t number = (slot & index->mask) - 1;
        if (((slot ^ hash) & ~index->mask) == 0 && feature_rows_pair(rows, number) == key)
            return number;
    }
}

const void *feature_rows_first_look(const struct feature_rows *rows, uint64_t key)
{
    const struct feature_index *index = atomic_load_explicit(&rows->index, memory_order_acquire);
    return &index->slot[feature_rows_spread(key) & index->mask];
}

const void *feature_rows_second_look(const struct feature_rows *rows, uint64_t key)
{
    const struct feature_index *index = atomic_load_explicit(&rows->index, memory_order_acquire);
    uint32_t hash = feature_rows_spread(key);
    for (uint32_t at = hash & index->mask;; at = (at + 1) & index->mask) {
        uint32_t slot = atomic_load_explicit(&index->slot[at], memory_order_acquire);
        if (slot == 0)
            return NULL;
        if (((slot ^ hash) & ~index->mask) == 0)
            return feature_rows_pair_row(rows, (slot & index->mask) - 1);
    }
}
