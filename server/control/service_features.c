/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of a person, an item, a query or a slot, or of a pair of these, as numbers. */
#include <math.h>
#include <stdio.h>

#include "base/rcu.h"
#include "featurestore/feature_reader.h"
#include "server/control/service_internal.h"

enum { MESSAGE_BYTES = 256 };

/* What was asked for. */
struct subject {
    const struct store *store;
    bool has_person, has_item, has_query, has_slot;
    bool detail;
    uint32_t item; /* IDMAP_NONE: unknown */
    struct history history;
    bool person_known;
    struct feature_reader reader;
};

static void find_subject(const struct store *store, const struct request *request,
                         struct subject *ret_subject)
{
    *ret_subject = (struct subject){
        .store = store,
        .has_person = request->user.ptr != NULL || request->anon.ptr != NULL,
        .has_item = request->feature_item.ptr != NULL,
        .has_query = request->query.ptr != NULL,
        .has_slot = request->slot.ptr != NULL,
        .detail = request->detail,
        .item = IDMAP_NONE,
    };
    const struct feature_asker asker = {.user = request->user,
                                        .anon = request->anon,
                                        .query = request->query,
                                        .slot = request->slot,
                                        .history = &ret_subject->history};
    bool has_history = ret_subject->has_person &&
                       store_history(store, request->user, request->anon, &ret_subject->history);
    if (ret_subject->has_item)
        ret_subject->item = store_item_find(store, request->feature_item);
    feature_reader_begin(&ret_subject->reader, store, &asker);
    feature_reader_item(&ret_subject->reader, ret_subject->item);
    ret_subject->person_known = has_history || ret_subject->reader.person != IDMAP_NONE;
}

/* What the feature needs and the request does not name; NULL when all is there. */
static const char *lacks(const struct subject *subject, const struct feature *feature)
{
    if (feature_needs_item(feature) && !subject->has_item)
        return "item";
    switch (feature_asks_for(feature)) {
    case LEFT_PERSON: return subject->has_person ? NULL : "user";
    case LEFT_QUERY: return subject->has_query ? NULL : "query";
    case LEFT_SLOT: return subject->has_slot ? NULL : "slot";
    default: return NULL;
    }
}

static void pack_number(struct pack *pack, double value)
{
    if (isnan(value))
        pack_nil(pack);
    else
        pack_real(pack, value);
}

static struct text name_of(const struct store *store, enum feature_value_source source, uint32_t id)
{
    switch (source) {
    case VALUE_CATEGORY: return store_category_name(store, id);
    case VALUE_BRAND: return store_brand_name(store, id);
    default: return store_item_id(store, id);
    }
}

static void pack_list(struct pack *pack, const struct store *store,
                      const struct feature_detail *detail)
{
    const struct definition *definition = detail->definition;
    uint32_t count = aggregate_list_count(detail->list);
    pack_array(pack, count);
    for (uint32_t i = 0; i < count; i++) {
        if (definition_is_list_of_ids(definition))
            pack_text(pack, name_of(store, definition->source, aggregate_list_id(detail->list, i)));
        else
            pack_real(pack, aggregate_list_number(detail->list, i));
    }
}

static void pack_value(struct pack *pack, const struct store *store,
                       const struct feature_detail *detail)
{
    if (detail->list != NULL)
        pack_list(pack, store, detail);
    else
        pack_number(pack, detail->value);
}

static void pack_feature(struct reply *reply, struct subject *subject,
                         const struct feature *feature)
{
    struct pack *pack = &reply->pack;
    struct feature_detail detail;
    feature_describe(&subject->reader, feature, &detail);
    pack_str(pack, feature->name);
    if (!subject->detail) {
        pack_value(pack, subject->store, &detail);
        return;
    }
    pack_map(pack, 3);
    pack_key(pack, "value");
    pack_value(pack, subject->store, &detail);
    pack_key(pack, "status");
    pack_str(pack, feature_status_name(detail.status));
    pack_key(pack, "as_of_ms");
    if (detail.as_of_ms == 0)
        pack_nil(pack);
    else
        pack_int(pack, detail.as_of_ms);
}

