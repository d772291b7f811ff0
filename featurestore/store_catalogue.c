/* SPDX-License-Identifier: Apache-2.0 */
/* Catalogue records: made whole from the old one and what the event says, published when all of the
 * event's records are there. */
#include <stdlib.h>
#include <string.h>

#include "featurestore/store_apply.h"
#include "featurestore/store_checkpoint.h"

static uint64_t record_bytes(const struct item *record)
{
    return sizeof *record + record->price_count * sizeof *record->prices + record->title.len +
           record->attributes.len;
}

/* The record that the next one of this item starts from: one of this event, or the stored one. */
static struct item base_of(const struct store *store, const struct item_slot *slot, uint32_t item,
                           uint32_t prepared_count)
{
    static const struct item none = {.price_minor = EVENT_ABSENT,
                                     .cost_minor = EVENT_ABSENT,
                                     .stock = STORE_STOCK_UNKNOWN,
                                     .category = IDMAP_NONE,
                                     .brand = IDMAP_NONE};
    for (uint32_t i = prepared_count; i > 0; i--) {
        if (store->item[i - 1] == item)
            return *store->record[i - 1];
    }
    const struct item *stored = atomic_load_explicit(&slot->record, memory_order_relaxed);
    return stored != NULL ? *stored : none;
}

/* A block of its own with the texts behind it; NULL without memory. */
static struct item *record_create(const struct item *from)
{
    struct item *record = malloc(record_bytes(from));
    if (record == NULL)
        return NULL;
    *record = *from;
    struct price_change *prices = (struct price_change *)(record + 1);
    record->prices = prices;
    if (from->price_count > 0)
        memcpy(prices, from->prices, from->price_count * sizeof *prices);
    char *at = (char *)(prices + from->price_count);
    if (from->title.ptr != NULL) {
        memcpy(at, from->title.ptr, from->title.len);
        record->title.ptr = at;
        at += from->title.len;
    }
    if (from->attributes.ptr != NULL) {
        memcpy(at, from->attributes.ptr, from->attributes.len);
        record->attributes.ptr = at;
    }
    return record;
}

