/* SPDX-License-Identifier: Apache-2.0 */
/* identify: an anonymous id is a user, or is not.
 *
 * A link is a note beside the histories, which stay where they are; store_views.c reads through it.
 * Two users are never made one: an anonymous id that has links to more of them is nobody's.  What
 * is undone leaves nothing behind. */
#include <stdlib.h>
#include <string.h>

#include "featurestore/store_apply.h"
#include "featurestore/store_checkpoint.h"

/* One identify while it is made. */
struct linking {
    uint32_t user, anon;
    struct profile_link links[PROFILE_LINKS_MAX + 1];
    uint32_t anons[PROFILE_ANONS_MAX + 1]; /* of the user */
    uint32_t old_anons[PROFILE_ANONS_MAX]; /* of the user whose link makes room */
    struct profile anon_next, user_next, old_next;
    uint32_t old_user; /* IDMAP_NONE: no link makes room */
};

static void begin(const struct store *store, struct linking *linking)
{
    linking->old_user = IDMAP_NONE;
    linking->anon_next = store_profile(&store->anons, linking->anon);
    linking->user_next = store_profile(&store->users, linking->user);
    if (linking->anon_next.link_count > 0)
        memcpy(linking->links, linking->anon_next.links,
               linking->anon_next.link_count * sizeof linking->links[0]);
    if (linking->user_next.anon_count > 0)
        memcpy(linking->anons, linking->user_next.anons,
               linking->user_next.anon_count * sizeof linking->anons[0]);
    linking->anon_next.links = linking->links;
    linking->user_next.anons = linking->anons;
}

/* Its place, or link_count. */
static uint32_t find_link(const struct linking *linking, uint32_t user)
{
    uint32_t i = 0;
    while (i < linking->anon_next.link_count && linking->links[i].user != user)
        i++;
    return i;
}

static void take_link(struct linking *linking, uint32_t at)
{
    uint32_t behind = --linking->anon_next.link_count - at;
    memmove(&linking->links[at], &linking->links[at + 1], behind * sizeof linking->links[0]);
}

/* Takes the anonymous id out of a list of them. */
static uint32_t without(uint32_t *anons, uint32_t count, uint32_t anon)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (anons[i] != anon)
            anons[kept++] = anons[i];
    }
    return kept;
}

/* ---- what is about to be --------------------------------------------------------------------- */

/* NULL in *ret_profile when nothing is left of it. */
static bool make_profile(struct store *store, const struct profile *next,
                         const struct profile_block **ret_profile)
{
    *ret_profile = profile_is_empty(next) ? NULL : profile_create(next, store->slabs);
    return profile_is_empty(next) || *ret_profile != NULL;
}

static void discard_profile(struct store *store, const struct profile_block *profile)
{
    slabs_free(store->slabs, profile, profile_bytes(profile));
}

static enum err_code make_views(struct store *store, const struct linking *linking,
                                const struct store_pending *pending, struct err *err)
{
    enum err_code rc = store_view_make(store, linking->user, pending, err);
    if (rc == ERR_OK && linking->old_user != IDMAP_NONE)
        rc = store_view_make(store, linking->old_user, pending, err);
    for (uint32_t i = 0; i < linking->anon_next.link_count && rc == ERR_OK; i++) {
        if (linking->links[i].user != linking->user)
            rc = store_view_make(store, linking->links[i].user, pending, err);
    }
    return rc;
}

static void publish(struct store *store, const struct store_pending *pending,
                    _Atomic(const struct profile_block *) *const slot[3])
{
    store_views_publish(store);
    store_keep(store, ROW_ANON_PROFILE, pending->anon);
    store_profile_publish(store, slot[0], pending->anon_profile);
    for (uint32_t i = 0; i < pending->user_count; i++) {
        store_keep(store, ROW_USER_PROFILE, pending->user[i]);
        store_profile_publish(store, slot[1 + i], pending->user_profile[i]);
    }
}

/* All memory first, and then the change. */
static enum err_code finish(struct store *store, const struct linking *linking, struct err *err)
{
    bool has_old = linking->old_user != IDMAP_NONE;
    struct store_pending pending = {.has_profiles = true,
                                    .anon = linking->anon,
                                    .user_count = has_old ? 2 : 1,
                                    .user = {linking->user, linking->old_user}};
    _Atomic(const struct profile_block *) *slot[3] = {
        store_profile_slot_make(store, &store->anons, linking->anon),
        store_profile_slot_make(store, &store->users, linking->user),
        has_old ? store_profile_slot_make(store, &store->users, linking->old_user) : NULL};
    bool made = slot[0] != NULL && slot[1] != NULL && (slot[2] != NULL || !has_old) &&
                make_profile(store, &linking->anon_next, &pending.anon_profile) &&
                make_profile(store, &linking->user_next, &pending.user_profile[0]) &&
                (!has_old || make_profile(store, &linking->old_next, &pending.user_profile[1]));
    enum err_code rc = made ? make_views(store, linking, &pending, err)
                            : err_set(err, ERR_NOMEM, "out of memory for a link");
    if (rc != ERR_OK) {
        store_views_discard(store);
        discard_profile(store, pending.anon_profile);
        discard_profile(store, pending.user_profile[0]);
        discard_profile(store, pending.user_profile[1]);
        return rc;
    }
    publish(store, &pending, slot);
    return ERR_OK;
}

