/* SPDX-License-Identifier: Apache-2.0 */
/* The readers of people: acquire loads of published pointers, nothing is stored. */
#include "featurestore/store_internal.h"

static struct profile profile_find(const struct people *people, struct text id)
{
    uint32_t number = idmap_find(people->ids, id);
    return profile_of(number == IDMAP_NONE ? NULL : store_profile_block(people, number));
}

/* Whose data may not be processed, of them nothing else may be done either. */
static uint8_t consent_of(const struct store *store, uint8_t allowed, uint8_t denied)
{
    uint8_t consent =
        (uint8_t)(~(denied | (store->limits.consent_denied & ~allowed)) & CONSENT_ALL);
    return (consent & CONSENT_BIT(process)) == 0 ? 0 : consent;
}

/* With what links bring in. */
static const struct person *user_history(const struct store *store, uint32_t user)
{
    if (user == IDMAP_NONE)
        return NULL;
    const struct person *view = store_view(&store->users, user);
    return view != NULL ? view : store_person(&store->users, user);
}

static const struct person *anon_history(const struct store *store, struct text anon,
                                         bool is_with_user)
{
    uint32_t number = idmap_find(store->anons.ids, anon);
    if (number == IDMAP_NONE)
        return NULL;
    const struct profile profile = store_profile(&store->anons, number);
    if (profile_is_linked(&profile) && is_with_user)
        return NULL; /* it is that of other users, or of this one, who has no history */
    uint32_t user = profile_sole_user(&profile);
    return user != IDMAP_NONE ? user_history(store, user) : store_person(&store->anons, number);
}

bool store_history(const struct store *store, struct text user, struct text anon,
                   struct history *ret_history)
{
    bool is_read = store_histories_are_read(store); /* first: it orders what is read below */
    const struct person *person =
        is_read ? user_history(store, idmap_find(store->users.ids, user)) : NULL;
    if (is_read && person == NULL)
        person = anon_history(store, anon, user.ptr != NULL);
    *ret_history = person_history(person);
    return person != NULL;
}

uint32_t store_user_count(const struct store *store)
{
    return idmap_count(store->users.ids);
}

bool store_user_at(const struct store *store, uint32_t user, struct history *ret_history,
                   struct text *ret_attributes, uint8_t *ret_consent)
{
    const struct person *person =
        store_histories_are_read(store) ? user_history(store, user) : NULL;
    const struct profile profile = store_profile(&store->users, user);
    *ret_history = person_history(person);
    *ret_attributes = profile.attributes;
    *ret_consent = consent_of(store, profile.allowed, profile.denied);
    return person != NULL;
}

uint8_t store_consent(const struct store *store, struct text user, struct text anon)
{
    const struct profile of_user = profile_find(&store->users, user);
    const struct profile of_anon = profile_find(&store->anons, anon);
    uint32_t behind = user.ptr == NULL ? profile_sole_user(&of_anon) : IDMAP_NONE;
    struct profile of_behind = {0};
    if (behind != IDMAP_NONE)
        of_behind = store_profile(&store->users, behind);
    return consent_of(store, of_user.allowed | of_anon.allowed | of_behind.allowed,
                      of_user.denied | of_anon.denied | of_behind.denied);
}

bool store_consent_said(const struct store *store, struct text user, struct text anon,
                        struct store_consent_said *ret_said)
{
    const struct profile profile =
        user.ptr != NULL ? profile_find(&store->users, user) : profile_find(&store->anons, anon);
    *ret_said = (struct store_consent_said){.allowed = profile.allowed, .denied = profile.denied};
    memcpy(ret_said->at_ms, profile.consent_at_ms, sizeof ret_said->at_ms);
    return (profile.allowed | profile.denied) != 0;
}

struct text store_linked_user(const struct store *store, struct text anon)
{
    const struct profile profile = profile_find(&store->anons, anon);
    uint32_t user = profile_sole_user(&profile);
    return user == IDMAP_NONE ? (struct text){NULL, 0} : idmap_text(store->users.ids, user);
}

bool store_is_shared(const struct store *store, struct text anon)
{
    const struct profile profile = profile_find(&store->anons, anon);
    return profile_is_linked(&profile) && profile_sole_user(&profile) == IDMAP_NONE;
}

static bool link_to(const struct store *store, uint32_t anon, uint32_t user,
                    struct store_link *ret_link)
{
    const struct profile profile = store_profile(&store->anons, anon);
    for (uint32_t i = 0; i < profile.link_count; i++) {
        const struct profile_link *link = &profile.links[i];
        if (link->user != user)
            continue;
        *ret_link = (struct store_link){.user = idmap_text(store->users.ids, user),
                                        .anon = idmap_text(store->anons.ids, anon),
                                        .at_ms = link->at_ms,
                                        .event = {link->event, link->event_bytes}};
        return true;
    }
    return false;
}

bool store_link_at(const struct store *store, struct text user, struct text anon, uint32_t index,
                   struct store_link *ret_link)
{
    bool by_user = user.ptr != NULL;
    const struct people *people = by_user ? &store->users : &store->anons;
    uint32_t number = idmap_find(people->ids, by_user ? user : anon);
    if (number == IDMAP_NONE)
        return false;
    const struct profile profile = store_profile(people, number);
    if (index >= (by_user ? profile.anon_count : profile.link_count))
        return false;
    return by_user ? link_to(store, profile.anons[index], number, ret_link)
                   : link_to(store, number, profile.links[index].user, ret_link);
}

struct text store_user_attributes(const struct store *store, struct text user)
{
    return profile_find(&store->users, user).attributes;
}
