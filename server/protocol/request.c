/* SPDX-License-Identifier: Apache-2.0 */
#include "server/protocol/request.h"

#include <math.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/cursor.h"
#include "server/protocol/request_read.h"

/* One reader for each key of the wire; a key means the same in every operation. */
/* clang-format off */
#define KEYS(X) \
    X(op) X(id) X(token) X(budget_us) X(user) X(anon) X(session) X(slot) X(query) X(n) X(seeds) \
    X(items) X(item) X(exclude) X(names) X(context) X(filters) X(currency) X(price) X(explain) \
    X(events) X(ack) X(strict) X(sent_at) X(pad) X(detail) X(why_not) X(slots) X(cart) X(candidates)
/* clang-format on */

enum key {
#define X(name) KEY_##name,
    KEYS(X)
#undef X
        KEY_COUNT
};

static enum key key_parse(struct text text)
{
    static const struct text names[KEY_COUNT] = {
#define X(name) {#name, sizeof(#name) - 1},
        KEYS(X)
#undef X
    };
    for (uint32_t i = 0; i < KEY_COUNT; i++) {
        if (text_equal(names[i], text))
            return (enum key)i;
    }
    return KEY_COUNT;
}

static enum err_code read_op(struct request_read *read, struct request *request)
{
    struct text name;
    enum err_code rc = read_text(read, "op", 1, 64, &name);
    if (rc != ERR_OK)
        return rc;
    for (uint32_t i = 0; i < OP_COUNT; i++) {
        if (text_is(name, op_name((enum op)i))) {
            request->op = (enum op)i;
            return ERR_OK;
        }
    }
    return read_fail(read, ERR_NOT_FOUND, "op: there is no operation of that name");
}

static enum err_code read_echo_id(struct request_read *read, struct request *request)
{
    enum cursor_kind kind = cursor_peek(&read->cursor);
    if (kind == CURSOR_ARRAY || kind == CURSOR_MAP || kind == CURSOR_BIN)
        return read_kind(read, "id", "a text or a number", kind);
    struct text raw;
    cursor_skip(&read->cursor, &raw);
    if (raw.len > REQUEST_ID_BYTES_MAX)
        return read_fail(read, ERR_LIMIT, "id: longer than 128 bytes");
    request->id_raw = raw;
    return ERR_OK;
}

static enum err_code read_ack(struct request_read *read, struct request *request)
{
    struct text ack;
    enum err_code rc = read_text(read, "ack", 1, 16, &ack);
    if (rc == ERR_OK && !text_is(ack, "memory") && !text_is(ack, "disk"))
        rc = read_fail(read, ERR_BAD_INPUT, "ack: expected 'memory' or 'disk'");
    if (rc == ERR_OK)
        request->ack = text_is(ack, "disk") ? REQUEST_ACK_DISK : REQUEST_ACK_MEMORY;
    return rc;
}

static enum err_code read_events(struct request_read *read, struct request *request)
{
    enum cursor_kind kind = cursor_peek(&read->cursor);
    if (kind != CURSOR_ARRAY)
        return read_kind(read, "events", "an array", kind);
    cursor_skip(&read->cursor, &request->events_raw);
    return ERR_OK;
}

static enum err_code read_strict(struct request_read *read, struct request *request)
{
    request->has_strict = true;
    return read_bool(read, "strict", &request->strict);
}

static enum err_code read_sent_at(struct request_read *read, struct request *request)
{
    struct text iso;
    int64_t value = 0;
    bool is_time = cursor_int(&read->cursor, &value);
    if (!is_time && cursor_text(&read->cursor, &iso))
        is_time = clock_parse_iso(iso.ptr, iso.len, &value);
    if (!is_time || value <= 0)
        return read_fail(read, ERR_BAD_INPUT,
                         "sent_at: expected milliseconds since the epoch or RFC 3339 text");
    request->sent_at_ms = value;
    return ERR_OK;
}

static enum err_code read_budget(struct request_read *read, struct request *request)
{
    int64_t value = 0;
    enum err_code rc = read_int(read, "budget_us", 0, INT64_C(3600000000), &value);
    request->budget_us = (uint64_t)value;
    request->has_budget = rc == ERR_OK;
    return rc;
}

static enum err_code read_currency(struct request_read *read, struct request *request)
{
    struct text text;
    enum err_code rc = read_text(read, "currency", 3, 3, &text);
    if (rc == ERR_OK && !currency_parse(text, &request->currency))
        rc = read_fail(read, ERR_BAD_INPUT, "currency: expected three capital letters of ISO 4217");
    else if (rc == ERR_OK && !currency_is_known(request->currency))
        rc = read_fail(read, ERR_BAD_INPUT, "currency: no code of ISO 4217");
    return rc;
}

static enum err_code read_count(struct request_read *read, const char *name, int64_t min,
                                int64_t max, uint32_t *ret_value)
{
    int64_t value = 0;
    enum err_code rc = read_int(read, name, min, max, &value);
    if (rc == ERR_OK)
        *ret_value = (uint32_t)value;
    return rc;
}

