/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/control/registry_internal.h"
#include "server/control/registry_table.h"
#include "server/control/registry_trials.h"

/* Makes room for one more pointer. */
static enum err_code grow(void ***array, uint32_t count, uint32_t *capacity, const char *what,
                          struct err *err)
{
    if (count < *capacity)
        return ERR_OK;
    if (count >= REGISTRY_FOLDERS_MAX)
        return err_set(err, ERR_LIMIT, "expected at most %d %s; remove old ones",
                       REGISTRY_FOLDERS_MAX, what);
    uint32_t wanted = *capacity == 0 ? 8 : 2 * *capacity;
    void **bigger = realloc(*array, wanted * sizeof *bigger);
    if (bigger == NULL)
        return err_set(err, ERR_NOMEM, "no memory for %u %s", wanted, what);
    *array = bigger;
    *capacity = wanted;
    return ERR_OK;
}

struct reg_name *reg_find(const struct registry *registry, const char *name)
{
    for (uint32_t i = 0; i < registry->count; i++) {
        if (strcmp(registry->name[i]->name, name) == 0)
            return registry->name[i];
    }
    return NULL;
}

enum err_code reg_add(struct registry *registry, const char *name, struct reg_name **ret_name,
                      struct err *err)
{
    enum err_code rc = grow((void ***)&registry->name, registry->count, &registry->capacity,
                            "model names in models_dir", err);
    if (rc != ERR_OK)
        return rc;
    struct reg_name *added = calloc(1, sizeof *added);
    if (added == NULL)
        return err_set(err, ERR_NOMEM, "no memory for the model '%s'", name);
    snprintf(added->name, sizeof added->name, "%s", name);
    uint32_t at = registry->count++;
    for (; at > 0 && strcmp(registry->name[at - 1]->name, name) > 0; at--)
        registry->name[at] = registry->name[at - 1];
    registry->name[at] = added;
    *ret_name = added;
    return ERR_OK;
}

void reg_drop(struct registry *registry, struct reg_name *name)
{
    for (uint32_t i = 0; i < registry->count; i++) {
        if (registry->name[i] == name) {
            registry->count--;
            memmove(&registry->name[i], &registry->name[i + 1],
                    (registry->count - i) * sizeof(struct reg_name *));
            break;
        }
    }
    reg_canary_destroy(&name->now.canary);
    while (name->count > 0)
        reg_version_drop(name, name->version[0]);
    free(name->version);
    free(name);
}

void reg_labelled(const struct reg_labels *labels,
                  struct reg_version *ret_version[REG_LABELS_MAX + 1])
{
    uint32_t count = 0;
    if (labels->stable != NULL)
        ret_version[count++] = labels->stable;
    if (labels->canary != NULL && labels->canary->version != labels->stable)
        ret_version[count++] = labels->canary->version;
    if (labels->shadow != NULL && labels->shadow != labels->stable)
        ret_version[count++] = labels->shadow;
    ret_version[count] = NULL;
}

struct reg_version *reg_version_find(const struct reg_name *name, const char *version)
{
    for (uint32_t i = 0; i < name->count; i++) {
        if (strcmp(name->version[i]->version, version) == 0)
            return name->version[i];
    }
    return NULL;
}

enum err_code reg_version_add(struct reg_name *name, const char *version,
                              struct reg_version **ret_version, struct err *err)
{
    enum err_code rc =
        grow((void ***)&name->version, name->count, &name->capacity, "versions of a model", err);
    if (rc != ERR_OK)
        return rc;
    struct reg_version *added = calloc(1, sizeof *added);
    if (added == NULL)
        return err_set(err, ERR_NOMEM, "no memory for the version '%s'", version);
    snprintf(added->version, sizeof added->version, "%s", version);
    name->version[name->count++] = added;
    *ret_version = added;
    return ERR_OK;
}

void reg_version_drop(struct reg_name *name, struct reg_version *version)
{
    for (uint32_t i = 0; i < name->count; i++) {
        if (name->version[i] == version) {
            name->version[i] = name->version[--name->count];
            break;
        }
    }
    model_destroy(&version->model);
    free(version);
}

struct reg_version *reg_newest(const struct reg_name *name, uint64_t limit)
{
    struct reg_version *newest = NULL;
    for (uint32_t i = 0; i < name->count; i++) {
        struct reg_version *version = name->version[i];
        if (version->in_line && version->order < limit &&
            (newest == NULL || version->order > newest->order))
            newest = version;
    }
    return newest;
}

struct reg_version *reg_newest_waiting(const struct reg_name *name)
{
    struct reg_version *newest = NULL;
    for (uint32_t i = 0; i < name->count; i++) {
        struct reg_version *version = name->version[i];
        if (version->waits && (newest == NULL || version->order > newest->order))
            newest = version;
    }
    return newest;
}
