/* SPDX-License-Identifier: Apache-2.0 */
#include <malloc.h>

#include "base/log.h"
#include "server/control/registry_change.h"
#include "server/control/registry_folders.h"
#include "server/control/registry_internal.h"
#include "server/control/registry_line.h"
#include "server/control/registry_table.h"
#include "server/control/registry_trials.h"

/* What is no fault of the bundle may pass: it is tried again at every look at models_dir.  What is
 * not found is a part of a blend. */
static bool may_pass(enum err_code rc)
{
    return rc == ERR_NOT_FOUND || rc == ERR_NOMEM || rc == ERR_IO || rc == ERR_DISK_FULL ||
           rc == ERR_BUSY || rc == ERR_TIMEOUT;
}

void reg_refuse(struct registry *registry, struct reg_name *name, struct reg_version *version,
                enum err_code rc, const struct err *err)
{
    version->retry = !may_pass(rc)    ? REG_RETRY_NONE
                     : version->waits ? REG_RETRY_WAITING
                                      : REG_RETRY_LINE;
    version->in_line = false;
    version->waits = false;
    version->verified = false;
    version->refused = true;
    reg_tell_refused(registry, name, version, err->text);
    reg_audit_arrival(registry, name, version, rc, err);
    reg_stamp_refused(registry, name, version);
}

/* Of those that wait the newest stays loaded, and what has a label; true when there were others. */
static bool free_waiting(struct reg_name *name, const struct reg_version *newest)
{
    bool freed = false;
    for (uint32_t i = 0; i < name->count; i++) {
        struct reg_version *version = name->version[i];
        if (version->model == NULL || !version->waits || version == newest ||
            reg_has_label(name, version))
            continue;
        model_destroy(&version->model);
        freed = true;
    }
    return freed;
}

static bool load_waiting(struct registry *registry, struct reg_name *name,
                         struct reg_version *version)
{
    struct err err = {0};
    enum err_code rc = reg_preload(registry, name, version, &err);
    if (rc != ERR_OK) {
        reg_refuse(registry, name, version, rc, &err);
        return false;
    }
    if (!version->verified)
        reg_tell_waiting(registry, name, version);
    version->verified = true;
    reg_audit_arrival(registry, name, version, ERR_OK, NULL);
    return true;
}

/* Each version that waits is loaded once, so that it is known to be good; the newest stays loaded.
 */
static bool verify_waiting(struct registry *registry, struct reg_name *name)
{
    struct reg_version *version = NULL;
    bool changed = false;
    for (uint32_t i = 0; i < name->count; i++) {
        version = name->version[i];
        if (!version->waits || version->verified)
            continue;
        changed = true;
        if (load_waiting(registry, name, version) && version != reg_newest_waiting(name))
            model_destroy(&version->model);
    }
    while ((version = reg_newest_waiting(name)) != NULL && version->model == NULL) {
        (void)load_waiting(registry, name, version);
        changed = true;
    }
    return changed;
}

static bool serve_newest(struct registry *registry, struct reg_name *name)
{
    struct reg_version *version = NULL;
    bool changed = false;
    while ((version = reg_newest(name, UINT64_MAX)) != name->now.stable) {
        struct err err = {0};
        enum err_code rc = reg_serve(registry, name, version, &err);
        if (rc != ERR_OK)
            reg_refuse(registry, name, version, rc, &err);
        else
            reg_audit_arrival(registry, name, version, ERR_OK, NULL);
        changed = true;
    }
    return changed;
}

static void tell_kept(struct registry *registry, const struct reg_name *name,
                      struct reg_version *version)
{
    reg_tell_kept(registry, name, version);
    reg_audit_arrival(registry, name, version, ERR_OK, NULL);
}

/* The one before the version that serves, where it would stay; true when that was tried. */
static bool load_before(struct registry *registry, struct reg_name *name)
{
    struct reg_version *version = NULL;
    bool changed = false;
    while ((version = reg_before(name)) != NULL && version->model == NULL &&
           reg_would_stay(registry, name, version)) {
        struct err err = {0};
        enum err_code rc = reg_preload(registry, name, version, &err);
        if (rc != ERR_OK)
            reg_refuse(registry, name, version, rc, &err);
        else
            tell_kept(registry, name, version);
        changed = true;
    }
    return changed;
}

void reg_settle(struct registry *registry, struct reg_name *name)
{
    bool changed = serve_newest(registry, name);
    reg_canary_resume(registry, name);
    reg_shadow_resume(registry, name);
    changed |= load_before(registry, name);
    changed |= verify_waiting(registry, name);
    const struct reg_version *waiting = reg_newest_waiting(name);
    changed |= free_waiting(name, waiting);
    changed |= reg_previous_trim(registry);
    if (name->now.stable != NULL || waiting != NULL)
        reg_state_save(registry, name);
    reg_ratchet_save(registry);
    if (!changed)
        return;
    /* Also the memory that files were read into; glibc would keep it for the next model. */
    malloc_trim(0);
    reg_view_update(registry);
}