/* `items` is a list of ids for similar, and a list of maps (or ids) for rank and price. */
static enum err_code read_items_of(struct request_read *read, struct request *request)
{
    if (request->op == OP_similar)
        return read_ids(read, "items", REQUEST_SEEDS_MAX, &request->seeds);
    return read_items(read, REQUEST_LIST_ITEMS, &request->items, &request->item_count);
}

static enum err_code read_value(struct request_read *read, enum key key, struct request *request)
{
    switch (key) {
    case KEY_id: return read_echo_id(read, request);
    case KEY_token: return read_text(read, "token", 1, 4096, &request->token);
    case KEY_budget_us: return read_budget(read, request);
    case KEY_user: return read_id(read, "user", &request->user);
    case KEY_anon: return read_id(read, "anon", &request->anon);
    case KEY_session: return read_id(read, "session", &request->session);
    case KEY_slot: return read_id(read, "slot", &request->slot);
    case KEY_query: return read_text(read, "query", 0, 1024, &request->query);
    case KEY_n: return read_count(read, "n", 1, REQUEST_N_MAX, &request->n);
    case KEY_seeds: return read_ids(read, "seeds", REQUEST_SEEDS_MAX, &request->seeds);
    case KEY_items: return read_items_of(read, request);
    case KEY_item: return read_id(read, "item", &request->feature_item);
    case KEY_exclude: return read_ids(read, "exclude", REQUEST_EXCLUDE_MAX, &request->exclude);
    case KEY_names: return read_ids(read, "names", REQUEST_NAMES_MAX, &request->names);
    case KEY_context: return read_context(read, request);
    case KEY_filters: return read_filters(read, &request->filters);
    case KEY_currency: return read_currency(read, request);
    case KEY_price: return read_bool(read, "price", &request->want_price);
    case KEY_explain: return read_bool(read, "explain", &request->explain);
    case KEY_why_not: return read_id(read, "why_not", &request->why_not);
    case KEY_slots: return read_slots(read, request);
    case KEY_cart: return read_items(read, REQUEST_LIST_CART, &request->cart, &request->cart_count);
    case KEY_candidates:
        return read_items(read, REQUEST_LIST_CANDIDATES, &request->candidates,
                          &request->candidate_count);
    case KEY_detail: return read_bool(read, "detail", &request->detail);
    case KEY_events: return read_events(read, request);
    case KEY_ack: return read_ack(read, request);
    case KEY_strict: return read_strict(read, request);
    case KEY_sent_at: return read_sent_at(read, request);
    case KEY_pad: return read_count(read, "pad", 0, REQUEST_PAD_BYTES_MAX, &request->pad_bytes);
    case KEY_op:
    case KEY_COUNT: break;
    }
    cursor_skip(&read->cursor, NULL);
    return ERR_OK;
}

/* `op` and `id` first, wherever they stand: `items` depends on the one, error replies on the other.
 */
static enum err_code read_head(struct request_read *read, struct request *request)
{
    struct cursor start = read->cursor;
    uint32_t pair_count = 0;
    bool has_op = false;
    enum err_code rc = ERR_OK;
    if (!cursor_map(&read->cursor, &pair_count))
        return read_kind(read, "request", "a map", cursor_peek(&read->cursor));
    for (uint32_t i = 0; i < pair_count; i++) {
        struct text name;
        if (!cursor_text(&read->cursor, &name))
            return read_kind(read, "request", "keys of text", cursor_peek(&read->cursor));
        enum err_code one = ERR_OK;
        if (text_is(name, "op")) {
            has_op = true;
            one = read_op(read, request);
        } else if (text_is(name, "id")) {
            one = read_echo_id(read, request);
        } else {
            cursor_skip(&read->cursor, NULL);
        }
        if (one == ERR_BAD_INPUT || one == ERR_LIMIT)
            return one; /* the cursor may stand before the value */
        if (one != ERR_OK)
            rc = one;
    }
    read->cursor = start;
    if (!has_op)
        return read_fail(read, ERR_BAD_INPUT, "op: missing");
    return rc;
}

static enum err_code check_needs(struct request_read *read, const struct request *request)
{
    if (request->op == OP_similar && request->seeds.count == 0)
        return read_fail(read, ERR_BAD_INPUT, "items: needed by similar, at least one");
    if ((request->op == OP_rank || request->op == OP_price) && request->item_count == 0)
        return read_fail(read, ERR_BAD_INPUT, "items: needed by rank and price, at least one");
    if (request->op == OP_decide && request->slot_count == 0)
        return read_fail(read, ERR_BAD_INPUT, "slots: needed by decide, at least one");
    if (request->op == OP_events && request->events_raw.ptr == NULL)
        return read_fail(read, ERR_BAD_INPUT, "events: missing");
    if (request->op == OP_features && request->user.ptr == NULL && request->anon.ptr == NULL &&
        request->feature_item.ptr == NULL && request->query.ptr == NULL &&
        request->slot.ptr == NULL)
        return read_fail(read, ERR_BAD_INPUT, "user: give user, anon, item, query or slot");
    return ERR_OK;
}

