/* SPDX-License-Identifier: Apache-2.0 */
/* event_rig - one event at a time through the decoder, from JSON or from packed bytes. */
#ifndef TESTS_SUPPORT_EVENT_RIG_H
#define TESTS_SUPPORT_EVENT_RIG_H

#include "base/pack.h"
#include "featurestore/event.h"

#define EVENT_RIG_ARRIVAL_MS INT64_C(1700000000000)

struct event_rig {
    struct arena arena;
    uint8_t bytes[1 << 20]; /* of the event that was decoded last */
    size_t len;
    struct err err;
    struct event_rules rules; /* lenient, unless the test says otherwise */
};

void event_rig_create(struct event_rig *rig);
void event_rig_destroy(struct event_rig *rig);
enum err_code event_rig_decode(struct event_rig *rig, const char *json, struct event *ret_event);
/* Begins a view in `bytes`, up to the value of `key`, which is its last; then `len` is to be set.
 */
struct pack event_rig_pack_view(struct event_rig *rig, const char *key);
/* What is in `bytes`. */
enum err_code event_rig_decode_packed(struct event_rig *rig, struct event *ret_event);
/* With that code and that text, and nothing is written. */
void event_rig_assert_refused(struct event_rig *rig, const char *json, enum err_code code,
                              const char *text);
/* Pairs of a raw map that is all of `raw`. */
uint32_t event_rig_map_count(struct event_rig *rig, struct text raw);

#define VIEW(rest) "{\"id\":\"e\",\"type\":\"view\",\"user\":\"u\"," rest "}"

#define ITEM(rest) VIEW("\"items\":[{\"id\":\"i\"," rest "}]")

#define UPSERT(rest) "{\"id\":\"e\",\"type\":\"item_upsert\",\"items\":[{\"id\":\"i\"," rest "}]}"

#endif
