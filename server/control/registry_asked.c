/* SPDX-License-Identifier: Apache-2.0 */
/* What other threads ask about one name. */
#include <string.h>

#include "server/control/registry_internal.h"
#include "server/control/registry_table.h"

/* The lock is of the view, not of the registry as its callers see it. */
static struct reg_view *view_of(const struct registry *registry)
{
    return (struct reg_view *)&registry->view;
}

char *registry_refusal(const struct registry *registry, const char *name,
                       char ret_message[ERR_TEXT_BYTES])
{
    struct reg_view *view = view_of(registry);
    ret_message[0] = '\0';
    pthread_mutex_lock(&view->lock);
    uint64_t loads = registry->load_count;
    for (uint64_t i = 0; i < loads && i < REGISTRY_LOADS_MAX && ret_message[0] == '\0'; i++) {
        const struct reg_load *load = &registry->load[(loads - 1 - i) % REGISTRY_LOADS_MAX];
        if (load->outcome != OUTCOME_LOADED && strcmp(load->name, name) == 0)
            text_copy(text_of(load->message), ret_message, ERR_TEXT_BYTES);
    }
    pthread_mutex_unlock(&view->lock);
    return ret_message;
}

uint32_t registry_serving_count(const struct registry *registry)
{
    struct reg_view *view = view_of(registry);
    pthread_mutex_lock(&view->lock);
    uint32_t count = view->serving_count;
    pthread_mutex_unlock(&view->lock);
    return count;
}

char *registry_version(const struct registry *registry, const char *name,
                       char ret_version[MODEL_NAME_BYTES])
{
    struct reg_view *view = view_of(registry);
    ret_version[0] = '\0';
    pthread_mutex_lock(&view->lock);
    for (uint32_t i = 0; i < view->serving_count; i++) {
        if (strcmp(view->serving[i].name, name) == 0)
            text_copy(text_of(view->serving[i].version), ret_version, MODEL_NAME_BYTES);
    }
    pthread_mutex_unlock(&view->lock);
    return ret_version;
}

char *registry_newer_refusal(const struct registry *registry, const char *name,
                             char ret_version[MODEL_NAME_BYTES], char ret_message[ERR_TEXT_BYTES])
{
    struct reg_view *view = view_of(registry);
    ret_version[0] = ret_message[0] = '\0';
    pthread_mutex_lock(&view->lock);
    for (uint32_t i = 0; i < view->serving_count; i++) {
        const struct reg_refused *refused = &view->serving[i].refused;
        if (strcmp(view->serving[i].name, name) != 0 || refused->version[0] == '\0')
            continue;
        text_copy(text_of(refused->version), ret_version, MODEL_NAME_BYTES);
        text_copy(text_of(refused->message), ret_message, ERR_TEXT_BYTES);
    }
    pthread_mutex_unlock(&view->lock);
    return ret_version;
}