static uint32_t pack_all(struct reply *reply, struct subject *subject)
{
    uint32_t count = 0;
    struct feature feature;
    for (uint32_t at = 0; feature_next(subject->store, &at, &feature);) {
        if (lacks(subject, &feature) == NULL) {
            pack_feature(reply, subject, &feature);
            count++;
        }
    }
    return count;
}

static bool is_repeated(const struct text_list *names, uint32_t index)
{
    for (uint32_t i = 0; i < index; i++) {
        if (text_equal(names->ptr[i], names->ptr[index]))
            return true;
    }
    return false;
}

/* False, and why, when one of the names cannot be answered. */
static bool check_names(const struct subject *subject, const struct text_list *names,
                        char message[MESSAGE_BYTES])
{
    for (uint32_t i = 0; i < names->count; i++) {
        struct feature feature;
        struct text name = names->ptr[i];
        const char *lacking = NULL;
        const char *what = NULL;
        if (!feature_find(subject->store, name, &feature))
            what = "is no feature";
        else if (is_repeated(names, i))
            what = "is given twice";
        else
            lacking = lacks(subject, &feature);
        if (what == NULL && lacking == NULL)
            continue;
        snprintf(message, MESSAGE_BYTES, "names: '%.*s' %s%s", (int)name.len, name.ptr,
                 what != NULL ? what : "needs ", what != NULL ? "" : lacking);
        return false;
    }
    return true;
}

static void answer_features(struct service *service, struct call *call,
                            const struct request *request, struct subject *subject)
{
    struct reply reply;
    reply_begin(&reply, call, request->id_raw, service->with.clock);
    reply_key(&reply, "features");
    size_t mark = pack_map_open(&reply.pack);
    uint32_t count = request->names.count;
    if (count == 0)
        count = pack_all(&reply, subject);
    for (uint32_t i = 0; i < request->names.count; i++) {
        struct feature feature;
        bool is_known = feature_find(subject->store, request->names.ptr[i], &feature);
        ASSERT(is_known); /* check_names has found it */
        pack_feature(&reply, subject, &feature);
    }
    pack_map_close(&reply.pack, mark, count);
    if (subject->has_item && request->names.count == 0)
        service_pack_prices(&reply, store_item(subject->store, subject->item));
    reply_key(&reply, "as_of_ms");
    pack_int(&reply.pack, store_watermark_ms(service->with.store));
    reply_end(&reply);
}

void service_pack_person_features(struct reply *reply, const struct store *store, struct text user,
                                  struct text anon)
{
    const struct request request = {.user = user, .anon = anon};
    struct subject subject;
    find_subject(store, &request, &subject);
    reply_key(reply, "features");
    size_t mark = pack_map_open(&reply->pack);
    pack_map_close(&reply->pack, mark, pack_all(reply, &subject));
}

static bool allows_features(const struct subject *subject, const struct request *request)
{
    return (store_consent(subject->store, request->user, request->anon) &
            CONSENT_BIT(personalize)) != 0;
}

void service_features(struct service *service, struct call *call, const struct request *request)
{
    struct subject subject;
    char message[MESSAGE_BYTES];
    rcu_read_begin();
    find_subject(service->with.store, request, &subject);
    if (subject.has_item && subject.item == IDMAP_NONE) {
        reply_error(call, request->id_raw, service->with.clock, REPLY_not_found,
                    "item: nothing is known of it", "item");
    } else if (subject.has_person && !subject.person_known) {
        bool by_user = request->user.ptr != NULL;
        reply_error(call, request->id_raw, service->with.clock, REPLY_not_found,
                    by_user ? "user: nothing is known of them" : "anon: nothing is known of them",
                    by_user ? "user" : "anon");
    } else if (subject.has_person && !allows_features(&subject, request)) {
        reply_error(call, request->id_raw, service->with.clock, REPLY_forbidden,
                    "this person does not allow 'personalize'",
                    request->user.ptr != NULL ? "user" : "anon");
    } else if (!check_names(&subject, &request->names, message)) {
        reply_error(call, request->id_raw, service->with.clock, REPLY_bad_request, message,
                    "names");
    } else {
        answer_features(service, call, request, &subject);
    }
    rcu_read_end();
}
