/* SPDX-License-Identifier: Apache-2.0 */
/* decision_record - reads one logged decision: the request, the items shown, and the ranker's
 * features of each item.
 *
 * A record is one MessagePack map in a log of the kind "decision" (featurestore/event_log.h), whose
 * header has the checksum; docs/decision-log.md lists its keys.  Per-item values are stored as
 * columns as long as `items`, so that each name is stored once.  Written by
 * server/decide/decision_write.c.  Unknown keys are ignored, so that later versions may add some.
 *
 * Threads: no state.  All pointers are borrowed from the bytes.  Limits: DECISION_RECORD_BYTES_MAX.
 */
#ifndef FEATURESTORE_DECISION_RECORD_H
#define FEATURESTORE_DECISION_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cursor.h"
#include "base/err.h"
#include "base/text.h"

#define DECISION_RECORD_VERSION   1
#define DECISION_RECORD_BYTES_MAX (192 * 1024) /* fits into a reply of `export` */

struct decision_record {
    struct text decision; /* a ULID */
    int64_t ts_ms;
    struct text op, level, policy;
    struct text slot, user, anon, session, reason, ranker; /* .ptr NULL: absent */
    uint32_t model_count, item_count, name_count;
    struct cursor models, names;                                       /* at the first text */
    struct cursor items, scores, prices, currencies, features, ranked; /* at the next; .at NULL:
                                                                          absent */
    uint32_t next_position;
};

/* Checks all of it.  ERR_CORRUPT: "scores: expected 3 values, got 2"; ERR_UNSUPPORTED for another
 * version. */
MUST_CHECK enum err_code decision_record_read(struct text bytes, struct decision_record *ret_record,
                                              struct err *err);

struct decision_record_item {
    uint32_t position; /* 1 is the first */
    struct text item;
    double score;
    double ranked; /* the ranker's own score, before boosts; NaN: not logged */
    bool has_price, has_features;
    int64_t price_minor;
    struct text currency;   /* .ptr NULL: not known */
    struct cursor features; /* name_count values: numbers, nil for what was not known */
};

/* The next item as it was shown; false behind the last. */
bool decision_record_next(struct decision_record *record, struct decision_record_item *ret_item);

#endif
