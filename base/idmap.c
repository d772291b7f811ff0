/* SPDX-License-Identifier: Apache-2.0 */
/* The writer's half of idmap. */
#include <stdlib.h>
#include <string.h>

#include "base/idmap_internal.h"
#include "base/rcu.h"

enum { INDEX_SLOTS_FIRST = 1024 };

#define CAPACITY_LIMIT (UINT32_C(1) << 31) /* an index of 2^32 slots holds them at load 1/2 */

static void bytes_add(struct idmap *map, uint64_t bytes)
{
    uint64_t before = atomic_load_explicit(&map->bytes, memory_order_relaxed);
    atomic_store_explicit(&map->bytes, before + bytes, memory_order_relaxed);
}

static uint64_t index_bytes(uint64_t slot_count)
{
    return sizeof(struct idmap_index) + slot_count * sizeof(uint32_t);
}

static struct idmap_index *index_create(uint64_t slot_count)
{
    struct idmap_index *index = calloc(1, index_bytes(slot_count));
    if (index == NULL)
        return NULL;
    index->mask = slot_count - 1;
    while (UINT64_C(1) << index->number_bits < slot_count)
        index->number_bits++;
    return index;
}

enum err_code idmap_create(uint32_t capacity_max, struct idmap **ret_map, struct err *err)
{
    if (capacity_max == 0 || capacity_max > CAPACITY_LIMIT)
        return err_set(err, ERR_LIMIT, "an id table has 1..%u ids (got %u)", CAPACITY_LIMIT,
                       capacity_max);
    uint32_t page_count_max = (capacity_max - 1) / IDMAP_PAGE_IDS + 1;
    size_t map_bytes = sizeof(struct idmap) + page_count_max * sizeof(const uint8_t **);
    struct idmap *map = calloc(1, map_bytes);
    struct idmap_index *index = map == NULL ? NULL : index_create(INDEX_SLOTS_FIRST);
    if (index == NULL) {
        free(map);
        return err_set(err, ERR_NOMEM, "out of memory for a table of %u ids", capacity_max);
    }
    map->capacity_max = capacity_max;
    map->page_count_max = page_count_max;
    atomic_init(&map->index, index);
    bytes_add(map, map_bytes + index_bytes(INDEX_SLOTS_FIRST));
    *ret_map = map;
    return ERR_OK;
}

