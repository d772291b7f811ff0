/* SPDX-License-Identifier: Apache-2.0 */
/* idmap_internal - the layout shared by idmap.c (the writer) and idmap_read.c (the readers).
 *
 *  1. An id is a length byte and its bytes, in a chunk that never moves.  Erasing an id sets the
 *     length to 0, so that it equals no id; its index slot stays, since probe sequences of other
 * ids may pass through it.  The length is a relaxed atomic: the bytes after it change only after
 *     rcu_wait.
 *  2. page[n / IDMAP_PAGE_IDS][n % IDMAP_PAGE_IDS] is the address of id n.  It is a plain pointer,
 *     written once before n is published, and n is published by the release store of its index
 *     slot and of `count`; readers got n from one of the two by an acquire load.
 *  3. An index slot is 0 (free) or (number + 1) in its low number_bits and, above them, a tag of
 *     the id's hash, which avoids most comparisons with other ids.  At most 3/4 of the slots are in
 *     use, so number + 1 fits into log2(slots) bits and a search terminates.
 *  4. A larger index is complete before it is published; the old one is freed after rcu_wait. */
#ifndef BASE_IDMAP_INTERNAL_H
#define BASE_IDMAP_INTERNAL_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/idmap.h"

#define IDMAP_CHUNK_BYTES (1U << 20)
#define IDMAP_PAGE_BITS   16
#define IDMAP_PAGE_IDS    (1U << IDMAP_PAGE_BITS)
#define IDMAP_SEED        UINT64_C(0x6964) /* fixed, so that layouts repeat from run to run */

struct idmap_index {
    uint64_t mask; /* slots - 1 */
    uint32_t number_bits;
    _Atomic uint32_t slot[];
};

struct idmap_chunk {
    struct idmap_chunk *next; /* an older one */
    uint8_t bytes[IDMAP_CHUNK_BYTES - sizeof(struct idmap_chunk *)];
};

struct idmap {
    _Atomic(struct idmap_index *) index; /* owned */
    _Atomic uint32_t count, erased_count;
    _Atomic uint64_t bytes;

    uint32_t capacity_max;
    struct idmap_chunk *chunk; /* the one that is being filled; owned, a list */
    uint32_t chunk_used_bytes;
    uint32_t page_count_max;
    const uint8_t **page[]; /* owned */
};

/* The slot value of number 0 with this hash; the number is added to it. */
static inline uint32_t idmap_tag(const struct idmap_index *index, uint64_t hash)
{
    if (index->number_bits >= 32)
        return 0;
    return (uint32_t)(hash >> 32) & ~((UINT32_C(1) << index->number_bits) - 1);
}

static inline uint32_t idmap_slot_number(const struct idmap_index *index, uint32_t slot)
{
    uint64_t low = (UINT64_C(1) << index->number_bits) - 1;
    return (uint32_t)(slot & low) - 1;
}

static inline const uint8_t *idmap_address(const struct idmap *map, uint32_t number)
{
    return map->page[number >> IDMAP_PAGE_BITS][number & (IDMAP_PAGE_IDS - 1)];
}

static inline uint8_t idmap_length(const uint8_t *address)
{
    return __atomic_load_n(address, __ATOMIC_RELAXED);
}

/* The number of the id, or IDMAP_NONE and the free slot where it belongs (ret_at may be NULL). */
uint32_t idmap_index_find(const struct idmap *map, const struct idmap_index *index, struct text id,
                          uint64_t hash, uint64_t *ret_at);

#endif
