/* SPDX-License-Identifier: Apache-2.0 */
#include "server/control/registry.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/background.h"
#include "base/log.h"
#include "base/rcu.h"
#include "server/control/registry_change.h"
#include "server/control/registry_folders.h"
#include "server/control/registry_internal.h"
#include "server/control/registry_line.h"
#include "server/control/registry_releases.h"
#include "server/control/registry_table.h"
#include "server/control/registry_trials.h"

/* Copies come as many events: a look is worth it when nothing happened for this long ... */
#define QUIET_MS 100
/* ... but no later than after so many waits. */
#define QUIET_ROUNDS_MAX 20

#define LOCK_NAME ".lock" /* no name of a model */

/* Two daemons would move each other's folders about.  Where the file system takes no lock, as a
 * read-only one does not, neither can. */
static enum err_code lock_dir(struct registry *registry, struct err *err)
{
    struct err why = {.text = ""};
    enum err_code rc = file_lock_dir(registry->models_dir, LOCK_NAME, &registry->lock_fd, &why);
    if (rc == ERR_BUSY)
        return err_set(err, ERR_BUSY, "models_dir: %s: each daemon needs its own", why.text);
    if (rc != ERR_OK)
        log_at(LOG_WARN, "models_dir is not locked", LOG_STR("error", why.text));
    return ERR_OK;
}

/* One that was inherited is worth nothing when models_dir is another one now. */
static bool holds_lock(struct registry *registry)
{
    if (registry->lock_fd < 0)
        return false;
    if (file_is_lock_of(registry->lock_fd, registry->models_dir, LOCK_NAME))
        return true;
    close(registry->lock_fd);
    registry->lock_fd = -1;
    return false;
}

enum err_code registry_create(const struct registry_options *options,
                              struct registry **ret_registry, struct err *err)
{
    struct stat info;
    enum err_code rc = ERR_OK;
    struct registry *registry = calloc(1, sizeof *registry);
    if (registry == NULL)
        return err_set(err, ERR_NOMEM, "no memory for the registry of models");
    registry->lock_fd = options->inherited_lock_fd;
    registry->serves_promoted = options->serves_promoted;
    registry->worker_count = options->worker_count;
    registry->rescan_ns = options->rescan_ms * 1000000;
    registry->check_ns = options->check_ms * 1000000;
    registry->lists_ns = options->lists_ms * 1000000;
    registry->previous_bytes_max = options->previous_bytes_max;
    registry->store = options->store;
    registry->serving = options->serving;
    registry->metrics = options->metrics;
    registry->audit = options->audit;
    registry->changes = options->changes;
    registry->follows = options->follows;
    registry->shadow = options->shadow;
    registry->clock = options->clock;
    registry->watch_fd = reg_watch_open();
    registry->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    pthread_mutex_init(&registry->queue.lock, NULL);
    registry->models_dir = strdup(options->models_dir);
    if (options->policies_path != NULL)
        registry->config_policies = strdup(options->policies_path);
    if (options->features_path != NULL)
        registry->config_features = strdup(options->features_path);
    if (registry->models_dir == NULL ||
        (options->policies_path != NULL && registry->config_policies == NULL) ||
        (options->features_path != NULL && registry->config_features == NULL))
        rc = err_set(err, ERR_NOMEM, "no memory for the registry of models");
    if (rc == ERR_OK && registry->wake_fd < 0)
        rc = err_set(err, ERR_IO, "cannot make an eventfd: %s", strerror(errno));
    if (rc == ERR_OK)
        rc = reg_view_init(&registry->view, err);
    if (rc == ERR_OK)
        rc = reg_static_copy(options->static_ids, options->static_count, &registry->static_list,
                             err);
    if (rc == ERR_OK)
        rc = reg_policies_read(options->policies_path, &registry->policies, err);
    if (rc == ERR_OK && options->keys != NULL && options->keys->count > 0) {
        registry->keys = *options->keys;
        rc = ratchet_open(options->ratchet_path, &registry->ratchet, err);
    }
    if (rc == ERR_OK)
        rc = file_make_dir(registry->models_dir, err);
    if (rc == ERR_OK)
        rc = holds_lock(registry) ? ERR_OK : lock_dir(registry, err);
    if (rc == ERR_OK && stat(registry->models_dir, &info) != 0)
        rc = err_set(err, ERR_IO, "cannot stat '%s': %s", registry->models_dir, strerror(errno));
    if (rc != ERR_OK) {
        registry_destroy(&registry);
        return rc;
    }
    registry->dir_device = info.st_dev;
    registry->dir_inode = info.st_ino;
    *ret_registry = registry;
    return ERR_OK;
}

int registry_lock_fd(const struct registry *registry)
{
    return registry->lock_fd;
}

/* ---- the loader ------------------------------------------------------------------------------ */

/* NULL for "". */
static enum err_code copy_path(const char *path, char **ret_path, struct err *err)
{
    *ret_path = path[0] == '\0' ? NULL : strdup(path);
    return *ret_path != NULL || path[0] == '\0' ? ERR_OK
                                                : err_set(err, ERR_NOMEM, "no memory for a path");
}