/* What administration is told is read from the body, key by key: none may stand there twice. */
static enum err_code check_keys(struct request_read *read, uint32_t pair_count)
{
    struct cursor at = read->cursor;
    struct text name[REQUEST_KEYS_MAX];
    if (pair_count > REQUEST_KEYS_MAX)
        return read_fail(read, ERR_LIMIT, "request: more than 64 keys");
    for (uint32_t i = 0; i < pair_count; i++) {
        bool is_text = cursor_text(&at, &name[i]);
        ASSERT(is_text);
        for (uint32_t k = 0; k < i; k++) {
            if (text_equal(name[k], name[i]))
                return read_twice(read, name[i]);
        }
        cursor_skip(&at, NULL);
    }
    return ERR_OK;
}

static enum err_code read_pairs(struct request_read *read, struct request *request)
{
    uint32_t pair_count = 0;
    uint64_t seen = 0;
    bool counted = cursor_map(&read->cursor, &pair_count);
    ASSERT(counted); /* read_head has walked the same map */
    enum err_code rc = op_is_administration(request->op) ? check_keys(read, pair_count) : ERR_OK;
    if (rc != ERR_OK)
        return rc;
    for (uint32_t i = 0; i < pair_count; i++) {
        struct text name;
        counted = cursor_text(&read->cursor, &name);
        ASSERT(counted);
        enum key key = key_parse(name);
        if (key != KEY_COUNT) {
            if ((seen >> key & 1) != 0)
                return read_twice(read, name);
            seen |= UINT64_C(1) << key;
        }
        rc = read_value(read, key, request);
        if (rc != ERR_OK)
            return rc;
    }
    return ERR_OK;
}

enum err_code request_decode(const uint8_t *bytes, size_t len, struct arena *arena,
                             struct request *ret_request, char ret_field[REQUEST_FIELD_BYTES],
                             struct err *err)
{
    struct request *request = ret_request;
    *request =
        (struct request){.op = OP_COUNT,
                         .filters = {.min_price_minor = INT64_MIN, .max_price_minor = INT64_MAX},
                         .body_raw = {(const char *)bytes, (uint32_t)len}};
    ret_field[0] = '\0';
    if (len > UINT32_MAX)
        return err_set(err, ERR_LIMIT, "the request is longer than 4 GiB");
    enum err_code rc = cursor_check(bytes, len, CURSOR_VALUES_MAX, err);
    if (rc != ERR_OK)
        return rc;
    struct request_read read = {cursor_of(bytes, len), arena, ret_field, err};
    rc = read_head(&read, request);
    if (rc == ERR_OK)
        rc = read_pairs(&read, request);
    if (rc == ERR_OK)
        rc = check_needs(&read, request);
    if (request->n == 0 && request->op != OP_rank)
        request->n = REQUEST_N_DEFAULT;
    return rc;
}

/* Positions the cursor on the value of a key of the body. */
static bool body_find(const struct request *request, const char *key, struct cursor *ret_cursor)
{
    struct cursor cursor = cursor_of((const uint8_t *)request->body_raw.ptr, request->body_raw.len);
    uint32_t pair_count = 0;
    if (!cursor_map(&cursor, &pair_count))
        return false;
    for (uint32_t i = 0; i < pair_count; i++) {
        struct text name;
        if (!cursor_text(&cursor, &name))
            return false;
        if (text_is(name, key)) {
            *ret_cursor = cursor;
            return true;
        }
        cursor_skip(&cursor, NULL);
    }
    return false;
}

bool request_body_text(const struct request *request, const char *key, struct text *ret_value,
                       bool *ret_ok)
{
    struct cursor cursor;
    if (!body_find(request, key, &cursor))
        return false;
    *ret_ok = cursor_text(&cursor, ret_value);
    return true;
}

bool request_body_int(const struct request *request, const char *key, int64_t *ret_value,
                      bool *ret_ok)
{
    struct cursor cursor;
    if (!body_find(request, key, &cursor))
        return false;
    *ret_ok = cursor_int(&cursor, ret_value);
    return true;
}

bool request_body_real(const struct request *request, const char *key, double *ret_value,
                       bool *ret_ok)
{
    struct cursor cursor;
    if (!body_find(request, key, &cursor))
        return false;
    *ret_ok = cursor_real(&cursor, ret_value);
    return true;
}

bool request_body_bool(const struct request *request, const char *key, bool *ret_value,
                       bool *ret_ok)
{
    struct cursor cursor;
    if (!body_find(request, key, &cursor))
        return false;
    *ret_ok = cursor_bool(&cursor, ret_value);
    return true;
}

bool request_body_bin(const struct request *request, const char *key, struct text *ret_value,
                      bool *ret_ok)
{
    struct cursor cursor;
    if (!body_find(request, key, &cursor))
        return false;
    *ret_ok = cursor_bin(&cursor, ret_value);
    return true;
}
