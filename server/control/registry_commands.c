/* SPDX-License-Identifier: Apache-2.0 */
/* What others ask of the registry: from any thread into the queue, which the loader empties. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "server/control/registry_internal.h"

enum err_code reg_static_copy(const struct text *ids, uint32_t count, struct reg_static *ret_list,
                              struct err *err)
{
    struct reg_static list = {.count = count};
    size_t bytes = 1;
    for (uint32_t i = 0; i < count; i++)
        bytes += ids[i].len;
    list.ids = calloc((size_t)count + 1, sizeof *list.ids);
    list.text = malloc(bytes);
    if (list.ids == NULL || list.text == NULL) {
        reg_static_free(&list);
        return err_set(err, ERR_NOMEM, "no memory for the static list");
    }
    char *next = list.text;
    for (uint32_t i = 0; i < count; i++) {
        list.ids[i] = (struct text){next, ids[i].len};
        memcpy(next, ids[i].ptr, ids[i].len);
        next += ids[i].len;
    }
    *ret_list = list;
    return ERR_OK;
}

void reg_static_free(struct reg_static *list)
{
    free(list->ids);
    free(list->text);
    *list = (struct reg_static){0};
}

void reg_command_finish(struct reg_command *command, enum err_code rc, const struct err *err)
{
    command->done(command->ctx, rc, err);
    reg_static_free(&command->static_list);
    free(command);
}

void reg_wake(const struct registry *registry)
{
    const uint64_t one = 1;
    (void)!write(registry->wake_fd, &one, sizeof one); /* fails only when it is awake already */
}

static bool queue_push(struct registry *registry, struct reg_command *command)
{
    struct reg_queue *queue = &registry->queue;
    pthread_mutex_lock(&queue->lock);
    bool taken = !queue->stopping && queue->count < REGISTRY_QUEUE_MAX;
    if (taken) {
        if (queue->last == NULL)
            queue->first = command;
        else
            queue->last->next = command;
        queue->last = command;
        queue->count++;
    }
    pthread_mutex_unlock(&queue->lock);
    return taken;
}

struct reg_command *reg_command_pop(struct registry *registry, bool *ret_stopping)
{
    struct reg_queue *queue = &registry->queue;
    pthread_mutex_lock(&queue->lock);
    struct reg_command *command = queue->first;
    if (command != NULL) {
        queue->first = command->next;
        queue->count--;
        if (queue->first == NULL)
            queue->last = NULL;
    }
    *ret_stopping = queue->stopping;
    pthread_mutex_unlock(&queue->lock);
    return command;
}

bool reg_is_stopping(struct registry *registry)
{
    pthread_mutex_lock(&registry->queue.lock);
    bool stopping = registry->queue.stopping;
    pthread_mutex_unlock(&registry->queue.lock);
    return stopping;
}

bool reg_has_commands(struct registry *registry)
{
    pthread_mutex_lock(&registry->queue.lock);
    bool has_some = registry->queue.first != NULL;
    pthread_mutex_unlock(&registry->queue.lock);
    return has_some;
}

/* NULL: `done` was told that there is no memory. */
static struct reg_command *command_new(enum reg_command_kind kind, const char *name,
                                       const char *version, registry_done_fn done, void *ctx)
{
    struct reg_command *command = calloc(1, sizeof *command);
    if (command == NULL) {
        struct err err = {0};
        done(ctx, err_set(&err, ERR_NOMEM, "no memory for a request to the registry"), &err);
        return NULL;
    }
    command->kind = kind;
    command->done = done;
    command->ctx = ctx;
    text_copy(text_of(name), command->name, sizeof command->name);
    text_copy(text_of(version), command->version, sizeof command->version);
    return command;
}

static void submit(struct registry *registry, struct reg_command *command)
{
    struct err err = {0};
    if (command->kind != COMMAND_SCAN)
        changes_note(registry->changes);
    if (queue_push(registry, command)) {
        reg_wake(registry);
        return;
    }
    enum err_code rc = err_set(&err, ERR_BUSY,
                               "the registry of models is stopping or has %d "
                               "requests waiting",
                               REGISTRY_QUEUE_MAX);
    reg_command_finish(command, rc, &err);
}

void registry_scan(struct registry *registry, registry_done_fn done, void *ctx)
{
    struct reg_command *command = command_new(COMMAND_SCAN, "", "", done, ctx);
    if (command != NULL)
        submit(registry, command);
}

