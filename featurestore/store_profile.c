/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles: where they lie, and what user_upsert does to them. */
#include <stdlib.h>

#include "featurestore/store_apply.h"
#include "featurestore/store_checkpoint.h"

enum err_code store_profiles_init(struct store *store, struct people *people, struct err *err)
{
    people->profile_page = calloc(people->page_count_max, sizeof *people->profile_page);
    people->view_page = calloc(people->page_count_max, sizeof *people->view_page);
    if (people->profile_page == NULL || people->view_page == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for a table of %u people",
                       store->limits.people_max);
    store_counter_add(store, COUNTER_BYTES_PEOPLE,
                      (int64_t)heap_bytes(people->page_count_max * sizeof *people->profile_page) *
                          2);
    return ERR_OK;
}

static void free_views(struct people *people, struct slabs *slabs)
{
    for (uint32_t i = 0; people->view_page != NULL && i < people->page_count_max; i++) {
        struct person_page *page =
            atomic_load_explicit(&people->view_page[i], memory_order_relaxed);
        for (uint32_t s = 0; page != NULL && s < PERSON_PAGE_SLOTS; s++) {
            const struct person *view = atomic_load_explicit(&page->slot[s], memory_order_relaxed);
            slabs_free(slabs, view, person_bytes(view));
        }
        free(page);
    }
    free(people->view_page);
}

void store_profiles_deinit(struct people *people, struct slabs *slabs)
{
    for (uint32_t i = 0; people->profile_page != NULL && i < people->page_count_max; i++) {
        struct profile_page *page =
            atomic_load_explicit(&people->profile_page[i], memory_order_relaxed);
        for (uint32_t s = 0; page != NULL && s < PERSON_PAGE_SLOTS; s++) {
            const struct profile_block *profile =
                atomic_load_explicit(&page->slot[s], memory_order_relaxed);
            slabs_free(slabs, profile, profile_bytes(profile));
        }
        free(page);
    }
    free(people->profile_page);
    free_views(people, slabs);
}

_Atomic(const struct profile_block *) *
store_profile_slot_make(struct store *store, struct people *people, uint32_t number)
{
    uint32_t at = number >> PERSON_PAGE_BITS;
    struct profile_page *page =
        atomic_load_explicit(&people->profile_page[at], memory_order_relaxed);
    if (page == NULL) {
        page = calloc(1, sizeof *page);
        if (page == NULL)
            return NULL;
        store_counter_add(store, COUNTER_BYTES_PEOPLE, (int64_t)heap_bytes(sizeof *page));
        atomic_store_explicit(&people->profile_page[at], page, memory_order_release);
    }
    return &page->slot[number & (PERSON_PAGE_SLOTS - 1)];
}

void store_profile_publish(struct store *store, _Atomic(const struct profile_block *) *slot,
                           const struct profile_block *profile)
{
    const struct profile_block *old = atomic_load_explicit(slot, memory_order_relaxed);
    store_counter_add(store, COUNTER_BYTES_PEOPLE,
                      (int64_t)slabs_block_bytes(profile_bytes(profile)) -
                          (int64_t)slabs_block_bytes(profile_bytes(old)));
    atomic_store_explicit(slot, profile, memory_order_release);
    retire_block(&store->retire, old, profile_bytes(old));
}

enum err_code store_user_upsert(struct store *store, const struct event *event, struct err *err)
{
    uint32_t user = 0;
    enum err_code rc = store_add_person_id(&store->users, event->user, &user, err);
    if (rc != ERR_OK)
        return rc;
    _Atomic(const struct profile_block *) *slot =
        store_profile_slot_make(store, &store->users, user);
    struct profile next = store_profile(&store->users, user);
    next.attributes = event->attributes;
    struct profile_block *profile = slot == NULL ? NULL : profile_create(&next, store->slabs);
    if (profile == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for the attributes of a user");
    store_keep(store, ROW_USER_PROFILE, user);
    store_profile_publish(store, slot, profile);
    return ERR_OK;
}