static void exchange(char **a, char **b)
{
    char *kept = *a;
    *a = *b;
    *b = kept;
}

/* Under the files of the configuration that the registry has. */
static enum err_code apply_files(struct registry *registry, struct reg_static *static_list,
                                 struct err *err)
{
    struct reg_policies policies = {0};
    const struct release *release = release_in_force(&registry->releases);
    enum err_code rc = reg_release_policies(registry, &policies, err);
    if (rc == ERR_OK)
        rc = reg_features_prepare(registry, release == NULL ? "" : release->features, err);
    if (rc == ERR_OK)
        rc = reg_apply(registry, &policies, static_list, err);
    if (rc != ERR_OK) {
        reg_give_up(registry);
        reg_policies_free(&policies);
        return rc;
    }
    reg_policies_free(&registry->policies);
    reg_static_free(&registry->static_list);
    registry->policies = policies;
    registry->static_list = *static_list;
    *static_list = (struct reg_static){0};
    reg_view_update(registry);
    return ERR_OK;
}

static enum err_code reload(struct registry *registry, struct reg_command *command, struct err *err)
{
    char *policies = NULL, *features = NULL;
    enum err_code rc = copy_path(command->path, &policies, err);
    if (rc == ERR_OK)
        rc = copy_path(command->features, &features, err);
    exchange(&policies, &registry->config_policies);
    exchange(&features, &registry->config_features);
    if (rc == ERR_OK)
        rc = apply_files(registry, &command->static_list, err);
    if (rc != ERR_OK) {
        exchange(&policies, &registry->config_policies);
        exchange(&features, &registry->config_features);
    }
    if (rc == ERR_OK)
        reg_previous_limit(registry, command->previous_bytes_max);
    free(policies);
    free(features);
    return rc;
}

/* What is asked of one name that is there. */
static enum err_code run_on_name(struct registry *registry, const struct reg_command *command,
                                 struct err *err)
{
    struct reg_name *name = reg_find(registry, command->name);
    if (name == NULL)
        return err_set(err, ERR_NOT_FOUND, "there is no model '%s'", command->name);
    switch (command->kind) {
    case COMMAND_PROMOTE: return reg_promote(registry, name, command->version, err);
    case COMMAND_CANARY:
        return reg_canary_start(registry, name, command->version, &command->canary, err);
    case COMMAND_CANARY_STOP: return reg_canary_stop(registry, name, err);
    case COMMAND_SHADOW:
        return reg_shadow_start(registry, name, command->version, command->shadow_share_e4, err);
    case COMMAND_SHADOW_STOP: return reg_shadow_stop(registry, name, err);
    case COMMAND_REMEMBER: reg_state_save(registry, name); return ERR_OK;
    default: return reg_rollback(registry, name, err);
    }
}

static void take_over(struct registry *registry)
{
    registry->follows = false;
    for (uint32_t i = 0; i < registry->count; i++)
        reg_state_save(registry, registry->name[i]);
}

static void run(struct registry *registry, struct reg_command *command)
{
    struct err err = {0};
    enum err_code rc = ERR_OK;
    char text[MODEL_NAME_BYTES];
    text_copy(text_of(command->name), text, sizeof text);
    registry->source = REGISTRY_MEMORY;
    switch (command->kind) {
    case COMMAND_SCAN: reg_scan(registry); break;
    case COMMAND_INSTALL:
        rc = reg_install(registry, command->path, command->name, command->version, &err);
        break;
    case COMMAND_PROMOTE:
    case COMMAND_CANARY:
    case COMMAND_CANARY_STOP:
    case COMMAND_SHADOW:
    case COMMAND_SHADOW_STOP:
    case COMMAND_REMEMBER:
    case COMMAND_ROLLBACK: rc = run_on_name(registry, command, &err); break;
    case COMMAND_RELOAD: rc = reload(registry, command, &err); break;
    case COMMAND_RELEASE:
        rc = reg_release_install(registry, command->path, command->name, &err);
        break;
    case COMMAND_RELEASE_ROLLBACK: rc = reg_release_rollback(registry, &err); break;
    case COMMAND_TAKE_OVER: take_over(registry); break;
    }
    if (command->kind != COMMAND_SCAN)
        changes_note(registry->changes);
    bool of_all = command->kind == COMMAND_RELEASE || command->kind == COMMAND_RELEASE_ROLLBACK ||
                  command->kind == COMMAND_RELOAD;
    reg_command_finish(command, rc, &err);
    /* What keeps the next rollback instant need not be waited for. */
    struct reg_name *name = reg_find(registry, text);
    for (uint32_t i = 0; of_all && i < registry->count; i++)
        reg_settle(registry, registry->name[i]);
    if (name != NULL && !of_all)
        reg_settle(registry, name);
}