/* ---- linking --------------------------------------------------------------------------------- */

/* The oldest link makes room when it is old enough; from then on the id counts as shared. */
static enum err_code make_room(struct store *store, struct linking *linking, int64_t time_ms,
                               struct err *err)
{
    uint32_t oldest = 0;
    int64_t window_ms = INT64_C(1000) * store->limits.link_window_s;
    if (linking->anon_next.link_count < store->limits.link_users_max)
        return ERR_OK;
    for (uint32_t i = 1; i < linking->anon_next.link_count; i++) {
        if (linking->links[i].at_ms < linking->links[oldest].at_ms)
            oldest = i;
    }
    if (linking->anon_next.link_count == 0 || window_ms == 0 ||
        linking->links[oldest].at_ms > time_ms - window_ms)
        return err_set(err, ERR_LIMIT,
                       "anon: %u users are linked to it (identity_users_max, identity_days)",
                       linking->anon_next.link_count);
    linking->old_user = linking->links[oldest].user;
    linking->old_next = store_profile(&store->users, linking->old_user);
    memcpy(linking->old_anons, linking->old_next.anons,
           linking->old_next.anon_count * sizeof linking->old_anons[0]);
    linking->old_next.anon_count =
        without(linking->old_anons, linking->old_next.anon_count, linking->anon);
    linking->old_next.anons = linking->old_anons;
    linking->anon_next.was_shared = true;
    take_link(linking, oldest);
    return ERR_OK;
}

static struct profile_link link_of(const struct event *event, uint32_t user, int64_t time_ms)
{
    struct profile_link link = {
        .at_ms = time_ms, .user = user, .event_bytes = (uint8_t)event->id.len};
    memcpy(link.event, event->id.ptr, event->id.len);
    return link;
}

static enum err_code link_them(struct store *store, const struct event *event,
                               struct linking *linking, int64_t time_ms, struct err *err)
{
    uint32_t at = find_link(linking, linking->user);
    if (at < linking->anon_next.link_count) {
        if (linking->links[at].at_ms >= time_ms)
            return ERR_OK;
        linking->links[at] = link_of(event, linking->user, time_ms);
        return finish(store, linking, err);
    }
    if (linking->user_next.anon_count >= store->limits.link_anons_max)
        return err_set(err, ERR_LIMIT,
                       "user: %u anonymous ids are linked to them (identity_anons_max)",
                       linking->user_next.anon_count);
    enum err_code rc = make_room(store, linking, time_ms, err);
    if (rc != ERR_OK)
        return rc;
    linking->links[linking->anon_next.link_count++] = link_of(event, linking->user, time_ms);
    linking->anons[linking->user_next.anon_count++] = linking->anon;
    rc = finish(store, linking, err);
    if (rc == ERR_OK && linking->old_user == IDMAP_NONE)
        store_counter_add(store, COUNTER_LINKS, 1);
    return rc;
}

static enum err_code undo(struct store *store, struct linking *linking, struct err *err)
{
    uint32_t at = find_link(linking, linking->user);
    if (at == linking->anon_next.link_count)
        return ERR_OK; /* it is not there, which is what was wanted */
    take_link(linking, at);
    linking->user_next.anon_count =
        without(linking->anons, linking->user_next.anon_count, linking->anon);
    enum err_code rc = finish(store, linking, err);
    if (rc == ERR_OK)
        store_counter_add(store, COUNTER_LINKS, -1);
    return rc;
}

enum err_code store_identify(struct store *store, const struct event *event, int64_t arrival_ms,
                             struct err *err)
{
    struct linking linking;
    enum err_code rc = ERR_OK;
    if (event->undo) {
        linking.user = idmap_find(store->users.ids, event->user);
        linking.anon = idmap_find(store->anons.ids, event->anon);
        if (linking.user == IDMAP_NONE || linking.anon == IDMAP_NONE)
            return ERR_OK;
        begin(store, &linking);
        return undo(store, &linking, err);
    }
    rc = store_add_person_id(&store->users, event->user, &linking.user, err);
    if (rc == ERR_OK)
        rc = store_add_person_id(&store->anons, event->anon, &linking.anon, err);
    if (rc != ERR_OK)
        return rc;
    begin(store, &linking);
    int64_t time_ms = event->ts_ms < arrival_ms ? event->ts_ms : arrival_ms;
    return link_them(store, event, &linking, time_ms, err);
}
