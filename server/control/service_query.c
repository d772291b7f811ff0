/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>

#include "base/rcu.h"
#include "server/control/service_internal.h"

enum { MESSAGE_BYTES = 256 };

/* ---- features -------------------------------------------------------------------------------- */

struct subject {
    const struct store *store;
    bool has_item, has_person;
    uint32_t item; /* IDMAP_NONE: unknown */
    bool person_known;
    struct history history;
};

static void find_subject(const struct store *store, const struct request *request,
                         struct subject *ret_subject)
{
    *ret_subject = (struct subject){
        .store = store,
        .has_item = request->feature_item.ptr != NULL,
        .has_person = request->user.ptr != NULL || request->anon.ptr != NULL,
        .item = IDMAP_NONE,
    };
    if (ret_subject->has_item)
        ret_subject->item = store_item_find(store, request->feature_item);
    if (ret_subject->has_person)
        ret_subject->person_known =
            store_history(store, request->user, request->anon, &ret_subject->history);
}

static bool is_of(const struct subject *subject, const struct feature *feature)
{
    return feature->subject == FEATURE_ITEM ? subject->has_item : subject->has_person;
}

static void pack_feature(struct reply *reply, const struct subject *subject,
                         const struct feature *feature)
{
    double value = feature->subject == FEATURE_ITEM
                       ? feature_of_item(subject->store, feature->id, subject->item)
                       : feature_of_user(subject->store, feature->id, &subject->history);
    pack_str(&reply->pack, feature->name);
    if (isnan(value))
        pack_nil(&reply->pack);
    else
        pack_real(&reply->pack, value);
}

static uint32_t pack_all(struct reply *reply, const struct subject *subject)
{
    uint32_t count = 0;
    const struct feature *feature;
    for (uint32_t i = 0; (feature = feature_builtin_at(i)) != NULL; i++) {
        if (is_of(subject, feature)) {
            pack_feature(reply, subject, feature);
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
        const struct feature *feature = feature_builtin(names->ptr[i]);
        const char *what = NULL;
        if (feature == NULL)
            what = "is no feature";
        else if (!is_of(subject, feature))
            what = feature->subject == FEATURE_ITEM ? "is of items, and a person was asked for"
                                                    : "is of people, and an item was asked for";
        else if (is_repeated(names, i))
            what = "is given twice";
        if (what == NULL)
            continue;
        snprintf(message, MESSAGE_BYTES, "names: '%.*s' %s", (int)names->ptr[i].len,
                 names->ptr[i].ptr, what);
        return false;
    }
    return true;
}

static void answer_features(struct service *service, struct call *call,
                            const struct request *request, const struct subject *subject)
{
    struct reply reply;
    reply_begin(&reply, call, request->id_raw, service->with.clock);
    reply_key(&reply, "features");
    size_t mark = pack_map_open(&reply.pack);
    uint32_t count = request->names.count;
    if (count == 0)
        count = pack_all(&reply, subject);
    for (uint32_t i = 0; i < request->names.count; i++)
        pack_feature(&reply, subject, feature_builtin(request->names.ptr[i]));
    pack_map_close(&reply.pack, mark, count);
    if (subject->has_item && request->names.count == 0)
        service_pack_prices(&reply, store_item(subject->store, subject->item));
    reply_key(&reply, "as_of_ms");
    pack_int(&reply.pack, store_watermark_ms(service->with.store));
    reply_end(&reply);
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
    } else if (!check_names(&subject, &request->names, message)) {
        reply_error(call, request->id_raw, service->with.clock, REPLY_bad_request, message,
                    "names");
    } else {
        answer_features(service, call, request, &subject);
    }
    rcu_read_end();
}

/* ---- status ---------------------------------------------------------------------------------- */

static void pack_models(struct pack *pack, const struct snapshot *snapshot)
{
    pack_array(pack, snapshot->model_count);
    for (uint32_t i = 0; i < snapshot->model_count; i++) {
        const struct model *model = snapshot->model[i];
        pack_map(pack, 7);
        pack_key(pack, "name");
        pack_str(pack, model->name);
        pack_key(pack, "version");
        pack_str(pack, model->version);
        pack_key(pack, "label");
        pack_str(pack, "stable");
        pack_key(pack, "kind");
        pack_str(pack, model_kind_name(model->kind));
        pack_key(pack, "trained_at_ms");
        if (model->trained_at_ms == 0)
            pack_nil(pack);
        else
            pack_int(pack, model->trained_at_ms);
        pack_key(pack, "bytes");
        pack_int(pack, (int64_t)model->bytes);
        pack_key(pack, "breaker");
        pack_str(pack, breaker_name(model->breaker));
    }
}

