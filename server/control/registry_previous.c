/* SPDX-License-Identifier: Apache-2.0 */
/* Versions that serve no more and stay loaded within models_previous_bytes_max. */
#include <dirent.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/log.h"
#include "server/control/previous.h"
#include "server/control/registry_folders.h"
#include "server/control/registry_internal.h"
#include "server/control/registry_line.h"
#include "server/control/registry_table.h"

bool reg_has_label(const struct reg_name *name, const struct reg_version *version)
{
    return version == name->now.stable || version == name->now.shadow ||
           (name->now.canary != NULL && version == name->now.canary->version);
}

bool reg_is_aside(const struct reg_name *name, const struct reg_version *version)
{
    return !version->in_line && !version->waits && !reg_has_label(name, version);
}

bool reg_is_previous(const struct reg_name *name, const struct reg_version *version)
{
    return version->model != NULL && !version->fresh && !version->waits && !version->unplaced &&
           !reg_has_label(name, version);
}

struct reg_version *reg_before(const struct reg_name *name)
{
    return name->now.stable == NULL ? NULL : reg_newest(name, name->now.stable->order);
}

/* ---- the choice ------------------------------------------------------------------------------ */

struct choice {
    struct previous *list;
    struct reg_version **version; /* by tag */
    struct reg_name **name;       /* by tag */
    uint32_t count;
};

static void choice_free(struct choice *choice)
{
    free(choice->list);
    free(choice->version);
    free(choice->name);
}

static void choice_add(struct choice *choice, struct reg_name *name, struct reg_version *version,
                       uint64_t bytes)
{
    uint32_t tag = choice->count++;
    choice->version[tag] = version;
    choice->name[tag] = name;
    choice->list[tag] = (struct previous){.bytes = bytes,
                                          .served = version->served,
                                          .is_next = version == reg_before(name),
                                          .tag = tag};
}

/* What is loaded and previous, with room for one more. */
static bool choice_make(const struct registry *registry, struct choice *ret_choice)
{
    struct choice choice = {.count = 0};
    uint32_t count = 1;
    for (uint32_t n = 0; n < registry->count; n++) {
        for (uint32_t i = 0; i < registry->name[n]->count; i++)
            count += reg_is_previous(registry->name[n], registry->name[n]->version[i]);
    }
    choice.list = calloc(count, sizeof *choice.list);
    choice.version = calloc(count, sizeof(struct reg_version *));
    choice.name = calloc(count, sizeof(struct reg_name *));
    if (choice.list == NULL || choice.version == NULL || choice.name == NULL) {
        choice_free(&choice);
        return false;
    }
    for (uint32_t n = 0; n < registry->count; n++) {
        struct reg_name *name = registry->name[n];
        for (uint32_t i = 0; i < name->count; i++) {
            if (reg_is_previous(name, name->version[i]))
                choice_add(&choice, name, name->version[i], name->version[i]->model->bytes);
        }
    }
    *ret_choice = choice;
    return true;
}

/* The files of a bundle, which is about what it will hold. */
static uint64_t folder_bytes(const char *dir)
{
    uint64_t bytes = 0;
    struct dirent *entry = NULL;
    DIR *list = opendir(dir);
    if (list == NULL)
        return 0;
    while ((entry = readdir(list)) != NULL) {
        struct stat info;
        if (fstatat(dirfd(list), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(info.st_mode))
            bytes += (uint64_t)info.st_size;
    }
    closedir(list);
    return bytes;
}

bool reg_would_stay(const struct registry *registry, struct reg_name *name,
                    struct reg_version *version)
{
    char dir[FILE_PATH_BYTES];
    struct choice choice;
    bool stays = false;
    if (registry->previous_bytes_max == 0 ||
        reg_version_path(registry, name->name, version->version, dir, NULL) != ERR_OK ||
        !choice_make(registry, &choice))
        return false;
    choice_add(&choice, name, version,
               version->measured_bytes > 0 ? version->measured_bytes : folder_bytes(dir));
    previous_choose(choice.list, choice.count, registry->previous_bytes_max);
    for (uint32_t i = 0; i < choice.count; i++)
        stays = stays || (choice.version[choice.list[i].tag] == version && choice.list[i].stays);
    choice_free(&choice);
    return stays;
}

/* ---- letting go ------------------------------------------------------------------------------ */

void reg_let_go(struct reg_version *version)
{
    version->measured_bytes = version->model->bytes;
    model_destroy(&version->model);
}

bool reg_previous_trim(struct registry *registry)
{
    struct choice choice;
    bool freed = false;
    if (!choice_make(registry, &choice))
        return false; /* at the next look */
    previous_choose(choice.list, choice.count, registry->previous_bytes_max);
    for (uint32_t i = 0; i < choice.count; i++) {
        struct reg_name *name = choice.name[choice.list[i].tag];
        struct reg_version *version = choice.version[choice.list[i].tag];
        if (choice.list[i].stays)
            continue;
        log_at(LOG_INFO, "a previous version is let go", LOG_STR("model", name->name),
               LOG_STR("version", version->version), LOG_INT("bytes", version->model->bytes));
        reg_let_go(version);
        if (!version->on_disk)
            reg_version_drop(name, version);
        freed = true;
    }
    choice_free(&choice);
    return freed;
}

void reg_previous_limit(struct registry *registry, uint64_t bytes_max)
{
    registry->previous_bytes_max = bytes_max;
    if (reg_previous_trim(registry))
        malloc_trim(0); /* also the memory of what was read before */
    reg_view_update(registry);
}

/* ---- what operators see ---------------------------------------------------------------------- */

struct registry_previous reg_previous_sum(const struct registry *registry)
{
    struct registry_previous sum = {.bytes_max = registry->previous_bytes_max};
    for (uint32_t n = 0; n < registry->count; n++) {
        const struct reg_name *name = registry->name[n];
        for (uint32_t i = 0; i < name->count; i++) {
            if (!reg_is_previous(name, name->version[i]))
                continue;
            sum.count++;
            sum.bytes += name->version[i]->model->bytes;
        }
    }
    return sum;
}
