/* SPDX-License-Identifier: Apache-2.0 */
/* answers - the last good answer for each person and slot, for the level `cached`.
 *
 * A fixed table of buckets.  Each bucket has a lock flag that is tried only once, so that nobody
 * ever waits: on contention a reader sees a miss and a writer skips.  The key is a 64-bit hash of
 * person and slot, compared in full.
 * Threads: any.  Memory: fixed at creation, about 104 bytes per entry. */
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

/* `person`: a hash of the person, for answers_forget. */
void answers_put(struct answers *answers, uint64_t key, uint64_t person, const uint32_t *items,
                 uint32_t count);
/* Returns the number of items copied; 0: a miss. */
uint32_t answers_get(struct answers *answers, uint64_t key, uint32_t ret_items[ANSWERS_ITEMS_MAX]);

/* Not for the hot path: scans the whole table. */
void answers_forget(struct answers *answers, uint64_t person);

#endif
