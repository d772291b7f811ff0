/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "models/ranker.h"
#include "server/control/registry_change.h"
#include "server/control/registry_internal.h"
#include "server/control/registry_line.h"
#include "server/control/registry_table.h"
#include "server/control/registry_trials.h"

#define WINDOW_LOOKS_MAX 60

static enum err_code canary_create(const struct registry *registry, struct reg_version *version,
                                   const struct canary_settings *settings,
                                   struct reg_canary **ret_canary, struct err *err)
{
    struct reg_canary *canary = calloc(1, sizeof *canary);
    if (canary == NULL)
        return err_set(err, ERR_NOMEM, "no memory for a canary");
    canary->version = version;
    canary->settings = *settings;
    canary->began_ms = clock_wall_ms(registry->clock);
    enum err_code rc = tally_create(registry->worker_count, &canary->tally, err);
    if (rc != ERR_OK) {
        reg_canary_destroy(&canary);
        return rc;
    }
    *ret_canary = canary;
    return ERR_OK;
}

void reg_canary_destroy(struct reg_canary **canary)
{
    if (*canary == NULL)
        return;
    tally_destroy(&(*canary)->tally);
    free(*canary);
    *canary = NULL;
}

/* What runs and is looked at again and again. */
static bool any_trial(const struct registry *registry)
{
    for (uint32_t i = 0; i < registry->count; i++) {
        if (registry->name[i]->now.canary != NULL || registry->name[i]->now.shadow != NULL)
            return true;
    }
    return false;
}

static uint32_t canary_count(const struct registry *registry)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < registry->count; i++)
        count += registry->name[i]->now.canary != NULL;
    return count;
}

bool reg_can_replace(const struct model *model, const struct model *stable)
{
    return model->kind == stable->kind ||
           (ranker_fits_slot(model->kind) && ranker_fits_slot(stable->kind));
}

/* ---- start and stop -------------------------------------------------------------------------- */

static enum err_code check_start(const struct registry *registry, const struct reg_name *name,
                                 const struct reg_version *version, struct err *err)
{
    const struct reg_canary *running = name->now.canary;
    if (name->now.stable == NULL)
        return err_set(err, ERR_NOT_FOUND,
                       "no version of '%s' serves that a canary could be compared with: promote "
                       "one first",
                       name->name);
    if (version == name->now.stable)
        return err_set(err, ERR_BAD_INPUT,
                       "version %s of '%s' serves already: a canary is another version",
                       version->version, name->name);
    if (running != NULL && running->version != version)
        return err_set(err, ERR_EXISTS,
                       "version %s of '%s' is the canary: stop or promote it first",
                       running->version->version, name->name);
    if (running == NULL && canary_count(registry) == SNAPSHOT_TRIALS_MAX)
        return err_set(err, ERR_BUSY,
                       "%d canaries run already, which is the limit: stop or promote one",
                       SNAPSHOT_TRIALS_MAX);
    return ERR_OK;
}

enum err_code reg_check_kind(const struct reg_name *name, const struct reg_version *version,
                             struct err *err)
{
    enum model_kind kind = version->model->kind, stable = name->now.stable->model->kind;
    if (reg_can_replace(version->model, name->now.stable->model))
        return ERR_OK;
    return err_set(err, ERR_BAD_INPUT,
                   "version %s of '%s' is of the kind %s, the one that serves of %s",
                   version->version, name->name, model_kind_name(kind), model_kind_name(stable));
}

/* Loads the version and sets it as the next canary. */
static enum err_code prepare(struct registry *registry, struct reg_name *name,
                             struct reg_version *version, const struct canary_settings *settings,
                             struct err *err)
{
    enum err_code rc = canary_create(registry, version, settings, &name->next.canary, err);
    if (rc != ERR_OK) {
        name->next.canary = name->now.canary;
        return rc;
    }
    rc = reg_load(registry, name, version, err);
    if (rc == ERR_OK)
        rc = reg_check_kind(name, version, err);
    if (rc != ERR_OK)
        reg_give_up(registry);
    return rc;
}

