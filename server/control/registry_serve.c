/* SPDX-License-Identifier: Apache-2.0 */
/* From labels, models and policies to a snapshot that serves.  Every change takes the same steps:
 * `next` of the names that change is set and their versions are loaded (reg_load); reg_change
 * stages other features, builds the snapshot, binds, commits (moves the folders) and publishes;
 * when anything fails, reg_give_up undoes the first. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/rcu.h"
#include "server/control/registry_change.h"
#include "server/control/registry_folders.h"
#include "server/control/registry_internal.h"
#include "server/control/registry_line.h"
#include "server/control/registry_table.h"
#include "server/control/registry_trials.h"
#include "server/metrics.h"

#define POLICIES_BYTES_MAX ((size_t)1 << 20)

enum err_code reg_policies_read(const char *path, struct reg_policies *ret_policies,
                                struct err *err)
{
    struct reg_policies policies = {0};
    if (path == NULL || path[0] == '\0') {
        *ret_policies = policies;
        return ERR_OK;
    }
    enum err_code rc = file_read(path, POLICIES_BYTES_MAX, &policies.bytes, &policies.len, err);
    if (rc != ERR_OK)
        return rc;
    uint8_t digest[SHA256_BYTES];
    sha256_of(policies.bytes, policies.len, digest);
    sha256_hex(digest, policies.sha256);
    policies.path = strdup(path);
    if (policies.path == NULL) {
        reg_policies_free(&policies);
        return err_set(err, ERR_NOMEM, "no memory for the policies");
    }
    *ret_policies = policies;
    return ERR_OK;
}

void reg_policies_free(struct reg_policies *policies)
{
    free(policies->path);
    free(policies->bytes);
    *policies = (struct reg_policies){0};
}

static enum err_code check_room(const struct registry *registry, struct err *err)
{
    uint32_t serving = 0;
    for (uint32_t i = 0; i < registry->count; i++)
        serving += registry->name[i]->next.stable != NULL;
    if (serving <= SNAPSHOT_MODELS_MAX)
        return ERR_OK;
    return err_set(err, ERR_BUSY,
                   "%d models serve already, which is the limit; retire one by removing its "
                   "folder from models_dir",
                   SNAPSHOT_MODELS_MAX);
}

/* What a snapshot is built from, for all names. */
struct parts {
    struct model *model[SNAPSHOT_MODELS_MAX];
    struct snapshot_trial canary[SNAPSHOT_TRIALS_MAX], shadow[SNAPSHOT_TRIALS_MAX];
    uint32_t model_count, canary_count, shadow_count;
};

static void gather(const struct registry *registry, struct parts *ret_parts)
{
    struct parts parts = {.model_count = 0};
    for (uint32_t i = 0; i < registry->count; i++) {
        const struct reg_labels *next = &registry->name[i]->next;
        if (next->stable == NULL)
            continue;
        ASSERT(parts.model_count < SNAPSHOT_MODELS_MAX); /* see check_room */
        parts.model[parts.model_count++] = next->stable->model;
        if (next->canary != NULL) {
            ASSERT(parts.canary_count < SNAPSHOT_TRIALS_MAX); /* see reg_canary_start */
            parts.canary[parts.canary_count++] =
                (struct snapshot_trial){.stable = next->stable->model,
                                        .model = next->canary->version->model,
                                        .share_e4 = next->canary->settings.share_e4,
                                        .tally = next->canary->tally};
        }
        if (next->shadow != NULL) {
            ASSERT(parts.shadow_count < SNAPSHOT_TRIALS_MAX); /* see reg_shadow_start */
            parts.shadow[parts.shadow_count++] =
                (struct snapshot_trial){.stable = next->stable->model,
                                        .model = next->shadow->model,
                                        .share_e4 = next->shadow_share_e4};
        }
    }
    *ret_parts = parts;
}

static enum err_code build(const struct registry *registry, const struct reg_policies *policies,
                           struct snapshot_spec *spec, struct snapshot **ret_snapshot,
                           struct err *err)
{
    spec->epoch = registry->epoch + 1;
    spec->item_count_max = store_items_max(registry->store);
    spec->store = registry->store;
    spec->before = registry->snapshot;
    enum err_code rc = policies->path == NULL
                           ? policy_builtin(&spec->policies, err)
                           : policy_parse(policies->path, (const char *)policies->bytes,
                                          policies->len, registry->store, &spec->policies, err);
    if (rc != ERR_OK)
        return rc;
    rc = snapshot_build(spec, ret_snapshot, err);
    if (rc != ERR_OK)
        policy_destroy(&spec->policies);
    return rc;
}

/* What answers, and what the shadows' thread asks, NULL without any. */
struct built {
    struct snapshot *serving, *shadows;
};

