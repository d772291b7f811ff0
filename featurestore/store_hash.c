/* SPDX-License-Identifier: Apache-2.0 */
/* The hash of the state: a sum over all rows, each hashed with its id, so that neither the numbers
 * of ids nor the order of rows count.  Names that no row holds do not count either: readers cannot
 * tell them from unknown. */
#include "featurestore/digest.h"

/* What a row is, so that equal bytes in different places differ. */
enum row { ROW_ITEM = 1, ROW_WINDOWS, ROW_USER, ROW_ANON, ROW_STORE, ROW_PROFILE };

static uint64_t hash_record(const struct store *store, struct text id, const struct item *record)
{
    struct digest digest = {ROW_ITEM};
    digest_put_text(&digest, id);
    digest_put_int(&digest, record->price_minor);
    digest_put_int(&digest, record->cost_minor);
    digest_put_int(&digest, record->currency);
    digest_put_int(&digest, record->stock);
    digest_put_int(&digest, record->deleted);
    digest_put_int(&digest, record->added_s);
    digest_put_name(&digest, store->category_ids, record->category);
    digest_put_name(&digest, store->brand_ids, record->brand);
    digest_put_text(&digest, record->title);
    digest_put_text(&digest, record->attributes);
    for (uint32_t i = 0; i < record->price_count; i++) {
        digest_put_int(&digest, record->prices[i].price_minor);
        digest_put_int(&digest, record->prices[i].since_s);
        digest_put_int(&digest, record->prices[i].currency);
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
    digest_put_text(&digest, id);
    digest_put_int(&digest, event_class);
    digest_put(&digest, moved.fine, sizeof moved.fine);
    digest_put(&digest, moved.hour, sizeof moved.hour);
    digest_put(&digest, moved.day, sizeof moved.day);
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
        digest_put_text(&digest, idmap_text(people->ids, i));
        digest_put_int(&digest, history.events);
        digest_put_int(&digest, history.purchases);
        for (uint32_t e = 0; e < history.count; e++)
            digest_put_text(&digest, store_item_id(store, history.item[e]));
        digest_put(&digest, history.last_s, history.count * sizeof *history.last_s);
        digest_put(&digest, history.classes, history.count);
        digest_put(&digest, history.days, history.count);
        sum += digest.hash;
    }
    return sum;
}

static void put_links(struct digest *digest, const struct store *store,
                      const struct profile *profile)
{
    digest_put_int(digest, profile->was_shared);
    for (uint32_t i = 0; i < profile->link_count; i++) {
        const struct profile_link *link = &profile->links[i];
        digest_put_name(digest, store->users.ids, link->user);
        digest_put_int(digest, link->at_ms);
        digest_put_text(digest, (struct text){link->event, link->event_bytes});
    }
    for (uint32_t i = 0; i < profile->anon_count; i++)
        digest_put_name(digest, store->anons.ids, profile->anons[i]);
}

static uint64_t hash_profiles(const struct store *store, const struct people *people, enum row row)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < idmap_count(people->ids); i++) {
        if (store_profile_block(people, i) == NULL)
            continue;
        const struct profile profile = store_profile(people, i);
        struct digest digest = {ROW_PROFILE};
        digest_put_int(&digest, row);
        digest_put_text(&digest, idmap_text(people->ids, i));
        digest_put_text(&digest, profile.attributes);
        digest_put_int(&digest, profile.allowed << 8 | profile.denied);
        digest_put(&digest, profile.consent_at_ms, sizeof profile.consent_at_ms);
        put_links(&digest, store, &profile);
        sum += digest.hash;
    }
    return sum;
}

uint64_t store_hash_now(const struct store *store)
{
    struct digest digest = {ROW_STORE};
    digest_put_int(&digest, (int64_t)hash_items(store));
    digest_put_int(&digest, (int64_t)hash_people(store, &store->users, ROW_USER));
    digest_put_int(&digest, (int64_t)hash_people(store, &store->anons, ROW_ANON));
    digest_put_int(&digest, (int64_t)hash_profiles(store, &store->users, ROW_USER));
    digest_put_int(&digest, (int64_t)hash_profiles(store, &store->anons, ROW_ANON));
    digest_put_int(&digest, (int64_t)store_hash_features(store));
    digest_put_int(&digest, store_watermark_ms(store));
    digest_put_int(&digest, (int64_t)dedup_hash(store->dedup));
    return digest.hash;
}
