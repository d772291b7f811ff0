/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>

#include "base/log.h"
#include "server/control/registry_change.h"
#include "server/control/registry_internal.h"
#include "server/control/registry_line.h"
#include "server/control/registry_table.h"
#include "server/control/registry_trials.h"

static uint32_t shadow_count(const struct registry *registry)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < registry->count; i++)
        count += registry->name[i]->now.shadow != NULL;
    return count;
}

static enum err_code check_start(const struct registry *registry, const struct reg_name *name,
                                 const struct reg_version *version, struct err *err)
{
    const struct reg_version *running = name->now.shadow;
    if (registry->shadow == NULL)
        return err_set(err, ERR_UNSUPPORTED, "this registry has no shadows");
    if (name->now.stable == NULL)
        return err_set(err, ERR_NOT_FOUND,
                       "no version of '%s' serves that a shadow could be compared with: promote "
                       "one first",
                       name->name);
    if (version == name->now.stable ||
        (name->now.canary != NULL && version == name->now.canary->version))
        return err_set(err, ERR_BAD_INPUT,
                       "version %s of '%s' serves already: a shadow is another version",
                       version->version, name->name);
    if (running != NULL && running != version)
        return err_set(err, ERR_EXISTS, "version %s of '%s' is the shadow: stop it first",
                       running->version, name->name);
    if (running == NULL && shadow_count(registry) == SNAPSHOT_TRIALS_MAX)
        return err_set(err, ERR_BUSY, "%d shadows run already, which is the limit: stop one",
                       SNAPSHOT_TRIALS_MAX);
    return ERR_OK;
}

static enum err_code change(struct registry *registry, struct reg_name *name,
                            struct reg_version *version, uint32_t share_e4, struct err *err)
{
    name->next.shadow = version;
    name->next.shadow_share_e4 = share_e4;
    enum err_code rc = reg_load(registry, name, version, err);
    if (rc == ERR_OK)
        rc = reg_check_kind(name, version, err);
    if (rc == ERR_OK)
        return reg_apply(registry, &registry->policies, &registry->static_list, err);
    reg_give_up(registry);
    return rc;
}

static enum err_code start(struct registry *registry, struct reg_name *name,
                           struct reg_version *version, uint32_t share_e4, struct err *err)
{
    bool fresh = version->model == NULL;
    enum err_code rc = check_start(registry, name, version, err);
    if (rc != ERR_OK)
        return rc;
    rc = change(registry, name, version, share_e4, err);
    if (rc != ERR_OK && fresh)
        reg_refuse(registry, name, version, rc, err);
    if (rc != ERR_OK)
        return rc;
    if (fresh)
        reg_tell_loaded(registry, name, version, clock_now_ns(registry->clock) - version->began_ns);
    log_at(LOG_INFO, "a shadow runs", LOG_STR("model", name->name),
           LOG_STR("version", version->version), LOG_INT("share_of_10000", share_e4));
    reg_state_save(registry, name);
    reg_view_update(registry);
    return ERR_OK;
}

enum err_code reg_shadow_start(struct registry *registry, struct reg_name *name,
                               const char *version_text, uint32_t share_e4, struct err *err)
{
    struct reg_version *version = NULL;
    enum err_code rc = reg_find_version(name, version_text, &version, err);
    if (rc != ERR_OK)
        return rc;
    version->message_hash = 0; /* asked for: told again */
    return start(registry, name, version, share_e4, err);
}

enum err_code reg_shadow_stop(struct registry *registry, struct reg_name *name, struct err *err)
{
    const struct reg_version *version = name->now.shadow;
    if (version == NULL)
        return err_set(err, ERR_NOT_FOUND, "'%s' has no shadow", name->name);
    name->next.shadow = NULL;
    enum err_code rc = reg_apply(registry, &registry->policies, &registry->static_list, err);
    if (rc != ERR_OK)
        return rc;
    log_at(LOG_INFO, "a shadow ended", LOG_STR("model", name->name),
           LOG_STR("version", version->version));
    reg_state_save(registry, name);
    reg_view_update(registry);
    return ERR_OK;
}

void reg_shadow_resume(struct registry *registry, struct reg_name *name)
{
    struct reg_resume *before = &name->shadow_of_before;
    struct reg_version *version = reg_version_find(name, before->version);
    struct err err = {.text = ""};
    if (before->version[0] == '\0' || name->now.stable == NULL)
        return;
    if (version == NULL)
        (void)err_set(&err, ERR_NOT_FOUND, "its folder is gone");
    else
        (void)start(registry, name, version, before->settings.share_e4, &err);
    if (err.code != ERR_OK)
        log_at(LOG_WARN, "a shadow of before does not go on", LOG_STR("model", name->name),
               LOG_STR("version", before->version), LOG_STR("error", err.text));
    before->version[0] = '\0';
}

void reg_shadow_follow(struct reg_name *name)
{
    const struct reg_version *shadow = name->next.shadow;
    const struct reg_version *stable = name->next.stable;
    if (shadow == NULL || (stable == name->now.stable && name->next.canary == name->now.canary))
        return;
    bool serves =
        shadow == stable || (name->next.canary != NULL && shadow == name->next.canary->version);
    if (stable == NULL || serves || !reg_can_replace(shadow->model, stable->model))
        name->next.shadow = NULL;
}

/* ---- what operators see ---------------------------------------------------------------------- */

static void pack_number(struct pack *pack, const char *key, double value)
{
    pack_str(pack, key);
    if (isnan(value))
        pack_nil(pack);
    else
        pack_real(pack, value);
}

void reg_shadow_pack(const struct registry *registry, const struct reg_name *name,
                     struct pack *pack)
{
    struct shadow_stats stats = {.overlap = NAN, .rank_correlation = NAN, .score_drift = NAN};
    (void)shadow_stats(registry->shadow, name->name, &stats);
    pack_map(pack, 11);
    pack_number(pack, "percent", name->now.shadow_share_e4 / 100.0);
    pack_key(pack, "compared");
    pack_uint(pack, stats.compared);
    pack_key(pack, "dropped");
    pack_uint(pack, stats.dropped);
    pack_number(pack, "overlap", stats.overlap);
    pack_number(pack, "rank_correlation", stats.rank_correlation);
    pack_number(pack, "score_drift", stats.score_drift);
    pack_number(pack, "score_drift_max", stats.score_drift_max);
    pack_number(pack, "served_p50_us", (double)stats.served_p50_ns / 1e3);
    pack_number(pack, "served_p99_us", (double)stats.served_p99_ns / 1e3);
    pack_number(pack, "shadow_p50_us", (double)stats.shadow_p50_ns / 1e3);
    pack_number(pack, "shadow_p99_us", (double)stats.shadow_p99_ns / 1e3);
}
