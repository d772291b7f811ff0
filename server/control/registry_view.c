/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "server/control/model_view.h"
#include "server/control/registry_internal.h"
#include "server/control/registry_line.h"
#include "server/control/registry_table.h"
#include "server/control/registry_trials.h"
#include "server/metrics.h"

/* 4 * SNAPSHOT_MODELS_MAX models (that serve, are canaries, are shadows, wait), PREVIOUS_MAX more,
 * and REGISTRY_LOADS_MAX loads at their longest are below it. */
#define VIEW_BYTES 229376

enum err_code reg_view_init(struct reg_view *view, struct err *err)
{
    view->packed = malloc(VIEW_BYTES);
    if (view->packed == NULL)
        return err_set(err, ERR_NOMEM, "no memory for the list of models");
    pthread_mutex_init(&view->lock, NULL);
    return ERR_OK;
}

void reg_view_deinit(struct reg_view *view)
{
    if (view->packed == NULL)
        return;
    pthread_mutex_destroy(&view->lock);
    free(view->packed);
    view->packed = NULL;
}

static bool is_canary(const struct reg_name *name, const struct reg_version *version)
{
    return name->now.canary != NULL && version == name->now.canary->version;
}

static const char *state_of(const struct reg_name *name, const struct reg_version *version)
{
    if (version == name->now.stable)
        return "serving";
    if (is_canary(name, version))
        return "serving";
    if (version == name->now.shadow)
        return "asked";
    return version->waits ? "waiting" : "previous";
}

static const char *label_of(const struct reg_name *name, const struct reg_version *version)
{
    if (version == name->now.stable)
        return "stable";
    if (version == name->now.shadow)
        return "shadow";
    return is_canary(name, version) ? "canary" : NULL;
}

/* What a rollback serves, and whether that needs a file. */
static void pack_rollback(struct pack *pack, const struct reg_version *before)
{
    if (before == NULL) {
        pack_nil(pack);
        return;
    }
    pack_map(pack, 2);
    pack_key(pack, "version");
    pack_str(pack, before->version);
    pack_key(pack, "from");
    pack_str(pack, before->model != NULL ? "memory" : "disk");
}

static void pack_previous(struct pack *pack, const struct registry_previous *previous)
{
    pack_map(pack, 3);
    pack_key(pack, "count");
    pack_uint(pack, previous->count);
    pack_key(pack, "bytes");
    pack_uint(pack, previous->bytes);
    pack_key(pack, "bytes_max");
    pack_uint(pack, previous->bytes_max);
}

static void pack_model(const struct registry *registry, struct pack *pack,
                       const struct reg_name *name, const struct reg_version *version)
{
    pack_map(pack, 11u + is_canary(name, version) + (version == name->now.shadow));
    pack_key(pack, "name");
    pack_str(pack, name->name);
    pack_key(pack, "version");
    pack_str(pack, version->version);
    pack_key(pack, "kind");
    pack_str(pack, model_kind_name(version->model->kind));
    pack_key(pack, "label");
    pack_str(pack, label_of(name, version));
    pack_key(pack, "state");
    pack_str(pack, state_of(name, version));
    pack_key(pack, "on_disk");
    pack_bool(pack, version->on_disk);
    pack_key(pack, "loaded_at_ms");
    pack_int(pack, version->loaded_at_ms);
    pack_key(pack, "trained_at_ms");
    if (version->model->trained_at_ms == 0)
        pack_nil(pack);
    else
        pack_int(pack, version->model->trained_at_ms);
    pack_key(pack, "bytes");
    pack_int(pack, (int64_t)version->model->bytes);
    pack_key(pack, "retrieval");
    model_view_pack_retrieval(version->model, pack);
    pack_key(pack, "rollback");
    pack_rollback(pack, version == name->now.stable ? reg_before(name) : NULL);
    if (is_canary(name, version)) {
        pack_key(pack, "canary");
        reg_canary_pack(pack, name->now.canary);
    }
    if (version == name->now.shadow) {
        pack_key(pack, "shadow");
        reg_shadow_pack(registry, name, pack);
    }
}

static void pack_load(struct pack *pack, const struct reg_load *load)
{
    static const char *const outcomes[] = {"loaded", "refused", "rolled_back"};
    pack_map(pack, 5);
    pack_key(pack, "name");
    pack_str(pack, load->name);
    pack_key(pack, "version");
    pack_str(pack, load->version);
    pack_key(pack, "outcome");
    pack_str(pack, outcomes[load->outcome]);
    pack_key(pack, "message");
    pack_str(pack, load->message);
    pack_key(pack, "at_ms");
    pack_int(pack, load->at_ms);
}

