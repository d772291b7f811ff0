/* SPDX-License-Identifier: Apache-2.0 */
#include "featurestore/dedup.h"

#include <stdlib.h>

#include "base/hash.h"

enum { AHEAD = 16, CHAIN_FETCHED = 4 };

#define DEDUP_SEED UINT64_C(0x6465647570)
#define ERASED     UINT64_C(0)

/*  1. hash[] is a ring: the newest stands before `next`, `count` are there.
 *  2. slot[] is an index of it (linear probing, at most 2/3 full): 0 is free, else place + 1 in the
 *     bits of `mask` and some of the hash above them, which spares most looks at hash[].
 *  3. There are no tombstones: taking one out moves those behind it forward.
 *  4. The place of an id that was erased holds the hash 0, which is in no slot. */
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

static uint32_t tag_of(const struct dedup *dedup, uint64_t hash)
{
    return (uint32_t)(hash >> 32) & ~dedup->mask;
}

static uint32_t place_in(const struct dedup *dedup, uint32_t slot)
{
    return (slot & dedup->mask) - 1;
}

static bool is_slot_of(const struct dedup *dedup, uint32_t slot, uint64_t hash)
{
    return (slot & ~dedup->mask) == tag_of(dedup, hash) &&
           dedup->hash[place_in(dedup, slot)] == hash;
}

/* The slot of the hash, or the free one where it belongs. */
static uint32_t slot_of(const struct dedup *dedup, uint64_t hash)
{
    uint32_t at = (uint32_t)hash & dedup->mask;
    while (dedup->slot[at] != 0 && !is_slot_of(dedup, dedup->slot[at], hash))
        at = (at + 1) & dedup->mask;
    return at;
}

static bool is_too_old(const struct dedup *dedup, uint32_t place, uint32_t now_s)
{
    return dedup->window_s != 0 && (int64_t)now_s - dedup->time_s[place] > dedup->window_s;
}

uint64_t dedup_key(struct text id)
{
    uint64_t hash = hash_text(id, DEDUP_SEED);
    return hash != ERASED ? hash : 1;
}

bool dedup_has(const struct dedup *dedup, struct text id, uint32_t now_s)
{
    uint32_t slot = dedup->slot[slot_of(dedup, dedup_key(id))];
    return slot != 0 && !is_too_old(dedup, place_in(dedup, slot), now_s);
}

uint64_t dedup_fetch_slot(const struct dedup *dedup, struct text id)
{
    uint64_t hash = dedup_key(id);
    __builtin_prefetch(&dedup->slot[(uint32_t)hash & dedup->mask]);
    return hash;
}

void dedup_fetch_place(const struct dedup *dedup, uint64_t hash)
{
    uint32_t slot = dedup->slot[(uint32_t)hash & dedup->mask];
    if (slot != 0)
        __builtin_prefetch(&dedup->hash[place_in(dedup, slot)]);
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
        uint32_t home = (uint32_t)dedup->hash[place_in(dedup, dedup->slot[at])] & dedup->mask;
        /* It may move into the hole unless its home lies behind the hole. */
        if (((at - home) & dedup->mask) >= ((at - hole) & dedup->mask)) {
            dedup->slot[hole] = dedup->slot[at];
            hole = at;
        }
    }
    dedup->slot[hole] = 0;
}

/* Those that make room come in the order of the ring, each with a slot somewhere, and taking it out
 * looks at the ids of the slots behind it. */
static void fetch_ahead(const struct dedup *dedup)
{
    uint64_t oldest = oldest_place(dedup);
    uint64_t far = dedup->hash[(oldest + 2 * AHEAD) % dedup->capacity];
    __builtin_prefetch(&dedup->slot[(uint32_t)far & dedup->mask], 1);
    uint32_t at = (uint32_t)dedup->hash[(oldest + AHEAD) % dedup->capacity] & dedup->mask;
    for (uint32_t i = 0; i < CHAIN_FETCHED && dedup->slot[at] != 0; i++) {
        __builtin_prefetch(&dedup->hash[place_in(dedup, dedup->slot[at])]);
        at = (at + 1) & dedup->mask;
    }
}

/* An id that came again when it was too old stands in the ring twice; the index knows the newer. */
static void forget_oldest(struct dedup *dedup)
{
    uint32_t place = oldest_place(dedup);
    uint64_t hash = dedup->hash[place];
    fetch_ahead(dedup);
    uint32_t slot = dedup->slot[slot_of(dedup, hash)];
    if (slot != 0 && place_in(dedup, slot) == place)
        take_out(dedup, hash);
    dedup->count--;
}

static void add(struct dedup *dedup, uint64_t hash, uint32_t now_s)
{
    if (dedup->capacity == 0)
        return;
    while (dedup->count > 0 &&
           (dedup->count == dedup->capacity || is_too_old(dedup, oldest_place(dedup), now_s)))
        forget_oldest(dedup);
    uint32_t at = slot_of(dedup, hash);
    dedup->hash[dedup->next] = hash;
    dedup->time_s[dedup->next] = now_s;
    if (hash != ERASED)
        dedup->slot[at] = tag_of(dedup, hash) | (dedup->next + 1);
    dedup->next = dedup->next + 1 == dedup->capacity ? 0 : dedup->next + 1;
    dedup->count++;
}

void dedup_add(struct dedup *dedup, struct text id, uint32_t now_s)
{
    add(dedup, dedup_key(id), now_s);
}

void dedup_add_erased(struct dedup *dedup, uint32_t now_s)
{
    add(dedup, ERASED, now_s);
}

void dedup_add_key(struct dedup *dedup, uint64_t key, uint32_t now_s)
{
    add(dedup, key, now_s);
}

struct dedup_span dedup_span(const struct dedup *dedup)
{
    return (struct dedup_span){dedup->capacity, dedup->count, dedup->next};
}

uint64_t dedup_at(const struct dedup *dedup, uint32_t place, uint32_t *ret_time_s)
{
    *ret_time_s = dedup->time_s[place];
    return dedup->hash[place];
}

void dedup_erase(struct dedup *dedup, uint64_t key)
{
    uint32_t slot = dedup->slot[slot_of(dedup, key)];
    if (slot == 0)
        return;
    take_out(dedup, key);
    dedup->hash[place_in(dedup, slot)] = ERASED;
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