void idmap_destroy(struct idmap **map)
{
    struct idmap *old = *map;
    if (old == NULL)
        return;
    for (struct idmap_chunk *chunk = old->chunk; chunk != NULL;) {
        struct idmap_chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
    for (uint32_t i = 0; i < old->page_count_max; i++)
        free(old->page[i]);
    free(atomic_load_explicit(&old->index, memory_order_relaxed));
    free(old);
    *map = NULL;
}

/* Fills a larger index with all ids, in the order of their numbers and so of their memory. */
static void index_fill(const struct idmap *map, struct idmap_index *index, uint32_t count)
{
    for (uint32_t number = 0; number < count; number++) {
        const uint8_t *address = idmap_address(map, number);
        if (address[0] == 0)
            continue; /* erased */
        uint64_t hash = hash_bytes(address + 1, address[0], IDMAP_SEED);
        uint64_t at = hash & index->mask;
        while (atomic_load_explicit(&index->slot[at], memory_order_relaxed) != 0)
            at = (at + 1) & index->mask;
        /* Relaxed: the release store of the pointer publishes all slots. */
        atomic_store_explicit(&index->slot[at], idmap_tag(index, hash) | (number + 1),
                              memory_order_relaxed);
    }
}

/* Doubles the index.  Readers go on with the old one until it is free of them. */
static bool index_grow(struct idmap *map, uint32_t count)
{
    struct idmap_index *old = atomic_load_explicit(&map->index, memory_order_relaxed);
    uint64_t slot_count = (old->mask + 1) * 2;
    struct idmap_index *index = index_create(slot_count);
    if (index == NULL)
        return false;
    index_fill(map, index, count);
    atomic_store_explicit(&map->index, index, memory_order_release);
    bytes_add(map, index_bytes(slot_count) - index_bytes(slot_count / 2));
    rcu_wait();
    free(old);
    return true;
}

/* Room for the id's bytes and its address, so that nothing can fail after it. */
static bool make_room(struct idmap *map, uint32_t number, uint32_t id_bytes)
{
    uint32_t page = number >> IDMAP_PAGE_BITS;
    if (map->page[page] == NULL) {
        /* Not published here: readers reach the page through the numbers in it alone. */
        map->page[page] = malloc(IDMAP_PAGE_IDS * sizeof(const uint8_t *));
        if (map->page[page] == NULL)
            return false;
        bytes_add(map, IDMAP_PAGE_IDS * sizeof(const uint8_t *));
    }
    if (map->chunk == NULL || map->chunk_used_bytes + 1 + id_bytes > sizeof map->chunk->bytes) {
        struct idmap_chunk *chunk = malloc(sizeof *chunk);
        if (chunk == NULL)
            return false;
        chunk->next = map->chunk;
        map->chunk = chunk;
        map->chunk_used_bytes = 0;
        bytes_add(map, sizeof *chunk);
    }
    return true;
}

enum err_code idmap_add(struct idmap *map, struct text id, uint32_t *ret_number, bool *ret_added,
                        struct err *err)
{
    if (!text_is_id(id))
        return err_set(err, ERR_BAD_INPUT, "an id is 1..%d bytes of UTF-8 without controls",
                       ID_BYTES_MAX);
    struct idmap_index *index = atomic_load_explicit(&map->index, memory_order_relaxed);
    uint64_t hash = hash_text(id, IDMAP_SEED);
    uint64_t at = 0;
    uint32_t number = idmap_index_find(map, index, id, hash, &at);
    bool is_new = number == IDMAP_NONE;
    if (is_new) {
        number = atomic_load_explicit(&map->count, memory_order_relaxed);
        if (number >= map->capacity_max)
            return err_set(err, ERR_LIMIT, "the id table is full with %u ids", number);
        if (!make_room(map, number, id.len))
            return err_set(err, ERR_NOMEM, "out of memory for id number %u", number);
        if (number >= (index->mask + 1) / 4 * 3) {
            if (!index_grow(map, number))
                return err_set(err, ERR_NOMEM, "out of memory to index %u ids", number);
            index = atomic_load_explicit(&map->index, memory_order_relaxed);
            idmap_index_find(map, index, id, hash, &at);
        }
        uint8_t *address = map->chunk->bytes + map->chunk_used_bytes;
        address[0] = (uint8_t)id.len;
        memcpy(address + 1, id.ptr, id.len);
        map->chunk_used_bytes += 1 + id.len;
        map->page[number >> IDMAP_PAGE_BITS][number & (IDMAP_PAGE_IDS - 1)] = address;
        /* Count before slot: whoever finds the number may ask for its text. */
        atomic_store_explicit(&map->count, number + 1, memory_order_release);
        atomic_store_explicit(&index->slot[at], idmap_tag(index, hash) | (number + 1),
                              memory_order_release);
    }
    *ret_number = number;
    if (ret_added != NULL)
        *ret_added = is_new;
    return ERR_OK;
}

uint32_t idmap_hide(struct idmap *map, uint32_t number)
{
    ASSERT(number < atomic_load_explicit(&map->count, memory_order_relaxed));
    uint8_t *address = (uint8_t *)idmap_address(map, number);
    uint32_t id_bytes = address[0];
    if (id_bytes == 0)
        return 0;
    __atomic_store_n(address, 0, __ATOMIC_RELAXED);
    uint32_t before = atomic_load_explicit(&map->erased_count, memory_order_relaxed);
    atomic_store_explicit(&map->erased_count, before + 1, memory_order_relaxed);
    return id_bytes;
}

void idmap_wipe(struct idmap *map, uint32_t number, uint32_t id_bytes)
{
    uint8_t *address = (uint8_t *)idmap_address(map, number);
    ASSERT(address[0] == 0);
    memset(address + 1, 0, id_bytes);
}
