/* SPDX-License-Identifier: Apache-2.0 */
/* event_read - typed reads of one value of an event, with the message for what is wrong.
 *
 * Shared by event.c and event_read.c only.  Each read leaves its output alone on failure and puts
 * "FIELD: expected ..., got ..." into err.  Threads: one owner. */
#ifndef FEATURESTORE_EVENT_READ_H
#define FEATURESTORE_EVENT_READ_H

#include "featurestore/event.h"

/* One event while it is read. */
struct event_read {
    struct cursor cursor; /* stands before the next value */
    struct arena *arena;
    struct event *event;
    struct text items_raw; /* read last: what an item may hold depends on the type */
    struct err *err;
};

MUST_CHECK enum err_code event_wrong_kind(const struct event_read *read, const char *field,
                                          const char *expected);
MUST_CHECK enum err_code event_out_of_range(const struct event_read *read, const char *field,
                                            const char *unit, int64_t min, int64_t max,
                                            int64_t got);

MUST_CHECK enum err_code event_read_text(struct event_read *read, const char *field,
                                         uint32_t min_bytes, uint32_t max_bytes,
                                         struct text *ret_value);
MUST_CHECK enum err_code event_read_id(struct event_read *read, const char *field,
                                       uint32_t max_bytes, struct text *ret_value);
MUST_CHECK enum err_code event_read_int(struct event_read *read, const char *field, int64_t min,
                                        int64_t max, int64_t *ret_value);
/* A map, with all that is in it, as bytes. */
MUST_CHECK enum err_code event_read_map(struct event_read *read, const char *field,
                                        struct text *ret_bytes);

/* The keys of one map; `name` holds at most 32. */
struct event_keys {
    const char *field; /* whose keys they are, for messages */
    const struct text *name;
    uint32_t count;
    uint32_t seen; /* bit by place in `name` */
};

/* The next key: its place among the names, or `count` when it is none of them.  A known key that
 * came before is refused. */
MUST_CHECK enum err_code event_read_key(struct event_read *read, struct event_keys *keys,
                                        uint32_t *ret_key);

#endif
