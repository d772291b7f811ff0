/* SPDX-License-Identifier: Apache-2.0 */
/* From a folder to a model that may serve: read and verify, recompute the golden rows, give items
 * their numbers, move the folder into its place. */
#include <stdlib.h>

#include "featurestore/store.h"
#include "models/ids.h"
#include "models/ranker.h"
#include "server/control/registry_change.h"
#include "server/control/registry_folders.h"
#include "server/control/registry_internal.h"
#include "server/control/registry_table.h"

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
    enum err_code rc = bundle_open_signed(
        dir, name, version, registry->keys.count == 0 ? NULL : &registry->keys, &bundle, err);
    if (rc == ERR_OK && registry->ratchet != NULL)
        rc = ratchet_check(registry->ratchet, name, version, bundle->manifest_sha256, err);
    if (rc == ERR_OK)
        rc = model_load(bundle, &model, err);
    if (rc == ERR_OK)
        rc = model_check_golden(model, bundle, err);
    if (rc == ERR_OK)
        rc = check_trained_at(registry, model, err);
    if (rc == ERR_OK && ranker_is(model->kind))
        rc = snapshot_check_features(model, registry->store, err);
    if (rc == ERR_OK && registry->ratchet != NULL)
        rc = ratchet_know(registry->ratchet, name, version, bundle->manifest_sha256, err);
    bundle_close(&bundle);
    if (rc != ERR_OK) {
        model_destroy(&model);
        return rc;
    }
    *ret_model = model;
    return ERR_OK;
}

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

enum err_code reg_load(const struct registry *registry, const struct reg_name *name,
                       struct reg_version *version, struct err *err)
{
    char place[FILE_PATH_BYTES];
    enum err_code rc = ERR_OK;
    if (version->model != NULL)
        return ERR_OK;
    version->began_ns = clock_now_ns(registry->clock);
    if (version->from == NULL)
        rc = reg_version_path(registry, name->name, version->version, place, err);
    if (rc == ERR_OK)
        rc = verify(registry, version->from == NULL ? place : version->from, name->name,
                    version->version, &version->model, err);
    version->fresh = rc == ERR_OK;
    version->folder_differs = version->folder_differs && rc != ERR_OK;
    return rc;
}

enum err_code reg_bind(const struct registry *registry, struct reg_version *version,
                       struct err *err)
{
    return version->fresh ? bind_items(registry, version->model, err) : ERR_OK;
}

enum err_code reg_move(const struct registry *registry, const struct reg_name *name,
                       struct reg_version *version, struct err *err)
{
    if (version->from == NULL)
        return ERR_OK;
    return reg_move_into_place(registry, version->from, name->name, version->version, err);
}

void reg_keep(const struct registry *registry, struct reg_version *version)
{
    if (version->fresh)
        version->loaded_at_ms = clock_wall_ms(registry->clock);
    version->fresh = false;
    version->from = NULL;
    version->refused = false;
}

enum err_code reg_preload(const struct registry *registry, const struct reg_name *name,
                          struct reg_version *version, struct err *err)
{
    enum err_code rc = reg_load(registry, name, version, err);
    if (rc == ERR_OK)
        rc = reg_bind(registry, version, err);
    if (rc == ERR_OK)
        rc = reg_move(registry, name, version, err);
    if (rc == ERR_OK) {
        reg_keep(registry, version);
        return ERR_OK;
    }
    if (version->fresh)
        model_destroy(&version->model);
    version->fresh = false;
    version->from = NULL;
    return rc;
}
