/* SPDX-License-Identifier: Apache-2.0 */
#include "server/protocol/request_read.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static void name_field(struct request_read *read, const char *name)
{
    size_t len = strcspn(name, ":");
    if (len > REQUEST_FIELD_BYTES - 1)
        len = REQUEST_FIELD_BYTES - 1;
    memcpy(read->field, name, len);
    read->field[len] = '\0';
}

enum err_code read_fail(struct request_read *read, enum err_code code, const char *message)
{
    name_field(read, message);
    return err_set(read->err, code, "%s", message);
}

enum err_code read_kind(struct request_read *read, const char *name, const char *expected,
                        enum cursor_kind got)
{
    name_field(read, name);
    return err_set(read->err, ERR_BAD_INPUT, "%s: expected %s, got %s", name, expected,
                   cursor_kind_name(got));
}

enum err_code read_twice(struct request_read *read, struct text name)
{
    char key[REQUEST_FIELD_BYTES];
    text_copy(name, key, sizeof key);
    name_field(read, key);
    return err_set(read->err, ERR_BAD_INPUT, "%s: given twice", key);
}

static enum err_code range_fail(struct request_read *read, const char *name, const char *unit,
                                int64_t min, int64_t max, int64_t got)
{
    name_field(read, name);
    return err_set(read->err, ERR_BAD_INPUT,
                   "%s: expected %" PRId64 "..%" PRId64 "%s, got %" PRId64, name, min, max, unit,
                   got);
}

enum err_code read_text(struct request_read *read, const char *name, uint32_t min_bytes,
                        uint32_t max_bytes, struct text *ret_value)
{
    struct text value;
    if (!cursor_text(&read->cursor, &value))
        return read_kind(read, name, "a text", cursor_peek(&read->cursor));
    if (value.len < min_bytes || value.len > max_bytes)
        return range_fail(read, name, " bytes", min_bytes, max_bytes, value.len);
    *ret_value = value;
    return ERR_OK;
}

enum err_code read_id(struct request_read *read, const char *name, struct text *ret_value)
{
    struct text value;
    enum err_code rc = read_text(read, name, 1, ID_BYTES_MAX, &value);
    if (rc != ERR_OK)
        return rc;
    if (!text_is_id(value)) {
        name_field(read, name);
        return err_set(read->err, ERR_BAD_INPUT, "%s: control characters are not allowed", name);
    }
    *ret_value = value;
    return ERR_OK;
}

enum err_code read_int(struct request_read *read, const char *name, int64_t min, int64_t max,
                       int64_t *ret_value)
{
    int64_t value = 0;
    if (!cursor_int(&read->cursor, &value)) {
        enum cursor_kind got = cursor_peek(&read->cursor);
        if (got != CURSOR_INT)
            return read_kind(read, name, "an integer", got);
        name_field(read, name);
        return err_set(read->err, ERR_BAD_INPUT,
                       "%s: expected %" PRId64 "..%" PRId64 ", got more than 2^63 - 1", name, min,
                       max);
    }
    if (value < min || value > max)
        return range_fail(read, name, "", min, max, value);
    *ret_value = value;
    return ERR_OK;
}

enum err_code read_bool(struct request_read *read, const char *name, bool *ret_value)
{
    if (!cursor_bool(&read->cursor, ret_value))
        return read_kind(read, name, "true or false", cursor_peek(&read->cursor));
    return ERR_OK;
}

static enum err_code read_real(struct request_read *read, const char *name, double *ret_value)
{
    if (!cursor_real(&read->cursor, ret_value))
        return read_kind(read, name, "a finite number", cursor_peek(&read->cursor));
    return ERR_OK;
}

