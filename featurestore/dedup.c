/* SPDX-License-Identifier: Apache-2.0 */
#include "featurestore/dedup.h"

#include <stdlib.h>

#include "base/hash.h"

#define DEDUP_SEED UINT64_C(0x6465647570)

/*  1. hash[] is a ring: hash[next] is the oldest once the ring is full.
 *  2. slot[] is an index of it (linear probing, at most 2/3 full): 0 is free, else place + 1.
 *  3. There are no tombstones: taking one out moves those behind it forward. */
struct dedup {
    uint32_t capacity;
    uint32_t count;
    uint32_t next; /* place of the next id */
    uint32_t mask; /* slots - 1 */
    uint64_t *hash;
    uint32_t *slot;
};

enum err_code dedup_create(uint32_t capacity, struct dedup **ret_dedup, struct err *err)
{
    uint64_t slot_count = 4;
    while (slot_count * 2 < (uint64_t)capacity * 3)
        slot_count *= 2;
    struct dedup *dedup = calloc(1, sizeof *dedup);
    if (dedup != NULL) {
        dedup->hash = calloc(capacity == 0 ? 1 : capacity, sizeof *dedup->hash);
        dedup->slot = calloc(slot_count, sizeof *dedup->slot);
    }
    if (dedup == NULL || dedup->hash == NULL || dedup->slot == NULL) {
        dedup_destroy(&dedup);
        return err_set(err, ERR_NOMEM, "out of memory to remember %u event ids", capacity);
    }
    dedup->capacity = capacity;
    dedup->mask = (uint32_t)(slot_count - 1);
    *ret_dedup = dedup;
    return ERR_OK;
}

void dedup_destroy(struct dedup **dedup)
{
    if (*dedup == NULL)
        return;
    free((*dedup)->hash);
    free((*dedup)->slot);
    free(*dedup);
    *dedup = NULL;
}

/* The slot of the hash, or the free one where it belongs. */
static uint32_t slot_of(const struct dedup *dedup, uint64_t hash)
{
    uint32_t at = (uint32_t)hash & dedup->mask;
    while (dedup->slot[at] != 0 && dedup->hash[dedup->slot[at] - 1] != hash)
        at = (at + 1) & dedup->mask;
    return at;
}

bool dedup_has(const struct dedup *dedup, struct text id)
{
    return dedup->slot[slot_of(dedup, hash_text(id, DEDUP_SEED))] != 0;
}

static void take_out(struct dedup *dedup, uint64_t hash)
{
    uint32_t hole = slot_of(dedup, hash);
    uint32_t at = hole;
    for (;;) {
        at = (at + 1) & dedup->mask;
        if (dedup->slot[at] == 0)
            break;
        uint32_t home = (uint32_t)dedup->hash[dedup->slot[at] - 1] & dedup->mask;
        /* It may move into the hole unless its home lies behind the hole. */
        if (((at - home) & dedup->mask) >= ((at - hole) & dedup->mask)) {
            dedup->slot[hole] = dedup->slot[at];
            hole = at;
        }
    }
    dedup->slot[hole] = 0;
}

void dedup_add(struct dedup *dedup, struct text id)
{
    if (dedup->capacity == 0)
        return;
    uint64_t hash = hash_text(id, DEDUP_SEED);
    if (dedup->count == dedup->capacity)
        take_out(dedup, dedup->hash[dedup->next]);
    else
        dedup->count++;
    uint32_t at = slot_of(dedup, hash);
    ASSERT(dedup->slot[at] == 0);
    dedup->hash[dedup->next] = hash;
    dedup->slot[at] = dedup->next + 1;
    dedup->next = dedup->next + 1 == dedup->capacity ? 0 : dedup->next + 1;
}

uint64_t dedup_hash(const struct dedup *dedup)
{
    /* One by one, so that the place of the oldest does not count. */
    uint32_t at = dedup->count < dedup->capacity ? 0 : dedup->next;
    uint64_t hash = DEDUP_SEED;
    for (uint32_t i = 0; i < dedup->count; i++) {
        hash = hash_bytes(&dedup->hash[at], sizeof dedup->hash[at], hash);
        at = at + 1 == dedup->capacity ? 0 : at + 1;
    }
    return hash;
}
