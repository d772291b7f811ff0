/* SPDX-License-Identifier: Apache-2.0 */
#include "featurestore/event.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/num.h"
#include "featurestore/event_read.h"

enum { QUERY_BYTES_MAX = 1024, LIST_BYTES_MAX = 256 };
enum { TYPE_BYTES_MAX = sizeof EVENT_CUSTOM_PREFIX - 1 + EVENT_CUSTOM_BYTES_MAX };

/* clang-format off */
#define EVENT_KEYS(X) \
    X(id) X(type) X(ts) X(user) X(anon) X(session) X(decision) X(items) X(currency) X(total) \
    X(order) X(query) X(list) X(props) X(attributes) X(undo) X(consent) X(anons) X(shared)
/* clang-format on */

#define NAME(name) {#name, sizeof(#name) - 1},
static const struct text envelope_keys[] = {EVENT_KEYS(NAME)};
#undef NAME

enum event_key {
#define X(name) EVENT_KEY_##name,
    EVENT_KEYS(X)
#undef X
        EVENT_KEY_COUNT
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

static bool is_custom_name(struct text name)
{
    if (name.len == 0 || name.len > EVENT_CUSTOM_BYTES_MAX)
        return false;
    for (uint32_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool good =
            (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
        if (!good)
            return false;
    }
    return true;
}

/* What stands behind the prefix; .ptr NULL without it. */
static struct text custom_name(struct text type)
{
    const uint32_t len = sizeof EVENT_CUSTOM_PREFIX - 1;
    if (type.len < len || memcmp(type.ptr, EVENT_CUSTOM_PREFIX, len) != 0)
        return (struct text){NULL, 0};
    return (struct text){type.ptr + len, type.len - len};
}

bool event_type_parse(struct text name, enum event_type *ret_type)
{
    struct text custom = custom_name(name);
    if (custom.ptr != NULL && is_custom_name(custom)) {
        *ret_type = EVENT_custom;
        return true;
    }
    for (uint32_t i = 0; i < EVENT_custom; i++) {
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
        return err_set(read->err, ERR_BAD_INPUT,
                       custom_name(name).ptr == NULL
                           ? "type: there is no type '%.*s'"
                           : "type: '%.*s' is not custom: and 1..64 of a-z 0-9 _ . -",
                       (int)name.len, name.ptr);
    if (read->event->type == EVENT_custom)
        read->event->custom = custom_name(name);
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
    if (read->rules->strictness != EVENT_STORED && !currency_is_known(read->event->currency))
        return err_set(read->err, ERR_BAD_INPUT, "currency: ISO 4217 has no '%.*s'", (int)text.len,
                       text.ptr);
    return ERR_OK;
}

static enum err_code read_items_raw(struct event_read *read)
{
    if (cursor_peek(&read->cursor) != CURSOR_ARRAY)
        return event_wrong_kind(read, "items", "an array");
    cursor_skip(&read->cursor, &read->items_raw);
    return ERR_OK;
}

static enum err_code read_undo(struct event_read *read)
{
    return cursor_bool(&read->cursor, &read->event->undo)
               ? ERR_OK
               : event_wrong_kind(read, "undo", "true or false");
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
    case EVENT_KEY_attributes: cursor_skip(&read->cursor, &read->attributes_raw); return ERR_OK;
    case EVENT_KEY_undo: return read_undo(read);
    case EVENT_KEY_consent: cursor_skip(&read->cursor, &read->consent_raw); return ERR_OK;
    case EVENT_KEY_anons: cursor_skip(&read->cursor, &read->anons_raw); return ERR_OK;
    case EVENT_KEY_shared: cursor_skip(&read->cursor, &read->shared_raw); return ERR_OK;
    case EVENT_KEY_COUNT: break;
    }
    cursor_skip(&read->cursor, NULL);
    return ERR_OK;
}

static enum err_code needed(const struct event_read *read, const char *field)
{
    return err_set(read->err, ERR_BAD_INPUT, "%s: needed by %s", field,
                   event_type_name(read->event->type));
}

/* What must be there, given the type. */
static enum err_code check_needs(const struct event_read *read)
{
    const struct event *event = read->event;
    if (event->erased && event->type != EVENT_TYPE_COUNT)
        return ERR_OK;
    if (event->id.ptr == NULL)
        return err_set(read->err, ERR_BAD_INPUT, "id: missing");
    switch (event->type) {
    case EVENT_TYPE_COUNT: return err_set(read->err, ERR_BAD_INPUT, "type: missing");
    case EVENT_identify:
        if (event->user.ptr == NULL)
            return needed(read, "user");
        return event->anon.ptr == NULL ? needed(read, "anon") : ERR_OK;
    case EVENT_consent:
        if (read->consent_raw.ptr == NULL)
            return needed(read, "consent");
        return event->user.ptr == NULL && event->anon.ptr == NULL ? needed(read, "user or anon")
                                                                  : ERR_OK;
    case EVENT_forget:
        return event->user.ptr == NULL && event->anon.ptr == NULL ? needed(read, "user or anon")
                                                                  : ERR_OK;
    case EVENT_user_upsert:
        if (event->user.ptr == NULL)
            return needed(read, "user");
        return read->attributes_raw.ptr == NULL ? needed(read, "attributes") : ERR_OK;
    case EVENT_item_upsert:
    case EVENT_item_delete: return read->items_raw.ptr == NULL ? needed(read, "items") : ERR_OK;
    default:
        if (event->user.ptr == NULL && event->anon.ptr == NULL)
            return err_set(read->err, ERR_BAD_INPUT, "user: %s needs user or anon",
                           event_type_name(event->type));
        return ERR_OK;
    }
}

#define BIT(key) (UINT32_C(1) << EVENT_KEY_##key)

/* The keys that mean something in an event of the type. */
static uint32_t keys_of(enum event_type type)
{
    const uint32_t envelope = BIT(id) | BIT(type) | BIT(ts) | BIT(props);
    const uint32_t shopper = envelope | BIT(user) | BIT(anon) | BIT(session) | BIT(decision);
    const uint32_t shown =
        shopper | BIT(consent) | BIT(items) | BIT(currency) | BIT(query) | BIT(list);
    switch (type) {
    case EVENT_cart_view: return shown | BIT(total);
    case EVENT_checkout:
    case EVENT_purchase:
    case EVENT_refund:
    case EVENT_custom: return shown | BIT(total) | BIT(order);
    case EVENT_item_upsert: return envelope | BIT(items) | BIT(currency);
    case EVENT_item_delete: return envelope | BIT(items);
    case EVENT_user_upsert: return envelope | BIT(user) | BIT(attributes);
    case EVENT_identify: return shopper | BIT(undo);
    case EVENT_consent: return shopper | BIT(consent);
    case EVENT_forget: return shopper;
    default: return shown;
    }
}

static enum err_code check_belongs(const struct event_read *read)
{
    uint32_t misplaced = read->given & ~keys_of(read->event->type);
    if (read->rules->strictness != EVENT_STRICT || misplaced == 0)
        return ERR_OK;
    uint32_t key = 0;
    while ((misplaced >> key & 1) == 0)
        key++;
    return err_set(read->err, ERR_BAD_INPUT, "%s: does not belong to %s", envelope_keys[key].ptr,
                   event_type_name(read->event->type));
}

/* From 1985 to a day from now in seconds; in milliseconds, some days of January 1970. */
enum { SECONDS_MIN = 500000000, SECONDS_AHEAD = 86400 };

static enum err_code check_ts(const struct event_read *read)
{
    const struct event_rules *rules = read->rules;
    int64_t ts_ms = read->event->ts_ms;
    if (ts_ms < 0 || ts_ms > EVENT_TS_MS_MAX)
        return event_out_of_range(read, "ts", " ms", 0, EVENT_TS_MS_MAX, ts_ms);
    if (rules->strictness == EVENT_STORED)
        return ERR_OK;
    if (ts_ms >= SECONDS_MIN && ts_ms <= rules->arrival_ms / 1000 + SECONDS_AHEAD)
        return err_set(read->err, ERR_BAD_INPUT,
                       "ts: expected milliseconds since 1970, got %" PRId64 ", which are seconds",
                       ts_ms);
    if (ts_ms - rules->arrival_ms > EVENT_FUTURE_MS_MAX)
        return err_set(read->err, ERR_BAD_INPUT,
                       "ts: %" PRId64 " ms after arrival, at most %d ms are accepted",
                       ts_ms - rules->arrival_ms, EVENT_FUTURE_MS_MAX);
    if (rules->age_ms_max != 0 && rules->arrival_ms - ts_ms > rules->age_ms_max)
        return err_set(read->err, ERR_STALE,
                       "ts: %" PRId64 " ms before arrival, at most %" PRId64
                       " ms are accepted (event_age_hours_max)",
                       rules->arrival_ms - ts_ms, rules->age_ms_max);
    return ERR_OK;
}

/* An amount says nothing without its currency. */
static enum err_code check_amounts(const struct event_read *read)
{
    const struct event *event = read->event;
    bool has_amount = event->total_minor != EVENT_ABSENT;
    if (read->rules->strictness != EVENT_STRICT || event->currency != 0)
        return ERR_OK;
    for (uint32_t i = 0; i < event->item_count && !has_amount; i++)
        has_amount = event->items[i].price_minor != EVENT_ABSENT ||
                     event->items[i].cost_minor != EVENT_ABSENT;
    return has_amount ? err_set(read->err, ERR_BAD_INPUT, "currency: needed beside an amount")
                      : ERR_OK;
}

static enum err_code read_pairs(struct event_read *read)
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
    read->given = keys.seen;
    int64_t ts_ms = read->event->ts_ms;
    if ((read->given & BIT(ts)) != 0 && !num_add(ts_ms, read->rules->skew_ms, &read->event->ts_ms))
        return event_out_of_range(read, "ts", " ms", 0, EVENT_TS_MS_MAX, ts_ms);
    return ERR_OK;
}

static enum err_code read_user_attributes(struct event_read *read)
{
    read->cursor = cursor_of((const uint8_t *)read->attributes_raw.ptr, read->attributes_raw.len);
    return event_read_attributes(read, "attributes", &read->event->attributes);
}

/* What a record says of whom a forget reaches is our own; anything else there means nothing, as it
 * did when it came. */
static void read_ids(const struct text raw, struct cursor *ret_first, uint32_t *ret_count)
{
    struct cursor cursor = cursor_of((const uint8_t *)raw.ptr, raw.len);
    struct text id;
    uint32_t count = 0;
    if (raw.ptr == NULL || !cursor_array(&cursor, &count) || count > EVENT_FORGET_IDS_MAX)
        return;
    struct cursor at = cursor;
    for (uint32_t i = 0; i < count; i++) {
        if (!cursor_text(&at, &id) || !text_is_id(id))
            return;
    }
    *ret_first = cursor;
    *ret_count = count;
}

static bool has_consent(const struct event_read *read)
{
    return read->consent_raw.ptr != NULL && (keys_of(read->event->type) & BIT(consent)) != 0;
}

static enum err_code read_event(struct event_read *read)
{
    enum err_code rc = read_pairs(read);
    if (rc == ERR_OK)
        rc = check_needs(read);
    if (rc == ERR_OK)
        rc = check_belongs(read);
    if (rc == ERR_OK)
        rc = check_ts(read);
    if (rc == ERR_OK && read->items_raw.ptr != NULL)
        rc = event_read_items(read);
    if (rc == ERR_OK && read->event->type == EVENT_user_upsert && !read->event->erased)
        rc = read_user_attributes(read);
    if (rc == ERR_OK && has_consent(read))
        rc = event_read_consent(read);
    if (read->event->type == EVENT_forget && read->rules->strictness == EVENT_STORED) {
        read_ids(read->anons_raw, &read->event->anons, &read->event->anon_count);
        read_ids(read->shared_raw, &read->event->shared, &read->event->shared_count);
    }
    return rc == ERR_OK ? check_amounts(read) : rc;
}

enum err_code event_decode_by(struct cursor *cursor, const struct event_rules *rules,
                              struct arena *arena, struct event *ret_event, struct err *err)
{
    struct text raw;
    uint32_t depth = cursor_skip_deep(cursor, &raw);
    if (raw.len > (rules->erased ? EVENT_RECORD_BYTES_MAX : EVENT_BYTES_MAX))
        return err_set(err, ERR_LIMIT, "event: %u bytes of at most %d", raw.len, EVENT_BYTES_MAX);
    struct event event = {.type = EVENT_TYPE_COUNT,
                          .ts_ms = rules->arrival_ms,
                          .total_minor = EVENT_ABSENT,
                          .erased = rules->erased};
    struct event_read read = {.cursor = cursor_of((const uint8_t *)raw.ptr, raw.len),
                              .rules = rules,
                              .arena = arena,
                              .event = &event,
                              .err = err};
    enum err_code rc = event_check_depth(&read, depth);
    if (rc == ERR_OK)
        rc = read_event(&read);
    if (rc == ERR_OK)
        *ret_event = event;
    return rc;
}