static enum err_code start(struct registry *registry, struct reg_name *name,
                           struct reg_version *version, const struct canary_settings *settings,
                           struct err *err)
{
    bool fresh = version->model == NULL;
    bool goes_on = name->now.canary != NULL;
    enum err_code rc = check_start(registry, name, version, err);
    if (rc != ERR_OK)
        return rc;
    rc = prepare(registry, name, version, settings, err);
    if (rc == ERR_OK)
        rc = reg_apply(registry, &registry->policies, &registry->static_list, err);
    if (rc != ERR_OK && fresh)
        reg_refuse(registry, name, version, rc, err);
    if (rc != ERR_OK)
        return rc;
    if (!goes_on)
        breaker_hold(version->model->breaker, BREAKER_AUTO); /* begins anew */
    if (fresh)
        reg_tell_loaded(registry, name, version, clock_now_ns(registry->clock) - version->began_ns);
    log_at(LOG_INFO, "a canary runs", LOG_STR("model", name->name),
           LOG_STR("version", version->version), LOG_INT("share_of_10000", settings->share_e4));
    reg_state_save(registry, name);
    reg_view_update(registry);
    return ERR_OK;
}

enum err_code reg_canary_start(struct registry *registry, struct reg_name *name,
                               const char *version_text, const struct canary_settings *settings,
                               struct err *err)
{
    struct reg_version *version = NULL;
    enum err_code rc = reg_find_version(name, version_text, &version, err);
    if (rc != ERR_OK)
        return rc;
    version->message_hash = 0; /* asked for: told again */
    return start(registry, name, version, settings, err);
}

static enum err_code end(struct registry *registry, struct reg_name *name, enum canary_end how,
                         const char *reason, struct err *err)
{
    struct reg_version *version = name->now.canary->version;
    name->next.canary = NULL;
    enum err_code rc = reg_apply(registry, &registry->policies, &registry->static_list, err);
    if (rc != ERR_OK)
        return rc;
    if (how == CANARY_ROLLED_BACK)
        version->in_line = version->waits = false;
    reg_tell_canary_ended(registry, name, version, how, reason);
    reg_state_save(registry, name);
    reg_view_update(registry);
    return ERR_OK;
}

enum err_code reg_canary_stop(struct registry *registry, struct reg_name *name, struct err *err)
{
    if (name->now.canary == NULL)
        return err_set(err, ERR_NOT_FOUND, "'%s' has no canary", name->name);
    return end(registry, name, CANARY_STOPPED, NULL, err);
}

void reg_canary_resume(struct registry *registry, struct reg_name *name)
{
    struct reg_version *version = reg_version_find(name, name->canary_of_before.version);
    struct err err = {.text = ""};
    if (name->canary_of_before.version[0] == '\0' || name->now.stable == NULL)
        return;
    if (version == NULL)
        (void)err_set(&err, ERR_NOT_FOUND, "its folder is gone");
    else
        (void)start(registry, name, version, &name->canary_of_before.settings, &err);
    if (err.code != ERR_OK)
        log_at(LOG_WARN, "a canary of before does not go on", LOG_STR("model", name->name),
               LOG_STR("version", name->canary_of_before.version), LOG_STR("error", err.text));
    name->canary_of_before.version[0] = '\0';
}

enum err_code reg_canary_follow(const struct registry *registry, struct reg_name *name,
                                struct err *err)
{
    struct reg_canary *canary = name->now.canary;
    const struct reg_version *stable = name->next.stable;
    if (canary == NULL || name->next.canary != canary || stable == name->now.stable)
        return ERR_OK;
    name->next.canary = NULL;
    if (stable == NULL || stable == canary->version ||
        !reg_can_replace(canary->version->model, stable->model))
        return ERR_OK;
    return canary_create(registry, canary->version, &canary->settings, &name->next.canary, err);
}

/* ---- judgement ------------------------------------------------------------------------------- */

/* A window ends when there is enough of both sides in it to be judged.  When hardly anybody uses
 * the stable version any more, it ends after so many looks. */
static bool window_is_over(const struct reg_canary *canary)
{
    uint32_t decisions_min = canary->settings.bounds.decisions_min;
    return canary->window[TALLY_TRIAL].decisions >= decisions_min &&
           (canary->window[TALLY_STABLE].decisions >= decisions_min ||
            canary->looks >= WINDOW_LOOKS_MAX);
}

/* Over all that was counted, which finds what is a little worse, and over the window, which finds
 * what has just become worse. */
