/* SPDX-License-Identifier: Apache-2.0 */
#include "featurestore/event.h"

#include <inttypes.h>

#include "base/clock.h"
#include "featurestore/event_read.h"

#define QTY_MAX   1000000
#define POS_MAX   100000
#define STOCK_MAX 1000000000

enum { QUERY_BYTES_MAX = 1024, LIST_BYTES_MAX = 256, TYPE_BYTES_MAX = 32 };

/* clang-format off */
#define EVENT_KEYS(X) \
    X(id) X(type) X(ts) X(user) X(anon) X(session) X(decision) X(items) X(currency) X(total) \
    X(order) X(query) X(list) X(props)
#define ITEM_KEYS(X) \
    X(id) X(qty) X(price) X(pos)
#define UPSERT_KEYS(X) \
    X(id) X(title) X(category) X(brand) X(price) X(cost) X(stock) X(attributes)
/* clang-format on */

#define NAME(name) {#name, sizeof(#name) - 1},
static const struct text envelope_keys[] = {EVENT_KEYS(NAME)};
static const struct text item_keys[] = {ITEM_KEYS(NAME)};
static const struct text upsert_keys[] = {UPSERT_KEYS(NAME)};
#undef NAME

enum event_key {
#define X(name) EVENT_KEY_##name,
    EVENT_KEYS(X)
#undef X
        EVENT_KEY_COUNT
};
enum item_key {
#define X(name) ITEM_KEY_##name,
    ITEM_KEYS(X)
#undef X
        ITEM_KEY_COUNT
};
enum upsert_key {
#define X(name) UPSERT_KEY_##name,
    UPSERT_KEYS(X)
#undef X
        UPSERT_KEY_COUNT
};

static const struct {
    struct text name;
    enum event_class class;
} types[EVENT_TYPE_COUNT] = {
#define X(name, class) {{#name, sizeof(#name) - 1}, EVENT_CLASS_##class},
    EVENT_TYPES(X)
#undef X
};

const char *event_type_name(enum event_type type)
{
    ASSERT(type < EVENT_TYPE_COUNT);
    return types[type].name.ptr;
}

bool event_type_parse(struct text name, enum event_type *ret_type)
{
    for (uint32_t i = 0; i < EVENT_TYPE_COUNT; i++) {
        if (text_equal(types[i].name, name)) {
            *ret_type = (enum event_type)i;
            return true;
        }
    }
    return false;
}

enum event_class event_type_class(enum event_type type)
{
    ASSERT(type < EVENT_TYPE_COUNT);
    return types[type].class;
}

static enum err_code read_type(struct event_read *read)
{
    struct text name;
    enum err_code rc = event_read_id(read, "type", TYPE_BYTES_MAX, &name);
    if (rc != ERR_OK)
        return rc;
    if (!event_type_parse(name, &read->event->type))
        return err_set(read->err, ERR_BAD_INPUT, "type: there is no type '%.*s'", (int)name.len,
                       name.ptr);
    return ERR_OK;
}

static enum err_code read_ts(struct event_read *read)
{
    struct text iso;
    if (cursor_int(&read->cursor, &read->event->ts_ms))
        return ERR_OK;
    if (!cursor_text(&read->cursor, &iso))
        return event_wrong_kind(read, "ts", "milliseconds or RFC 3339 text");
    if (!clock_parse_iso(iso.ptr, iso.len, &read->event->ts_ms))
        return err_set(read->err, ERR_BAD_INPUT,
                       "ts: expected milliseconds or RFC 3339 text, got another text");
    return ERR_OK;
}

static enum err_code read_currency(struct event_read *read)
{
    struct text text;
    if (!cursor_text(&read->cursor, &text))
        return event_wrong_kind(read, "currency", "a text");
    if (!currency_parse(text, &read->event->currency))
        return err_set(read->err, ERR_BAD_INPUT,
                       "currency: expected three capital letters of ISO 4217");
    return ERR_OK;
}

