/* SPDX-License-Identifier: Apache-2.0 */
/* store_items - reading items: the catalogue, its columns, prices, popularity.
 *
 * Items, categories and brands have dense numbers that are never reused (base/idmap.h); models bind
 * their ids to the same item numbers on load (store_bind_items).  An item that was only named by
 * events or models has no catalogue record; the policy decides whether it may be shown.
 *
 * Time: windows end at the newest time of any shopper event (never later than its arrival), so that
 * a history imported from years ago still has a "last 14 days".  They advance in tiles: 5 minutes
 * for 1h, an hour for 1d, a UTC day for 7d, 14d and 30d; the newest tile is the current one
 * (featurestore/windows.h).  A late event counts in every window that covers its time.
 *
 * Threads: any, inside rcu_read_begin/end; wait-free.  Ownership: results are borrowed from the
 * store, and constant until rcu_read_end.  Limits: items_max, prices_max (struct store_limits). */
#ifndef FEATURESTORE_STORE_ITEMS_H
#define FEATURESTORE_STORE_ITEMS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/idmap.h"
#include "base/money.h"
#include "base/text.h"
#include "featurestore/event.h"

struct store;

#define STORE_STOCK_UNKNOWN INT32_MIN

#define STORE_PRICES_MAX 255

/* From then on the item had that price, until the next change. */
struct price_change {
    int64_t price_minor;
    uint32_t since_s; /* seconds since the epoch; never before the change that precedes it */
    currency_code currency;
};

/* A catalogue record.  Immutable; a price or stock change replaces it. */
struct item {
    int64_t price_minor; /* EVENT_ABSENT when unknown */
    int64_t cost_minor;  /* EVENT_ABSENT when unknown */
    currency_code currency;
    int32_t stock;     /* STORE_STOCK_UNKNOWN when unknown */
    uint32_t category; /* number, IDMAP_NONE when unknown */
    uint32_t brand;
    uint32_t added_s; /* when it came into the catalogue, seconds since the epoch; 0: not known */
    bool deleted;
    struct text title;                 /* .ptr NULL when unknown */
    struct text attributes;            /* raw MessagePack map; .ptr NULL when none */
    const struct price_change *prices; /* price_count of them, oldest first */
    uint32_t price_count;
};

uint32_t store_items_max(const struct store *store);                 /* of the limits */
uint32_t store_prices_max(const struct store *store);                /* of the limits */
uint32_t store_item_count(const struct store *store);                /* numbers given */
uint32_t store_item_find(const struct store *store, struct text id); /* or IDMAP_NONE */
struct text store_item_id(const struct store *store, uint32_t item);
void store_item_fetch_id(const struct store *store, uint32_t item);      /* asks for its memory */
const struct item *store_item(const struct store *store, uint32_t item); /* NULL: no record */

/* Changes when a record's title, category, brand or attributes do, or an item comes or goes. */
uint64_t store_content_version(const struct store *store);

uint32_t store_category_find(const struct store *store, struct text name); /* or IDMAP_NONE */
struct text store_category_name(const struct store *store, uint32_t category);
uint32_t store_category_count(const struct store *store);
uint32_t store_brand_find(const struct store *store, struct text name);
struct text store_brand_name(const struct store *store, uint32_t brand);

/* ---- store_columns.c: what records say, without a way to them; of what changes meanwhile either
 * is told. */
enum store_mark {
    STORE_RECORDED,
    STORE_DELETED,
    STORE_SOLD_OUT, /* deleted, or the stock is known and below 1 */
    STORE_MARK_COUNT
};
bool store_item_is(const struct store *store, uint32_t item, enum store_mark mark);
uint32_t store_sold_out_count(const struct store *store);

/* What the record of an item must say; each of the conditions but the last two only of one that
 * there is, so that those want needs_record. */
struct store_wanted {
    const uint32_t *category, *brand; /* one of these numbers; NULL: any, or none */
    uint32_t category_count, brand_count;
    bool by_price; /* known, and within these limits */
    int64_t price_min_minor, price_max_minor;
    bool by_stock, stock_may_be_unknown;
    int32_t stock_min, stock_max;
    bool needs_record;
    bool in_stock; /* not sold out; false: not deleted */
};
/* The items that are as wanted, as bits by number: ret_bits has a word for each 64 of the first
 * `item_count` items. */
void store_items_wanted(const struct store *store, const struct store_wanted *wanted,
                        uint32_t item_count, uint64_t *ret_bits);
/* About how many in a thousand they are, by a sample. */
uint32_t store_wanted_permille(const struct store *store, const struct store_wanted *wanted,
                               uint32_t item_count);

#define STORE_PRICE_WINDOW_S (30u * 86400)

/* The lowest price of the item, in its present currency, that was in force at some time within the
 * 30 days before
 * - the newest time that is known (the watermark, or the last change), the present price included;
 * - the present price came into force: what has to stand beside a reduction (directive 98/6/EC).
 * EVENT_ABSENT when there was none, or when more changes fell into the time than are kept. */
int64_t store_price_lowest(const struct store *store, uint32_t item);
int64_t store_price_lowest_before(const struct store *store, uint32_t item);

enum store_window {
    STORE_WINDOW_1H,
    STORE_WINDOW_1D,
    STORE_WINDOW_7D,
    STORE_WINDOW_14D,
    STORE_WINDOW_30D,
    STORE_WINDOW_COUNT
};

/* How often events of the class named the item within the window.  Exact as of the newest event
 * with this item; windows of other items move on when the top lists are refreshed. */
uint32_t store_item_events(const struct store *store, uint32_t item, enum event_class event_class,
                           enum store_window window);

/* How popular the item is in the window: views + 3 carts + 10 purchases.  Exact as above. */
float store_item_score(const struct store *store, uint32_t item, enum store_window window);
/* Ask for the memory of what store_item_score reads, one step after the other. */
void store_item_fetch(const struct store *store, uint32_t item);
void store_item_fetch_score(const struct store *store, uint32_t item);
void store_item_fetch_record(const struct store *store, uint32_t item); /* of store_item */

#define STORE_TOP_MAX 500 /* entries of a top list */

struct top_entry {
    uint32_t item;
    float score; /* store_item_score */
    float share; /* log(1 + score) / log(1 + best score of the list), 0..1 */
};

struct top_list {
    uint32_t count;
    const struct top_entry *entry; /* best first; ties by item number */
};

/* Most popular in the window, over all (category IDMAP_NONE) or within a category; deleted items
 * are not in it.  Refreshed by the store thread: with up to 2,048 items that have counts, before
 * the batch is completed that leaves the queue empty; with more, at most once a second, and a
 * second after the queue ran empty at the latest.  Takes about 0.5 us an item: 1 ms for 2,000, 55
 * ms for 100,000. */
void store_top(const struct store *store, enum store_window window, uint32_t category,
               struct top_list *ret_list);

/* The newest event time seen, ms since the epoch; 0 before the first event. */
int64_t store_watermark_ms(const struct store *store);

#endif
