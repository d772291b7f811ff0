/* SPDX-License-Identifier: Apache-2.0 */
/* event_write - encodes events for the store's log, where the record differs from the event
 * received.
 *
 * `ts` is already corrected, so such a record has a skew of 0.
 * Threads: no state.  Lack of room shows as overflow of the pack. */
#ifndef FEATURESTORE_EVENT_WRITE_H
#define FEATURESTORE_EVENT_WRITE_H

#include "base/pack.h"
#include "featurestore/event.h"

void event_write_pair(struct pack *pack, const char *key, struct text value);

/* A consent event, whatever the event was: who, and what they allow and deny. */
void event_write_consent(struct pack *pack, const struct event *event);

/* forget, with the ids that it reaches.  Without id, user and anon: what is left of one when it is
 * done. */
struct event_forget {
    struct text id, user, anon; /* .ptr NULL: left out */
    int64_t ts_ms;
    uint32_t anon_count, shared_count;
    struct text anons[EVENT_FORGET_IDS_MAX], shared[EVENT_FORGET_IDS_MAX];
};
void event_write_forget(struct pack *pack, const struct event_forget *forget);

/* What is left of the event of somebody who was erased: type, time, items with quantity, price and
 * position, currency, total, list and the key of the query (feature_query_key).  With `keeps_anon`,
 * and when the event has them, also the anonymous id and the consent that was given with it. */
void event_write_erased(struct pack *pack, const struct event *event, bool keeps_anon);

#endif
