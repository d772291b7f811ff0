/* SPDX-License-Identifier: Apache-2.0 */
/* event_ids - which event ids came before, by their 64-bit hashes.
 *
 * Two ids with one hash count as one: among a hundred million events that happens to some pair
 * with a probability of 1 in 3,000.  Memory: 8 bytes a place, at most 3/4 of which are taken.
 * Threads: one owner. */
#ifndef TOOLS_TRAIN_EVENT_IDS_H
#define TOOLS_TRAIN_EVENT_IDS_H

#include <stdbool.h>

#include "base/err.h"
#include "base/text.h"

struct event_ids;

MUST_CHECK enum err_code event_ids_create(struct event_ids **ret_ids, struct err *err);
void event_ids_destroy(struct event_ids **ids); /* NULL is fine */

/* *ret_added is false for an id that came before. */
MUST_CHECK enum err_code event_ids_add(struct event_ids *ids, struct text id, bool *ret_added,
                                       struct err *err);

#endif
