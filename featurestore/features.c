/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "featurestore/features.h"
#include "featurestore/store_items.h"
#include "featurestore/store_people.h"

enum feature_id {
    ITEM_PRICE,
    ITEM_COST,
    ITEM_STOCK,
    ITEM_MARGIN,
    ITEM_PRICE_MIN_30D,
    ITEM_PRICE_BEFORE_30D,
    ITEM_EVENTS, /* + class * STORE_WINDOW_COUNT + window */
    USER_EVENTS = ITEM_EVENTS + EVENT_COUNTED_CLASSES * STORE_WINDOW_COUNT,
    USER_PURCHASES,
    USER_ITEMS,
    USER_AGE_LAST_S,
};

#define EVENTS_ID(class, window) \
    (ITEM_EVENTS + EVENT_CLASS_##class * STORE_WINDOW_COUNT + STORE_WINDOW_##window)
#define EVENTS(name, class)                                                   \
    {"item." name "_1h", FEATURE_ITEM, EVENTS_ID(class, 1H), 0, false},       \
        {"item." name "_1d", FEATURE_ITEM, EVENTS_ID(class, 1D), 0, false},   \
        {"item." name "_7d", FEATURE_ITEM, EVENTS_ID(class, 7D), 0, false},   \
        {"item." name "_14d", FEATURE_ITEM, EVENTS_ID(class, 14D), 0, false}, \
    {                                                                         \
        "item." name "_30d", FEATURE_ITEM, EVENTS_ID(class, 30D), 0, false    \
    }

static const struct feature features[] = {
    {"item.price", FEATURE_ITEM, ITEM_PRICE, 0, false},
    {"item.cost", FEATURE_ITEM, ITEM_COST, 0, false},
    {"item.stock", FEATURE_ITEM, ITEM_STOCK, 0, false},
    {"item.margin", FEATURE_ITEM, ITEM_MARGIN, 0, false},
    {"item.price_min_30d", FEATURE_ITEM, ITEM_PRICE_MIN_30D, 0, false},
    {"item.price_before_30d", FEATURE_ITEM, ITEM_PRICE_BEFORE_30D, 0, false},
    EVENTS("views", VIEW),
    EVENTS("carts", CART),
    EVENTS("purchases", PURCHASE),
    {"user.events", FEATURE_USER, USER_EVENTS, 0, false},
    {"user.purchases", FEATURE_USER, USER_PURCHASES, 0, false},
    {"user.items", FEATURE_USER, USER_ITEMS, 0, false},
    {"user.age_last_s", FEATURE_USER, USER_AGE_LAST_S, 0, false},
};

enum { FEATURE_COUNT = sizeof features / sizeof features[0] };

const struct feature *feature_builtin(struct text name)
{
    for (uint32_t i = 0; i < FEATURE_COUNT; i++) {
        if (text_is(name, features[i].name))
            return &features[i];
    }
    return NULL;
}

const struct feature *feature_builtin_at(uint32_t index)
{
    return index < FEATURE_COUNT ? &features[index] : NULL;
}

uint32_t feature_builtin_count(void)
{
    return FEATURE_COUNT;
}

static double money(int64_t minor)
{
    return minor == EVENT_ABSENT ? (double)NAN : (double)minor;
}

static double margin(const struct item *record)
{
    if (record->cost_minor == EVENT_ABSENT || record->price_minor <= 0)
        return (double)NAN; /* an absent price is below 0 */
    return (double)(record->price_minor - record->cost_minor) / (double)record->price_minor;
}

double feature_of_item(const struct store *store, uint32_t id, uint32_t item)
{
    if (id >= ITEM_EVENTS && id < USER_EVENTS) {
        uint32_t at = id - ITEM_EVENTS;
        return store_item_events(store, item, (enum event_class)(at / STORE_WINDOW_COUNT),
                                 (enum store_window)(at % STORE_WINDOW_COUNT));
    }
    const struct item *record = store_item(store, item);
    if (record == NULL)
        return (double)NAN;
    switch (id) {
    case ITEM_PRICE: return money(record->price_minor);
    case ITEM_COST: return money(record->cost_minor);
    case ITEM_STOCK: return record->stock == STORE_STOCK_UNKNOWN ? (double)NAN : record->stock;
    case ITEM_MARGIN: return margin(record);
    case ITEM_PRICE_MIN_30D: return money(store_price_lowest(store, item));
    case ITEM_PRICE_BEFORE_30D: return money(store_price_lowest_before(store, item));
    default: return (double)NAN;
    }
}

double feature_of_user(const struct store *store, uint32_t id, const struct history *history)
{
    switch (id) {
    case USER_EVENTS: return history->events;
    case USER_PURCHASES: return history->purchases;
    case USER_ITEMS: return history->count;
    case USER_AGE_LAST_S:
        if (history->count == 0)
            return (double)NAN;
        return (double)(store_watermark_ms(store) / 1000 - history->last_s[0]);
    default: return (double)NAN;
    }
}
