/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/hash.h"
#include "base/log.h"
#include "server/control/registry_folders.h"
#include "server/control/registry_internal.h"
#include "server/control/registry_line.h"
#include "server/control/registry_releases.h"
#include "server/control/registry_table.h"

/* What the scan that is under way came across. */
struct scan {
    struct registry *registry;
    uint64_t odd_names;             /* hash over folders that cannot serve because of their names */
    char odd_path[FILE_PATH_BYTES]; /* one of them */
};

static int not_hidden(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void free_list(struct dirent **list, int count)
{
    for (int i = 0; i < count; i++)
        free(list[i]);
    free(list);
}

/* True for a folder with a plain name; links to folders count. */
static bool is_candidate(struct scan *scan, const char *dir, const char *name, char *ret_path)
{
    struct stat info;
    if (file_join(dir, name, ret_path, FILE_PATH_BYTES, NULL) != ERR_OK ||
        stat(ret_path, &info) != 0 || !S_ISDIR(info.st_mode))
        return false;
    if (file_is_plain_name(name))
        return true;
    scan->odd_names += hash_bytes(ret_path, strlen(ret_path), 0);
    snprintf(scan->odd_path, sizeof scan->odd_path, "%s", ret_path);
    return false;
}

/* It was refused or set aside, and now it is another one. */
static void start_anew(struct reg_version *version)
{
    version->order = 0;
    version->waits = version->verified = false;
    version->message_hash = 0;
    version->refused_bytes = 0;
}

/* It is new, or changes and may be loaded for that.  What the line remembers was finished once. */
static bool comes(const struct reg_name *name, const struct reg_version *version, uint64_t stamp)
{
    if (version == NULL)
        return true;
    return version->stamp != 0 && version->stamp != stamp &&
           (version->model == NULL || reg_is_aside(name, version));
}

static void look_at_version(struct registry *registry, struct reg_name *name, const char *text,
                            const char *dir)
{
    uint64_t stamp = 0;
    int64_t written_ns = 0;
    struct err err = {0};
    struct reg_version *version = reg_version_find(name, text);
    bool finished = reg_stamp(dir, &stamp, &written_ns);
    if (version == NULL || version->model == NULL)
        reg_watch_add(registry, dir); /* its files may still come, or change */
    if (!finished)
        return;
    if (comes(name, version, stamp) && !reg_has_arrived(registry, name->name, text, dir, stamp)) {
        if (version != NULL)
            version->seen = true;
        return;
    }
    if (version == NULL && reg_version_add(name, text, &version, &err) != ERR_OK) {
        log_at(LOG_ERROR, "a version is not looked at", LOG_STR("dir", dir),
               LOG_STR("error", err.text));
        return;
    }
    enum reg_folder folder = reg_stamp_compare(version, dir, stamp);
    if (folder != REG_FOLDER_SAME)
        reg_ratchet_arrive(registry, name->name, text, dir);
    bool changed = folder == REG_FOLDER_OTHER;
    if (changed && version->model != NULL && reg_is_aside(name, version))
        reg_let_go(version);
    if (changed)
        version->measured_bytes = 0;
    version->folder_differs = version->model != NULL && (changed || version->folder_differs);
    version->seen = true;
    version->on_disk = true;
    version->stamp = stamp;
    version->written_ns = written_ns;
    if (changed && version->model != NULL)
        reg_tell_refused(registry, name, version,
                         "the folder of a version that is loaded has changed; it serves on as it "
                         "was loaded. A version never changes: publish under a new one");
    else if (changed && !version->in_line)
        start_anew(version);
    else if (version->retry == REG_RETRY_LINE)
        version->in_line = true;
    else if (version->retry == REG_RETRY_WAITING)
        version->waits = true;
}

static void look_for_gone(struct reg_name *name)
{
    for (uint32_t i = name->count; i-- > 0;) {
        struct reg_version *version = name->version[i];
        if (version->seen)
            continue;
        if (version->model == NULL || reg_is_aside(name, version)) {
            if (strcmp(name->refused.version, version->version) == 0)
                name->refused = (struct reg_refused){.order = 0};
            reg_version_drop(name, version);
            continue;
        }
        if (version->on_disk)
            log_at(LOG_WARN, "the folder of a version that is loaded is gone; it serves on",
                   LOG_STR("model", name->name), LOG_STR("version", version->version));
        version->on_disk = false;
    }
}

static int by_age(const void *left, const void *right)
{
    const struct reg_version *a = *(struct reg_version *const *)left;
    const struct reg_version *b = *(struct reg_version *const *)right;
    if (a->written_ns != b->written_ns)
        return a->written_ns < b->written_ns ? -1 : 1;
    return strverscmp(a->version, b->version);
}

/* Those that came together stand in line by the time of their manifests, then by name. */
static void line_up(struct registry *registry, struct reg_name *name)
{
    if (name->count > 0)
        qsort(name->version, name->count, sizeof(struct reg_version *), by_age);
    for (uint32_t i = 0; i < name->count; i++) {
        struct reg_version *version = name->version[i];
        if (version->order > 0)
            continue;
        version->order = ++registry->order;
        version->by_hand = true;
        version->in_line = !registry->serves_promoted;
        version->waits = registry->serves_promoted;
    }
}

static void look_at_name(struct scan *scan, const char *text, const char *dir)
{
    struct registry *registry = scan->registry;
    struct reg_name *name = reg_find(registry, text);
    struct dirent **list = NULL;
    struct err err = {0};
    char path[FILE_PATH_BYTES];
    reg_watch_add(registry, dir);
    if (name == NULL) {
        if (reg_add(registry, text, &name, &err) != ERR_OK) {
            log_at(LOG_ERROR, "a model is not looked at", LOG_STR("dir", dir),
                   LOG_STR("error", err.text));
            return;
        }
        if (reg_state_read(registry, name, &err) != ERR_OK)
            log_at(LOG_WARN, "the line of versions was not remembered", LOG_STR("model", text),
                   LOG_STR("error", err.text));
    }
    name->seen = true;
    int count = scandir(dir, &list, not_hidden, versionsort);
    if (count < 0)
        return; /* what cannot be read is neither new nor gone */
    for (uint32_t i = 0; i < name->count; i++)
        name->version[i]->seen = false;
    for (int i = 0; i < count; i++) {
        if (is_candidate(scan, dir, list[i]->d_name, path))
            look_at_version(registry, name, list[i]->d_name, path);
    }
    free_list(list, count);
    look_for_gone(name);
    line_up(registry, name);
    reg_release_follow(registry, name);
    reg_settle(registry, name);
}

/* Not so where it serves from a release whose bundle could not be moved to its place. */
static bool is_gone(const struct reg_name *name)
{
    const struct reg_version *stable = name->now.stable;
    return !name->seen && !(stable != NULL && stable->unplaced);
}

/* A name whose folder is gone is retired, but not because models_dir itself is another directory
 * now, such as the empty place where a disk was mounted before. */
static void retire_gone(struct registry *registry)
{
    struct stat info;
    bool same = stat(registry->models_dir, &info) == 0 && info.st_dev == registry->dir_device &&
                info.st_ino == registry->dir_inode;
    for (uint32_t i = registry->count; i-- > 0 && same;) {
        if (is_gone(registry->name[i]))
            reg_retire(registry, registry->name[i]);
    }
    if (same)
        reg_ratchet_prune(registry);
}

/* A blend may have been looked at before its parts. */
static void try_again(struct registry *registry)
{
    for (uint32_t i = 0; i < registry->count; i++) {
        struct reg_name *name = registry->name[i];
        bool any = false;
        for (uint32_t v = 0; v < name->count; v++) {
            struct reg_version *version = name->version[v];
            version->in_line = version->in_line || version->retry == REG_RETRY_LINE;
            version->waits = version->waits || version->retry == REG_RETRY_WAITING;
            any = any || version->retry != REG_RETRY_NONE;
        }
        if (any)
            reg_settle(registry, name);
    }
}

void reg_scan(struct registry *registry)
{
    struct scan scan = {.registry = registry};
    struct dirent **list = NULL;
    char path[FILE_PATH_BYTES];
    struct err why = {.text = ""};
    uint64_t epoch = registry->epoch;
    if (registry->has_unplaced)
        (void)!reg_release_move(registry, &why); /* it was told */
    reg_watch_add(registry, registry->models_dir);
    int count = scandir(registry->models_dir, &list, not_hidden, versionsort);
    if (count < 0) {
        if (!registry->dir_failed)
            log_at(LOG_ERROR, "models_dir cannot be read; what is loaded serves on",
                   LOG_STR("dir", registry->models_dir), LOG_STR("error", strerror(errno)));
        registry->dir_failed = true;
        return;
    }
    registry->dir_failed = false;
    for (uint32_t i = 0; i < registry->count; i++)
        registry->name[i]->seen = false;
    reg_arrivals_begin(registry);
    for (int i = 0; i < count; i++) {
        if (is_candidate(&scan, registry->models_dir, list[i]->d_name, path))
            look_at_name(&scan, list[i]->d_name, path);
    }
    free_list(list, count);
    reg_arrivals_end(registry);
    if (registry->epoch != epoch)
        try_again(registry);
    retire_gone(registry);
    if (scan.odd_names != registry->odd_names && scan.odd_names != 0)
        log_at(LOG_WARN,
               "a folder cannot serve because of its name: expected 1..64 of A-Z a-z 0-9 . _ -",
               LOG_STR("dir", scan.odd_path));
    registry->odd_names = scan.odd_names;
    reg_view_update(registry);
}