static enum err_code read_items_raw(struct event_read *read)
{
    if (cursor_peek(&read->cursor) != CURSOR_ARRAY)
        return event_wrong_kind(read, "items", "an array");
    cursor_skip(&read->cursor, &read->items_raw);
    return ERR_OK;
}

static enum err_code read_event_value(struct event_read *read, enum event_key key)
{
    struct event *event = read->event;
    switch (key) {
    case EVENT_KEY_id: return event_read_id(read, "id", EVENT_ID_BYTES_MAX, &event->id);
    case EVENT_KEY_type: return read_type(read);
    case EVENT_KEY_ts: return read_ts(read);
    case EVENT_KEY_user: return event_read_id(read, "user", ID_BYTES_MAX, &event->user);
    case EVENT_KEY_anon: return event_read_id(read, "anon", ID_BYTES_MAX, &event->anon);
    case EVENT_KEY_session: return event_read_id(read, "session", ID_BYTES_MAX, &event->session);
    case EVENT_KEY_decision: return event_read_id(read, "decision", ID_BYTES_MAX, &event->decision);
    case EVENT_KEY_items: return read_items_raw(read);
    case EVENT_KEY_currency: return read_currency(read);
    case EVENT_KEY_total:
        return event_read_int(read, "total", -MONEY_MINOR_MAX, MONEY_MINOR_MAX,
                              &event->total_minor);
    case EVENT_KEY_order: return event_read_id(read, "order", ID_BYTES_MAX, &event->order);
    case EVENT_KEY_query: return event_read_text(read, "query", 0, QUERY_BYTES_MAX, &event->query);
    case EVENT_KEY_list: return event_read_text(read, "list", 0, LIST_BYTES_MAX, &event->list);
    case EVENT_KEY_props: return event_read_map(read, "props", &event->props);
    case EVENT_KEY_COUNT: break;
    }
    cursor_skip(&read->cursor, NULL);
    return ERR_OK;
}

/* Texts to texts, numbers and booleans; kept as they are. */
static enum err_code read_attributes(struct event_read *read, struct event_item *item)
{
    struct cursor start = read->cursor;
    struct text raw;
    uint32_t count = 0;
    enum err_code rc = event_read_map(read, "items.attributes", &raw);
    if (rc != ERR_OK)
        return rc;
    if (raw.len > EVENT_ATTRIBUTES_BYTES_MAX)
        return err_set(read->err, ERR_LIMIT, "items.attributes: %u bytes of at most %d", raw.len,
                       EVENT_ATTRIBUTES_BYTES_MAX);
    struct cursor after = read->cursor;
    read->cursor = start;
    bool is_map = cursor_map(&read->cursor, &count);
    ASSERT(is_map);
    for (uint32_t i = 0; i < count; i++) {
        cursor_skip(&read->cursor, NULL);
        enum cursor_kind kind = cursor_peek(&read->cursor);
        if (kind != CURSOR_TEXT && kind != CURSOR_INT && kind != CURSOR_REAL && kind != CURSOR_BOOL)
            return event_wrong_kind(read, "items.attributes", "texts, numbers and booleans");
        cursor_skip(&read->cursor, NULL);
    }
    read->cursor = after;
    item->attributes = raw;
    return ERR_OK;
}

static enum err_code read_item_value(struct event_read *read, enum item_key key,
                                     struct event_item *item)
{
    switch (key) {
    case ITEM_KEY_id: return event_read_id(read, "items.id", ID_BYTES_MAX, &item->id);
    case ITEM_KEY_qty: return event_read_int(read, "items.qty", 1, QTY_MAX, &item->qty);
    case ITEM_KEY_price:
        return event_read_int(read, "items.price", 0, MONEY_MINOR_MAX, &item->price_minor);
    case ITEM_KEY_pos: return event_read_int(read, "items.pos", 0, POS_MAX, &item->pos);
    case ITEM_KEY_COUNT: break;
    }
    cursor_skip(&read->cursor, NULL);
    return ERR_OK;
}