static void pack_view(const struct registry *registry, struct pack *pack)
{
    uint32_t count = 0, waiting = 0;
    pack_key(pack, "models");
    size_t mark = pack_array_open(pack);
    for (uint32_t n = 0; n < registry->count; n++) {
        const struct reg_name *name = registry->name[n];
        const struct reg_version *stable = name->now.stable;
        if (stable != NULL)
            pack_model(registry, pack, name, stable);
        count += stable != NULL;
        for (uint32_t i = 0; i < name->count; i++) {
            const struct reg_version *version = name->version[i];
            if (version == stable || version->model == NULL || version->fresh)
                continue;
            if (version->waits && !reg_has_label(name, version) && waiting++ >= SNAPSHOT_MODELS_MAX)
                continue;
            pack_model(registry, pack, name, version);
            count++;
        }
    }
    pack_array_close(pack, mark, count);
    pack_key(pack, "waiting_left_out");
    pack_uint(pack, waiting > SNAPSHOT_MODELS_MAX ? waiting - SNAPSHOT_MODELS_MAX : 0);
    uint64_t loads = registry->load_count;
    uint64_t told = loads < REGISTRY_LOADS_MAX ? loads : REGISTRY_LOADS_MAX;
    pack_key(pack, "loads");
    pack_array(pack, (uint32_t)told);
    for (uint64_t i = 0; i < told; i++)
        pack_load(pack, &registry->load[(loads - 1 - i) % REGISTRY_LOADS_MAX]);
    pack_key(pack, "previous");
    pack_previous(pack, &registry->view.previous);
}

void reg_view_update(struct registry *registry)
{
    struct reg_view *view = &registry->view;
    uint64_t bytes = 0;
    uint32_t canaries = 0, shadows = 0;
    const struct registry_previous previous = reg_previous_sum(registry);
    pthread_mutex_lock(&view->lock);
    view->previous = previous;
    struct pack pack = pack_into(view->packed, VIEW_BYTES);
    pack_view(registry, &pack);
    ASSERT(!pack.overflow);
    view->packed_bytes = pack.used;
    view->epoch = registry->epoch;
    text_copy(text_of(registry->policies.sha256), view->policies_sha256,
              sizeof view->policies_sha256);
    view->serving_count = 0;
    for (uint32_t n = 0; n < registry->count; n++) {
        const struct reg_name *name = registry->name[n];
        for (uint32_t i = 0; i < name->count; i++)
            bytes += name->version[i]->model == NULL ? 0 : name->version[i]->model->bytes;
        canaries += name->now.canary != NULL;
        shadows += name->now.shadow != NULL;
        if (name->now.stable == NULL)
            continue;
        uint32_t at = view->serving_count++;
        text_copy(text_of(name->name), view->serving[at].name, MODEL_NAME_BYTES);
        text_copy(text_of(name->now.stable->version), view->serving[at].version, MODEL_NAME_BYTES);
        view->serving[at].refused = name->refused;
        if (name->refused.order <= name->now.stable->order)
            view->serving[at].refused.version[0] = '\0';
    }
    uint32_t serving_count = view->serving_count;
    pthread_mutex_unlock(&view->lock);
    metric_set(registry->metrics, M_CANARIES, 0, 0, canaries);
    metric_set(registry->metrics, M_SHADOWS, 0, 0, shadows);
    metric_set(registry->metrics, M_MODELS, 0, 0, serving_count);
    metric_set(registry->metrics, M_MODEL_BYTES, 0, 0, (double)bytes);
    metric_set(registry->metrics, M_PREVIOUS, 0, 0, previous.count);
    metric_set(registry->metrics, M_PREVIOUS_BYTES, 0, 0, (double)previous.bytes);
    metric_set(registry->metrics, M_PREVIOUS_BYTES_MAX, 0, 0, (double)previous.bytes_max);
}

static void add_load(struct registry *registry, const char *name, const char *version,
                     enum reg_outcome outcome, const char *message)
{
    pthread_mutex_lock(&registry->view.lock);
    struct reg_load *load = &registry->load[registry->load_count++ % REGISTRY_LOADS_MAX];
    load->outcome = outcome;
    load->at_ms = clock_wall_ms(registry->clock);
    text_copy(text_of(name), load->name, sizeof load->name);
    text_copy(text_of(version), load->version, sizeof load->version);
    text_copy(text_of(message), load->message, sizeof load->message);
    pthread_mutex_unlock(&registry->view.lock);
}

/* What an index over factors is worth, which depends on the factors. */
static void tell_index(const struct reg_name *name, const struct reg_version *version)
{
    struct factors_retrieval retrieval = {.is_exact = true};
    if (model_has_vectors(version->model))
        factors_retrieval(version->model->as.factors, &retrieval);
    if (!retrieval.is_exact)
        log_at(LOG_INFO, "an index was built over the factors of a version",
               LOG_STR("model", name->name), LOG_STR("version", version->version),
               LOG_INT("lists", retrieval.list_count), LOG_INT("probes", retrieval.probes),
               LOG_REAL("recall_at_100", retrieval.recall),
               LOG_INT("measured_with", retrieval.recall_queries));
}

void reg_tell_loaded(struct registry *registry, const struct reg_name *name,
                     const struct reg_version *version, uint64_t took_ns)
{
    add_load(registry, name->name, version->version, OUTCOME_LOADED, "");
    metric_add_shared(registry->metrics, M_MODEL_LOADS, OUTCOME_LOADED, 0, 1);
    log_at(LOG_INFO, "a version serves", LOG_STR("model", name->name),
           LOG_STR("version", version->version),
           LOG_STR("kind", model_kind_name(version->model->kind)),
           LOG_INT("bytes", version->model->bytes), LOG_INT("took_ms", took_ns / 1000000));
    tell_index(name, version);
    reg_view_update(registry);
}

