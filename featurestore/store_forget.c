/* SPDX-License-Identifier: Apache-2.0 */
/* forget: a person leaves the state. */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/rcu.h"
#include "featurestore/store_apply.h"
#include "featurestore/store_checkpoint.h"
#include "featurestore/store_erase.h"

/* ---- whom it reaches ------------------------------------------------------------------------- */

static bool is_among(const struct text *ids, uint32_t count, struct text id)
{
    for (uint32_t i = 0; i < count; i++) {
        if (text_equal(ids[i], id))
            return true;
    }
    return false;
}

/* The ids in the texts of idmap, which stay until they are wiped. */
static void reach_linked(const struct store *store, struct event_forget *forget)
{
    uint32_t user = idmap_find(store->users.ids, forget->user);
    struct profile profile = {0};
    if (user != IDMAP_NONE)
        profile = store_profile(&store->users, user);
    for (uint32_t i = 0; i < profile.anon_count; i++) {
        struct text anon = idmap_text(store->anons.ids, profile.anons[i]);
        if (text_equal(anon, forget->anon))
            continue;
        const struct profile of_anon = store_profile(&store->anons, profile.anons[i]);
        if (profile_sole_user(&of_anon) == user)
            forget->anons[forget->anon_count++] = anon;
        else
            forget->shared[forget->shared_count++] = anon;
    }
}

void store_forget_resolve(struct store *store, const struct event *event, struct text *bytes)
{
    struct store_erase *erase = store->erase;
    struct pack pack = pack_into(erase->bytes, sizeof erase->bytes);
    erase->forget = (struct event_forget){
        .id = event->id, .user = event->user, .anon = event->anon, .ts_ms = event->ts_ms};
    reach_linked(store, &erase->forget);
    event_write_forget(&pack, &erase->forget);
    ASSERT(!pack.overflow); /* PROFILE_ANONS_MAX + 3 ids */
    *bytes = (struct text){(const char *)erase->bytes, (uint32_t)pack.used};
}

/* ---- those who stay -------------------------------------------------------------------------- */

static void discard_edit(struct store *store, const struct erase_edit *edit)
{
    slabs_free(store->slabs, edit->profile, profile_bytes(edit->profile));
}

static void discard_edits(struct store *store)
{
    struct store_erase *erase = store->erase;
    for (uint32_t i = 0; i < erase->edit_count; i++)
        discard_edit(store, &erase->edit[i]);
    erase->edit_count = 0;
}

/* What is there, or what an earlier edit makes of it. */
static struct profile base_of(const struct store_erase *erase, const struct people *people,
                              uint32_t number, uint32_t *ret_at)
{
    for (uint32_t i = 0; i < erase->edit_count; i++) {
        const struct erase_edit *edit = &erase->edit[i];
        *ret_at = i;
        if (edit->people == people && edit->number == number)
            return profile_of(edit->profile);
    }
    *ret_at = erase->edit_count;
    return store_profile(people, number);
}

static enum err_code edit(struct store *store, struct people *people, uint32_t number, uint32_t at,
                          const struct profile *next, struct err *err)
{
    struct store_erase *erase = store->erase;
    struct erase_edit made = {.people = people, .number = number};
    if (at == ERASE_EDITS_MAX)
        return err_set(err, ERR_LIMIT, "forget: more than %d people are linked", ERASE_EDITS_MAX);
    made.slot = store_profile_slot_make(store, people, number);
    if (made.slot != NULL && !profile_is_empty(next))
        made.profile = profile_create(next, store->slabs);
    if (made.slot == NULL || (made.profile == NULL && !profile_is_empty(next)))
        return err_set(err, ERR_NOMEM, "out of memory to forget a person");
    if (at == erase->edit_count)
        erase->edit_count++;
    else
        discard_edit(store, &erase->edit[at]);
    erase->edit[at] = made;
    return ERR_OK;
}

