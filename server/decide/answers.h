/* SPDX-License-Identifier: Apache-2.0 */
/* answers - the last good answer of each person and slot, for the level `cached`.
 *
 * A fixed table of buckets; a bucket is guarded by a flag that is tried once, so that neither
 * reader nor writer ever waits: a reader that meets a writer sees a miss, a writer that meets
 * another skips. The key is a 64-bit hash of person and slot, checked in full.  Threads: any.
 * Memory: fixed at creation, about 104 bytes an entry. */
#ifndef SERVER_DECIDE_ANSWERS_H
#define SERVER_DECIDE_ANSWERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define ANSWERS_ITEMS_MAX 20

struct answers;

MUST_CHECK enum err_code answers_create(uint32_t entry_count, struct answers **ret_answers,
                                        struct err *err);
void answers_destroy(struct answers **answers);

/* `person`: by which hash they may be forgotten. */
void answers_put(struct answers *answers, uint64_t key, uint64_t person, const uint32_t *items,
                 uint32_t count);
/* The number of items copied, 0 for a miss. */
uint32_t answers_get(struct answers *answers, uint64_t key, uint32_t ret_items[ANSWERS_ITEMS_MAX]);

/* Not on the hot path: looks through all of them. */
void answers_forget(struct answers *answers, uint64_t person);

#endif
