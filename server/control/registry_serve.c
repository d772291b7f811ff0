/* SPDX-License-Identifier: Apache-2.0 */
/* From a folder to a snapshot that serves: read and verify, recompute the golden rows, build the
 * snapshot, bind item numbers, publish, wait for readers, free. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/rcu.h"
#include "models/ids.h"
#include "server/control/registry_internal.h"
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

enum err_code reg_build(const struct registry *registry, const struct reg_name *name,
                        struct model *model, const struct reg_policies *policies,
                        const struct reg_static *static_list, struct snapshot **ret_snapshot,
                        struct err *err)
{
    struct model *models[SNAPSHOT_MODELS_MAX];
    struct snapshot_spec spec = {.epoch = registry->epoch + 1,
                                 .models = models,
                                 .static_ids = static_list->ids,
                                 .static_count = static_list->count,
                                 .worker_count = registry->worker_count,
                                 .item_count_max = store_items_max(registry->store),
                                 .store = registry->store};
    if (model != NULL)
        models[spec.model_count++] = model;
    for (uint32_t i = 0; i < registry->count; i++) {
        const struct reg_name *other = registry->name[i];
        if (other == name || other->serving == NULL)
            continue;
        ASSERT(spec.model_count < SNAPSHOT_MODELS_MAX); /* see check_room */
        models[spec.model_count++] = other->serving->model;
    }
    enum err_code rc = policies->path == NULL
                           ? policy_builtin(&spec.policies, err)
                           : policy_parse(policies->path, (const char *)policies->bytes,
                                          policies->len, &spec.policies, err);
    if (rc != ERR_OK)
        return rc;
    rc = snapshot_build(&spec, ret_snapshot, err);
    if (rc != ERR_OK)
        policy_destroy(&spec.policies);
    return rc;
}

void reg_publish(struct registry *registry, struct snapshot *snapshot)
{
    registry->epoch = snapshot->epoch;
    struct snapshot *old = serving_publish(registry->serving, snapshot);
    metric_set(registry->metrics, M_SNAPSHOT_EPOCH, 0, 0, (double)snapshot->epoch);
    rcu_wait();
    snapshot_destroy(&old);
}

static enum err_code check_room(const struct registry *registry, const struct reg_name *name,
                                struct err *err)
{
    uint32_t serving = 0;
    for (uint32_t i = 0; i < registry->count; i++)
        serving += registry->name[i] != name && registry->name[i]->serving != NULL;
    if (serving < SNAPSHOT_MODELS_MAX)
        return ERR_OK;
    return err_set(err, ERR_BUSY,
                   "%d models serve already, which is the limit; retire one by removing its "
                   "folder from models_dir",
                   SNAPSHOT_MODELS_MAX);
}

/* A person's row of training serves until the person acts after it: a time ahead of ours would make
 * it serve for ever. */
static enum err_code check_trained_at(const struct registry *registry, const struct model *model,
                                      struct err *err)
{
    char got[CLOCK_ISO_BYTES];
    if (model->trained_at_ms <= clock_wall_ms(registry->clock) + EVENT_FUTURE_MS_MAX)
        return ERR_OK;
    return err_set(err, ERR_CORRUPT, "manifest.json: trained.at: %s is in the future",
                   clock_format_iso(model->trained_at_ms, got));
}

static enum err_code verify(const struct registry *registry, const char *dir, const char *name,
                            const char *version, struct model **ret_model, struct err *err)
{
    struct bundle *bundle = NULL;
    struct model *model = NULL;
    enum err_code rc = bundle_open(dir, name, version, &bundle, err);
    if (rc == ERR_OK)
        rc = model_load(bundle, &model, err);
    if (rc == ERR_OK)
        rc = model_check_golden(model, bundle, err);
    if (rc == ERR_OK)
        rc = check_trained_at(registry, model, err);
    if (rc == ERR_OK && model->kind == MODEL_linear)
        rc = snapshot_check_features(model, registry->store, err);
    bundle_close(&bundle);
    if (rc != ERR_OK) {
        model_destroy(&model);
        return rc;
    }
    *ret_model = model;
    return ERR_OK;
}

