/* SPDX-License-Identifier: Apache-2.0 */
/* event_read - typed reads of one value of an event, with error messages.
 *
 *   event.c         the event itself, and what its type requires
 *   event_items.c   items, and attributes
 *   event_consent.c consent
 *   event_keys.c    keys that appear twice
 *
 * Shared by these and event_read.c only.  On failure a read leaves its output unchanged and puts
 * "FIELD: expected ..., got ..." into err.  Threads: one owner. */
#ifndef FEATURESTORE_EVENT_READ_H
#define FEATURESTORE_EVENT_READ_H

#include "featurestore/event.h"

/* One event while it is read. */
struct event_read {
    struct cursor cursor; /* stands before the next value */
    const struct event_rules *rules;
    struct arena *arena;
    struct event *event;
    uint32_t given; /* bit by enum event_key */
    /* Read last: what they may hold depends on the type. */
    struct text items_raw, attributes_raw, consent_raw, anons_raw, shared_raw;
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
/* A map, with all that is in it, as bytes; a key that appears twice in it, at any depth, is
 * refused. */
MUST_CHECK enum err_code event_read_map(struct event_read *read, const char *field,
                                        struct text *ret_bytes);

/* ---- event_keys.c */
/* Of a checked value: ERR_BAD_INPUT when a map in it, at any depth, has a key twice; ERR_NOMEM. */
MUST_CHECK enum err_code event_check_keys(const struct event_read *read, const char *field,
                                          struct text raw);

/* Of an event that is nested so deep: ERR_LIMIT names the first field that is too deep. */
MUST_CHECK enum err_code event_check_depth(const struct event_read *read, uint32_t depth);

/* The keys of one map; `name` holds at most 32. */
struct event_keys {
    const char *field; /* whose keys they are, for messages */
    const struct text *name;
    uint32_t count;
    uint32_t seen; /* bit by place in `name` */
};

/* The next key: its place among the names, or `count` when it is none of them, which is counted, or
 * refused by a strict reader.  A known key that came before is refused. */
MUST_CHECK enum err_code event_read_key(struct event_read *read, struct event_keys *keys,
                                        uint32_t *ret_key);

/* ---- event_consent.c */
MUST_CHECK enum err_code event_read_consent(struct event_read *read);

/* ---- event_items.c */
/* What `items_raw` holds, which is an array. */
MUST_CHECK enum err_code event_read_items(struct event_read *read);
/* Texts to texts, numbers and booleans; kept as they are. */
MUST_CHECK enum err_code event_read_attributes(struct event_read *read, const char *field,
                                               struct text *ret_bytes);

#endif