/* An anonymous id that is not the user's alone: the link goes, and it is nobody's from now on. */
static enum err_code edit_shared(struct store *store, uint32_t anon, uint32_t user, struct err *err)
{
    struct profile_link links[PROFILE_LINKS_MAX];
    uint32_t at = 0, kept = 0;
    struct profile next = base_of(store->erase, &store->anons, anon, &at);
    for (uint32_t i = 0; i < next.link_count; i++) {
        if (next.links[i].user != user)
            links[kept++] = next.links[i];
    }
    next.links = links;
    next.link_count = kept;
    next.was_shared = true;
    return edit(store, &store->anons, anon, at, &next, err);
}

/* A user whose anonymous id goes. */
static enum err_code edit_user(struct store *store, uint32_t user, uint32_t anon, struct err *err)
{
    uint32_t anons[PROFILE_ANONS_MAX];
    uint32_t at = 0, kept = 0;
    struct profile next = base_of(store->erase, &store->users, user, &at);
    for (uint32_t i = 0; i < next.anon_count; i++) {
        if (next.anons[i] != anon)
            anons[kept++] = next.anons[i];
    }
    next.anons = anons;
    next.anon_count = kept;
    return edit(store, &store->users, user, at, &next, err);
}

static enum err_code edit_users_of(struct store *store, struct text id, uint32_t user,
                                   struct err *err)
{
    uint32_t anon = idmap_find(store->anons.ids, id);
    struct profile profile = {0};
    enum err_code rc = ERR_OK;
    if (anon != IDMAP_NONE)
        profile = store_profile(&store->anons, anon);
    for (uint32_t i = 0; i < profile.link_count && rc == ERR_OK; i++) {
        if (profile.links[i].user != user)
            rc = edit_user(store, profile.links[i].user, anon, err);
    }
    return rc;
}

static enum err_code edit_all(struct store *store, uint32_t user, struct err *err)
{
    const struct event_forget *forget = &store->erase->forget;
    struct profile profile = {0};
    if (user != IDMAP_NONE)
        profile = store_profile(&store->users, user);
    enum err_code rc = edit_users_of(store, forget->anon, user, err);
    for (uint32_t i = 0; i < forget->anon_count && rc == ERR_OK; i++)
        rc = edit_users_of(store, forget->anons[i], user, err);
    for (uint32_t i = 0; i < forget->shared_count && rc == ERR_OK; i++) {
        uint32_t anon = 0;
        rc = store_add_person_id(&store->anons, forget->shared[i], &anon, err);
        if (rc == ERR_OK)
            rc = edit_shared(store, anon, user, err);
    }
    /* In a replay the links of before are those that the log still tells of. */
    for (uint32_t i = 0; i < profile.anon_count && rc == ERR_OK; i++) {
        struct text anon = idmap_text(store->anons.ids, profile.anons[i]);
        if (!text_equal(anon, forget->anon) && !is_among(forget->anons, forget->anon_count, anon) &&
            !is_among(forget->shared, forget->shared_count, anon))
            rc = edit_shared(store, profile.anons[i], user, err);
    }
    return rc;
}

/* ---- those who go ---------------------------------------------------------------------------- */

static void take_away(struct store *store, _Atomic(struct person_page *) *pages, uint32_t number)
{
    struct person_page *page =
        atomic_load_explicit(&pages[number >> PERSON_PAGE_BITS], memory_order_relaxed);
    if (page == NULL)
        return;
    _Atomic(const struct person *) *slot = &page->slot[number & (PERSON_PAGE_SLOTS - 1)];
    const struct person *old = atomic_load_explicit(slot, memory_order_relaxed);
    atomic_store_explicit(slot, NULL, memory_order_release);
    retire_block(&store->retire, old, person_bytes(old));
    store_counter_add(store, COUNTER_BYTES_PEOPLE, -(int64_t)slabs_block_bytes(person_bytes(old)));
}

static void take_history(struct store *store, struct people *people, uint32_t number)
{
    const struct person *person = store_person(people, number);
    if (person != NULL) {
        store_keep(store, people == &store->users ? ROW_USER : ROW_ANON, number);
        store_counter_add(store, COUNTER_HISTORY_ENTRIES, -(int64_t)person->count);
    }
    take_away(store, people->page, number);
    take_away(store, people->view_page, number);
}

