/* SPDX-License-Identifier: Apache-2.0 */
/* erase_set - the people to be erased: keys of ids, each with the last record to erase.
 *
 * A key is the first half of SHA-256 over a salt, the kind of the id, and the id.  The salt is
 * drawn once per data_dir and stays in it, so that keys reveal nothing without the salt. Threads:
 * one owner; keys have no state. */
#ifndef FEATURESTORE_ERASE_SET_H
#define FEATURESTORE_ERASE_SET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/text.h"

enum erase_kind { ERASE_USER = 1, ERASE_ANON };

#define ERASE_SALT_BYTES    32
#define ERASE_KEY_BYTES     16
#define ERASE_KEY_HEX_BYTES (2 * ERASE_KEY_BYTES + 1) /* with the terminating NUL */

struct erase_key {
    uint8_t bytes[ERASE_KEY_BYTES];
};

/* An id of at most ID_BYTES_MAX bytes. */
struct erase_key erase_key_of(const uint8_t salt[ERASE_SALT_BYTES], enum erase_kind kind,
                              struct text id);
char *erase_key_hex(const struct erase_key *key, char buf[ERASE_KEY_HEX_BYTES]);

/* A hash by which others know whose something is that they keep in memory. */
static inline uint64_t erase_person_hash(enum erase_kind kind, struct text id)
{
    return hash_text(id, (uint64_t)kind);
}

/* One of them, and how much of theirs has gone: of the records that name several the first counts.
 */
struct erase_set_slot {
    struct erase_key key;
    uint64_t sequence; /* the last record that goes; 0: free */
    uint64_t events, decisions;
};

struct erase_set {
    uint8_t salt[ERASE_SALT_BYTES];
    uint32_t count, capacity;    /* a power of two, at most half of it in use; 0 at the beginning */
    struct erase_set_slot *slot; /* owned */
};

void erase_set_init(struct erase_set *set, const uint8_t salt[ERASE_SALT_BYTES]);
void erase_set_deinit(struct erase_set *set); /* fine on a zeroed set */
/* Nothing of theirs has gone: no events, or no decisions. */
void erase_set_clear_counts(const struct erase_set *set, bool of_decisions);
/* Room for so many more, so that adding them cannot fail. */
MUST_CHECK enum err_code erase_set_reserve(struct erase_set *set, uint32_t count, struct err *err);
/* Records up to `sequence` go; of two for one key the later counts.  ERR_NOMEM. */
MUST_CHECK enum err_code erase_set_add(struct erase_set *set, const struct erase_key *key,
                                       uint64_t sequence, struct err *err);
/* NULL when the id is not in it, or absent.  What it has gone may be counted there. */
struct erase_set_slot *erase_set_find(const struct erase_set *set, enum erase_kind kind,
                                      struct text id);
/* The same for a key. */
struct erase_set_slot *erase_set_find_key(const struct erase_set *set, const struct erase_key *key);

#endif
