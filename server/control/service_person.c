/* SPDX-License-Identifier: Apache-2.0 */
/* All that is known of one person, for themselves: access, not serving. */
#include "server/control/service_person.h"

#include "base/rcu.h"
#include "featurestore/feature_reader.h"
#include "server/control/service_internal.h"

/* ---- whose records they are ------------------------------------------------------------------ */

static void add_anon(struct person_ids *ids, struct text anon)
{
    char *copy = ids->bytes + ids->anon_bytes;
    memcpy(copy, anon.ptr, anon.len);
    ids->anon[ids->anon_count++] = (struct text){copy, anon.len};
    ids->anon_bytes += anon.len;
}

void person_ids_find(const struct store *store, struct text user, struct text anon,
                     struct person_ids *ret_ids)
{
    struct store_link link;
    ret_ids->user = user;
    ret_ids->anon_asked = anon;
    ret_ids->anon_count = 0;
    ret_ids->anon_bytes = 0;
    if (user.ptr == NULL)
        return;
    rcu_read_begin();
    for (uint32_t i = 0;
         i < PROFILE_ANONS_MAX && store_link_at(store, user, (struct text){NULL, 0}, i, &link);
         i++) {
        if (!store_is_shared(store, link.anon))
            add_anon(ret_ids, link.anon);
    }
    rcu_read_end();
}

const char *person_ids_match(const struct person_ids *ids, struct text user, struct text anon)
{
    if (user.ptr != NULL)
        return ids->user.ptr != NULL && text_equal(user, ids->user) ? "user" : NULL;
    if (anon.ptr == NULL)
        return NULL;
    if (ids->anon_asked.ptr != NULL && text_equal(anon, ids->anon_asked))
        return "anon";
    for (uint32_t i = 0; i < ids->anon_count; i++) {
        if (text_equal(anon, ids->anon[i]))
            return "link";
    }
    return NULL;
}

void person_of_event(struct text event, struct text *ret_user, struct text *ret_anon)
{
    struct cursor cursor = cursor_of((const uint8_t *)event.ptr, event.len);
    uint32_t count = 0;
    *ret_user = *ret_anon = (struct text){NULL, 0};
    if (!cursor_map(&cursor, &count))
        return;
    for (uint32_t i = 0; i < count; i++) {
        struct text key = {0};
        struct text *value = NULL;
        if (cursor_text(&cursor, &key) && text_is(key, "user"))
            value = ret_user;
        else if (text_is(key, "anon"))
            value = ret_anon;
        if (value == NULL || !cursor_text(&cursor, value))
            cursor_skip(&cursor, NULL);
    }
}

/* ---- identity, consent, attributes ----------------------------------------------------------- */

static const char *const consent_names[CONSENT_COUNT] = {
#define X(name) #name,
    EVENT_CONSENTS(X)
#undef X
};

static void pack_said(struct pack *pack, const struct store_consent_said *said, uint32_t flag)
{
    bool allowed = (said->allowed >> flag & 1) != 0, denied = (said->denied >> flag & 1) != 0;
    pack_key(pack, "said");
    if (allowed || denied)
        pack_str(pack, allowed ? "allow" : "deny");
    else
        pack_nil(pack);
    pack_key(pack, "said_at_ms");
    if (allowed || denied)
        pack_int(pack, said->at_ms[flag]);
    else
        pack_nil(pack);
}

/* What holds, which may come from the default or from an id behind a link, and what they said. */
static void pack_consent(struct reply *reply, const struct store *store, struct text user,
                         struct text anon)
{
    struct store_consent_said said;
    uint8_t holds = store_consent(store, user, anon);
    store_consent_said(store, user, anon, &said);
    reply_key(reply, "consent");
    pack_map(&reply->pack, CONSENT_COUNT);
    for (uint32_t i = 0; i < CONSENT_COUNT; i++) {
        pack_str(&reply->pack, consent_names[i]);
        pack_map(&reply->pack, 3);
        pack_key(&reply->pack, "allowed");
        pack_bool(&reply->pack, (holds >> i & 1) != 0);
        pack_said(&reply->pack, &said, i);
    }
}

static void pack_links(struct reply *reply, const struct store *store, struct text user,
                       struct text anon)
{
    struct store_link link;
    uint32_t count = 0;
    bool by_user = user.ptr != NULL;
    reply_key(reply, "links");
    size_t mark = pack_array_open(&reply->pack);
    for (; store_link_at(store, user, anon, count, &link); count++) {
        pack_map(&reply->pack, 4);
        pack_str(&reply->pack, by_user ? "anon" : "user");
        pack_text(&reply->pack, by_user ? link.anon : link.user);
        pack_key(&reply->pack, "at_ms");
        pack_int(&reply->pack, link.at_ms);
        pack_key(&reply->pack, "event");
        pack_text(&reply->pack, link.event);
        pack_key(&reply->pack, "shared");
        pack_bool(&reply->pack, store_is_shared(store, link.anon));
    }
    pack_array_close(&reply->pack, mark, count);
}

static void pack_profile(struct reply *reply, const struct store *store, struct text user,
                         struct text anon)
{
    struct text attributes = store_user_attributes(store, user);
    pack_consent(reply, store, user, anon);
    pack_links(reply, store, user, anon);
    reply_key(reply, "attributes");
    if (attributes.ptr == NULL)
        pack_nil(&reply->pack);
    else
        pack_raw(&reply->pack, attributes.ptr, attributes.len);
}