static enum err_code read_array(struct request_read *read, const char *name, uint32_t count_max,
                                uint32_t *ret_count)
{
    uint32_t count = 0;
    if (!cursor_array(&read->cursor, &count))
        return read_kind(read, name, "an array", cursor_peek(&read->cursor));
    if (count > count_max) {
        name_field(read, name);
        return err_set(read->err, ERR_LIMIT, "%s: %u of at most %u", name, count, count_max);
    }
    *ret_count = count;
    return ERR_OK;
}

static enum err_code no_room(struct request_read *read, const char *name)
{
    name_field(read, name);
    return err_set(read->err, ERR_LIMIT, "%s: the request does not fit into a worker's memory",
                   name);
}

enum err_code read_ids(struct request_read *read, const char *name, uint32_t count_max,
                       struct text_list *ret_list)
{
    uint32_t count = 0;
    enum err_code rc = read_array(read, name, count_max, &count);
    if (rc != ERR_OK)
        return rc;
    struct text *ids = ARENA_NEW(read->arena, struct text, count);
    if (ids == NULL)
        return no_room(read, name);
    for (uint32_t i = 0; i < count && rc == ERR_OK; i++)
        rc = read_id(read, name, &ids[i]);
    if (rc == ERR_OK)
        *ret_list = (struct text_list){ids, count};
    return rc;
}

/* One text or a list of them. */
static enum err_code read_one_or_many(struct request_read *read, const char *name,
                                      struct text_list *ret_list)
{
    if (cursor_peek(&read->cursor) != CURSOR_TEXT)
        return read_ids(read, name, REQUEST_FILTER_MAX, ret_list);
    struct text *one = ARENA_NEW(read->arena, struct text, 1);
    if (one == NULL)
        return no_room(read, name);
    enum err_code rc = read_id(read, name, one);
    if (rc == ERR_OK)
        *ret_list = (struct text_list){one, 1};
    return rc;
}

/* Of a map with keys of the caller's own.  `at` is where they stand: "context". */
static enum err_code own_twice(struct request_read *read, const char *at, struct text key)
{
    char name[REQUEST_FIELD_BYTES];
    text_copy(key, name, sizeof name);
    name_field(read, at);
    return err_set(read->err, ERR_BAD_INPUT, "%s: '%s' is given twice", at, name);
}

static enum err_code read_features(struct request_read *read, struct request_item *item)
{
    uint32_t count = 0;
    if (!cursor_map(&read->cursor, &count))
        return read_kind(read, "items.features", "a map", cursor_peek(&read->cursor));
    if (count > REQUEST_FEATURES_MAX)
        return read_fail(read, ERR_LIMIT, "items.features: more than 64 features of an item");
    struct request_feature *features = ARENA_NEW(read->arena, struct request_feature, count);
    if (features == NULL)
        return no_room(read, "items.features");
    for (uint32_t i = 0; i < count; i++) {
        enum err_code rc = read_id(read, "items.features", &features[i].name);
        for (uint32_t k = 0; k < i && rc == ERR_OK; k++) {
            if (text_equal(features[k].name, features[i].name))
                rc = own_twice(read, "items.features", features[i].name);
        }
        if (rc == ERR_OK)
            rc = read_real(read, "items.features", &features[i].value);
        if (rc != ERR_OK)
            return rc;
    }
    item->features = features;
    item->feature_count = count;
    return ERR_OK;
}

/* The keys of a map within a request, by their whole names. */
struct inner_keys {
    const char *const *name; /* "items.id", ...; the prefix alone: no key */
    uint32_t count;
    uint32_t prefix_len; /* of "items." */
    uint32_t seen;       /* bit by key */
};

/* The next key: its place among the names, or their count when it is none of them. */
static enum err_code read_inner_key(struct request_read *read, struct inner_keys *keys,
                                    struct text *ret_key, uint32_t *ret_at)
{
    struct text key;
    uint32_t at = 0;
    bool is_text = cursor_text(&read->cursor, &key);
    ASSERT(is_text); /* cursor_check has seen to it */
    while (at < keys->count && (keys->name[at][keys->prefix_len] == '\0' ||
                                !text_is(key, keys->name[at] + keys->prefix_len)))
        at++;
    if (at < keys->count && (keys->seen >> at & 1) != 0)
        return read_twice(read, text_of(keys->name[at]));
    if (at < keys->count)
        keys->seen |= UINT32_C(1) << at;
    *ret_key = key;
    *ret_at = at;
    return ERR_OK;
}

