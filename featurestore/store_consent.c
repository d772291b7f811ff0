/* SPDX-License-Identifier: Apache-2.0 */
/* What people allow and deny: for each flag what the newest event said, by the time of the event.
 */
#include <stdlib.h>

#include "featurestore/event_write.h"
#include "featurestore/store_apply.h"
#include "featurestore/store_checkpoint.h"

static bool is_of_person(enum event_type type)
{
    return type != EVENT_item_upsert && type != EVENT_item_delete && type != EVENT_consent &&
           type != EVENT_forget;
}

/* Whether a denial of the person stands against what an event of that time allows. */
static bool stands_against(const struct people *people, struct text id, int64_t time_ms)
{
    uint32_t number = idmap_find(people->ids, id);
    if (number == IDMAP_NONE)
        return false;
    const struct profile profile = store_profile(people, number);
    return (profile.denied & CONSENT_BIT(process)) != 0 &&
           profile.consent_at_ms[CONSENT_process] > time_ms;
}

enum err_code store_consent_check(const struct store *store, const struct event *event,
                                  struct err *err)
{
    if (!is_of_person(event->type) ||
        (store_consent(store, event->user, event->anon) & CONSENT_BIT(process)) != 0)
        return ERR_OK;
    if ((event->consent_allowed & CONSENT_BIT(process)) != 0 &&
        !stands_against(&store->users, event->user, event->ts_ms) &&
        !stands_against(&store->anons, event->anon, event->ts_ms))
        return ERR_OK;
    return err_set(err, ERR_DENIED, "consent: this person does not allow 'process'");
}

/* `ts` is the corrected one: the record must be kept with a skew of 0. */
void store_consent_strip(struct store *store, struct event *event, struct text *bytes)
{
    struct pack pack = pack_into(store->stripped, sizeof store->stripped);
    event_write_consent(&pack, event);
    ASSERT(!pack.overflow); /* three ids and six flags */
    event->type = EVENT_consent;
    event->item_count = 0;
    *bytes = (struct text){(const char *)store->stripped, (uint32_t)pack.used};
}

static void merge(struct profile *profile, const struct event *event, int64_t time_ms)
{
    for (uint32_t i = 0; i < CONSENT_COUNT; i++) {
        uint8_t bit = (uint8_t)(1u << i);
        bool known = ((profile->allowed | profile->denied) & bit) != 0;
        if (((event->consent_allowed | event->consent_denied) & bit) == 0 ||
            (known && profile->consent_at_ms[i] > time_ms))
            continue;
        profile->allowed = (uint8_t)((profile->allowed & ~bit) | (event->consent_allowed & bit));
        profile->denied = (uint8_t)((profile->denied & ~bit) | (event->consent_denied & bit));
        profile->consent_at_ms[i] = time_ms;
    }
}

static enum err_code prepare_one(struct store *store, const struct event *event, int64_t time_ms,
                                 uint32_t at, struct err *err)
{
    struct store_consents *consents = &store->consents;
    struct people *people = at == 0 ? &store->users : &store->anons;
    struct text id = at == 0 ? event->user : event->anon;
    if (id.ptr == NULL)
        return ERR_OK;
    enum err_code rc = store_add_person_id(people, id, &consents->number[at], err);
    if (rc != ERR_OK)
        return rc;
    struct profile next = store_profile(people, consents->number[at]);
    merge(&next, event, time_ms);
    consents->slot[at] = store_profile_slot_make(store, people, consents->number[at]);
    if (consents->slot[at] != NULL)
        consents->profile[at] = profile_create(&next, store->slabs);
    return consents->profile[at] != NULL ? ERR_OK
                                         : err_set(err, ERR_NOMEM, "out of memory for a consent");
}

enum err_code store_consent_prepare(struct store *store, const struct event *event,
                                    int64_t arrival_ms, struct err *err)
{
    int64_t time_ms = event->ts_ms < arrival_ms ? event->ts_ms : arrival_ms;
    enum err_code rc = ERR_OK;
    store->consents = (struct store_consents){0};
    for (uint32_t at = 0;
         at < 2 && rc == ERR_OK && (event->consent_allowed | event->consent_denied) != 0; at++)
        rc = prepare_one(store, event, time_ms, at, err);
    if (rc != ERR_OK)
        store_consent_discard(store);
    return rc;
}

void store_consent_publish(struct store *store)
{
    struct store_consents *consents = &store->consents;
    for (uint32_t at = 0; at < 2; at++) {
        if (consents->profile[at] == NULL)
            continue;
        store_keep(store, at == 0 ? ROW_USER_PROFILE : ROW_ANON_PROFILE, consents->number[at]);
        store_profile_publish(store, consents->slot[at], consents->profile[at]);
    }
}

void store_consent_discard(struct store *store)
{
    for (uint32_t at = 0; at < 2; at++)
        slabs_free(store->slabs, store->consents.profile[at],
                   profile_bytes(store->consents.profile[at]));
    store->consents = (struct store_consents){0};
}
