/* SPDX-License-Identifier: Apache-2.0 */
/* A user's view: their own history together with those of the anonymous ids that are theirs alone.
 *
 * It follows from histories and links, which know nothing of it, and is made anew when one of them
 * changes: so that readers find it whole, and taking a link away leaves nothing behind. */
#include <stdlib.h>

#include "featurestore/store_apply.h"
#include "featurestore/store_internal.h"

static _Atomic(const struct person *) *view_slot_make(struct store *store, uint32_t user)
{
    uint32_t at = user >> PERSON_PAGE_BITS;
    struct people *people = &store->users;
    struct person_page *page = atomic_load_explicit(&people->view_page[at], memory_order_relaxed);
    if (page == NULL) {
        page = calloc(1, sizeof *page);
        if (page == NULL)
            return NULL;
        store_counter_add(store, COUNTER_BYTES_PEOPLE, (int64_t)heap_bytes(sizeof *page));
        atomic_store_explicit(&people->view_page[at], page, memory_order_release);
    }
    return &page->slot[user & (PERSON_PAGE_SLOTS - 1)];
}

/* ---- as it will be ----------------------------------------------------------------------------
 */

static const struct person *person_then(const struct people *people, uint32_t number,
                                        const struct store_pending *pending)
{
    if (pending->people == people && pending->number == number)
        return pending->person;
    return store_person(people, number);
}

static struct profile anon_then(const struct store *store, uint32_t anon,
                                const struct store_pending *pending)
{
    if (pending->has_profiles && pending->anon == anon)
        return profile_of(pending->anon_profile);
    return store_profile(&store->anons, anon);
}

static struct profile user_then(const struct store *store, uint32_t user,
                                const struct store_pending *pending)
{
    for (uint32_t i = 0; i < pending->user_count; i++) {
        if (pending->user[i] == user)
            return profile_of(pending->user_profile[i]);
    }
    return store_profile(&store->users, user);
}

/* ---- making ---------------------------------------------------------------------------------- */

/* Into store->view_edit; false when there is nothing but the user's own history. */
static bool gather(struct store *store, uint32_t user, const struct store_pending *pending)
{
    const struct profile profile = user_then(store, user, pending);
    bool has_more = false;
    for (uint32_t i = 0; i < profile.anon_count; i++) {
        uint32_t anon = profile.anons[i];
        const struct person *other = person_then(&store->anons, anon, pending);
        const struct profile of_anon = anon_then(store, anon, pending);
        if (other == NULL || profile_sole_user(&of_anon) != user)
            continue;
        if (!has_more)
            person_edit_begin(&store->view_edit, person_then(&store->users, user, pending));
        struct history history = person_history(other);
        person_edit_merge(&store->view_edit, &history);
        has_more = true;
    }
    return has_more;
}

enum err_code store_view_make(struct store *store, uint32_t user,
                              const struct store_pending *pending, struct err *err)
{
    struct store_views *views = &store->views;
    const struct person *view = NULL;
    bool is_wanted = gather(store, user, pending);
    if (!is_wanted && store_view(&store->users, user) == NULL)
        return ERR_OK;
    _Atomic(const struct person *) *slot = view_slot_make(store, user);
    if (slot != NULL && is_wanted)
        view = person_edit_finish(&store->view_edit, store->slabs);
    if (slot == NULL || (is_wanted && view == NULL))
        return err_set(err, ERR_NOMEM, "out of memory for the history of linked people");
    ASSERT(views->count < sizeof views->slot / sizeof views->slot[0]);
    views->slot[views->count] = slot;
    views->view[views->count++] = view;
    return ERR_OK;
}

uint32_t store_view_user(const struct store *store, const struct people *people, uint32_t number)
{
    const struct profile profile = store_profile(people, number);
    if (people == &store->anons)
        return profile_sole_user(&profile);
    return profile.anon_count > 0 ? number : IDMAP_NONE;
}

enum err_code store_views_follow(struct store *store, const struct store_pending *pending,
                                 struct err *err)
{
    uint32_t user = store_view_user(store, pending->people, pending->number);
    if (user == IDMAP_NONE)
        return ERR_OK;
    enum err_code rc = store_view_make(store, user, pending, err);
    if (rc != ERR_OK)
        store_views_discard(store);
    return rc;
}

void store_views_publish(struct store *store)
{
    struct store_views *views = &store->views;
    for (uint32_t i = 0; i < views->count; i++) {
        const struct person *old = atomic_load_explicit(views->slot[i], memory_order_relaxed);
        store_counter_add(store, COUNTER_BYTES_PEOPLE,
                          (int64_t)slabs_block_bytes(person_bytes(views->view[i])) -
                              (int64_t)slabs_block_bytes(person_bytes(old)));
        atomic_store_explicit(views->slot[i], views->view[i], memory_order_release);
        retire_block(&store->retire, old, person_bytes(old));
    }
    views->count = 0;
}

void store_views_discard(struct store *store)
{
    for (uint32_t i = 0; i < store->views.count; i++)
        slabs_free(store->slabs, store->views.view[i], person_bytes(store->views.view[i]));
    store->views.count = 0;
}

enum err_code store_views_make_all(struct store *store, struct err *err)
{
    const struct store_pending nothing = {0};
    enum err_code rc = ERR_OK;
    for (uint32_t user = 0; user < idmap_count(store->users.ids) && rc == ERR_OK; user++) {
        if (store_profile(&store->users, user).anon_count == 0)
            continue;
        rc = store_view_make(store, user, &nothing, err);
        store_views_publish(store);
    }
    return rc;
}
