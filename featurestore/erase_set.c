/* SPDX-License-Identifier: Apache-2.0 */
#include "featurestore/erase_set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS_MIN = 16 };

struct erase_key erase_key_of(const uint8_t salt[ERASE_SALT_BYTES], enum erase_kind kind,
                              struct text id)
{
    uint8_t bytes[ERASE_SALT_BYTES + 1 + ID_BYTES_MAX], digest[SHA256_BYTES];
    struct erase_key key;
    ASSERT(id.len <= ID_BYTES_MAX);
    memcpy(bytes, salt, ERASE_SALT_BYTES);
    bytes[ERASE_SALT_BYTES] = (uint8_t)kind;
    memcpy(bytes + ERASE_SALT_BYTES + 1, id.ptr, id.len);
    sha256_of(bytes, ERASE_SALT_BYTES + 1 + id.len, digest);
    memcpy(key.bytes, digest, sizeof key.bytes);
    return key;
}

char *erase_key_hex(const struct erase_key *key, char buf[ERASE_KEY_HEX_BYTES])
{
    for (int i = 0; i < ERASE_KEY_BYTES; i++)
        snprintf(buf + 2 * i, 3, "%02x", key->bytes[i]);
    return buf;
}

void erase_set_init(struct erase_set *set, const uint8_t salt[ERASE_SALT_BYTES])
{
    *set = (struct erase_set){.count = 0};
    memcpy(set->salt, salt, ERASE_SALT_BYTES);
}

void erase_set_deinit(struct erase_set *set)
{
    free(set->slot);
    set->slot = NULL;
    set->count = set->capacity = 0;
}

/* Its slot, or the free one where it belongs. */
static struct erase_set_slot *slot_of(const struct erase_set *set, const struct erase_key *key)
{
    uint32_t at;
    memcpy(&at, key->bytes, sizeof at); /* a key is as good as random */
    at &= set->capacity - 1;
    while (set->slot[at].sequence != 0 && memcmp(&set->slot[at].key, key, sizeof *key) != 0)
        at = (at + 1) & (set->capacity - 1);
    return &set->slot[at];
}

static bool grow(struct erase_set *set)
{
    struct erase_set grown = *set;
    grown.capacity = set->capacity == 0 ? SLOTS_MIN : set->capacity * 2;
    grown.slot = calloc(grown.capacity, sizeof *grown.slot);
    if (grown.slot == NULL)
        return false;
    for (uint32_t i = 0; i < set->capacity; i++) {
        if (set->slot[i].sequence != 0)
            *slot_of(&grown, &set->slot[i].key) = set->slot[i];
    }
    free(set->slot);
    *set = grown;
    return true;
}

enum err_code erase_set_reserve(struct erase_set *set, uint32_t count, struct err *err)
{
    while ((uint64_t)(set->count + count) * 2 > set->capacity) {
        if (!grow(set))
            return err_set(err, ERR_NOMEM, "out of memory for the people to be erased");
    }
    return ERR_OK;
}

enum err_code erase_set_add(struct erase_set *set, const struct erase_key *key, uint64_t sequence,
                            struct err *err)
{
    uint64_t last = sequence == 0 ? 1 : sequence; /* without an event log there is none */
    enum err_code rc = erase_set_reserve(set, 1, err);
    if (rc != ERR_OK)
        return rc;
    struct erase_set_slot *slot = slot_of(set, key);
    if (slot->sequence == 0) {
        slot->key = *key;
        set->count++;
    }
    if (slot->sequence < last)
        slot->sequence = last;
    return ERR_OK;
}

struct erase_set_slot *erase_set_find_key(const struct erase_set *set, const struct erase_key *key)
{
    if (set->count == 0)
        return NULL;
    struct erase_set_slot *slot = slot_of(set, key);
    return slot->sequence == 0 ? NULL : slot;
}

struct erase_set_slot *erase_set_find(const struct erase_set *set, enum erase_kind kind,
                                      struct text id)
{
    if (set->count == 0 || id.len == 0 || id.len > ID_BYTES_MAX)
        return NULL;
    struct erase_key key = erase_key_of(set->salt, kind, id);
    return erase_set_find_key(set, &key);
}

void erase_set_clear_counts(const struct erase_set *set, bool of_decisions)
{
    for (uint32_t i = 0; i < set->capacity; i++) {
        if (of_decisions)
            set->slot[i].decisions = 0;
        else
            set->slot[i].events = 0;
    }
}