/* After everything else was found good, since numbers that were given are never taken back. */
static enum err_code bind_items(const struct registry *registry, struct model *model,
                                struct err *err)
{
    uint32_t count = model_row_count(model);
    if (model->items == NULL)
        return ERR_OK;
    uint32_t *numbers = calloc((size_t)count + 1, sizeof *numbers);
    if (numbers == NULL)
        return err_set(err, ERR_NOMEM, "no memory for the numbers of %u items", count);
    enum err_code rc =
        store_bind_items(registry->store, ids_all(model->items), count, numbers, err);
    if (rc == ERR_OK)
        rc = model_bind(model, numbers, count, err);
    free(numbers);
    return rc;
}

static enum err_code sync_files(const char *dir, struct err *err)
{
    enum err_code rc = ERR_OK;
    DIR *list = opendir(dir);
    if (list == NULL)
        return err_set(err, ERR_IO, "cannot read '%s': %s", dir, strerror(errno));
    struct dirent *entry = NULL;
    while (rc == ERR_OK && (entry = readdir(list)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        int fd = openat(dirfd(list), entry->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0 || fsync(fd) != 0)
            rc = err_set(err, ERR_IO, "cannot sync '%s/%s': %s", dir, entry->d_name,
                         strerror(errno));
        if (fd >= 0)
            close(fd);
    }
    closedir(list);
    return rc == ERR_OK ? file_sync_dir(dir, err) : rc;
}

/* Durable before it serves: a restart must find what was answered from. */
static enum err_code move_into_place(const struct registry *registry, const char *from,
                                     const char *name, const char *version, struct err *err)
{
    char parent[FILE_PATH_BYTES], to[FILE_PATH_BYTES];
    enum err_code rc = file_join(registry->models_dir, name, parent, sizeof parent, err);
    if (rc == ERR_OK)
        rc = file_join(parent, version, to, sizeof to, err);
    if (rc == ERR_OK)
        rc = sync_files(from, err);
    if (rc == ERR_OK)
        rc = file_make_dir(parent, err);
    if (rc == ERR_OK && rename(from, to) != 0)
        rc = err_set(err, ERR_IO, "cannot rename '%s' to '%s': %s", from, to, strerror(errno));
    if (rc == ERR_OK)
        rc = file_sync_dir(parent, err);
    if (rc == ERR_OK)
        rc = file_sync_dir(registry->models_dir, err);
    return rc;
}

enum err_code reg_serve(struct registry *registry, struct reg_name *name,
                        struct reg_version *version, const char *dir, bool move, struct err *err)
{
    struct model *model = version->model;
    struct snapshot *snapshot = NULL;
    bool fresh = model == NULL;
    uint64_t began_ns = clock_now_ns(registry->clock);
    enum err_code rc = check_room(registry, name, err);
    if (rc == ERR_OK && fresh)
        rc = verify(registry, dir, name->name, version->version, &model, err);
    if (rc == ERR_OK)
        rc = reg_build(registry, name, model, &registry->policies, &registry->static_list,
                       &snapshot, err);
    if (rc == ERR_OK && fresh)
        rc = bind_items(registry, model, err);
    if (rc == ERR_OK && move)
        rc = move_into_place(registry, dir, name->name, version->version, err);
    if (rc != ERR_OK) {
        snapshot_destroy(&snapshot);
        if (fresh)
            model_destroy(&model);
        return rc;
    }
    version->model = model;
    version->in_line = true;
    version->refused = false;
    name->serving = version;
    if (fresh)
        version->loaded_at_ms = clock_wall_ms(registry->clock);
    reg_publish(registry, snapshot);
    if (fresh)
        reg_tell_loaded(registry, name, version, clock_now_ns(registry->clock) - began_ns);
    else
        log_at(LOG_INFO, "a version serves again", LOG_STR("model", name->name),
               LOG_STR("version", version->version));
    return ERR_OK;
}

enum err_code reg_preload(struct registry *registry, const struct reg_name *name,
                          struct reg_version *version, struct err *err)
{
    char dir[FILE_PATH_BYTES];
    struct model *model = NULL;
    enum err_code rc = reg_version_path(registry, name->name, version->version, dir, err);
    if (rc == ERR_OK)
        rc = verify(registry, dir, name->name, version->version, &model, err);
    if (rc == ERR_OK)
        rc = bind_items(registry, model, err);
    if (rc != ERR_OK) {
        model_destroy(&model);
        return rc;
    }
    version->model = model;
    version->loaded_at_ms = clock_wall_ms(registry->clock);
    return ERR_OK;
}