/* Prepares the record of one item as the event's number `at`. */
static enum err_code prepare(struct store *store, uint32_t at, const struct item *record,
                             struct err *err)
{
    store->record[at] = record_create(record);
    if (store->record[at] == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for a catalogue record");
    return ERR_OK;
}

static enum err_code add_name(struct idmap *ids, struct text name, uint32_t *number,
                              struct err *err)
{
    return name.ptr == NULL ? ERR_OK : idmap_add(ids, name, number, NULL, err);
}

/* When it was changed, in seconds; a caller's clock that is ahead does not count. */
static uint32_t time_of(const struct event *event, int64_t arrival_ms)
{
    return (uint32_t)((event->ts_ms < arrival_ms ? event->ts_ms : arrival_ms) / 1000);
}

/* Appends the present price, unless it is the one before, or is not known.  Changes count in the
 * order in which they came; a late one counts as of the one before it. */
static void note_price(struct store *store, uint32_t time_s, struct item *record)
{
    uint32_t count = record->price_count;
    struct price_change change = {record->price_minor, time_s, record->currency};
    if (record->price_minor == EVENT_ABSENT || store->limits.prices_max == 0)
        return;
    if (count > 0) {
        const struct price_change *last = &record->prices[count - 1];
        if (last->price_minor == change.price_minor && last->currency == change.currency)
            return;
        if (change.since_s < last->since_s)
            change.since_s = last->since_s;
    }
    uint32_t kept = count < store->limits.prices_max ? count : store->limits.prices_max - 1;
    if (kept > 0)
        memmove(store->prices, record->prices + (count - kept), kept * sizeof store->prices[0]);
    store->prices[kept] = change;
    record->prices = store->prices;
    record->price_count = kept + 1;
}

/* An item has one currency.  What the event does not bring anew must not pass from one to another:
 * a margin would compare yen with dollars. */
static enum err_code take_currency(const struct event *event, const struct event_item *news,
                                   struct item *record, struct err *err)
{
    bool has_price = news->price_minor != EVENT_ABSENT, has_cost = news->cost_minor != EVENT_ABSENT;
    if (event->currency == 0 || event->currency == record->currency || (!has_price && !has_cost))
        return ERR_OK;
    bool keeps_price = !has_price && record->price_minor != EVENT_ABSENT;
    bool keeps_cost = !has_cost && record->cost_minor != EVENT_ABSENT;
    if (record->currency != 0 && (keeps_price || keeps_cost)) {
        char wanted[4], kept[4];
        return err_set(err, ERR_BAD_INPUT,
                       "item '%.*s': its %s is in %s: expected one in %s beside the %s",
                       (int)news->id.len, news->id.ptr, keeps_price ? "price" : "cost",
                       currency_format(record->currency, kept),
                       currency_format(event->currency, wanted), keeps_price ? "cost" : "price");
    }
    record->currency = event->currency;
    return ERR_OK;
}

static enum err_code merge(struct store *store, const struct event *event, uint32_t time_s,
                           const struct event_item *news, struct item *record, struct err *err)
{
    record->deleted = false;
    if (record->added_s == 0)
        record->added_s = time_s;
    enum err_code rc = take_currency(event, news, record, err);
    if (rc != ERR_OK)
        return rc;
    if (news->price_minor != EVENT_ABSENT)
        record->price_minor = news->price_minor;
    if (news->cost_minor != EVENT_ABSENT)
        record->cost_minor = news->cost_minor;
    if (news->stock != EVENT_ABSENT)
        record->stock = (int32_t)news->stock;
    if (news->title.ptr != NULL)
        record->title = news->title;
    if (news->attributes.ptr != NULL)
        record->attributes = news->attributes;
    note_price(store, time_s, record);
    rc = add_name(store->category_ids, news->category, &record->category, err);
    if (rc == ERR_OK)
        rc = add_name(store->brand_ids, news->brand, &record->brand, err);
    return rc;
}

static bool is_same_text(struct text a, struct text b)
{
    return (a.ptr == NULL) == (b.ptr == NULL) && a.len == b.len &&
           (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* Of what the item is, not of its price or stock. */
static bool is_same_content(const struct item *a, const struct item *b)
{
    return a != NULL && a->deleted == b->deleted && a->category == b->category &&
           a->brand == b->brand && is_same_text(a->title, b->title) &&
           is_same_text(a->attributes, b->attributes);
}

static bool is_live(const struct item *record)
{
    return record != NULL && !record->deleted;
}

static uint32_t number_or_none(uint32_t number)
{
    return number == IDMAP_NONE ? 0 : number + 1;
}

/* Relaxed, and this thread is the only writer: each bit and number stands by itself. */
static void set_mark(struct item_page *page, enum store_mark mark, uint32_t at, bool is_so)
{
    _Atomic(uint64_t) *word = &page->mark[mark][at / 64];
    uint64_t bit = (uint64_t)1 << (at % 64);
    uint64_t bits = atomic_load_explicit(word, memory_order_relaxed);
    atomic_store_explicit(word, is_so ? bits | bit : bits & ~bit, memory_order_relaxed);
}

static void note_columns(struct store *store, uint32_t item, const struct item *record)
{
    struct item_page *page =
        atomic_load_explicit(&store->item_page[item >> ITEM_PAGE_BITS], memory_order_relaxed);
    uint32_t at = item & (ITEM_PAGE_SLOTS - 1);
    bool is_sold_out =
        record->deleted || (record->stock != STORE_STOCK_UNKNOWN && record->stock < 1);
    store_counter_add(store, COUNTER_SOLD_OUT,
                      is_sold_out - store_item_is(store, item, STORE_SOLD_OUT));
    atomic_store_explicit(&page->category[at], number_or_none(record->category),
                          memory_order_relaxed);
    atomic_store_explicit(&page->brand[at], number_or_none(record->brand), memory_order_relaxed);
    atomic_store_explicit(&page->price_minor[at], record->price_minor, memory_order_relaxed);
    atomic_store_explicit(&page->stock[at], record->stock, memory_order_relaxed);
    set_mark(page, STORE_RECORDED, at, true);
    set_mark(page, STORE_DELETED, at, record->deleted);
    set_mark(page, STORE_SOLD_OUT, at, is_sold_out);
}

static void publish(struct store *store, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        store_keep(store, ROW_ITEM, store->item[i]);
        struct item_slot *slot = store_item_slot(store, store->item[i]);
        const struct item *record = store->record[i];
        const struct item *old = atomic_load_explicit(&slot->record, memory_order_relaxed);
        int64_t bytes = (int64_t)heap_bytes(record_bytes(record));
        if (old != NULL)
            bytes -= (int64_t)heap_bytes(record_bytes(old));
        store_counter_add(store, COUNTER_BYTES_ITEMS, bytes);
        store_counter_add(store, COUNTER_CONTENT, !is_same_content(old, record));
        store_counter_add(store, COUNTER_CATALOGUE_ITEMS, is_live(record) - is_live(old));
        note_columns(store, store->item[i], record);
        atomic_store_explicit(&slot->record, record, memory_order_release);
        retire_heap(&store->retire, old);
    }
    store->refresh.is_due = true;
}

static void discard(struct store *store, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        free(store->record[i]);
}

static enum err_code upsert_one(struct store *store, const struct event *event, uint32_t time_s,
                                uint32_t at, struct err *err)
{
    const struct event_item *news = &event->items[at];
    enum err_code rc = store_add_item_id(store, news->id, &store->item[at], err);
    if (rc != ERR_OK)
        return rc;
    const struct item_slot *slot = store_item_slot_make(store, store->item[at]);
    if (slot == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for a page of items");
    struct item record = base_of(store, slot, store->item[at], at);
    rc = merge(store, event, time_s, news, &record, err);
    return rc == ERR_OK ? prepare(store, at, &record, err) : rc;
}

enum err_code store_catalogue_upsert(struct store *store, const struct event *event,
                                     int64_t arrival_ms, struct err *err)
{
    uint32_t time_s = time_of(event, arrival_ms);
    for (uint32_t i = 0; i < event->item_count; i++) {
        enum err_code rc = upsert_one(store, event, time_s, i, err);
        if (rc != ERR_OK) {
            discard(store, i);
            return rc;
        }
    }
    publish(store, event->item_count);
    return ERR_OK;
}

enum err_code store_catalogue_delete(struct store *store, const struct event *event,
                                     struct err *err)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < event->item_count; i++) {
        uint32_t item = idmap_find(store->item_ids, event->items[i].id);
        if (item == IDMAP_NONE)
            continue; /* it is not there, which is what was wanted */
        const struct item_slot *slot = store_item_slot_make(store, item);
        enum err_code rc = ERR_OK;
        if (slot == NULL) {
            rc = err_set(err, ERR_NOMEM, "out of memory for a page of items");
        } else {
            struct item record = base_of(store, slot, item, count);
            record.deleted = true;
            store->item[count] = item;
            rc = prepare(store, count, &record, err);
        }
        if (rc != ERR_OK) {
            discard(store, count);
            return rc;
        }
        count++;
    }
    publish(store, count);
    return ERR_OK;
}

enum err_code store_catalogue_put(struct store *store, uint32_t item, const struct item *record,
                                  struct err *err)
{
    if (store_item_slot_make(store, item) == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for a page of items");
    enum err_code rc = prepare(store, 0, record, err);
    if (rc != ERR_OK)
        return rc;
    store->item[0] = item;
    publish(store, 1);
    return ERR_OK;
}