void reg_tell_waiting(struct registry *registry, const struct reg_name *name,
                      const struct reg_version *version)
{
    add_load(registry, name->name, version->version, OUTCOME_LOADED, "");
    metric_add_shared(registry->metrics, M_MODEL_LOADS, OUTCOME_LOADED, 0, 1);
    log_at(LOG_INFO, "a version is loaded and waits to be promoted", LOG_STR("model", name->name),
           LOG_STR("version", version->version));
    reg_view_update(registry);
}

void reg_tell_kept(struct registry *registry, const struct reg_name *name,
                   const struct reg_version *version)
{
    add_load(registry, name->name, version->version, OUTCOME_LOADED, "");
    metric_add_shared(registry->metrics, M_MODEL_LOADS, OUTCOME_LOADED, 0, 1);
    log_at(LOG_INFO, "a version is loaded, to be there for a rollback",
           LOG_STR("model", name->name), LOG_STR("version", version->version));
}

void reg_audit_arrival(struct registry *registry, const struct reg_name *name,
                       struct reg_version *version, enum err_code rc, const struct err *err)
{
    const struct audit_who who = audit_who_named("models_dir");
    if (!version->by_hand)
        return;
    version->by_hand = false;
    /* It is done whether it can be recorded or not; a failure is counted and logged there. */
    (void)!audit_record(
        registry->audit, &who, "model_arrival", rc, err,
        AUDIT_WHAT(LOG_STR("name", name->name), LOG_STR("version", version->version)), NULL);
}

/* One that was never in the line is as new as the next that comes. */
static void note_refusal(const struct registry *registry, struct reg_name *name,
                         const struct reg_version *version, const char *message)
{
    uint64_t order = version->order > 0 ? version->order : registry->order + 1;
    if (version == name->now.stable || order < name->refused.order)
        return;
    name->refused.order = order;
    text_copy(text_of(version->version), name->refused.version, sizeof name->refused.version);
    text_copy(text_of(message), name->refused.message, sizeof name->refused.message);
}

void reg_tell_refused(struct registry *registry, struct reg_name *name, struct reg_version *version,
                      const char *message)
{
    uint64_t hash = hash_bytes(message, strlen(message), 1);
    metric_add_shared(registry->metrics, M_MODEL_LOADS, OUTCOME_REFUSED, 0, 1);
    note_refusal(registry, name, version, message);
    if (hash == version->message_hash)
        return;
    version->message_hash = hash;
    add_load(registry, name->name, version->version, OUTCOME_REFUSED, message);
    log_at(LOG_WARN, "a bundle was refused", LOG_STR("model", name->name),
           LOG_STR("version", version->version), LOG_STR("error", message));
    reg_view_update(registry);
}

void reg_tell_canary_ended(struct registry *registry, const struct reg_name *name,
                           const struct reg_version *version, enum canary_end end,
                           const char *reason)
{
    static const char *const ends[] = {"promoted", "stopped", "rolled back"};
    metric_add_shared(registry->metrics, M_CANARY_ENDS, end, 0, 1);
    log_at(end == CANARY_ROLLED_BACK ? LOG_WARN : LOG_INFO, "a canary ended",
           LOG_STR("model", name->name), LOG_STR("version", version->version),
           LOG_STR("end", ends[end]), LOG_STR("reason", reason == NULL ? "" : reason));
    if (end != CANARY_ROLLED_BACK)
        return;
    const struct audit_who who = audit_who_named("decided");
    add_load(registry, name->name, version->version, OUTCOME_ROLLED_BACK, reason);
    /* It is done whether it can be recorded or not; a failure is counted and logged there. */
    (void)audit_record(registry->audit, &who, "model_canary_rollback", ERR_OK, NULL,
                       AUDIT_WHAT(LOG_STR("name", name->name), LOG_STR("version", version->version),
                                  LOG_STR("reason", reason)),
                       NULL);
}

/* The lock is of the view, not of the registry as its callers see it. */
static struct reg_view *view_of(const struct registry *registry)
{
    return (struct reg_view *)&registry->view;
}

void registry_pack(const struct registry *registry, struct pack *pack)
{
    struct reg_view *view = view_of(registry);
    pthread_mutex_lock(&view->lock);
    pack_raw(pack, view->packed, view->packed_bytes);
    pthread_mutex_unlock(&view->lock);
}

struct registry_previous registry_previous(const struct registry *registry)
{
    struct reg_view *view = view_of(registry);
    pthread_mutex_lock(&view->lock);
    const struct registry_previous previous = view->previous;
    pthread_mutex_unlock(&view->lock);
    return previous;
}

void registry_pack_previous(const struct registry *registry, struct pack *pack)
{
    const struct registry_previous previous = registry_previous(registry);
    pack_previous(pack, &previous);
}

enum registry_source registry_source(const struct registry *registry)
{
    return registry->source;
}
