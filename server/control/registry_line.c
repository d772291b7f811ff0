/* SPDX-License-Identifier: Apache-2.0 */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "server/control/registry_internal.h"

enum err_code reg_version_path(const struct registry *registry, const char *name,
                               const char *version, char ret_path[FILE_PATH_BYTES], struct err *err)
{
    char parent[FILE_PATH_BYTES];
    enum err_code rc = file_join(registry->models_dir, name, parent, sizeof parent, err);
    return rc == ERR_OK ? file_join(parent, version, ret_path, FILE_PATH_BYTES, err) : rc;
}

/* What is no fault of the bundle may pass: it is tried again at every look at models_dir. */
static bool may_pass(enum err_code rc)
{
    return rc == ERR_NOMEM || rc == ERR_IO || rc == ERR_DISK_FULL || rc == ERR_BUSY ||
           rc == ERR_TIMEOUT;
}

static void refuse(struct registry *registry, struct reg_name *name, struct reg_version *version,
                   enum err_code rc, const struct err *err)
{
    version->in_line = false;
    version->refused = true;
    version->retry = may_pass(rc);
    reg_tell_refused(registry, name, version, err->text);
}

/* Frees what neither serves nor is the one before; true when there was any. */
static bool free_others(struct reg_name *name, const struct reg_version *before)
{
    bool freed = false;
    for (uint32_t i = 0; i < name->count; i++) {
        struct reg_version *version = name->version[i];
        if (version == name->serving || version == before || version->model == NULL)
            continue;
        model_destroy(&version->model);
        freed = true;
    }
    return freed;
}

void reg_settle(struct registry *registry, struct reg_name *name)
{
    struct reg_version *version = NULL;
    bool changed = false;
    while ((version = reg_newest(name, UINT64_MAX)) != name->serving) {
        char dir[FILE_PATH_BYTES];
        struct err err = {0};
        enum err_code rc = reg_version_path(registry, name->name, version->version, dir, &err);
        if (rc == ERR_OK)
            rc = reg_serve(registry, name, version, dir, false, &err);
        if (rc != ERR_OK)
            refuse(registry, name, version, rc, &err);
        changed = true;
    }
    if (name->serving == NULL)
        return;
    while ((version = reg_newest(name, name->serving->order)) != NULL && version->model == NULL) {
        struct err err = {0};
        enum err_code rc = reg_preload(registry, name, version, &err);
        if (rc != ERR_OK)
            refuse(registry, name, version, rc, &err);
        changed = true;
    }
    changed |= free_others(name, version);
    reg_state_save(registry, name);
    if (!changed)
        return;
    /* Also the memory that files were read into; glibc would keep it for the next model. */
    malloc_trim(0);
    reg_view_update(registry);
}

enum err_code reg_rollback(struct registry *registry, struct reg_name *name, struct err *err)
{
    char dir[FILE_PATH_BYTES];
    struct reg_version *now = name->serving;
    struct reg_version *before = now == NULL ? NULL : reg_newest(name, now->order);
    if (now == NULL)
        return err_set(err, ERR_NOT_FOUND, "no version of '%s' serves", name->name);
    if (before == NULL)
        return err_set(err, ERR_NOT_FOUND, "there is no version of '%s' before %s", name->name,
                       now->version);
    enum err_code rc = reg_version_path(registry, name->name, before->version, dir, err);
    if (rc == ERR_OK)
        rc = reg_serve(registry, name, before, dir, false, err);
    if (rc != ERR_OK)
        return rc;
    now->in_line = false;
    reg_state_save(registry, name);
    reg_view_update(registry);
    return ERR_OK;
}

static bool same_manifest(const char *dir_a, const char *dir_b)
{
    char path[FILE_PATH_BYTES];
    const char *const dirs[2] = {dir_a, dir_b};
    uint8_t *bytes[2] = {NULL, NULL};
    size_t len[2] = {0, 0};
    bool same = true;
    for (int i = 0; i < 2 && same; i++)
        same = file_join(dirs[i], "manifest.json", path, sizeof path, NULL) == ERR_OK &&
               file_read(path, (size_t)1 << 20, &bytes[i], &len[i], NULL) == ERR_OK;
    same = same && len[0] == len[1] && memcmp(bytes[0], bytes[1], len[0]) == 0;
    free(bytes[0]);
    free(bytes[1]);
    return same;
}

/* The bundle in `from` under a name and version that are in the table; `to` is its place. */
static enum err_code install(struct registry *registry, struct reg_name *name,
                             struct reg_version *version, const char *from, const char *to,
                             struct err *err)
{
    uint64_t stamp = 0;
    int64_t written_ns = 0;
    bool exists = reg_stamp(to, &stamp, &written_ns);
    if (exists && !same_manifest(from, to))
        return err_set(err, ERR_EXISTS,
                       "version %s of '%s' exists with other content; a version never changes: "
                       "publish under a new one",
                       version->version, name->name);
    if (!exists && version->model != NULL)
        return err_set(err, ERR_EXISTS,
                       "version %s of '%s' is loaded, though its folder is gone; publish under a "
                       "new version",
                       version->version, name->name);
    if (version == name->serving)
        return ERR_OK;
    version->message_hash = 0; /* asked for: told again */
    enum err_code rc = reg_serve(registry, name, version, exists ? to : from, !exists, err);
    if (rc != ERR_OK) {
        refuse(registry, name, version, rc, err);
        return rc;
    }
    version->order = ++registry->order;
    version->on_disk = true;
    (void)reg_stamp(to, &version->stamp, &version->written_ns);
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
    struct snapshot *snapshot = NULL;
    struct err err = {0};
    if (name->serving != NULL && reg_build(registry, name, NULL, &registry->policies,
                                           &registry->static_list, &snapshot, &err) != ERR_OK) {
        log_at(LOG_ERROR, "a model cannot be retired", LOG_STR("model", name->name),
               LOG_STR("error", err.text));
        return;
    }
    if (snapshot != NULL) {
        log_at(LOG_WARN, "a model was retired: its folder was removed",
               LOG_STR("model", name->name), LOG_STR("version", name->serving->version));
        reg_publish(registry, snapshot);
    }
    reg_drop(registry, name);
    reg_view_update(registry);
}
