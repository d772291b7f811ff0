/* SPDX-License-Identifier: Apache-2.0 */
/* idmap - maps external ids to dense numbers 0, 1, 2, ... and back.
 *
 * Numbers are never reused, so they can index arrays.  One writer; any number of concurrent
 * readers, wait-free: a reader sees an id either completely or not at all.  An id may be erased:
 * its number stays allocated with an empty text, and the same id added again gets a new number.
 *
 * Ids live in fixed chunks that never move; the hash index (XXH3, linear probing, load at most 3/4)
 * is replaced by a larger one through RCU, so readers stay inside rcu_read_begin/end while calling.
 *
 * Memory per id: its bytes + 1, 8 bytes of address, and an index slot of 4 bytes at a load of 3/8
 * to 3/4, which is 5.3 to 10.7 bytes (see idmap_bytes).  Addresses are allocated 512 KiB at a time
 * and ids 1 MiB at a time, resident only as far as used.  Growing the index rehashes all ids within
 * one idmap_add: the writer stalls, readers do not.
 *
 * Limits: capacity_max ids (at most 2^31), ID_BYTES_MAX bytes per id.
 * Threads: idmap_add, idmap_hide and idmap_wipe on the one writer; the others on any. */
#ifndef BASE_IDMAP_H
#define BASE_IDMAP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"

#define IDMAP_NONE UINT32_MAX

struct idmap;

MUST_CHECK enum err_code idmap_create(uint32_t capacity_max, struct idmap **ret_map,
                                      struct err *err);
void idmap_destroy(struct idmap **map); /* no readers left; NULL is fine */

/* The number of the id, given now if it is new (*ret_added, may be NULL).  ERR_BAD_INPUT when it is
 * not an id, ERR_LIMIT when full, ERR_NOMEM. */
MUST_CHECK enum err_code idmap_add(struct idmap *map, struct text id, uint32_t *ret_number,
                                   bool *ret_added, struct err *err);

/* From now on nobody finds the id, and the text of its number is empty; readers that found it
 * before still see its bytes.  Returns how many these are, for idmap_wipe; 0 when it was hidden
 * already. */
uint32_t idmap_hide(struct idmap *map, uint32_t number);
/* Overwrites the bytes of an id that was hidden, after rcu_wait. */
void idmap_wipe(struct idmap *map, uint32_t number, uint32_t id_bytes);

uint32_t idmap_find(const struct idmap *map, struct text id); /* IDMAP_NONE when unknown */
/* number < idmap_count; .len 0 when it was erased. */
struct text idmap_text(const struct idmap *map, uint32_t number);
/* For the writer, which looks at what comes ahead: the memory of an id is fetched step by step
 * while that of others is, too.  Hints alone: the second step gives a number that is likely the
 * id's, or IDMAP_NONE. */
uint64_t idmap_fetch_slot(const struct idmap *map, struct text id); /* the hash, for the others */
uint32_t idmap_fetch_address(const struct idmap *map, uint64_t hash);
void idmap_fetch_text(const struct idmap *map, uint32_t number); /* one that was given */
uint32_t idmap_count(const struct idmap *map);        /* numbers given, those of erased ids too */
uint32_t idmap_erased_count(const struct idmap *map); /* of these */
uint64_t idmap_bytes(const struct idmap *map);        /* allocated bytes, indexes included */

#endif