static void take_profile(struct store *store, struct people *people, uint32_t number)
{
    struct profile_page *page = atomic_load_explicit(
        &people->profile_page[number >> PERSON_PAGE_BITS], memory_order_relaxed);
    const struct profile_block *profile = store_profile_block(people, number);
    if (profile == NULL)
        return;
    store_counter_add(store, COUNTER_LINKS, -(int64_t)profile->link_count);
    store_keep(store, people == &store->users ? ROW_USER_PROFILE : ROW_ANON_PROFILE, number);
    store_profile_publish(store, &page->slot[number & (PERSON_PAGE_SLOTS - 1)], NULL);
}

void store_erase_wipe(struct store *store)
{
    struct store_erase *erase = store->erase;
    if (erase->wipe_count == 0)
        return;
    rcu_wait();
    for (uint32_t i = 0; i < erase->wipe_count; i++)
        idmap_wipe(erase->wipe[i].ids, erase->wipe[i].number, erase->wipe[i].id_bytes);
    erase->wipe_count = 0;
}

static void take_id(struct store *store, struct people *people, struct text id)
{
    struct store_erase *erase = store->erase;
    uint32_t number = idmap_find(people->ids, id);
    if (number == IDMAP_NONE)
        return;
    take_history(store, people, number);
    take_profile(store, people, number);
    feature_tables_erase(store, number, people == &store->anons);
    if (erase->wipe_count == ERASE_WIPES_MAX)
        store_erase_wipe(store);
    uint32_t at = erase->wipe_count++;
    erase->wipe[at].ids = people->ids;
    erase->wipe[at].number = number;
    erase->wipe[at].id_bytes = idmap_hide(people->ids, number);
}

/* ---- all of it ------------------------------------------------------------------------------- */

/* The users whose view may have changed.  Without memory it is their own history until they do
 * something: nothing of who is forgotten stays in it. */
static void make_views(struct store *store, const struct erase_edit *made)
{
    const struct store_pending nothing = {0};
    uint32_t users[PROFILE_LINKS_MAX], count = 0;
    if (made->people == &store->users) {
        users[count++] = made->number;
    } else {
        const struct profile profile = store_profile(&store->anons, made->number);
        for (; count < profile.link_count; count++)
            users[count] = profile.links[count].user;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (store_view_make(store, users[i], &nothing, NULL) != ERR_OK)
            take_away(store, store->users.view_page, users[i]);
        store_views_publish(store);
    }
}

static void publish_edits(struct store *store)
{
    struct store_erase *erase = store->erase;
    for (uint32_t i = 0; i < erase->edit_count; i++) {
        struct erase_edit *made = &erase->edit[i];
        int64_t before = store_profile(made->people, made->number).link_count;
        int64_t links = profile_of(made->profile).link_count;
        store_counter_add(store, COUNTER_LINKS, links - before);
        store_keep(store, made->people == &store->users ? ROW_USER_PROFILE : ROW_ANON_PROFILE,
                   made->number);
        store_profile_publish(store, made->slot, made->profile);
    }
}

enum err_code store_forget_apply(struct store *store, struct err *err)
{
    struct store_erase *erase = store->erase;
    const struct event_forget *forget = &erase->forget;
    uint32_t user = idmap_find(store->users.ids, forget->user);
    erase->edit_count = 0;
    enum err_code rc = edit_all(store, user, err);
    if (rc != ERR_OK) {
        discard_edits(store);
        return rc;
    }
    publish_edits(store);
    for (uint32_t i = 0; i < forget->anon_count; i++)
        take_id(store, &store->anons, forget->anons[i]);
    take_id(store, &store->anons, forget->anon);
    take_id(store, &store->users, forget->user);
    for (uint32_t i = 0; i < erase->edit_count; i++)
        make_views(store, &erase->edit[i]);
    return ERR_OK;
}

static uint32_t copy_ids(struct cursor at, uint32_t count, struct text *ids)
{
    for (uint32_t i = 0; i < count; i++)
        cursor_text(&at, &ids[i]);
    return count;
}

void store_forget_read(struct store *store, const struct event *event)
{
    struct event_forget *forget = &store->erase->forget;
    *forget = (struct event_forget){.user = event->user, .anon = event->anon};
    forget->anon_count = copy_ids(event->anons, event->anon_count, forget->anons);
    forget->shared_count = copy_ids(event->shared, event->shared_count, forget->shared);
}