enum item_key { ITEM_ID, ITEM_SCORE, ITEM_QTY, ITEM_PRICE, ITEM_FEATURES, ITEM_KEY_COUNT };

/* Lists of items: how many they may be, and which keys an item has there. */
static const struct {
    const char *name;
    uint32_t count_max, prefix_len;
    const char *key[ITEM_KEY_COUNT]; /* the prefix alone for those it does not have */
} item_lists[REQUEST_LIST_COUNT] = {
    [REQUEST_LIST_ITEMS] = {"items",
                            REQUEST_ITEMS_MAX,
                            sizeof "items." - 1,
                            {"items.id", "items.score", "items.qty", "items.price",
                             "items.features"}},
    [REQUEST_LIST_CART] = {"cart",
                           REQUEST_CART_MAX,
                           sizeof "cart." - 1,
                           {"cart.id", "cart.", "cart.qty", "cart.price", "cart."}},
    [REQUEST_LIST_CANDIDATES] = {"candidates",
                                 REQUEST_ITEMS_MAX,
                                 sizeof "candidates." - 1,
                                 {"candidates.id", "candidates.score", "candidates.", "candidates.",
                                  "candidates."}},
};

static enum err_code read_item_value(struct request_read *read, const char *name, enum item_key key,
                                     struct request_item *item)
{
    switch (key) {
    case ITEM_ID: return read_id(read, name, &item->id);
    case ITEM_SCORE: return read_real(read, name, &item->score);
    case ITEM_QTY: return read_int(read, name, 1, 1000000, &item->qty);
    case ITEM_PRICE: return read_int(read, name, 0, MONEY_MINOR_MAX, &item->price_minor);
    case ITEM_FEATURES: return read_features(read, item);
    case ITEM_KEY_COUNT: break;
    }
    cursor_skip(&read->cursor, NULL);
    return ERR_OK;
}

static enum err_code read_item(struct request_read *read, enum request_list list,
                               struct request_item *item)
{
    const char *name = item_lists[list].name;
    *item = (struct request_item){.score = NAN, .qty = 1, .price_minor = INT64_MIN};
    if (cursor_peek(&read->cursor) == CURSOR_TEXT)
        return read_id(read, name, &item->id);
    uint32_t pair_count = 0;
    if (!cursor_map(&read->cursor, &pair_count))
        return read_kind(read, name, "ids or maps with an id", cursor_peek(&read->cursor));
    struct inner_keys keys = {item_lists[list].key, ITEM_KEY_COUNT, item_lists[list].prefix_len, 0};
    for (uint32_t i = 0; i < pair_count; i++) {
        struct text written;
        uint32_t key = 0;
        enum err_code rc = read_inner_key(read, &keys, &written, &key);
        if (rc == ERR_OK)
            rc = read_item_value(read, key < ITEM_KEY_COUNT ? item_lists[list].key[key] : "",
                                 (enum item_key)key, item);
        if (rc != ERR_OK)
            return rc;
    }
    if (item->id.ptr != NULL)
        return ERR_OK;
    name_field(read, item_lists[list].key[ITEM_ID]);
    return err_set(read->err, ERR_BAD_INPUT, "%s: missing", item_lists[list].key[ITEM_ID]);
}

