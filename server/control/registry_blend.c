/* SPDX-License-Identifier: Apache-2.0 */
/* Blends need other models (models/blend.h): one that comes is refused while they are not there. */
#include <math.h>

#include "models/blend.h"
#include "models/ranker.h"
#include "server/control/registry_change.h"
#include "server/control/registry_internal.h"
#include "server/control/registry_table.h"

static enum err_code check_parts(const struct registry *registry, const struct model *blend,
                                 struct err *err)
{
    for (uint32_t i = 0; i < blend_part_count(blend); i++) {
        const struct blend_part *part = blend_part_at(blend, i);
        const struct reg_name *name = reg_find(registry, part->model);
        const struct reg_version *stable = name == NULL ? NULL : name->next.stable;
        if (stable == NULL && isnan(part->fallback))
            return err_set(err, ERR_NOT_FOUND,
                           "its part '%s' does not serve, and has no default in the manifest: push "
                           "that one before, or both as a release",
                           part->model);
        if (stable != NULL && !ranker_is(stable->model->kind))
            return err_set(err, ERR_BAD_INPUT,
                           "its part '%s' is of the kind %s, expected linear, trees or mlp",
                           part->model, model_kind_name(stable->model->kind));
    }
    return ERR_OK;
}

static bool has_label(const struct reg_labels *labels, const struct reg_version *version)
{
    struct reg_version *labelled[REG_LABELS_MAX + 1];
    bool has = false;
    reg_labelled(labels, labelled);
    for (uint32_t v = 0; labelled[v] != NULL; v++)
        has = has || labelled[v] == version;
    return has;
}

enum err_code reg_blend_check(const struct registry *registry, struct err *err)
{
    struct reg_version *version[REG_LABELS_MAX + 1];
    enum err_code rc = ERR_OK;
    for (uint32_t i = 0; i < registry->count && rc == ERR_OK; i++) {
        reg_labelled(&registry->name[i]->next, version);
        for (uint32_t v = 0; version[v] != NULL && rc == ERR_OK; v++) {
            bool is_new = !has_label(&registry->name[i]->now, version[v]);
            if (is_new && version[v]->model->kind == MODEL_blend)
                rc = check_parts(registry, version[v]->model, err);
        }
    }
    return rc;
}