/* The daemon does not wait for a long list when it stops, nor does a push while one is made anew.
 */
static bool stops_lists(void *ctx)
{
    struct registry *registry = ctx;
    return reg_is_stopping(registry) || (registry->lists_give_way && reg_has_commands(registry));
}

static enum err_code build_both(struct registry *registry, const struct reg_change *change,
                                const struct feature_set *features, struct built *built,
                                struct err *err)
{
    const struct reg_static *static_list = change->static_list;
    struct parts parts;
    gather(registry, &parts);
    struct snapshot_spec spec = {.models = parts.model,
                                 .model_count = parts.model_count,
                                 .trials = parts.canary,
                                 .trial_count = parts.canary_count,
                                 .static_ids = static_list->ids,
                                 .static_count = static_list->count,
                                 .features = features,
                                 .worker_count = registry->worker_count,
                                 .list_stop = {stops_lists, registry}};
    enum err_code rc = build(registry, change->policies, &spec, &built->serving, err);
    if (rc == ERR_OK && change->names_all)
        rc = snapshot_check_models(built->serving, err);
    if (rc != ERR_OK || parts.shadow_count == 0)
        return rc;
    spec.trials = parts.shadow;
    spec.trial_count = parts.shadow_count;
    spec.worker_count = 1;
    return build(registry, change->policies, &spec, &built->shadows, err);
}

static void publish(struct registry *registry, const struct built *built)
{
    registry->epoch = built->serving->epoch;
    registry->snapshot = built->serving;
    registry->shadows = built->shadows;
    struct snapshot *shadows = NULL;
    struct snapshot *old = serving_publish(registry->serving, built->serving);
    if (registry->shadow != NULL)
        shadows = shadow_publish(registry->shadow, built->shadows);
    metric_set(registry->metrics, M_SNAPSHOT_EPOCH, 0, 0, (double)registry->epoch);
    rcu_wait();
    snapshot_destroy(&old);
    snapshot_destroy(&shadows);
}

/* ---- a change -------------------------------------------------------------------------------- */

static enum err_code bind_all(const struct registry *registry, struct err *err)
{
    struct reg_version *version[REG_LABELS_MAX + 1];
    enum err_code rc = ERR_OK;
    for (uint32_t i = 0; i < registry->count && rc == ERR_OK; i++) {
        reg_labelled(&registry->name[i]->next, version);
        for (uint32_t v = 0; version[v] != NULL && rc == ERR_OK; v++)
            rc = reg_bind(registry, version[v], err);
    }
    return rc;
}

/* The commit of a change of one name. */
static enum err_code move_all(struct registry *registry, void *ctx, struct err *err)
{
    struct reg_version *version[REG_LABELS_MAX + 1];
    enum err_code rc = ERR_OK;
    (void)ctx;
    for (uint32_t i = 0; i < registry->count && rc == ERR_OK; i++) {
        reg_labelled(&registry->name[i]->next, version);
        for (uint32_t v = 0; version[v] != NULL && rc == ERR_OK; v++)
            rc = reg_move(registry, registry->name[i], version[v], err);
    }
    return rc;
}

void reg_give_up(struct registry *registry)
{
    struct reg_version *version[REG_LABELS_MAX + 1];
    for (uint32_t i = 0; i < registry->count; i++) {
        struct reg_name *name = registry->name[i];
        reg_labelled(&name->next, version);
        for (uint32_t v = 0; version[v] != NULL; v++) {
            if (version[v]->fresh)
                model_destroy(&version[v]->model);
            version[v]->fresh = false;
            version[v]->from = NULL;
        }
        if (name->next.canary != name->now.canary)
            reg_canary_destroy(&name->next.canary);
        name->next = name->now;
    }
    reg_features_give_up(registry);
}

static void tell(struct registry *registry, const struct reg_name *name, bool fresh)
{
    const struct reg_version *stable = name->now.stable;
    if (fresh)
        reg_tell_loaded(registry, name, stable, clock_now_ns(registry->clock) - stable->began_ns);
    else
        log_at(LOG_INFO, "a version serves again", LOG_STR("model", name->name),
               LOG_STR("version", stable->version));
}

static void tell_canary_overtaken(struct registry *registry, const struct reg_name *name)
{
    bool promoted = name->now.canary->version == name->next.stable;
    reg_tell_canary_ended(registry, name, name->now.canary->version,
                          promoted ? CANARY_PROMOTED : CANARY_STOPPED,
                          promoted ? NULL : "a version of another kind serves now");
}

/* No snapshot has them any more.  What is held by hand is held no longer, wherever the model comes
 * from when it serves again. */