void registry_install(struct registry *registry, const char *from, const char *name,
                      const char *version, registry_done_fn done, void *ctx)
{
    ASSERT(file_is_plain_name(name) && file_is_plain_name(version));
    struct reg_command *command = command_new(COMMAND_INSTALL, name, version, done, ctx);
    if (command == NULL)
        return;
    text_copy(text_of(from), command->path, sizeof command->path);
    submit(registry, command);
}

void registry_promote(struct registry *registry, const char *name, const char *version,
                      registry_done_fn done, void *ctx)
{
    struct reg_command *command = command_new(COMMAND_PROMOTE, name, version, done, ctx);
    if (command != NULL)
        submit(registry, command);
}

void registry_canary(struct registry *registry, const char *name, const char *version,
                     const struct canary_settings *settings, registry_done_fn done, void *ctx)
{
    struct reg_command *command = command_new(COMMAND_CANARY, name, version, done, ctx);
    if (command == NULL)
        return;
    command->canary = *settings;
    submit(registry, command);
}

void registry_canary_stop(struct registry *registry, const char *name, registry_done_fn done,
                          void *ctx)
{
    struct reg_command *command = command_new(COMMAND_CANARY_STOP, name, "", done, ctx);
    if (command != NULL)
        submit(registry, command);
}

void registry_shadow(struct registry *registry, const char *name, const char *version,
                     uint32_t share_e4, registry_done_fn done, void *ctx)
{
    struct reg_command *command = command_new(COMMAND_SHADOW, name, version, done, ctx);
    if (command == NULL)
        return;
    command->shadow_share_e4 = share_e4;
    submit(registry, command);
}

void registry_shadow_stop(struct registry *registry, const char *name, registry_done_fn done,
                          void *ctx)
{
    struct reg_command *command = command_new(COMMAND_SHADOW_STOP, name, "", done, ctx);
    if (command != NULL)
        submit(registry, command);
}

void registry_rollback(struct registry *registry, const char *name, registry_done_fn done,
                       void *ctx)
{
    struct reg_command *command = command_new(COMMAND_ROLLBACK, name, "", done, ctx);
    if (command != NULL)
        submit(registry, command);
}

void registry_reload(struct registry *registry, const char *policies_path,
                     const char *features_path, const struct text *static_ids,
                     uint32_t static_count, uint64_t previous_bytes_max, registry_done_fn done,
                     void *ctx)
{
    struct err err = {0};
    struct reg_command *command = command_new(COMMAND_RELOAD, "", "", done, ctx);
    if (command == NULL)
        return;
    if (policies_path != NULL)
        text_copy(text_of(policies_path), command->path, sizeof command->path);
    if (features_path != NULL)
        text_copy(text_of(features_path), command->features, sizeof command->features);
    command->previous_bytes_max = previous_bytes_max;
    enum err_code rc = reg_static_copy(static_ids, static_count, &command->static_list, &err);
    if (rc == ERR_OK)
        submit(registry, command);
    else
        reg_command_finish(command, rc, &err);
}

void registry_release_install(struct registry *registry, const char *from, const char *id,
                              registry_done_fn done, void *ctx)
{
    ASSERT(file_is_plain_name(id));
    struct reg_command *command = command_new(COMMAND_RELEASE, id, "", done, ctx);
    if (command == NULL)
        return;
    text_copy(text_of(from), command->path, sizeof command->path);
    submit(registry, command);
}

void registry_release_rollback(struct registry *registry, registry_done_fn done, void *ctx)
{
    struct reg_command *command = command_new(COMMAND_RELEASE_ROLLBACK, "", "", done, ctx);
    if (command != NULL)
        submit(registry, command);
}

void registry_remember(struct registry *registry, const char *name, registry_done_fn done,
                       void *ctx)
{
    struct reg_command *command = command_new(COMMAND_REMEMBER, name, "", done, ctx);
    if (command != NULL)
        submit(registry, command);
}

static void nobody_waits(void *ctx, enum err_code rc, const struct err *err)
{
    (void)ctx;
    if (rc != ERR_OK)
        log_at(LOG_WARN, "lines of versions are not written", LOG_STR("error", err->text));
}

void registry_take_over(struct registry *registry)
{
    struct reg_command *command = command_new(COMMAND_TAKE_OVER, "", "", nobody_waits, NULL);
    if (command != NULL)
        submit(registry, command);
}
