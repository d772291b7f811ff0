/* SPDX-License-Identifier: Apache-2.0 */
/* The memory that events will touch is fetched before they are applied: each step of the way to it
 * for all of them, so that the waits overlap.  Hints alone: nothing depends on what is found. */
#include "featurestore/store_apply.h"
#include "featurestore/store_internal.h"

enum { LINE_BYTES = 64, WANTED_MAX = 256, ITEMS_MAX = 4 /* of an event */ };

/* A person or an item of one of the events. */
struct wanted {
    const struct idmap *ids;
    const struct people *people; /* NULL: an item */
    uint64_t hash;
    uint32_t number;
    enum event_class event_class;
};

struct fetch {
    const struct store *store;
    uint32_t count;
    struct wanted wanted[WANTED_MAX];
    uint64_t id_hash[STORE_FETCH_MAX];
};

static void fetch_lines(const void *memory, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += LINE_BYTES)
        __builtin_prefetch((const char *)memory + at);
}

static void want(struct fetch *fetch, const struct idmap *ids, const struct people *people,
                 struct text id, enum event_class event_class)
{
    if (id.len == 0 || fetch->count == WANTED_MAX)
        return;
    fetch->wanted[fetch->count++] = (struct wanted){.ids = ids,
                                                    .people = people,
                                                    .hash = idmap_fetch_slot(ids, id),
                                                    .event_class = event_class};
}

static void want_event(struct fetch *fetch, const struct event *event)
{
    const struct store *store = fetch->store;
    enum event_class event_class = event_type_class(event->type);
    const struct people *people = event->user.ptr != NULL ? &store->users : &store->anons;
    want(fetch, people->ids, people, event->user.ptr != NULL ? event->user : event->anon,
         event_class);
    for (uint32_t i = 0; i < event->item_count && i < ITEMS_MAX; i++)
        want(fetch, store->item_ids, NULL, event->items[i].id, event_class);
}

/* The rows of features that have the number of the id. */
static const struct feature_rows *rows_of(const struct fetch *fetch, const struct wanted *wanted)
{
    const struct feature_set *set = feature_set_of(fetch->store->features);
    if (wanted->people == NULL)
        return set->rows[KEY_item];
    return set
        ->rows[wanted->people == &fetch->store->anons ? FEATURE_TABLE_ANON : (uint32_t)KEY_user];
}

/* ---- steps ----------------------------------------------------------------------------------- */

static void fetch_slots(const struct fetch *fetch, struct wanted *wanted)
{
    wanted->number = idmap_fetch_address(wanted->ids, wanted->hash);
    if (wanted->number == IDMAP_NONE)
        return;
    if (wanted->people == NULL) {
        __builtin_prefetch(store_item_slot(fetch->store, wanted->number));
    } else {
        const struct person_page *page = atomic_load_explicit(
            &wanted->people->page[wanted->number >> PERSON_PAGE_BITS], memory_order_relaxed);
        if (page != NULL)
            __builtin_prefetch(&page->slot[wanted->number & (PERSON_PAGE_SLOTS - 1)]);
    }
    const struct feature_rows *rows = rows_of(fetch, wanted);
    if (rows != NULL)
        __builtin_prefetch(feature_rows_place(rows, wanted->number));
}

static void fetch_records(const struct fetch *fetch, const struct wanted *wanted)
{
    idmap_fetch_text(wanted->ids, wanted->number);
    if (wanted->people != NULL) {
        __builtin_prefetch(store_person(wanted->people, wanted->number));
    } else if (wanted->event_class < EVENT_COUNTED_CLASSES) {
        const struct item_slot *slot = store_item_slot(fetch->store, wanted->number);
        if (slot != NULL && store_windows(slot, wanted->event_class) != NULL)
            fetch_lines(store_windows(slot, wanted->event_class), sizeof(struct windows));
    }
    const struct feature_rows *rows = rows_of(fetch, wanted);
    const uint8_t *block = rows == NULL ? NULL : feature_rows_block(rows, wanted->number);
    if (block != NULL)
        fetch_lines(block, rows->block_bytes);
}

static void fetch_history(const struct wanted *wanted)
{
    if (wanted->people == NULL)
        return;
    const struct person *person = store_person(wanted->people, wanted->number);
    if (person != NULL)
        fetch_lines(person, person_bytes(person));
}

void store_fetch(const struct store *store, const struct event *event, uint32_t count)
{
    ASSERT(count <= STORE_FETCH_MAX);
    struct fetch fetch;
    fetch.store = store;
    fetch.count = 0;
    for (uint32_t i = 0; i < count; i++) {
        fetch.id_hash[i] = dedup_fetch_slot(store->dedup, event[i].id);
        want_event(&fetch, &event[i]);
    }
    for (uint32_t i = 0; i < fetch.count; i++)
        fetch_slots(&fetch, &fetch.wanted[i]);
    for (uint32_t i = 0; i < count; i++)
        dedup_fetch_place(store->dedup, fetch.id_hash[i]);
    for (uint32_t i = 0; i < fetch.count; i++) {
        if (fetch.wanted[i].number != IDMAP_NONE)
            fetch_records(&fetch, &fetch.wanted[i]);
    }
    for (uint32_t i = 0; i < fetch.count; i++) {
        if (fetch.wanted[i].number != IDMAP_NONE)
            fetch_history(&fetch.wanted[i]);
    }
}
