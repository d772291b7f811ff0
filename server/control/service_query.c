/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemon is and has. */
#include <unistd.h>

#include "base/rcu.h"
#include "server/control/model_view.h"
#include "server/control/service_internal.h"
#include "server/metrics.h"

static void pack_models(struct pack *pack, const struct snapshot *snapshot)
{
    const struct model *model = NULL;
    pack_array(pack, snapshot->model_count + snapshot->trial_count);
    for (uint32_t i = 0; (model = snapshot_model(snapshot, i)) != NULL; i++) {
        pack_map(pack, 8);
        pack_key(pack, "name");
        pack_str(pack, model->name);
        pack_key(pack, "version");
        pack_str(pack, model->version);
        pack_key(pack, "label");
        pack_str(pack, i < snapshot->model_count ? "stable" : "canary");
        pack_key(pack, "kind");
        pack_str(pack, model_kind_name(model->kind));
        pack_key(pack, "trained_at_ms");
        if (model->trained_at_ms == 0)
            pack_nil(pack);
        else
            pack_int(pack, model->trained_at_ms);
        pack_key(pack, "bytes");
        pack_int(pack, (int64_t)model->bytes);
        pack_key(pack, "retrieval");
        model_view_pack_retrieval(model, pack);
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
        {"links", stats.links},
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
        {"feature_rows", stats.feature_rows},
        {"features_dropped", stats.features_dropped},
        {"bytes_features", stats.bytes_features},
        {"bytes_spare", stats.bytes_spare},
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
        {"expired", stats.expired},
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

static void pack_decision_log(struct reply *reply, struct decision_log *log)
{
    struct decision_log_status status;
    if (log == NULL)
        return;
    decision_log_status(log, &status);
    reply_key(reply, "decision_log_state");
    pack_str(&reply->pack, decision_log_state_name(status.state));
    if (status.err.text[0] != '\0') {
        reply_key(reply, "decision_log_error");
        pack_str(&reply->pack, status.err.text);
    }
    reply_key(reply, "decision_log_dropped");
    pack_uint(&reply->pack, status.dropped);
    reply_key(reply, "decision_log_committed_ms");
    if (status.committed_ms == 0)
        pack_nil(&reply->pack);
    else
        pack_int(&reply->pack, status.committed_ms);
    reply_key(reply, "decision_log");
    pack_log(&reply->pack, decision_log_disk(log));
}

void service_status(struct service *service, struct call *call, const struct request *request)
{
    struct reply reply;
    uint64_t up_ns = clock_now_ns(service->with.clock) - service->started_ns;
    reply_begin(&reply, call, request->id_raw, service->with.clock);
    reply_key(&reply, "version");
    pack_str(&reply.pack, DECIDED_VERSION);
    reply_key(&reply, "process_id");
    pack_int(&reply.pack, getpid());
    pack_mode(&reply, service->with.modes);
    reply_key(&reply, "draining");
    pack_bool(&reply.pack,
              service_is_draining(service) || service->with.is_leaving(service->with.lifecycle));
    reply_key(&reply, "workers_standing_still");
    pack_int(&reply.pack, (int64_t)metric_value(service->with.metrics, M_WORKERS_STILL, 0, 0));
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
    reply_key(&reply, "models_previous");
    model_ops_pack_previous(service->with.model_ops, &reply.pack);
    reply_key(&reply, "store");
    pack_store(&reply.pack, service->with.store);
    rcu_read_end();
    pack_durability(&reply, service->with.store);
    pack_decision_log(&reply, service->with.decision_log);
    reply_key(&reply, "erasures");
    service_pack_erasures(&reply.pack, service);
    reply_end(&reply);
}
