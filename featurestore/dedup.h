/* SPDX-License-Identifier: Apache-2.0 */
/* dedup - the event ids that were seen last.
 *
 * Keeps 64-bit hashes of the newest `capacity` ids, oldest dropped first.  Two different ids share
 * a hash with a chance of capacity / 2^64 for each event, which is below 10^-12 at ten million.
 * Memory: 14 to 20 bytes an id, allocated at creation.  Threads: one owner. */
#ifndef FEATURESTORE_DEDUP_H
#define FEATURESTORE_DEDUP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"

struct dedup;

/* capacity 0 remembers nothing. */
MUST_CHECK enum err_code dedup_create(uint32_t capacity, struct dedup **ret_dedup, struct err *err);
void dedup_destroy(struct dedup **dedup);

bool dedup_has(const struct dedup *dedup, struct text id);
void dedup_add(struct dedup *dedup, struct text id); /* not there yet */

/* Of what is remembered, in its order. */
uint64_t dedup_hash(const struct dedup *dedup);

#endif