enum err_code reg_rollback(struct registry *registry, struct reg_name *name, struct err *err)
{
    struct reg_version *now = name->now.stable;
    struct reg_version *before = reg_before(name);
    struct err why = {.text = ""};
    if (now == NULL)
        return err_set(err, ERR_NOT_FOUND, "no version of '%s' serves", name->name);
    if (before == NULL)
        return err_set(err, ERR_NOT_FOUND, "there is no version of '%s' before %s", name->name,
                       now->version);
    bool was_loaded = before->model != NULL;
    before->message_hash = 0; /* asked for: told again */
    enum err_code rc = reg_serve(registry, name, before, &why);
    if (rc != ERR_OK && !was_loaded)
        reg_refuse(registry, name, before, rc, &why);
    if (rc != ERR_OK)
        return err_set(err, rc, "version %s of '%s'%s does not serve, %s serves on: %s",
                       before->version, name->name, was_loaded ? "" : ", which was not in memory,",
                       now->version, why.text);
    now->in_line = false;
    reg_state_save(registry, name);
    reg_view_update(registry);
    return ERR_OK;
}

/* The bundle in `from` under a name and version that are in the table; `to` is its place. */
static enum err_code install(struct registry *registry, struct reg_name *name,
                             struct reg_version *version, const char *from, const char *to,
                             struct err *err)
{
    uint64_t stamp = 0;
    int64_t written_ns = 0;
    bool exists = reg_stamp(to, &stamp, &written_ns);
    if (!exists && version->model != NULL && reg_is_aside(name, version))
        reg_let_go(version);
    if (exists && !reg_same_manifest(from, to))
        return err_set(err, ERR_EXISTS,
                       "version %s of '%s' exists with other content; a version never changes: "
                       "publish under a new one",
                       version->version, name->name);
    if (!exists && version->model != NULL)
        return err_set(err, ERR_EXISTS,
                       "version %s of '%s' is loaded, though its folder is gone; publish under a "
                       "new version",
                       version->version, name->name);
    if (version == name->now.stable)
        return ERR_OK;
    bool waits = registry->serves_promoted;
    version->message_hash = 0; /* asked for: told again */
    version->from = exists ? NULL : from;
    enum err_code rc =
        waits ? reg_preload(registry, name, version, err) : reg_serve(registry, name, version, err);
    if (rc != ERR_OK) {
        reg_refuse(registry, name, version, rc, err);
        return rc;
    }
    version->on_disk = true;
    (void)reg_stamp(to, &version->stamp, &version->written_ns);
    if (!waits || !version->in_line)
        version->order = ++registry->order;
    if (waits && !version->in_line) {
        version->waits = version->verified = true;
        reg_tell_waiting(registry, name, version);
    }
    return ERR_OK;
}

enum err_code reg_install(struct registry *registry, const char *from, const char *name_text,
                          const char *version_text, struct err *err)
{
    char to[FILE_PATH_BYTES];
    struct reg_name *name = reg_find(registry, name_text);
    enum err_code rc = reg_version_path(registry, name_text, version_text, to, err);
    if (rc == ERR_OK && name == NULL)
        rc = reg_add(registry, name_text, &name, err);
    if (rc != ERR_OK)
        return rc;
    struct reg_version *version = reg_version_find(name, version_text);
    bool added = version == NULL;
    if (added)
        rc = reg_version_add(name, version_text, &version, err);
    if (rc == ERR_OK)
        rc = install(registry, name, version, from, to, err);
    if (rc != ERR_OK && added && version != NULL)
        reg_version_drop(name, version);
    if (rc != ERR_OK && name->count == 0)
        reg_drop(registry, name);
    reg_view_update(registry);
    return rc;
}

void reg_retire(struct registry *registry, struct reg_name *name)
{
    const struct reg_version *stable = name->now.stable;
    struct err err = {0};
    name->next = (struct reg_labels){.stable = NULL};
    if (stable != NULL &&
        reg_apply(registry, &registry->policies, &registry->static_list, &err) != ERR_OK) {
        log_at(LOG_ERROR, "a model cannot be retired", LOG_STR("model", name->name),
               LOG_STR("error", err.text));
        return;
    }
    if (stable != NULL)
        log_at(LOG_WARN, "a model was retired: its folder was removed",
               LOG_STR("model", name->name), LOG_STR("version", stable->version));
    reg_drop(registry, name);
    malloc_trim(0);
    reg_view_update(registry);
}