/* ---- history --------------------------------------------------------------------------------- */

static void pack_classes(struct pack *pack, uint8_t classes)
{
    static const char *const names[] = {"view", "cart", "purchase", "dislike"};
    const uint32_t name_count = sizeof names / sizeof names[0];
    pack_array(pack, (uint32_t)__builtin_popcount(classes & ((1u << name_count) - 1)));
    for (uint32_t i = 0; i < name_count; i++) {
        if ((classes >> i & 1) != 0)
            pack_str(pack, names[i]);
    }
}

/* Read through links, as decisions read it. */
static void pack_history(struct reply *reply, const struct store *store,
                         const struct history *history)
{
    struct pack *pack = &reply->pack;
    reply_key(reply, "events");
    pack_uint(pack, history->events);
    reply_key(reply, "purchases");
    pack_uint(pack, history->purchases);
    reply_key(reply, "history");
    pack_array(pack, history->count);
    for (uint32_t i = 0; i < history->count; i++) {
        pack_map(pack, 4);
        pack_key(pack, "item");
        pack_text(pack, store_item_id(store, history->item[i]));
        pack_key(pack, "last_ms");
        pack_int(pack, (int64_t)history->last_s[i] * 1000);
        pack_key(pack, "did");
        pack_classes(pack, history->classes[i]);
        pack_key(pack, "purchase_days");
        pack_uint(pack, history->days[i]);
    }
}

/* ---- the operation --------------------------------------------------------------------------- */

static const char *const part_names[] = {"profile", "history", "features"}; /* enum person_part */

static bool is_known(const struct store *store, struct text user, struct text anon,
                     const struct history *history)
{
    struct feature_reader reader;
    struct store_link link;
    const struct feature_asker asker = {.user = user, .anon = anon, .history = history};
    feature_reader_begin(&reader, store, &asker);
    return reader.person != IDMAP_NONE || history->count > 0 ||
           store_link_at(store, user, anon, 0, &link);
}

static void pack_person(struct deferred *deferred, struct reply *reply,
                        const struct history *history)
{
    const struct store *store = deferred->service->with.store;
    struct text user = deferred->user, anon = deferred->anon;
    reply_key(reply, "part");
    pack_str(&reply->pack, part_names[deferred->part]);
    if (user.ptr != NULL) {
        reply_key(reply, "user");
        pack_text(&reply->pack, user);
    }
    if (anon.ptr != NULL) {
        reply_key(reply, "anon");
        pack_text(&reply->pack, anon);
    }
    switch (deferred->part) {
    case PERSON_PROFILE: pack_profile(reply, store, user, anon); break;
    case PERSON_HISTORY: pack_history(reply, store, history); break;
    case PERSON_FEATURES: service_pack_person_features(reply, store, user, anon); break;
    }
}

/* On the thread of maintenance, since it is recorded first. */
static void run_person(void *ctx)
{
    struct deferred *deferred = ctx;
    const struct service_options *with = &deferred->service->with;
    struct call *call = deferred->call;
    struct history history;
    struct reply reply;
    struct err err = {.text = ""};
    enum err_code rc = audit_begin(with->audit, &deferred->who, "person",
                                   AUDIT_WHAT(LOG_STR("part", part_names[deferred->part])), &err);
    if (rc != ERR_OK) {
        reply_error(call, deferred->id_raw, with->clock, reply_code_of(rc), err.text, NULL);
        call->complete(call);
        return;
    }
    rcu_read_begin();
    (void)store_history(with->store, deferred->user, deferred->anon, &history);
    if (is_known(with->store, deferred->user, deferred->anon, &history)) {
        reply_begin(&reply, call, deferred->id_raw, with->clock);
        pack_person(deferred, &reply, &history);
        reply_end(&reply);
    } else {
        reply_error(call, deferred->id_raw, with->clock, REPLY_not_found,
                    "nothing is known of this person",
                    deferred->user.ptr != NULL ? "user" : "anon");
    }
    rcu_read_end();
    call->complete(call);
}

static bool parse_part(struct text text, enum person_part *ret_part)
{
    for (uint32_t i = 0; i < sizeof part_names / sizeof part_names[0]; i++) {
        if (text_is(text, part_names[i])) {
            *ret_part = (enum person_part)i;
            return true;
        }
    }
    return false;
}

enum call_state service_person(struct service *service, struct call *call,
                               const struct request *request)
{
    struct text part_text = {0};
    enum person_part part = PERSON_PROFILE;
    bool part_ok = true;
    bool has_part = request_body_text(request, "part", &part_text, &part_ok);
    bool good_part = !has_part || (part_ok && parse_part(part_text, &part));
    if (!good_part || (request->user.ptr == NULL && request->anon.ptr == NULL)) {
        reply_error(call, request->id_raw, service->with.clock, REPLY_bad_request,
                    "expected user, anon or both; part: profile, history or features",
                    good_part ? "user" : "part");
        return CALL_DONE;
    }
    struct deferred *deferred = deferred_begin_act(service, call, request);
    if (deferred == NULL)
        return CALL_DONE;
    deferred->user = request->user;
    deferred->anon = request->anon;
    deferred->part = part;
    return deferred_submit_to(service->with.maintenance, deferred, request, run_person);
}