static bool passes(struct reg_canary *canary, char ret_reason[CANARY_REASON_BYTES])
{
    const struct canary_bounds *bounds = &canary->settings.bounds;
    const struct model *model = canary->version->model;
    for (enum tally_side side = 0; side < TALLY_SIDE_COUNT; side++) {
        tally_add_up(canary->tally, side, &canary->sum[side]);
        memcpy(&canary->window[side], &canary->sum[side], sizeof canary->window[side]);
        tally_subtract(&canary->window[side], &canary->before[side]);
    }
    if (!breaker_is_closed(model->breaker)) {
        text_copy(TEXT_LITERAL("its breaker opened: most uses within a second failed or were slow"),
                  ret_reason, CANARY_REASON_BYTES);
        return false;
    }
    if (!canary_judge(bounds, &canary->sum[TALLY_STABLE], &canary->sum[TALLY_TRIAL], ret_reason) ||
        !canary_judge(bounds, &canary->window[TALLY_STABLE], &canary->window[TALLY_TRIAL],
                      ret_reason))
        return false;
    canary->looks++;
    if (window_is_over(canary)) {
        memcpy(canary->before, canary->sum, sizeof canary->before);
        canary->looks = 0;
    }
    return true;
}

uint64_t reg_canaries_due_ns(const struct registry *registry)
{
    return any_trial(registry) ? registry->checked_at_ns + registry->check_ns : UINT64_MAX;
}

void reg_canaries_check(struct registry *registry)
{
    char reason[CANARY_REASON_BYTES];
    uint64_t now_ns = clock_now_ns(registry->clock);
    if (now_ns < reg_canaries_due_ns(registry))
        return;
    registry->checked_at_ns = now_ns;
    for (uint32_t i = 0; i < registry->count; i++) {
        struct reg_name *name = registry->name[i];
        struct err err = {0};
        if (name->now.canary == NULL || passes(name->now.canary, reason))
            continue;
        changes_note(registry->changes);
        if (end(registry, name, CANARY_ROLLED_BACK, reason, &err) != ERR_OK)
            log_at(LOG_ERROR, "a canary cannot be rolled back", LOG_STR("model", name->name),
                   LOG_STR("reason", reason), LOG_STR("error", err.text));
        else
            reg_settle(registry, name); /* frees it */
        changes_note(registry->changes);
    }
    reg_view_update(registry);
}

/* ---- what operators see ---------------------------------------------------------------------- */

static void pack_side(struct pack *pack, const struct tally_counts *counts)
{
    pack_map(pack, 6);
    pack_key(pack, "decisions");
    pack_uint(pack, counts->decisions);
    pack_key(pack, "degraded");
    pack_uint(pack, counts->degraded);
    pack_key(pack, "empty");
    pack_uint(pack, counts->empty);
    pack_key(pack, "uses");
    pack_uint(pack, counts->latency.count);
    pack_key(pack, "errors");
    pack_uint(pack, counts->errors);
    pack_key(pack, "p99_us");
    pack_real(pack, (double)hist_quantile(&counts->latency, 0.99) / 1e3);
}

void reg_canary_pack(struct pack *pack, const struct reg_canary *canary)
{
    const struct canary_bounds *bounds = &canary->settings.bounds;
    pack_map(pack, 9);
    pack_key(pack, "percent");
    pack_real(pack, canary->settings.share_e4 / 100.0);
    pack_key(pack, "began_ms");
    pack_int(pack, canary->began_ms);
    pack_key(pack, "max_errors");
    pack_real(pack, 100 * bounds->errors_max);
    pack_key(pack, "max_latency");
    pack_real(pack, bounds->latency_ratio_max);
    pack_key(pack, "latency_floor_us");
    pack_uint(pack, bounds->latency_floor_ns / 1000);
    pack_key(pack, "max_degraded");
    pack_real(pack, 100 * bounds->degraded_max);
    pack_key(pack, "min_decisions");
    pack_uint(pack, bounds->decisions_min);
    pack_key(pack, "stable");
    pack_side(pack, &canary->sum[TALLY_STABLE]);
    pack_key(pack, "canary");
    pack_side(pack, &canary->sum[TALLY_TRIAL]);
}
