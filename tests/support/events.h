/* SPDX-License-Identifier: Apache-2.0 */
/* events - batches of events for tests, in the form that store_submit takes.
 *
 * Every event gets an id of its own ("e1", "e2", ...) unless its JSON names one.  What does not fit
 * or is no JSON aborts the program with a message. */
#ifndef TESTS_SUPPORT_EVENTS_H
#define TESTS_SUPPORT_EVENTS_H

#include <stddef.h>
#include <stdint.h>

#include "base/pack.h"
#include "featurestore/store_internal.h"

struct events {
    struct pack pack;
    size_t mark;
    uint32_t count;    /* in the batch */
    uint64_t id_count; /* ids given so far, over all batches */
    uint8_t bytes[500000];
};

void events_begin(struct events *events); /* an empty batch; a zeroed struct is fine */

/* One event of a user with one item. */
void events_add(struct events *events, const char *type, const char *user, const char *item,
                int64_t ts_ms);

/* Any event: a JSON object. */
void events_add_json(struct events *events, const char *json);

/* Closes the batch: the bytes are events->bytes. */
size_t events_end(struct events *events);

/* Applies a batch of `len` bytes as one that arrives then, on this thread; store->result says what
 * became of it. */
void events_apply(struct store *store, const struct events *events, size_t len, int64_t arrival_ms);

#endif
