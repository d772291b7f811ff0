/* SPDX-License-Identifier: Apache-2.0 */
/* event - the schema of shop events, and its decoder.
 *
 * One event is one MessagePack map:
 *   {id, type, ts?, user?, anon?, session?, decision?, items:[{id, qty?, price?, pos?}], currency?,
 *    total?, order?, query?, list?, props?{}}
 * Money is integer minor units.  `ts` is milliseconds since the epoch or RFC 3339 text; absent
 * means the time of arrival.  item_upsert carries the catalogue in `items`: {id, title?, category?,
 * brand?, price?, cost?, stock?, attributes?{}} with `currency` beside it; an absent key
 * leaves the stored value.  user_upsert carries `attributes`{} of a user; identify says
 * that `anon` is `user`, or with `undo` that it is not; consent, and `consent`{} of any shopper's
 * event, what a person allows.  A type that is not in the list below is written `custom:NAME`.
 * Wrong types and keys that are given twice are refused by name.
 *
 * Strictness: a lenient decoder counts and drops unknown keys, and ignores keys that do not belong
 * to the type; a strict one refuses both by name, and also amounts without a currency.
 *
 * Socket, HTTP, imports and training all use this decoder, so an event means the same everywhere.
 * Threads: no state.  A decoded event borrows from the bytes and from the arena. */
#ifndef FEATURESTORE_EVENT_H
#define FEATURESTORE_EVENT_H

#include <stdint.h>

#include "base/arena.h"
#include "base/cursor.h"
#include "base/err.h"
#include "base/money.h"
#include "base/text.h"

#define EVENT_BYTES_MAX            32768
#define EVENT_RECORD_BYTES_MAX     (EVENT_BYTES_MAX + 64) /* of one that was erased */
#define EVENT_DEPTH_MAX            6 /* arrays and maps in each other, the event included */
#define EVENT_ITEMS_MAX            500
#define EVENT_BATCH_BYTES_MAX      500000
#define EVENT_BATCH_MAX            2000
#define EVENT_ID_BYTES_MAX         64
#define EVENT_TITLE_BYTES_MAX      256
#define EVENT_ATTRIBUTES_BYTES_MAX 4096
#define EVENT_FUTURE_MS_MAX        (5 * 60 * 1000) /* later than this after arrival is refused */
#define EVENT_TS_MS_MAX            (INT64_C(1000) * UINT32_MAX) /* 2106: seconds in 32 bits */
#define EVENT_SKEW_MS_MAX          (INT64_C(7) * 86400000)      /* of a caller's clock */
#define EVENT_CUSTOM_PREFIX        "custom:"
#define EVENT_CUSTOM_BYTES_MAX     64 /* of the name behind it: a-z 0-9 _ . - */

/* name, what it counts as (see enum event_class); the log holds their places in this list */
#define EVENT_TYPES(X)    \
    X(impression, NONE)   \
    X(click, VIEW)        \
    X(view, VIEW)         \
    X(list_view, NONE)    \
    X(search, NONE)       \
    X(cart_add, CART)     \
    X(cart_remove, NONE)  \
    X(cart_view, NONE)    \
    X(checkout, NONE)     \
    X(purchase, PURCHASE) \
    X(refund, NONE)       \
    X(wish_add, CART)     \
    X(wish_remove, NONE)  \
    X(promo_view, NONE)   \
    X(promo_click, NONE)  \
    X(rate, NONE)         \
    X(dislike, DISLIKE)   \
    X(share, VIEW)        \
    X(identify, NONE)     \
    X(item_upsert, NONE)  \
    X(item_delete, NONE)  \
    X(user_upsert, NONE)  \
    X(consent, NONE)      \
    X(forget, NONE)       \
    X(custom, NONE)

/* What a person allows or denies. */
#define EVENT_CONSENTS(X) X(process) X(personalize) X(measure) X(train) X(ads) X(share)

enum event_consent {
#define X(name) CONSENT_##name,
    EVENT_CONSENTS(X)
#undef X
        CONSENT_COUNT
};
#define CONSENT_BIT(name) (1u << CONSENT_##name)
#define CONSENT_ALL       ((1u << CONSENT_COUNT) - 1)

enum event_type {
#define X(name, class) EVENT_##name,
    EVENT_TYPES(X)
#undef X
        EVENT_TYPE_COUNT
};

