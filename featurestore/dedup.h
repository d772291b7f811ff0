/* SPDX-License-Identifier: Apache-2.0 */
/* dedup - the event ids that were seen last.
 *
 * Keeps 64-bit hashes of the newest `capacity` ids, oldest dropped first, and none that came more
 * than `window_s` before the newest.  Two different ids share a hash with a chance of capacity /
 * 2^64 for each event, which is below 10^-12 at ten million.  Times are seconds, of arrival.
 * Memory: 18 to 24 bytes an id, allocated at creation.  Threads: one owner. */
#ifndef FEATURESTORE_DEDUP_H
#define FEATURESTORE_DEDUP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"

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
/* Forgets an id; its place stays, so that the others are forgotten when they would have been. */
void dedup_erase(struct dedup *dedup, uint64_t key);
/* What dedup_add and dedup_erase of the same id leave. */
void dedup_add_erased(struct dedup *dedup, uint32_t now_s);
/* When the oldest id came that is remembered; 0 without any. */
uint32_t dedup_oldest_s(const struct dedup *dedup);

/* Of what is remembered, in its order. */
uint64_t dedup_hash(const struct dedup *dedup);

#endif
