/* SPDX-License-Identifier: Apache-2.0 */
/* store_pages - storage of items and people, for writer and readers.
 *
 * A number selects a page and a slot in it.  A page is created with its first number, published by
 * the release store of its address, and never moves.  The content of a slot is replaced as a whole,
 * and the old content goes to `retire` (store_internal.h, invariant 2).
 *
 * Threads: only the writer modifies; the functions below are for any thread, inside
 * rcu_read_begin/end unless it is the writer.  Ownership: pages and slot contents belong to the
 * store. */
#ifndef FEATURESTORE_STORE_PAGES_H
#define FEATURESTORE_STORE_PAGES_H

#include <stdatomic.h>

#include "base/idmap.h"
#include "featurestore/person.h"
#include "featurestore/profile.h"
#include "featurestore/store_items.h"
#include "featurestore/windows.h"

enum { ITEM_PAGE_BITS = 10, ITEM_PAGE_SLOTS = 1 << ITEM_PAGE_BITS };
enum { PERSON_PAGE_BITS = 12, PERSON_PAGE_SLOTS = 1 << PERSON_PAGE_BITS };

struct item_slot {
    _Atomic(const struct item *) record;
    _Atomic(struct windows *) windows[EVENT_COUNTED_CLASSES]; /* NULL: nothing in 30 days */
};

/* What each record says once more, where many can be compared at a time: written before the record
 * is published, so that it is never behind one that a reader has. */
struct item_page {
    struct item_slot slot[ITEM_PAGE_SLOTS];
    _Atomic(uint32_t) category[ITEM_PAGE_SLOTS], brand[ITEM_PAGE_SLOTS]; /* number + 1; 0: none */
    _Atomic(int64_t) price_minor[ITEM_PAGE_SLOTS];
    _Atomic(int32_t) stock[ITEM_PAGE_SLOTS];
    _Atomic(uint64_t) mark[STORE_MARK_COUNT][ITEM_PAGE_SLOTS / 64]; /* bits */
};

struct person_page {
    _Atomic(const struct person *) slot[PERSON_PAGE_SLOTS];
};

struct profile_page {
    _Atomic(const struct profile_block *) slot[PERSON_PAGE_SLOTS];
};

struct people {
    struct idmap *ids;
    uint32_t page_count_max;
    _Atomic(struct person_page *) *page;          /* owned */
    _Atomic(struct profile_page *) *profile_page; /* owned */
    /* The history with those of linked people, where there are any; owned. */
    _Atomic(struct person_page *) *view_page;
};

static inline const struct person *store_person_of(_Atomic(struct person_page *) *pages,
                                                   uint32_t number)
{
    struct person_page *page =
        atomic_load_explicit(&pages[number >> PERSON_PAGE_BITS], memory_order_acquire);
    return page == NULL ? NULL
                        : atomic_load_explicit(&page->slot[number & (PERSON_PAGE_SLOTS - 1)],
                                               memory_order_acquire);
}

static inline const struct person *store_person(const struct people *people, uint32_t number)
{
    return store_person_of(people->page, number);
}

/* NULL when it is the history itself. */
static inline const struct person *store_view(const struct people *people, uint32_t number)
{
    return store_person_of(people->view_page, number);
}

/* NULL when nothing is known. */
static inline const struct profile_block *store_profile_block(const struct people *people,
                                                              uint32_t number)
{
    struct profile_page *page = atomic_load_explicit(
        &people->profile_page[number >> PERSON_PAGE_BITS], memory_order_acquire);
    return page == NULL ? NULL
                        : atomic_load_explicit(&page->slot[number & (PERSON_PAGE_SLOTS - 1)],
                                               memory_order_acquire);
}

static inline struct profile store_profile(const struct people *people, uint32_t number)
{
    return profile_of(store_profile_block(people, number));
}

static inline struct windows *store_windows(const struct item_slot *slot, uint32_t event_class)
{
    return atomic_load_explicit(&slot->windows[event_class], memory_order_acquire);
}

#endif
