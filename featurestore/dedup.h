/* SPDX-License-Identifier: Apache-2.0 */
/* dedup - remembers the most recent event ids, to detect duplicates.
 *
 * Keeps 64-bit hashes of the newest `capacity` ids, dropping the oldest first, and none that
 * arrived more than `window_s` before the newest.  The probability of a false duplicate is capacity
 * / 2^64 per event, below 10^-12 at ten million.  Times are seconds, of arrival. Memory: 18 to 24
 * bytes per id, allocated at creation.  Threads: one owner. */
#ifndef FEATURESTORE_DEDUP_H
#define FEATURESTORE_DEDUP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"

#define DEDUP_EVENTS_MAX 10000000u /* of the capacity that the store allows */

struct dedup;

/* capacity 0 remembers nothing; window_s 0 is without end. */
MUST_CHECK enum err_code dedup_create(uint32_t capacity, uint32_t window_s,
                                      struct dedup **ret_dedup, struct err *err);
void dedup_destroy(struct dedup **dedup);

bool dedup_has(const struct dedup *dedup, struct text id, uint32_t now_s);
/* It is not there yet, as of now_s.  What is too old by then is forgotten. */
void dedup_add(struct dedup *dedup, struct text id, uint32_t now_s);
/* Hints for ids that come ahead: the memory that the two above look at first, and then second. */
uint64_t dedup_fetch_slot(const struct dedup *dedup, struct text id); /* the hash, for the other */
void dedup_fetch_place(const struct dedup *dedup, uint64_t hash);
/* What dedup_add keeps of an id. */
uint64_t dedup_key(struct text id);
/* Adds what is kept of an id, as dedup_at gives it: 0 for one that was erased. */
void dedup_add_key(struct dedup *dedup, uint64_t key, uint32_t now_s);
/* Forgets an id; its place stays, so that the others are forgotten when they would have been. */
void dedup_erase(struct dedup *dedup, uint64_t key);
/* What dedup_add and dedup_erase of the same id leave. */
void dedup_add_erased(struct dedup *dedup, uint32_t now_s);
/* When the oldest id came that is remembered; 0 without any. */
uint32_t dedup_oldest_s(const struct dedup *dedup);

/* Where ids stand: in `count` places before `next`, the first one behind the last. */
struct dedup_span {
    uint32_t capacity, count, next;
};
struct dedup_span dedup_span(const struct dedup *dedup);
/* What is kept at that place, also when it is not remembered any more. */
uint64_t dedup_at(const struct dedup *dedup, uint32_t place, uint32_t *ret_time_s);

/* Of what is remembered, in its order. */
uint64_t dedup_hash(const struct dedup *dedup);

#endif