static enum err_code read_upsert_value(struct event_read *read, enum upsert_key key,
                                       struct event_item *item)
{
    switch (key) {
    case UPSERT_KEY_id: return event_read_id(read, "items.id", ID_BYTES_MAX, &item->id);
    case UPSERT_KEY_title:
        return event_read_text(read, "items.title", 0, EVENT_TITLE_BYTES_MAX, &item->title);
    case UPSERT_KEY_category:
        return event_read_id(read, "items.category", ID_BYTES_MAX, &item->category);
    case UPSERT_KEY_brand: return event_read_id(read, "items.brand", ID_BYTES_MAX, &item->brand);
    case UPSERT_KEY_price:
        return event_read_int(read, "items.price", 0, MONEY_MINOR_MAX, &item->price_minor);
    case UPSERT_KEY_cost:
        return event_read_int(read, "items.cost", 0, MONEY_MINOR_MAX, &item->cost_minor);
    case UPSERT_KEY_stock:
        return event_read_int(read, "items.stock", -STOCK_MAX, STOCK_MAX, &item->stock);
    case UPSERT_KEY_attributes: return read_attributes(read, item);
    case UPSERT_KEY_COUNT: break;
    }
    cursor_skip(&read->cursor, NULL);
    return ERR_OK;
}

static enum err_code read_item(struct event_read *read, struct event_item *item)
{
    bool upsert = read->event->type == EVENT_item_upsert;
    struct event_keys keys = upsert ? (struct event_keys){"items", upsert_keys, UPSERT_KEY_COUNT, 0}
                                    : (struct event_keys){"items", item_keys, ITEM_KEY_COUNT, 0};
    uint32_t pair_count = 0;
    *item = (struct event_item){.qty = 1,
                                .price_minor = EVENT_ABSENT,
                                .pos = EVENT_ABSENT,
                                .cost_minor = EVENT_ABSENT,
                                .stock = EVENT_ABSENT};
    if (!cursor_map(&read->cursor, &pair_count))
        return event_wrong_kind(read, "items", "maps with an id");
    for (uint32_t i = 0; i < pair_count; i++) {
        uint32_t key = 0;
        enum err_code rc = event_read_key(read, &keys, &key);
        if (rc == ERR_OK)
            rc = upsert ? read_upsert_value(read, (enum upsert_key)key, item)
                        : read_item_value(read, (enum item_key)key, item);
        if (rc != ERR_OK)
            return rc;
    }
    if (item->id.ptr == NULL)
        return err_set(read->err, ERR_BAD_INPUT, "items.id: missing");
    return ERR_OK;
}

static enum err_code read_items(struct event_read *read)
{
    struct event *event = read->event;
    uint32_t count = 0;
    read->cursor = cursor_of((const uint8_t *)read->items_raw.ptr, read->items_raw.len);
    bool is_array = cursor_array(&read->cursor, &count);
    ASSERT(is_array);
    if (count > EVENT_ITEMS_MAX)
        return err_set(read->err, ERR_LIMIT, "items: %u of at most %d", count, EVENT_ITEMS_MAX);
    event->items = ARENA_NEW(read->arena, struct event_item, count);
    if (event->items == NULL)
        return err_set(read->err, ERR_NOMEM, "items: no memory left for %u of them", count);
    for (uint32_t i = 0; i < count; i++) {
        enum err_code rc = read_item(read, &event->items[i]);
        if (rc != ERR_OK)
            return rc;
    }
    event->item_count = count;
    return ERR_OK;
}