/* The daemon is stopping: what was promised to be written down is, and nothing else begins. */
static void end(struct registry *registry, struct reg_command *command)
{
    struct err err = {0};
    enum err_code rc = command->kind == COMMAND_REMEMBER
                           ? run_on_name(registry, command, &err)
                           : err_set(&err, ERR_BUSY, "the daemon is stopping");
    changes_note(registry->changes);
    reg_command_finish(command, rc, &err);
}

/* Waits until models_dir should be looked at or a request came.  True: look. */
static bool wait_for_news(struct registry *registry, uint64_t rescan_at_ns)
{
    struct pollfd fds[2] = {{.fd = registry->wake_fd, .events = POLLIN},
                            {.fd = registry->watch_fd, .events = POLLIN}};
    uint64_t now_ns = clock_now_ns(registry->clock);
    uint64_t due_ns = reg_canaries_due_ns(registry);
    uint64_t lists_due_ns = reg_lists_due_ns(registry);
    due_ns = lists_due_ns < due_ns ? lists_due_ns : due_ns;
    uint64_t arrivals_due_ns = reg_arrivals_due_ns(registry);
    rescan_at_ns = arrivals_due_ns < rescan_at_ns ? arrivals_due_ns : rescan_at_ns;
    uint64_t until_ns = due_ns < rescan_at_ns ? due_ns : rescan_at_ns;
    uint64_t wait_ms = now_ns < until_ns ? (until_ns - now_ns) / 1000000 + 1 : 0;
    (void)poll(fds, 2, wait_ms > INT32_MAX ? INT32_MAX : (int)wait_ms);
    bool news = reg_watch_drain(registry);
    for (int i = 0; news && i < QUIET_ROUNDS_MAX; i++) {
        if (poll(fds, 2, QUIET_MS) <= 0 || (fds[0].revents & POLLIN) != 0)
            break;
        (void)reg_watch_drain(registry);
    }
    uint64_t count = 0;
    (void)!read(registry->wake_fd, &count, sizeof count); /* nothing to read is fine */
    return news || clock_now_ns(registry->clock) >= rescan_at_ns;
}

static void *loader(void *arg)
{
    struct registry *registry = arg;
    background_begin();
    uint64_t rescan_at_ns = clock_now_ns(registry->clock) + registry->rescan_ns;
    for (;;) {
        bool stopping = false;
        reg_canaries_check(registry);
        reg_lists_check(registry);
        struct reg_command *command = reg_command_pop(registry, &stopping);
        if (stopping) {
            if (command == NULL)
                return NULL;
            end(registry, command);
        } else if (command != NULL) {
            run(registry, command);
        } else if (wait_for_news(registry, rescan_at_ns)) {
            reg_scan(registry);
            rescan_at_ns = clock_now_ns(registry->clock) + registry->rescan_ns;
        }
    }
}

/* ---- life ------------------------------------------------------------------------------------ */

enum err_code registry_start(struct registry *registry, struct err *err)
{
    enum err_code rc = reg_releases_start(registry, err);
    if (rc == ERR_OK)
        rc = reg_apply(registry, &registry->policies, &registry->static_list, err);
    if (rc != ERR_OK) {
        reg_give_up(registry);
        return rc;
    }
    if (registry->watch_fd < 0)
        log_at(LOG_WARN, "inotify is not available; models_dir is looked at from time to time",
               LOG_INT("rescan_ms", registry->rescan_ns / 1000000));
    reg_scan(registry);
    int failed = pthread_create(&registry->thread, NULL, loader, registry);
    if (failed != 0)
        return err_set(err, ERR_IO, "cannot start the loader thread: %s", strerror(failed));
    registry->started = true;
    pthread_setname_np(registry->thread, "loader");
    return ERR_OK;
}

void registry_stop(struct registry *registry)
{
    pthread_mutex_lock(&registry->queue.lock);
    registry->queue.stopping = true;
    pthread_mutex_unlock(&registry->queue.lock);
    reg_wake(registry);
    if (registry->started)
        pthread_join(registry->thread, NULL);
    registry->started = false;
}

void registry_destroy(struct registry **registry_ref)
{
    struct registry *registry = *registry_ref;
    *registry_ref = NULL;
    if (registry == NULL)
        return;
    ASSERT(!registry->started);
    struct snapshot *last = serving_publish(registry->serving, NULL);
    struct snapshot *shadows =
        registry->shadow == NULL ? NULL : shadow_publish(registry->shadow, NULL);
    rcu_wait();
    snapshot_destroy(&last);
    snapshot_destroy(&shadows);
    while (registry->count > 0)
        reg_drop(registry, registry->name[0]);
    free(registry->name);
    reg_arrivals_free(registry);
    reg_policies_free(&registry->policies);
    reg_static_free(&registry->static_list);
    reg_view_deinit(&registry->view);
    ratchet_close(&registry->ratchet);
    pthread_mutex_destroy(&registry->queue.lock);
    if (registry->wake_fd >= 0)
        close(registry->wake_fd);
    if (registry->watch_fd >= 0)
        close(registry->watch_fd);
    if (registry->lock_fd >= 0)
        close(registry->lock_fd);
    free(registry->config_policies);
    free(registry->config_features);
    free(registry->models_dir);
    free(registry);
}
