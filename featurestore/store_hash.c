/* SPDX-License-Identifier: Apache-2.0 */
/* The hash of the state: a sum over all rows, each hashed with its id, so that neither the numbers
 * of ids nor the order of rows count.  Names that no row holds do not count either: readers cannot
 * tell them from unknown. */
#include "base/hash.h"
#include "featurestore/store_internal.h"

/* What a row is, so that equal bytes in different places differ. */
enum row { ROW_ITEM = 1, ROW_WINDOWS, ROW_USER, ROW_ANON, ROW_STORE, ROW_PROFILE };

/* Takes in one part after the other. */
struct digest {
    uint64_t hash;
};

static void put(struct digest *digest, const void *bytes, size_t len)
{
    digest->hash = hash_bytes(bytes, len, digest->hash);
}

static void put_int(struct digest *digest, int64_t value)
{
    put(digest, &value, sizeof value);
}

static void put_text(struct digest *digest, struct text text)
{
    put_int(digest, text.ptr == NULL ? -1 : (int64_t)text.len);
    put(digest, text.ptr == NULL ? "" : text.ptr, text.len);
}

static void put_name(struct digest *digest, const struct idmap *ids, uint32_t number)
{
    put_text(digest, number == IDMAP_NONE ? (struct text){NULL, 0} : idmap_text(ids, number));
}

static uint64_t hash_record(const struct store *store, struct text id, const struct item *record)
{
    struct digest digest = {ROW_ITEM};
    put_text(&digest, id);
    put_int(&digest, record->price_minor);
    put_int(&digest, record->cost_minor);
    put_int(&digest, record->currency);
    put_int(&digest, record->stock);
    put_int(&digest, record->deleted);
    put_name(&digest, store->category_ids, record->category);
    put_name(&digest, store->brand_ids, record->brand);
    put_text(&digest, record->title);
    put_text(&digest, record->attributes);
    for (uint32_t i = 0; i < record->price_count; i++) {
        put_int(&digest, record->prices[i].price_minor);
        put_int(&digest, record->prices[i].since_s);
        put_int(&digest, record->prices[i].currency);
    }
    return digest.hash;
}

/* Tiles that left their window may or may not have been cleared: they are read as of now. */
static uint64_t hash_windows(struct text id, uint32_t event_class, const struct windows *windows,
                             uint32_t now)
{
    struct windows moved = *windows;
    windows_advance(&moved, now);
    if (windows_are_empty(&moved))
        return 0;
    struct digest digest = {ROW_WINDOWS};
    put_text(&digest, id);
    put_int(&digest, event_class);
    put(&digest, moved.fine, sizeof moved.fine);
    put(&digest, moved.hour, sizeof moved.hour);
    put(&digest, moved.day, sizeof moved.day);
    return digest.hash;
}

static uint64_t hash_items(const struct store *store)
{
    uint64_t sum = 0;
    uint32_t now = windows_tile(store_watermark_ms(store));
    for (uint32_t i = 0; i < store_item_count(store); i++) {
        const struct item_slot *slot = store_item_slot(store, i);
        if (slot == NULL)
            continue;
        struct text id = store_item_id(store, i);
        const struct item *record = atomic_load_explicit(&slot->record, memory_order_relaxed);
        if (record != NULL)
            sum += hash_record(store, id, record);
        for (uint32_t c = 0; c < EVENT_COUNTED_CLASSES; c++)
            if (store_windows(slot, c) != NULL)
                sum += hash_windows(id, c, store_windows(slot, c), now);
    }
    return sum;
}

static uint64_t hash_people(const struct store *store, const struct people *people, enum row row)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < idmap_count(people->ids); i++) {
        const struct person *person = store_person(people, i);
        if (person == NULL)
            continue;
        struct history history = person_history(person);
        struct digest digest = {row};
        put_text(&digest, idmap_text(people->ids, i));
        put_int(&digest, history.events);
        put_int(&digest, history.purchases);
        for (uint32_t e = 0; e < history.count; e++)
            put_text(&digest, store_item_id(store, history.item[e]));
        put(&digest, history.last_s, history.count * sizeof *history.last_s);
        put(&digest, history.classes, history.count);
        put(&digest, history.days, history.count);
        sum += digest.hash;
    }
    return sum;
}

static uint64_t hash_profiles(const struct people *people, enum row row)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < idmap_count(people->ids); i++) {
        const struct profile *profile = store_profile(people, i);
        if (profile == NULL)
            continue;
        struct digest digest = {ROW_PROFILE};
        put_int(&digest, row);
        put_text(&digest, idmap_text(people->ids, i));
        put_text(&digest, profile->attributes);
        sum += digest.hash;
    }
    return sum;
}

uint64_t store_hash_now(const struct store *store)
{
    struct digest digest = {ROW_STORE};
    put_int(&digest, (int64_t)hash_items(store));
    put_int(&digest, (int64_t)hash_people(store, &store->users, ROW_USER));
    put_int(&digest, (int64_t)hash_people(store, &store->anons, ROW_ANON));
    put_int(&digest, (int64_t)hash_profiles(&store->users, ROW_USER));
    put_int(&digest, store_watermark_ms(store));
    put_int(&digest, (int64_t)dedup_hash(store->dedup));
    return digest.hash;
}