/* What an event says about a person's relation to an item. */
enum event_class {
    EVENT_CLASS_VIEW,
    EVENT_CLASS_CART,
    EVENT_CLASS_PURCHASE,
    EVENT_CLASS_DISLIKE,
    EVENT_CLASS_NONE
};
#define EVENT_COUNTED_CLASSES 3 /* VIEW, CART, PURCHASE are counted per item and window */

#define EVENT_ABSENT INT64_MIN

struct event_item {
    struct text id;
    int64_t qty;         /* 1 when absent; 1..1000000 */
    int64_t price_minor; /* EVENT_ABSENT when not given */
    int64_t pos;         /* EVENT_ABSENT when not given; 0..100000 */
    /* item_upsert only; .ptr == NULL and EVENT_ABSENT mean "leave as it is" */
    struct text title, category, brand;
    int64_t cost_minor;
    int64_t stock;          /* +-10^9; below 0 is owed to customers */
    struct text attributes; /* MessagePack map of text to text, number or bool; raw bytes */
};

struct event {
    struct text id; /* 1..64 bytes: the idempotency key */
    enum event_type type;
    struct text custom; /* EVENT_custom: the name behind the prefix */
    int64_t ts_ms;      /* with the skew added */
    struct text user, anon, session, decision, order, query, list;
    struct event_item *items; /* in the arena */
    uint32_t item_count;
    currency_code currency;
    int64_t total_minor;    /* EVENT_ABSENT when not given */
    struct text props;      /* raw MessagePack map; .ptr NULL when absent */
    struct text attributes; /* user_upsert: as those of an item */
    bool undo;              /* identify */
    /* Bits by enum event_consent; what is in neither stays as it is. */
    uint8_t consent_allowed, consent_denied;
    uint32_t dropped; /* keys that nobody knows */
    /* Of a record: the person was erased.  It has no id, counts for nobody and only what is left of
     * it happens; `anon` is not who did it, but who gave or took consent with it. */
    bool erased;
    /* forget, in a record: the anonymous ids that go with the person, and those that stay and were
     * the person's, too; each at the first text. */
    struct cursor anons, shared;
    uint32_t anon_count, shared_count;
};

#define EVENT_FORGET_IDS_MAX 128 /* in each of the two */

/* How an event is judged. */
enum event_strictness {
    EVENT_STORED, /* it was accepted once: its form alone counts */
    EVENT_LENIENT,
    EVENT_STRICT
};

struct event_rules {
    enum event_strictness strictness;
    int64_t arrival_ms;
    int64_t skew_ms;    /* by how much the caller's clock is behind: added to `ts` */
    int64_t age_ms_max; /* older events are refused; 0: none is */
    bool erased;        /* EVENT_STORED: see there */
};

const char *event_type_name(enum event_type type); /* "custom" for all of them */
/* "custom:NAME" is EVENT_custom when the name is a good one. */
bool event_type_parse(struct text name, enum event_type *ret_type);
enum event_class event_type_class(enum event_type type);

/* What stands between "line 3, " and a message of event_decode: "field ", or nothing when the event
 * as a whole is at fault. */
const char *event_fault_prefix(const struct err *err);

/* What the record of it would say if its person had been erased: nothing of a person.  The query
 * stays as it is; features see its key alone (feature_query_key), which the record has. */
void event_make_nameless(struct event *event);

/* Reads one event; the cursor stands behind it afterwards, also after a refusal.  Bytes must have
 * passed cursor_check.  ERR_BAD_INPUT with the field first in the text: "ts: expected milliseconds
 * or RFC 3339 text, got a map"; ERR_LIMIT "items: 501 of at most 500", "props: nested
 * deeper than 5 levels"; ERR_STALE when it is too
 * old; ERR_NOMEM when the arena is full.  Shoppers' events need user or anon. */
MUST_CHECK enum err_code event_decode_by(struct cursor *cursor, const struct event_rules *rules,
                                         struct arena *arena, struct event *ret_event,
                                         struct err *err);

/* The same, leniently, for an event that arrives then. */
MUST_CHECK enum err_code event_decode(struct cursor *cursor, int64_t arrival_ms,
                                      struct arena *arena, struct event *ret_event,
                                      struct err *err);

#endif
