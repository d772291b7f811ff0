/* SPDX-License-Identifier: Apache-2.0 */
/* The readers' half of idmap: finds without locks, stores nothing. */
#include <string.h>

#include "base/err.h"
#include "base/idmap_internal.h"

static bool id_is_at(const uint8_t *address, struct text id)
{
    return idmap_length(address) == id.len && memcmp(address + 1, id.ptr, id.len) == 0;
}

uint32_t idmap_index_find(const struct idmap *map, const struct idmap_index *index, struct text id,
                          uint64_t hash, uint64_t *ret_at)
{
    uint32_t tag = idmap_tag(index, hash);
    uint32_t tag_mask = index->number_bits >= 32 ? 0 : ~((UINT32_C(1) << index->number_bits) - 1);
    for (uint64_t at = hash & index->mask;; at = (at + 1) & index->mask) {
        /* Acquire: the address and the bytes of the id were written before its slot. */
        uint32_t slot = atomic_load_explicit(&index->slot[at], memory_order_acquire);
        if (slot == 0) {
            if (ret_at != NULL)
                *ret_at = at;
            return IDMAP_NONE;
        }
        if ((slot & tag_mask) != tag)
            continue;
        uint32_t number = idmap_slot_number(index, slot);
        if (id_is_at(idmap_address(map, number), id))
            return number;
    }
}

uint32_t idmap_find(const struct idmap *map, struct text id)
{
    if (id.ptr == NULL || id.len == 0 || id.len > ID_BYTES_MAX)
        return IDMAP_NONE;
    /* Acquire: the slots of a new index were written before the pointer to it. */
    const struct idmap_index *index = atomic_load_explicit(&map->index, memory_order_acquire);
    return idmap_index_find(map, index, id, hash_text(id, IDMAP_SEED), NULL);
}

uint64_t idmap_fetch_slot(const struct idmap *map, struct text id)
{
    const struct idmap_index *index = atomic_load_explicit(&map->index, memory_order_acquire);
    uint64_t hash = hash_text(id, IDMAP_SEED);
    __builtin_prefetch(&index->slot[hash & index->mask]);
    return hash;
}

uint32_t idmap_fetch_address(const struct idmap *map, uint64_t hash)
{
    const struct idmap_index *index = atomic_load_explicit(&map->index, memory_order_acquire);
    uint32_t tag = idmap_tag(index, hash);
    uint32_t tag_mask = index->number_bits >= 32 ? 0 : ~((UINT32_C(1) << index->number_bits) - 1);
    for (uint64_t at = hash & index->mask;; at = (at + 1) & index->mask) {
        uint32_t slot = atomic_load_explicit(&index->slot[at], memory_order_acquire);
        if (slot == 0)
            return IDMAP_NONE;
        if ((slot & tag_mask) != tag)
            continue;
        uint32_t number = idmap_slot_number(index, slot);
        __builtin_prefetch(&map->page[number >> IDMAP_PAGE_BITS][number & (IDMAP_PAGE_IDS - 1)]);
        return number;
    }
}

void idmap_fetch_text(const struct idmap *map, uint32_t number)
{
    __builtin_prefetch(idmap_address(map, number));
}

struct text idmap_text(const struct idmap *map, uint32_t number)
{
    ASSERT(number < idmap_count(map));
    const uint8_t *address = idmap_address(map, number);
    return (struct text){(const char *)address + 1, idmap_length(address)};
}

uint32_t idmap_count(const struct idmap *map)
{
    return atomic_load_explicit(&map->count, memory_order_acquire);
}

uint32_t idmap_erased_count(const struct idmap *map)
{
    return atomic_load_explicit(&map->erased_count, memory_order_relaxed);
}

uint64_t idmap_bytes(const struct idmap *map)
{
    return atomic_load_explicit(&map->bytes, memory_order_relaxed);
}
