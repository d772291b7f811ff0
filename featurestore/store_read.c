/* SPDX-License-Identifier: Apache-2.0 */
/* The readers: acquire loads of published pointers, nothing is stored. */
#include "base/rcu.h"
#include "featurestore/store_internal.h"

uint32_t store_items_max(const struct store *store)
{
    return store->limits.items_max;
}

uint32_t store_prices_max(const struct store *store)
{
    return store->limits.prices_max;
}

uint32_t store_item_count(const struct store *store)
{
    return idmap_count(store->item_ids);
}

uint64_t store_content_version(const struct store *store)
{
    return store_counter(store, COUNTER_CONTENT);
}

uint32_t store_item_find(const struct store *store, struct text id)
{
    return idmap_find(store->item_ids, id);
}

struct text store_item_id(const struct store *store, uint32_t item)
{
    return idmap_text(store->item_ids, item);
}

const struct item *store_item(const struct store *store, uint32_t item)
{
    const struct item_slot *slot = store_item_slot(store, item);
    return slot == NULL ? NULL : atomic_load_explicit(&slot->record, memory_order_acquire);
}

uint32_t store_category_find(const struct store *store, struct text name)
{
    return idmap_find(store->category_ids, name);
}

struct text store_category_name(const struct store *store, uint32_t category)
{
    return idmap_text(store->category_ids, category);
}

uint32_t store_category_count(const struct store *store)
{
    return idmap_count(store->category_ids);
}

uint32_t store_brand_find(const struct store *store, struct text name)
{
    return idmap_find(store->brand_ids, name);
}

struct text store_brand_name(const struct store *store, uint32_t brand)
{
    return idmap_text(store->brand_ids, brand);
}

uint32_t store_item_events(const struct store *store, uint32_t item, enum event_class event_class,
                           enum store_window window)
{
    ASSERT(event_class < EVENT_COUNTED_CLASSES && window < STORE_WINDOW_COUNT);
    const struct item_slot *slot = store_item_slot(store, item);
    const struct windows *windows = slot == NULL ? NULL : store_windows(slot, event_class);
    return windows == NULL ? 0 : windows_total(windows, window);
}

float store_item_score(const struct store *store, uint32_t item, enum store_window window)
{
    ASSERT(window < STORE_WINDOW_COUNT);
    const struct item_slot *slot = store_item_slot(store, item);
    float score = 0.0f;
    for (uint32_t c = 0; c < EVENT_COUNTED_CLASSES && slot != NULL; c++) {
        const struct windows *windows = store_windows(slot, c);
        if (windows != NULL)
            score += windows_score(windows, c, window);
    }
    return score;
}

void store_item_fetch(const struct store *store, uint32_t item)
{
    __builtin_prefetch(store_item_slot(store, item));
}

void store_item_fetch_record(const struct store *store, uint32_t item)
{
    __builtin_prefetch(store_item(store, item));
}

void store_item_fetch_id(const struct store *store, uint32_t item)
{
    idmap_fetch_text(store->item_ids, item);
}

void store_item_fetch_score(const struct store *store, uint32_t item)
{
    const struct item_slot *slot = store_item_slot(store, item);
    for (uint32_t c = 0; c < EVENT_COUNTED_CLASSES && slot != NULL; c++)
        __builtin_prefetch(store_windows(slot, c));
}

void store_top(const struct store *store, enum store_window window, uint32_t category,
               struct top_list *ret_list)
{
    ASSERT(window < STORE_WINDOW_COUNT);
    const struct store_top_set *set = atomic_load_explicit(&store->top, memory_order_acquire);
    *ret_list = (struct top_list){0, NULL};
    if (set == NULL || (category != IDMAP_NONE && category >= set->category_count))
        return;
    uint64_t first = (uint64_t)window * (1 + (uint64_t)set->category_count);
    struct store_top_span span = set->list[first + (category == IDMAP_NONE ? 0 : 1 + category)];
    *ret_list = (struct top_list){span.count, set->entry + span.first};
}

int64_t store_watermark_ms(const struct store *store)
{
    return atomic_load_explicit(&store->watermark_ms, memory_order_acquire);
}

void store_stats(const struct store *store, struct store_stats *ret_stats)
{
    rcu_read_begin(); /* tables of features are replaced */
    *ret_stats = (struct store_stats){
        .items = idmap_count(store->item_ids),
        .catalogue_items = store_counter(store, COUNTER_CATALOGUE_ITEMS),
        .users = idmap_count(store->users.ids) - idmap_erased_count(store->users.ids),
        .anons = idmap_count(store->anons.ids) - idmap_erased_count(store->anons.ids),
        .links = store_counter(store, COUNTER_LINKS),
        .events_accepted = store_counter(store, COUNTER_ACCEPTED),
        .events_duplicate = store_counter(store, COUNTER_DUPLICATE),
        .events_rejected = store_counter(store, COUNTER_REJECTED),
        .fields_dropped = store_counter(store, COUNTER_FIELDS_DROPPED),
        .dedup_oldest_ms = atomic_load_explicit(&store->dedup_oldest_ms, memory_order_relaxed),
        .queue_events = atomic_load_explicit(&store->queue_events, memory_order_relaxed),
        .history_entries = store_counter(store, COUNTER_HISTORY_ENTRIES),
        .bytes_items = store_counter(store, COUNTER_BYTES_ITEMS) + idmap_bytes(store->item_ids) +
                       idmap_bytes(store->category_ids) + idmap_bytes(store->brand_ids),
        .bytes_people = store_counter(store, COUNTER_BYTES_PEOPLE) + idmap_bytes(store->users.ids) +
                        idmap_bytes(store->anons.ids),
        .bytes_counts = store_counter(store, COUNTER_BYTES_COUNTS),
        .bytes_spare = slabs_spare_bytes(store->slabs),
        .batches = store_counter(store, COUNTER_BATCHES),
        .feature_rows = feature_tables_row_count(store->features),
        .bytes_features = feature_tables_bytes(store->features),
        .features_dropped = atomic_load_explicit(&store->features->dropped, memory_order_relaxed),
    };
    rcu_read_end();
}