enum err_code read_items(struct request_read *read, enum request_list list,
                         const struct request_item **ret_items, uint32_t *ret_count)
{
    uint32_t count = 0;
    enum err_code rc = read_array(read, item_lists[list].name, item_lists[list].count_max, &count);
    if (rc != ERR_OK)
        return rc;
    struct request_item *items = ARENA_NEW(read->arena, struct request_item, count);
    if (items == NULL)
        return no_room(read, item_lists[list].name);
    for (uint32_t i = 0; i < count && rc == ERR_OK; i++)
        rc = read_item(read, list, &items[i]);
    if (rc == ERR_OK) {
        *ret_items = items;
        *ret_count = count;
    }
    return rc;
}

enum err_code read_context(struct request_read *read, struct request *request)
{
    uint32_t count = 0;
    if (!cursor_map(&read->cursor, &count))
        return read_kind(read, "context", "a map", cursor_peek(&read->cursor));
    if (count > REQUEST_CONTEXT_MAX)
        return read_fail(read, ERR_LIMIT, "context: more than 32 entries");
    struct request_pair *pairs = ARENA_NEW(read->arena, struct request_pair, count);
    if (pairs == NULL)
        return no_room(read, "context");
    for (uint32_t i = 0; i < count; i++) {
        enum err_code rc = read_id(read, "context", &pairs[i].key);
        for (uint32_t k = 0; k < i && rc == ERR_OK; k++) {
            if (text_equal(pairs[k].key, pairs[i].key))
                rc = own_twice(read, "context", pairs[i].key);
        }
        if (rc == ERR_OK)
            rc = read_text(read, "context", 0, 256, &pairs[i].value);
        if (rc != ERR_OK)
            return rc;
    }
    request->context = pairs;
    request->context_count = count;
    return ERR_OK;
}

enum filter_key {
    FILTER_CATEGORIES,
    FILTER_BRANDS,
    FILTER_MIN_PRICE,
    FILTER_MAX_PRICE,
    FILTER_IN_STOCK,
    FILTER_KEY_COUNT
};

static const char *const filter_keys[FILTER_KEY_COUNT] = {"filters.categories", "filters.brands",
                                                          "filters.min_price", "filters.max_price",
                                                          "filters.in_stock"};

static enum err_code read_filter(struct request_read *read, enum filter_key key,
                                 struct text written, struct request_filters *filters)
{
    switch (key) {
    case FILTER_CATEGORIES: return read_one_or_many(read, filter_keys[key], &filters->categories);
    case FILTER_BRANDS: return read_one_or_many(read, filter_keys[key], &filters->brands);
    case FILTER_MIN_PRICE:
        return read_int(read, filter_keys[key], 0, MONEY_MINOR_MAX, &filters->min_price_minor);
    case FILTER_MAX_PRICE:
        return read_int(read, filter_keys[key], 0, MONEY_MINOR_MAX, &filters->max_price_minor);
    case FILTER_IN_STOCK: return read_bool(read, filter_keys[key], &filters->in_stock);
    case FILTER_KEY_COUNT: break;
    }
    /* A filter that is not understood would let through what the caller wanted to keep out. */
    char name[REQUEST_FIELD_BYTES];
    text_copy(written, name, sizeof name);
    name_field(read, "filters");
    return err_set(read->err, ERR_BAD_INPUT,
                   "filters: unknown filter '%s'; known: categories brands min_price max_price "
                   "in_stock",
                   name);
}

enum err_code read_filters(struct request_read *read, struct request_filters *filters)
{
    uint32_t pair_count = 0;
    if (!cursor_map(&read->cursor, &pair_count))
        return read_kind(read, "filters", "a map", cursor_peek(&read->cursor));
    struct inner_keys keys = {filter_keys, FILTER_KEY_COUNT, sizeof "filters." - 1, 0};
    for (uint32_t i = 0; i < pair_count; i++) {
        struct text name;
        uint32_t key = 0;
        enum err_code rc = read_inner_key(read, &keys, &name, &key);
        if (rc == ERR_OK)
            rc = read_filter(read, (enum filter_key)key, name, filters);
        if (rc != ERR_OK)
            return rc;
    }
    return ERR_OK;
}