/* What must be there, given the type. */
static enum err_code check_needs(const struct event_read *read)
{
    const struct event *event = read->event;
    if (event->id.ptr == NULL)
        return err_set(read->err, ERR_BAD_INPUT, "id: missing");
    switch (event->type) {
    case EVENT_TYPE_COUNT: return err_set(read->err, ERR_BAD_INPUT, "type: missing");
    case EVENT_identify:
    case EVENT_user_upsert:
    case EVENT_consent:
    case EVENT_forget:
        return err_set(read->err, ERR_UNSUPPORTED, "type: '%s' is not supported in this version",
                       event_type_name(event->type));
    case EVENT_item_upsert:
    case EVENT_item_delete:
        if (read->items_raw.ptr == NULL)
            return err_set(read->err, ERR_BAD_INPUT, "items: needed by %s",
                           event_type_name(event->type));
        return ERR_OK;
    default:
        if (event->user.ptr == NULL && event->anon.ptr == NULL)
            return err_set(read->err, ERR_BAD_INPUT, "user: %s needs user or anon",
                           event_type_name(event->type));
        return ERR_OK;
    }
}

static enum err_code check_ts(const struct event_read *read, int64_t arrival_ms)
{
    if (read->event->ts_ms < 0 || read->event->ts_ms > EVENT_TS_MS_MAX)
        return event_out_of_range(read, "ts", " ms", 0, EVENT_TS_MS_MAX, read->event->ts_ms);
    if (read->event->ts_ms - arrival_ms > EVENT_FUTURE_MS_MAX)
        return err_set(read->err, ERR_BAD_INPUT,
                       "ts: %" PRId64 " ms after arrival, at most %d ms are accepted",
                       read->event->ts_ms - arrival_ms, EVENT_FUTURE_MS_MAX);
    return ERR_OK;
}

static enum err_code read_event(struct event_read *read, int64_t arrival_ms)
{
    struct event_keys keys = {"event", envelope_keys, EVENT_KEY_COUNT, 0};
    uint32_t pair_count = 0;
    if (!cursor_map(&read->cursor, &pair_count))
        return event_wrong_kind(read, "event", "a map");
    for (uint32_t i = 0; i < pair_count; i++) {
        uint32_t key = 0;
        enum err_code rc = event_read_key(read, &keys, &key);
        if (rc == ERR_OK)
            rc = read_event_value(read, (enum event_key)key);
        if (rc != ERR_OK)
            return rc;
    }
    enum err_code rc = check_needs(read);
    if (rc == ERR_OK)
        rc = check_ts(read, arrival_ms);
    if (rc == ERR_OK && read->items_raw.ptr != NULL)
        rc = read_items(read);
    return rc;
}

const char *event_fault_prefix(const struct err *err)
{
    return strncmp(err->text, "event:", strlen("event:")) == 0 ? "" : "field ";
}

enum err_code event_decode(struct cursor *cursor, int64_t arrival_ms, struct arena *arena,
                           struct event *ret_event, struct err *err)
{
    struct text raw;
    cursor_skip(cursor, &raw);
    if (raw.len > EVENT_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "event: %u bytes of at most %d", raw.len, EVENT_BYTES_MAX);
    struct event event = {
        .type = EVENT_TYPE_COUNT, .ts_ms = arrival_ms, .total_minor = EVENT_ABSENT};
    struct event_read read = {.cursor = cursor_of((const uint8_t *)raw.ptr, raw.len),
                              .arena = arena,
                              .event = &event,
                              .err = err};
    enum err_code rc = read_event(&read, arrival_ms);
    if (rc == ERR_OK)
        *ret_event = event;
    return rc;
}

struct text event_id(struct cursor cursor)
{
    struct text key, id = {0};
    uint32_t pairs = 0;
    for (cursor_map(&cursor, &pairs); pairs > 0; pairs--) {
        if (!cursor_text(&cursor, &key))
            break;
        if (text_is(key, "id")) {
            cursor_text(&cursor, &id);
            break;
        }
        cursor_skip(&cursor, NULL);
    }
    return id;
}