static void pack_store(struct pack *pack, const struct store *store)
{
    struct store_stats stats;
    store_stats(store, &stats);
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {
        {"items", stats.items},
        {"catalogue_items", stats.catalogue_items},
        {"users", stats.users},
        {"anons", stats.anons},
        {"history_entries", stats.history_entries},
        {"events_accepted", stats.events_accepted},
        {"events_duplicate", stats.events_duplicate},
        {"events_rejected", stats.events_rejected},
        {"event_fields_dropped", stats.fields_dropped},
        {"dedup_oldest_ms", (uint64_t)stats.dedup_oldest_ms},
        {"queue_events", stats.queue_events},
        {"bytes_items", stats.bytes_items},
        {"bytes_people", stats.bytes_people},
        {"bytes_counts", stats.bytes_counts},
        {"watermark_ms", (uint64_t)store_watermark_ms(store)},
    };
    uint32_t count = sizeof rows / sizeof rows[0];
    pack_map(pack, count);
    for (uint32_t i = 0; i < count; i++) {
        pack_str(pack, rows[i].name);
        pack_int(pack, (int64_t)rows[i].value);
    }
}

static void pack_mode(struct reply *reply, struct modes *modes)
{
    struct mode mode;
    modes_get(modes, &mode);
    reply_key(reply, "mode");
    pack_str(&reply->pack, level_name(mode.level));
    if (mode.until_ms != 0) {
        reply_key(reply, "mode_until_ms");
        pack_int(&reply->pack, mode.until_ms);
    }
    if (mode.reason[0] != '\0') {
        reply_key(reply, "mode_reason");
        pack_str(&reply->pack, mode.reason);
    }
}

static void pack_log(struct pack *pack, const struct event_log *log)
{
    struct event_log_stats stats;
    event_log_stats(log, &stats);
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {
        {"first_sequence", stats.first_sequence},
        {"last_sequence", stats.last_sequence},
        {"gathered", stats.gathered},
        {"bytes_used", stats.bytes_used},
        {"bytes_max", stats.bytes_max},
        {"commits", stats.commits},
        {"commit_failures", stats.commit_failures},
        {"pruned", stats.pruned},
    };
    uint32_t count = sizeof rows / sizeof rows[0];
    pack_map(pack, count);
    for (uint32_t i = 0; i < count; i++) {
        pack_str(pack, rows[i].name);
        pack_uint(pack, rows[i].value);
    }
}

static void pack_checkpoint(struct pack *pack, const struct store *store)
{
    struct store_checkpoint_stats stats;
    store_checkpoint_stats(store, &stats);
    pack_map(pack, 5);
    pack_key(pack, "sequence");
    pack_uint(pack, stats.sequence);
    pack_key(pack, "bytes");
    pack_uint(pack, stats.bytes);
    pack_key(pack, "took_ms");
    pack_uint(pack, stats.took_ms);
    pack_key(pack, "written");
    pack_uint(pack, stats.written);
    pack_key(pack, "failures");
    pack_uint(pack, stats.failures);
}

static void pack_durability(struct reply *reply, struct store *store)
{
    struct err err = {.text = ""};
    struct store_recovery recovery;
    enum store_durability durability = store_durability(store, &err);
    store_recovery(store, &recovery, NULL);
    reply_key(reply, "durability");
    pack_str(&reply->pack, store_durability_name(durability));
    if (err.text[0] != '\0') {
        reply_key(reply, "durability_error");
        pack_str(&reply->pack, err.text);
    }
    if (recovery.state == STORE_RECOVERING) {
        reply_key(reply, "recovering");
        pack_map(&reply->pack, 2);
        pack_key(&reply->pack, "at");
        pack_uint(&reply->pack, recovery.at_sequence);
        pack_key(&reply->pack, "last");
        pack_uint(&reply->pack, recovery.last_sequence);
    }
    if (store_log(store) != NULL) {
        reply_key(reply, "log");
        pack_log(&reply->pack, store_log(store));
        reply_key(reply, "checkpoint");
        pack_checkpoint(&reply->pack, store);
    }
}

void service_status(struct service *service, struct call *call, const struct request *request)
{
    struct reply reply;
    uint64_t up_ns = clock_now_ns(service->with.clock) - service->started_ns;
    reply_begin(&reply, call, request->id_raw, service->with.clock);
    reply_key(&reply, "version");
    pack_str(&reply.pack, DECIDED_VERSION);
    pack_mode(&reply, service->with.modes);
    reply_key(&reply, "draining");
    pack_bool(&reply.pack, service_is_draining(service));
    reply_key(&reply, "uptime_s");
    pack_int(&reply.pack, (int64_t)(up_ns / UINT64_C(1000000000)));
    rcu_read_begin();
    const struct snapshot *snapshot = serving_current(service->with.serving);
    reply_key(&reply, "epoch");
    pack_int(&reply.pack, (int64_t)snapshot->epoch);
    reply_key(&reply, "policies");
    pack_str(&reply.pack, snapshot->policies->version);
    reply_key(&reply, "models");
    pack_models(&reply.pack, snapshot);
    reply_key(&reply, "store");
    pack_store(&reply.pack, service->with.store);
    rcu_read_end();
    pack_durability(&reply, service->with.store);
    reply_end(&reply);
}
