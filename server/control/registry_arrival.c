/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a folder that came, or changed, is finished, or somebody still copies into it.  It is
 * finished when all files have the sizes that the manifest states, or when it was renamed to where
 * it is.  Else it is looked at as it is once nothing in it has changed for a while. */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "models/bundle.h"
#include "server/control/registry_folders.h"
#include "server/control/registry_internal.h"

/* A folder that came, or changed, and is not finished as far as can be told. */
struct reg_arrival {
    struct reg_arrival *next;
    char name[MODEL_NAME_BYTES], version[MODEL_NAME_BYTES];
    uint64_t stamp;    /* of the folder as it was looked at last */
    uint64_t since_ns; /* when it was first seen so */
    uint64_t due_ns;   /* when it is looked at as it is */
    bool seen;         /* by the scan that is under way */
};

/* On top of the time between two looks, so that each wait has at least one look in it. */
#define SETTLE_NS     UINT64_C(5000000000)  /* no size is stated */
#define INCOMPLETE_NS UINT64_C(60000000000) /* a file is missing or short */

#define NS_PER_S INT64_C(1000000000)

static int64_t ns_of(const struct timespec *time)
{
    return time->tv_sec * NS_PER_S + time->tv_nsec;
}

/* When anything of the folder changed last, of its files and of the folder itself. */
struct changed {
    int64_t files_ns, folder_ns;
    int64_t entries_ns; /* when a file came or went */
};

static bool look_at_times(const char *dir, struct changed *ret_changed)
{
    struct changed changed = {0};
    struct stat info;
    struct dirent *entry = NULL;
    DIR *list = opendir(dir);
    if (list == NULL)
        return false;
    bool read = fstat(dirfd(list), &info) == 0;
    if (read) {
        changed.folder_ns = ns_of(&info.st_ctim);
        changed.entries_ns = ns_of(&info.st_mtim);
    }
    while ((entry = readdir(list)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        read = read && fstatat(dirfd(list), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0;
        if (read && ns_of(&info.st_ctim) > changed.files_ns)
            changed.files_ns = ns_of(&info.st_ctim);
    }
    closedir(list);
    *ret_changed = changed;
    return read;
}

/* A rename is a change of the folder, but not of what is in it: a copy that grows makes both at
 * once, and the last bytes come after the last name. */
static bool was_renamed(const struct changed *changed)
{
    return changed->folder_ns > changed->entries_ns && changed->folder_ns >= changed->files_ns;
}

static struct reg_arrival *find(const struct registry *registry, const char *name,
                                const char *version)
{
    struct reg_arrival *arrival = registry->arrivals;
    while (arrival != NULL &&
           (strcmp(arrival->name, name) != 0 || strcmp(arrival->version, version) != 0))
        arrival = arrival->next;
    return arrival;
}

static void forget(struct registry *registry, struct reg_arrival *arrival)
{
    struct reg_arrival **at = &registry->arrivals;
    while (*at != NULL && *at != arrival)
        at = &(*at)->next;
    if (*at == NULL)
        return;
    *at = arrival->next;
    registry->arrival_count--;
    free(arrival);
}

static struct reg_arrival *find_or_add(struct registry *registry, const char *name,
                                       const char *version, const char *why)
{
    struct reg_arrival *arrival = find(registry, name, version);
    if (arrival != NULL)
        return arrival;
    if (registry->arrival_count == REGISTRY_FOLDERS_MAX)
        return NULL;
    arrival = calloc(1, sizeof *arrival);
    if (arrival == NULL)
        return NULL;
    text_copy(text_of(name), arrival->name, sizeof arrival->name);
    text_copy(text_of(version), arrival->version, sizeof arrival->version);
    arrival->next = registry->arrivals;
    registry->arrivals = arrival;
    registry->arrival_count++;
    log_at(LOG_INFO, "a folder is not finished, and is not looked at yet", LOG_STR("model", name),
           LOG_STR("version", version), LOG_STR("reason", why));
    return arrival;
}

/* At the first look nobody has watched before: the system's own times say how long it lies there.
 */
static uint64_t age_at_start(const struct registry *registry, const struct changed *changed)
{
    int64_t last_ns =
        changed->files_ns > changed->folder_ns ? changed->files_ns : changed->folder_ns;
    int64_t now_ns = clock_wall_ms(registry->clock) * 1000000;
    return registry->looked || last_ns > now_ns ? 0 : (uint64_t)(now_ns - last_ns);
}

/* What was seen of it is of one moment: the stamp stands for what is loaded. */
static bool is_still(const char *dir, uint64_t stamp)
{
    uint64_t now = 0;
    int64_t written_ns = 0;
    return reg_stamp(dir, &now, &written_ns) && now == stamp;
}

bool reg_has_arrived(struct registry *registry, const char *name, const char *version,
                     const char *dir, uint64_t stamp)
{
    struct changed changed;
    struct err why = {.text = "manifest.json cannot be read"};
    enum bundle_extent extent = bundle_extent(dir, registry->keys.count > 0, &why);
    uint64_t now_ns = clock_now_ns(registry->clock);
    uint64_t wait_ns = registry->rescan_ns + (extent == BUNDLE_PARTIAL ? INCOMPLETE_NS : SETTLE_NS);
    struct reg_arrival *arrival = find(registry, name, version);
    if (!look_at_times(dir, &changed) || !is_still(dir, stamp)) {
        if (arrival != NULL)
            arrival->seen = true;
        return false; /* it changes while it is looked at */
    }
    if (extent == BUNDLE_WHOLE || was_renamed(&changed) ||
        age_at_start(registry, &changed) >= wait_ns) {
        forget(registry, arrival);
        return true;
    }
    arrival = find_or_add(registry, name, version, why.text);
    if (arrival == NULL)
        return false; /* the next look finds room */
    if (arrival->stamp != stamp)
        arrival->since_ns = now_ns;
    arrival->stamp = stamp;
    arrival->due_ns = arrival->since_ns + wait_ns;
    arrival->seen = true;
    if (now_ns < arrival->due_ns)
        return false;
    forget(registry, arrival);
    return true;
}

void reg_arrivals_begin(struct registry *registry)
{
    for (struct reg_arrival *arrival = registry->arrivals; arrival != NULL; arrival = arrival->next)
        arrival->seen = false;
}

void reg_arrivals_end(struct registry *registry)
{
    struct reg_arrival *next = NULL;
    for (struct reg_arrival *arrival = registry->arrivals; arrival != NULL; arrival = next) {
        next = arrival->next;
        if (!arrival->seen)
            forget(registry, arrival);
    }
    registry->looked = true;
}

uint64_t reg_arrivals_due_ns(const struct registry *registry)
{
    uint64_t due_ns = UINT64_MAX;
    for (const struct reg_arrival *arrival = registry->arrivals; arrival != NULL;
         arrival = arrival->next)
        due_ns = arrival->due_ns < due_ns ? arrival->due_ns : due_ns;
    return due_ns;
}

void reg_arrivals_free(struct registry *registry)
{
    while (registry->arrivals != NULL)
        forget(registry, registry->arrivals);
}
