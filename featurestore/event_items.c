/* SPDX-License-Identifier: Apache-2.0 */
#include "featurestore/event_read.h"

#define QTY_MAX   1000000
#define POS_MAX   100000
#define STOCK_MAX 1000000000

/* clang-format off */
#define ITEM_KEYS(X) \
    X(id) X(qty) X(price) X(pos)
#define UPSERT_KEYS(X) \
    X(id) X(title) X(category) X(brand) X(price) X(cost) X(stock) X(attributes)
/* clang-format on */

#define NAME(name) {#name, sizeof(#name) - 1},
static const struct text item_keys[] = {ITEM_KEYS(NAME)};
static const struct text upsert_keys[] = {UPSERT_KEYS(NAME)};
#undef NAME

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

/* A text, a number, a boolean or a list of texts; the cursor stands behind it then. */
static bool is_attribute(struct cursor *cursor)
{
    enum cursor_kind kind = cursor_peek(cursor);
    uint32_t count = 0;
    struct text text;
    if (cursor_array(cursor, &count)) {
        for (uint32_t i = 0; i < count; i++) {
            if (!cursor_text(cursor, &text))
                return false;
        }
        return true;
    }
    cursor_skip(cursor, NULL);
    return kind == CURSOR_TEXT || kind == CURSOR_INT || kind == CURSOR_REAL || kind == CURSOR_BOOL;
}

enum err_code event_read_attributes(struct event_read *read, const char *field,
                                    struct text *ret_bytes)
{
    struct cursor start = read->cursor;
    struct text raw;
    uint32_t count = 0;
    enum err_code rc = event_read_map(read, field, &raw);
    if (rc != ERR_OK)
        return rc;
    if (raw.len > EVENT_ATTRIBUTES_BYTES_MAX)
        return err_set(read->err, ERR_LIMIT, "%s: %u bytes of at most %d", field, raw.len,
                       EVENT_ATTRIBUTES_BYTES_MAX);
    struct cursor after = read->cursor;
    read->cursor = start;
    bool is_map = cursor_map(&read->cursor, &count);
    ASSERT(is_map);
    for (uint32_t i = 0; i < count; i++) {
        cursor_skip(&read->cursor, NULL);
        struct cursor value = read->cursor;
        if (!is_attribute(&value))
            return event_wrong_kind(read, field, "texts, numbers, booleans and lists of texts");
        read->cursor = value;
    }
    read->cursor = after;
    *ret_bytes = raw;
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
    case UPSERT_KEY_attributes:
        return event_read_attributes(read, "items.attributes", &item->attributes);
    case UPSERT_KEY_COUNT: break;
    }
    cursor_skip(&read->cursor, NULL);
    return ERR_OK;
}

/* What an item may hold.  A strict reader of item_delete knows nothing but its id. */
static struct event_keys keys_of(const struct event_read *read)
{
    enum event_type type = read->event->type;
    if (type == EVENT_item_upsert)
        return (struct event_keys){"items", upsert_keys, UPSERT_KEY_COUNT, 0};
    bool only_id = type == EVENT_item_delete && read->rules->strictness == EVENT_STRICT;
    return (struct event_keys){"items", item_keys, only_id ? ITEM_KEY_id + 1 : ITEM_KEY_COUNT, 0};
}

static enum err_code read_item(struct event_read *read, struct event_item *item)
{
    bool upsert = read->event->type == EVENT_item_upsert;
    struct event_keys keys = keys_of(read);
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

enum err_code event_read_items(struct event_read *read)
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
