/* SPDX-License-Identifier: Apache-2.0 */
/* Readers of the history of prices. */
#include "featurestore/store_items.h"

/* The lowest of the first `count` prices that was in force within the window that ends with
 * until_s, when the last of them was. */
static int64_t lowest(const struct store *store, const struct item *record, uint32_t count,
                      int64_t until_s)
{
    int64_t from_s = until_s - STORE_PRICE_WINDOW_S;
    int64_t lowest_minor = EVENT_ABSENT;
    bool is_full = record->price_count == store_prices_max(store);
    if (count > 0 && is_full && record->prices[0].since_s > from_s)
        return EVENT_ABSENT; /* some that were in force may be forgotten */
    for (uint32_t i = count; i > 0; i--) {
        const struct price_change *change = &record->prices[i - 1];
        bool counts = change->currency == record->currency;
        if (counts && (lowest_minor == EVENT_ABSENT || change->price_minor < lowest_minor))
            lowest_minor = change->price_minor;
        if (change->since_s <= from_s)
            break; /* what came before was over by then */
    }
    return lowest_minor;
}

int64_t store_price_lowest(const struct store *store, uint32_t item)
{
    const struct item *record = store_item(store, item);
    if (record == NULL || record->price_count == 0)
        return EVENT_ABSENT;
    int64_t now_s = store_watermark_ms(store) / 1000;
    int64_t last_s = record->prices[record->price_count - 1].since_s;
    return lowest(store, record, record->price_count, last_s > now_s ? last_s : now_s);
}

int64_t store_price_lowest_before(const struct store *store, uint32_t item)
{
    const struct item *record = store_item(store, item);
    if (record == NULL || record->price_count < 2)
        return EVENT_ABSENT;
    uint32_t before = record->price_count - 1;
    return lowest(store, record, before, record->prices[before].since_s);
}
