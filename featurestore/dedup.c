/* SPDX-License-Identifier: Apache-2.0 */
#include "featurestore/dedup.h"

#include <stdlib.h>

#include "base/hash.h"

#define DEDUP_SEED UINT64_C(0x6465647570)

/*  1. hash[] is a ring: the newest stands before `next`, `count` are there.
 *  2. slot[] is an index of it (linear probing, at most 2/3 full): 0 is free, else place + 1.
 *  3. There are no tombstones: taking one out moves those behind it forward. */
struct dedup {
    uint32_t capacity;
    uint32_t count;
    uint32_t next; /* place of the next id */
    uint32_t mask; /* slots - 1 */
    uint32_t window_s;
    uint64_t *hash;
    uint32_t *time_s; /* beside hash[] */
    uint32_t *slot;
};

enum err_code dedup_create(uint32_t capacity, uint32_t window_s, struct dedup **ret_dedup,
                           struct err *err)
{
    uint64_t slot_count = 4;
    while (slot_count * 2 < (uint64_t)capacity * 3)
        slot_count *= 2;
    struct dedup *dedup = calloc(1, sizeof *dedup);
    if (dedup != NULL) {
        dedup->hash = calloc(capacity == 0 ? 1 : capacity, sizeof *dedup->hash);
        dedup->time_s = calloc(capacity == 0 ? 1 : capacity, sizeof *dedup->time_s);
        dedup->slot = calloc(slot_count, sizeof *dedup->slot);
    }
    if (dedup == NULL || dedup->hash == NULL || dedup->time_s == NULL || dedup->slot == NULL) {
        dedup_destroy(&dedup);
        return err_set(err, ERR_NOMEM, "out of memory to remember %u event ids", capacity);
    }
    dedup->capacity = capacity;
    dedup->window_s = window_s;
    dedup->mask = (uint32_t)(slot_count - 1);
    *ret_dedup = dedup;
    return ERR_OK;
}

void dedup_destroy(struct dedup **dedup)
{
    if (*dedup == NULL)
        return;
    free((*dedup)->hash);
    free((*dedup)->time_s);
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

static bool is_too_old(const struct dedup *dedup, uint32_t place, uint32_t now_s)
{
    return dedup->window_s != 0 && (int64_t)now_s - dedup->time_s[place] > dedup->window_s;
}

bool dedup_has(const struct dedup *dedup, struct text id, uint32_t now_s)
{
    uint32_t slot = dedup->slot[slot_of(dedup, hash_text(id, DEDUP_SEED))];
    return slot != 0 && !is_too_old(dedup, slot - 1, now_s);
}

static uint32_t oldest_place(const struct dedup *dedup)
{
    return dedup->next >= dedup->count ? dedup->next - dedup->count
                                       : dedup->next + dedup->capacity - dedup->count;
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

/* An id that came again when it was too old stands in the ring twice; the index knows the newer. */
static void forget_oldest(struct dedup *dedup)
{
    uint32_t place = oldest_place(dedup);
    uint64_t hash = dedup->hash[place];
    if (dedup->slot[slot_of(dedup, hash)] == place + 1)
        take_out(dedup, hash);
    dedup->count--;
}

void dedup_add(struct dedup *dedup, struct text id, uint32_t now_s)
{
    if (dedup->capacity == 0)
        return;
    uint64_t hash = hash_text(id, DEDUP_SEED);
    while (dedup->count > 0 &&
           (dedup->count == dedup->capacity || is_too_old(dedup, oldest_place(dedup), now_s)))
        forget_oldest(dedup);
    uint32_t at = slot_of(dedup, hash);
    dedup->hash[dedup->next] = hash;
    dedup->time_s[dedup->next] = now_s;
    dedup->slot[at] = dedup->next + 1;
    dedup->next = dedup->next + 1 == dedup->capacity ? 0 : dedup->next + 1;
    dedup->count++;
}

uint32_t dedup_oldest_s(const struct dedup *dedup)
{
    return dedup->count == 0 ? 0 : dedup->time_s[oldest_place(dedup)];
}

uint64_t dedup_hash(const struct dedup *dedup)
{
    /* One by one, so that the place of the oldest does not count. */
    uint64_t hash = DEDUP_SEED;
    for (uint32_t i = 0; i < dedup->count; i++) {
        uint32_t at = (oldest_place(dedup) + i) % dedup->capacity;
        hash = hash_bytes(&dedup->hash[at], sizeof dedup->hash[at], hash);
    }
    return hash;
}
