/* SPDX-License-Identifier: Apache-2.0 */
#include "featurestore/store_rows.h"

struct idmap *store_row_ids(const struct store *store, enum store_row kind)
{
    switch (kind) {
    case ROW_CATEGORY: return store->category_ids;
    case ROW_BRAND: return store->brand_ids;
    case ROW_ITEM_ID:
    case ROW_ITEM: return store->item_ids;
    case ROW_USER_ID:
    case ROW_USER_PROFILE:
    case ROW_USER: return store->users.ids;
    case ROW_ANON_ID:
    case ROW_ANON_PROFILE:
    case ROW_ANON: return store->anons.ids;
    case ROW_QUERY_ID: return feature_query_ids(store->features);
    case ROW_SLOT_ID: return feature_slot_ids(store->features);
    default: return NULL;
    }
}

uint32_t store_row_count(const struct store *store, enum store_row kind)
{
    const struct idmap *ids = store_row_ids(store, kind);
    if (kind == ROW_EVENT_IDS)
        return store_event_id_row_count(store);
    if (kind >= ROW_FEATURE_LAYOUT)
        return store_feature_row_count(store, kind);
    if (kind == ROW_STATE)
        return 1;
    return ids == NULL ? 0 : idmap_count(ids);
}

static void put_state(const struct store *store, struct checkpoint_block *block)
{
    size_t mark = checkpoint_row_open(block, ROW_STATE, 0);
    checkpoint_put_u64(block, (uint64_t)store_watermark_ms(store));
    store_event_id_span_write(store, block);
    checkpoint_row_close(block, mark);
}

static void put_id(const struct store *store, enum store_row kind, uint32_t number,
                   struct checkpoint_block *block)
{
    struct text id = idmap_text(store_row_ids(store, kind), number);
    size_t mark = checkpoint_row_open(block, (uint8_t)kind, number);
    buffer_put(&block->buffer, id.ptr, id.len);
    checkpoint_row_close(block, mark);
}

static void put_record(struct checkpoint_block *block, const struct item *record)
{
    checkpoint_put_u32(block, record != NULL ? ROW_RECORD_ADDED : ROW_RECORD_NONE);
    if (record == NULL)
        return;
    checkpoint_put_u32(block, record->added_s);
    checkpoint_put_u64(block, (uint64_t)record->price_minor);
    checkpoint_put_u64(block, (uint64_t)record->cost_minor);
    checkpoint_put_u32(block, record->currency);
    checkpoint_put_u32(block, (uint32_t)record->stock);
    checkpoint_put_u32(block, record->category);
    checkpoint_put_u32(block, record->brand);
    checkpoint_put_u32(block, record->deleted);
    checkpoint_put_text(block, record->title);
    checkpoint_put_text(block, record->attributes);
    checkpoint_put_u32(block, record->price_count);
    for (uint32_t i = 0; i < record->price_count; i++) {
        checkpoint_put_u64(block, (uint64_t)record->prices[i].price_minor);
        checkpoint_put_u32(block, record->prices[i].since_s);
        checkpoint_put_u32(block, record->prices[i].currency);
    }
}

static void put_all_u32(struct checkpoint_block *block, const uint32_t *value, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        checkpoint_put_u32(block, value[i]);
}

static void put_windows(struct checkpoint_block *block, const struct windows *windows)
{
    checkpoint_put_u32(block, windows != NULL);
    if (windows == NULL)
        return;
    checkpoint_put_u32(block, windows->now);
    put_all_u32(block, windows->fine, WINDOWS_FINE_TILES);
    put_all_u32(block, windows->hour, WINDOWS_HOUR_TILES);
    put_all_u32(block, windows->day, WINDOWS_DAY_TILES);
}

static void put_item(const struct store *store, uint32_t number, struct checkpoint_block *block)
{
    const struct item_slot *slot = store_item_slot(store, number);
    const struct item *record =
        slot == NULL ? NULL : atomic_load_explicit(&slot->record, memory_order_relaxed);
    bool has_windows = false;
    for (uint32_t c = 0; slot != NULL && c < EVENT_COUNTED_CLASSES; c++)
        has_windows = has_windows || store_windows(slot, c) != NULL;
    if (record == NULL && !has_windows)
        return;
    size_t mark = checkpoint_row_open(block, ROW_ITEM, number);
    put_record(block, record);
    for (uint32_t c = 0; c < EVENT_COUNTED_CLASSES; c++)
        put_windows(block, store_windows(slot, c));
    checkpoint_row_close(block, mark);
}

static void put_person(const struct people *people, enum store_row kind, uint32_t number,
                       struct checkpoint_block *block)
{
    const struct person *person = store_person(people, number);
    if (person == NULL)
        return;
    struct history history = person_history(person);
    size_t mark = checkpoint_row_open(block, (uint8_t)kind, number);
    checkpoint_put_u32(block, history.events);
    checkpoint_put_u32(block, history.purchases);
    checkpoint_put_u32(block, history.count);
    put_all_u32(block, history.item, history.count);
    put_all_u32(block, history.last_s, history.count);
    buffer_put(&block->buffer, (const char *)history.classes, history.count);
    buffer_put(&block->buffer, (const char *)history.days, history.count);
    checkpoint_row_close(block, mark);
}

void store_row_write(const struct store *store, enum store_row kind, uint32_t number,
                     struct checkpoint_block *block)
{
    switch (kind) {
    case ROW_STATE: put_state(store, block); break;
    case ROW_CATEGORY:
    case ROW_BRAND:
    case ROW_ITEM_ID:
    case ROW_USER_ID:
    case ROW_ANON_ID:
    case ROW_QUERY_ID:
    case ROW_SLOT_ID: put_id(store, kind, number, block); break;
    case ROW_ITEM: put_item(store, number, block); break;
    case ROW_USER: put_person(&store->users, kind, number, block); break;
    case ROW_ANON: put_person(&store->anons, kind, number, block); break;
    case ROW_USER_PROFILE: store_profile_row_write(&store->users, kind, number, block); break;
    case ROW_ANON_PROFILE: store_profile_row_write(&store->anons, kind, number, block); break;
    case ROW_EVENT_IDS: store_event_id_row_write(store, number, block); break;
    default: store_feature_row_write(store, kind, number, block); break;
    }
}