static void let_breakers_go(const struct reg_name *name, struct reg_version *const *before)
{
    for (uint32_t v = 0; before[v] != NULL; v++)
        if (!reg_has_label(name, before[v]))
            breaker_hold(before[v]->model->breaker, BREAKER_AUTO);
}

/* As an operator left it, when it is that version which serves after a start. */
static void hold_as_before(struct reg_name *name)
{
    const struct reg_version *stable = name->now.stable;
    if (stable != NULL && strcmp(stable->version, name->held_before.version) == 0)
        breaker_hold(stable->model->breaker, name->held_before.hold);
    if (stable != NULL)
        name->held_before.version[0] = '\0';
}

/* What was prepared is in force. */
static void settle_name(struct registry *registry, struct reg_name *name)
{
    struct reg_version *before[REG_LABELS_MAX + 1], *version[REG_LABELS_MAX + 1];
    struct reg_version *stable = name->next.stable;
    bool changed = stable != NULL && stable != name->now.stable;
    bool fresh = stable != NULL && stable->fresh;
    reg_labelled(&name->now, before);
    for (uint32_t v = 0; before[v] != NULL; v++)
        before[v]->served = registry->served;
    reg_labelled(&name->next, version);
    for (uint32_t v = 0; version[v] != NULL; v++)
        reg_keep(registry, version[v]);
    if (name->now.canary != NULL && changed && name->next.canary == NULL)
        tell_canary_overtaken(registry, name);
    if (name->next.canary != name->now.canary)
        reg_canary_destroy(&name->now.canary); /* no snapshot counts in it any more */
    name->now = name->next;
    let_breakers_go(name, before);
    hold_as_before(name);
    if (!changed)
        return;
    stable->in_line = true;
    stable->waits = false;
    tell(registry, name, fresh);
}

enum err_code reg_apply(struct registry *registry, const struct reg_policies *policies,
                        const struct reg_static *static_list, struct err *err)
{
    const struct reg_change change = {
        .policies = policies, .static_list = static_list, .commit = move_all};
    return reg_change(registry, &change, err);
}

enum err_code reg_change(struct registry *registry, const struct reg_change *change,
                         struct err *err)
{
    struct built built = {NULL, NULL};
    const struct feature_set *features = NULL;
    enum err_code rc = check_room(registry, err);
    for (uint32_t i = 0; i < registry->count && rc == ERR_OK; i++) {
        rc = reg_canary_follow(registry, registry->name[i], err);
        reg_shadow_follow(registry->name[i]);
    }
    if (rc == ERR_OK)
        rc = reg_blend_check(registry, err);
    if (rc == ERR_OK)
        rc = reg_features_check(registry, err);
    if (rc == ERR_OK)
        rc = reg_features_stage(registry, &features, err);
    if (rc == ERR_OK)
        rc = build_both(registry, change, features, &built, err);
    if (rc == ERR_OK)
        rc = bind_all(registry, err);
    if (rc == ERR_OK)
        rc = change->commit(registry, change->ctx, err);
    if (rc != ERR_OK) {
        snapshot_destroy(&built.serving);
        snapshot_destroy(&built.shadows);
        reg_give_up(registry);
        return rc;
    }
    reg_ratchet_raise(registry);
    publish(registry, &built);
    reg_features_adopt(registry);
    registry->served++;
    for (uint32_t i = 0; i < registry->count; i++)
        settle_name(registry, registry->name[i]);
    return ERR_OK;
}

static enum registry_source source_of_loaded(const struct registry *registry,
                                             const struct reg_name *name,
                                             const struct reg_version *version)
{
    char dir[FILE_PATH_BYTES];
    uint64_t stamp = 0;
    int64_t written_ns = 0;
    if (version->unplaced)
        return REGISTRY_MEMORY;
    bool same = !version->folder_differs &&
                reg_version_path(registry, name->name, version->version, dir, NULL) == ERR_OK &&
                reg_stamp(dir, &stamp, &written_ns) &&
                (version->stamp == 0 || version->stamp == stamp);
    return same ? REGISTRY_MEMORY : REGISTRY_MEMORY_ALONE;
}

enum err_code reg_serve(struct registry *registry, struct reg_name *name,
                        struct reg_version *version, struct err *err)
{
    name->next.stable = version;
    enum err_code rc = check_room(registry, err); /* before a bundle is read in vain */
    if (rc == ERR_OK)
        rc = reg_load(registry, name, version, err);
    registry->source = version->fresh ? REGISTRY_DISK : source_of_loaded(registry, name, version);
    if (rc == ERR_OK)
        return reg_apply(registry, &registry->policies, &registry->static_list, err);
    reg_give_up(registry);
    return rc;
}
