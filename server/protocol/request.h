/* SPDX-License-Identifier: Apache-2.0 */
/* request - one decoded request.  One decoder for every transport: JSON bodies are transcoded to
 * MessagePack first (base/transcode.h).
 *
 * Unknown keys are ignored; wrong types are refused by name ("n: expected 1..200, got 5000"), and
 * so are duplicate keys, in administration operations even unknown ones.  Memory comes only from
 * the worker's arena; all texts point into the request bytes.  Threads: one owner.  Limits: the
 * constants below. */
#ifndef SERVER_PROTOCOL_REQUEST_H
#define SERVER_PROTOCOL_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/money.h"
#include "base/text.h"
#include "server/protocol/ops.h"

#define REQUEST_N_MAX         200
#define REQUEST_N_DEFAULT     20
#define REQUEST_ITEMS_MAX     1000 /* rank, price; candidates of recommend */
#define REQUEST_CART_MAX      100
#define REQUEST_SEEDS_MAX     100 /* recommend seeds, similar items */
#define REQUEST_EXCLUDE_MAX   1000
#define REQUEST_CONTEXT_MAX   32
#define REQUEST_FILTER_MAX    32 /* values of one filter */
#define REQUEST_SLOTS_MAX     16 /* decide */
#define REQUEST_NAMES_MAX     100
#define REQUEST_FEATURES_MAX  64 /* the caller's own features of one item */
#define REQUEST_PAD_BYTES_MAX 65536
#define REQUEST_ID_BYTES_MAX  128
#define REQUEST_KEYS_MAX      64 /* of an operation of administration */

struct request_pair {
    struct text key;
    struct text value;
};

struct request_feature {
    struct text name;
    double value;
};

struct request_item {
    struct text id;
    double score;        /* NaN when not given */
    int64_t qty;         /* 1 when not given */
    int64_t price_minor; /* the caller's list price; INT64_MIN when not given */
    const struct request_feature *features;
    uint32_t feature_count;
};

struct text_list {
    const struct text *ptr; /* in the arena */
    uint32_t count;
};

struct request_filters {
    struct text_list categories; /* empty: any */
    struct text_list brands;
    int64_t min_price_minor; /* INT64_MIN when not given */
    int64_t max_price_minor; /* INT64_MAX when not given */
    bool in_stock;           /* only items known to be in stock or of unknown stock */
};

/* decide: one slot of a page. */
struct request_slot {
    struct text slot;
    uint32_t n;
    struct text_list seeds, exclude;
    bool has_filters; /* of its own; else those of the request hold */
    struct request_filters filters;
};

enum request_ack { REQUEST_ACK_DEFAULT, REQUEST_ACK_MEMORY, REQUEST_ACK_DISK };

struct request {
    enum op op;
    struct text id_raw; /* the MessagePack value of `id`, echoed as it is; .ptr NULL: none */
    struct text token;
    uint64_t budget_us; /* 0 with has_budget: expired */
    bool has_budget;
    struct text user, anon, session, slot, query;
    uint32_t n;             /* 1..REQUEST_N_MAX; rank: 0 means all */
    struct text_list seeds; /* recommend: seeds; similar: items */
    struct text_list exclude;
    struct text_list names;           /* features */
    struct text feature_item;         /* features of an item */
    struct text why_not;              /* recommend: tell what became of this item */
    const struct request_item *items; /* rank, price */
    uint32_t item_count;
    const struct request_item *cart; /* recommend */
    uint32_t cart_count;
    const struct request_item *candidates; /* recommend: the caller's own */
    uint32_t candidate_count;
    const struct request_slot *slots; /* decide */
    uint32_t slot_count;
    const struct request_pair *context;
    uint32_t context_count;
    struct request_filters filters;
    currency_code currency;
    bool want_price, explain;
    bool detail;            /* features: with status and time */
    struct text events_raw; /* the MessagePack array of events */
    enum request_ack ack;
    bool has_strict, strict; /* events */
    int64_t sent_at_ms;      /* events; 0: not given */
    uint32_t pad_bytes;      /* ping: a text of that many bytes is sent back under "pad" */
    struct text body_raw;    /* the whole map, for admin operations to read further keys from */
};

/* ERR_BAD_INPUT, ERR_LIMIT, ERR_NOT_FOUND (unknown op), ERR_NOMEM (arena full).  What was read
 * before the failure (op, id_raw) is in *ret_request, so that the error reply can echo it;
 * `ret_field` names the offending key ("" when there is none). */
#define REQUEST_FIELD_BYTES 64
MUST_CHECK enum err_code request_decode(const uint8_t *bytes, size_t len, struct arena *arena,
                                        struct request *ret_request,
                                        char ret_field[REQUEST_FIELD_BYTES], struct err *err);

/* For admin operations: one key of the body.  False when absent; *ret_ok false on a wrong type. */
bool request_body_text(const struct request *request, const char *key, struct text *ret_value,
                       bool *ret_ok);
bool request_body_int(const struct request *request, const char *key, int64_t *ret_value,
                      bool *ret_ok);
bool request_body_real(const struct request *request, const char *key, double *ret_value,
                       bool *ret_ok); /* integers too */
bool request_body_bool(const struct request *request, const char *key, bool *ret_value,
                       bool *ret_ok);
bool request_body_bin(const struct request *request, const char *key, struct text *ret_value,
                      bool *ret_ok);

#endif
