/* SPDX-License-Identifier: Apache-2.0 */
/* Definitions of features as a part of a change: read and declared first, so that models and
 * policies are bound to them; filled beside those in force while these serve on; read by the
 * snapshot that is published, and then in force.  So a decision reads models, policies and features
 * of one epoch.  The loader does nothing else while it fills. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "models/ranker.h"
#include "server/control/registry_change.h"
#include "server/control/registry_internal.h"
#include "server/control/registry_table.h"

static enum err_code read_definitions(const struct registry *registry, const char *id,
                                      struct definitions **ret_definitions, struct err *err)
{
    char path[FILE_PATH_BYTES];
    if (id[0] == '\0' && registry->config_features == NULL)
        return definitions_empty(ret_definitions, err);
    if (id[0] == '\0')
        return definitions_parse_file(registry->config_features, ret_definitions, err);
    enum err_code rc = release_file_path(registry->models_dir, id, RELEASE_FEATURES, path, err);
    return rc == ERR_OK ? definitions_parse_file(path, ret_definitions, err) : rc;
}

enum err_code reg_features_prepare(struct registry *registry, const char *id, struct err *err)
{
    struct definitions *definitions = NULL;
    char in_force[SHA256_HEX_BYTES];
    ASSERT(!registry->changes_features);
    enum err_code rc = read_definitions(registry, id, &definitions, err);
    if (rc != ERR_OK)
        return rc;
    store_features_sha256(registry->store, in_force);
    const char *sha256 = definitions->sha256[0] == '\0' ? "none" : definitions->sha256;
    if (strcmp(sha256, in_force) == 0) {
        definitions_destroy(&definitions);
        return ERR_OK;
    }
    registry->changes_features = true;
    registry->next_features = definitions;
    return store_declare_features(registry->store, definitions, err);
}

enum err_code reg_features_stage(struct registry *registry, const struct feature_set **ret_set,
                                 struct err *err)
{
    uint32_t new_count = 0;
    bool is_done = false;
    *ret_set = NULL;
    if (!registry->changes_features)
        return ERR_OK;
    uint64_t began_ns = clock_now_ns(registry->clock);
    enum err_code rc =
        store_stage_features(registry->store, &registry->next_features, ret_set, &new_count, err);
    while (rc == ERR_OK && !is_done) {
        rc = reg_is_stopping(registry) ? err_set(err, ERR_BUSY, "the daemon is stopping")
                                       : store_fill_features(registry->store, &is_done, err);
    }
    if (rc == ERR_OK)
        log_at(LOG_INFO, "definitions of features are filled", LOG_INT("new", new_count),
               LOG_INT("took_ms", (clock_now_ns(registry->clock) - began_ns) / 1000000));
    return rc;
}

/* What serves next besides what the change is about was bound to other definitions. */
enum err_code reg_features_check(const struct registry *registry, struct err *err)
{
    struct reg_version *version[REG_LABELS_MAX + 1];
    struct err why = {.text = ""};
    for (uint32_t i = 0; registry->changes_features && i < registry->count; i++) {
        reg_labelled(&registry->name[i]->next, version);
        for (uint32_t v = 0; version[v] != NULL; v++) {
            const struct model *model = version[v]->model;
            enum err_code rc = ranker_is(model->kind)
                                   ? snapshot_check_features(model, registry->store, &why)
                                   : ERR_OK;
            if (rc != ERR_OK)
                return err_set(err, rc, "features.json lacks what %s@%s needs: %s", model->name,
                               model->version, why.text);
        }
    }
    return ERR_OK;
}

void reg_features_adopt(struct registry *registry)
{
    if (!registry->changes_features)
        return;
    store_adopt_features(registry->store);
    registry->changes_features = false;
}

void reg_features_give_up(struct registry *registry)
{
    if (!registry->changes_features)
        return;
    store_cancel_features(registry->store);
    definitions_destroy(&registry->next_features);
    registry->changes_features = false;
}
