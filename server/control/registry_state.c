/* SPDX-License-Identifier: Apache-2.0 */
/* models_dir/NAME/.serving:
 *   {"format": 1, "line": ["1", "2"], "aside": ["3", "4"], "waiting": ["4"],
 *    "canary": {"version": "4", "share_e4": 500, ...}, "shadow": {"version": "3", "share_e4":
 * 10000}, "held": {"version": "2", "breaker": "open"}}
 *
 * `change`: the last one of releases that the line has seen (server/control/release.h).
 * `line` are the versions in the order in which they came, the last one serves; `aside` are those
 * that must not serve by themselves: they were rolled back, or wait to be promoted, which `waiting`
 * says.  `held` is there while an operator holds the breaker of the version that serves.  A version
 * in none of the lists arrived while nobody looked.  Losing the file is no disaster: the versions
 * then stand in line by the time of their manifests. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/num.h"
#include "server/control/registry_folders.h"
#include "server/control/registry_internal.h"
#include "server/control/registry_table.h"
#include "server/decide/trial.h"

#define STATE_BYTES_MAX ((size_t)1 << 20)

static enum err_code state_path(const struct registry *registry, const struct reg_name *name,
                                char path[FILE_PATH_BYTES], struct err *err)
{
    return reg_version_path(registry, name->name, ".serving", path, err);
}

static enum err_code read_list(struct registry *registry, struct reg_name *name,
                               const struct json_at *root, const char *key, bool in_line,
                               struct err *err)
{
    struct json_at list = json_member(root, key);
    int count = 0;
    enum err_code rc = json_array(&list, &count, err);
    for (int i = 0; i < count && rc == ERR_OK; i++) {
        struct json_at at = json_element(&list, i);
        struct reg_version *version = NULL;
        const char *text = NULL;
        rc = json_string(&at, &text, err);
        if (rc == ERR_OK && !file_is_plain_name(text))
            rc = err_set(err, ERR_BAD_INPUT, "%s: expected a version, got '%.64s'", at.path, text);
        if (rc == ERR_OK && reg_version_find(name, text) != NULL)
            rc = err_set(err, ERR_BAD_INPUT, "%s: '%s' stands there twice", at.path, text);
        if (rc == ERR_OK)
            rc = reg_version_add(name, text, &version, err);
        if (rc == ERR_OK) {
            version->order = ++registry->order;
            version->in_line = in_line;
        }
    }
    return rc;
}

/* A version of the list `aside`. */
static enum err_code read_aside(const struct reg_name *name, const struct json_at *at,
                                struct reg_version **ret_version, struct err *err)
{
    const char *text = NULL;
    enum err_code rc = json_string(at, &text, err);
    struct reg_version *version = rc == ERR_OK ? reg_version_find(name, text) : NULL;
    if (rc == ERR_OK && (version == NULL || version->in_line))
        rc = err_set(err, ERR_BAD_INPUT, "%s: '%.64s' does not stand in aside", at->path, text);
    if (rc == ERR_OK)
        *ret_version = version;
    return rc;
}

static enum err_code read_waiting(const struct reg_name *name, const struct json_at *root,
                                  struct err *err)
{
    struct json_at list = json_member(root, "waiting");
    int count = 0;
    enum err_code rc = list.value == NULL ? ERR_OK : json_array(&list, &count, err);
    for (int i = 0; i < count && rc == ERR_OK; i++) {
        struct json_at at = json_element(&list, i);
        struct reg_version *version = NULL;
        rc = read_aside(name, &at, &version, err);
        if (rc == ERR_OK)
            version->waits = version->verified = true;
    }
    return rc;
}

static enum err_code read_bounds(const struct json_at *canary, struct canary_bounds *bounds,
                                 struct err *err)
{
    int64_t floor_us = 0, decisions_min = 0;
    struct json_at at = json_member(canary, "errors_max");
    enum err_code rc = json_real(&at, 0, 1, &bounds->errors_max, err);
    at = json_member(canary, "latency_ratio_max");
    if (rc == ERR_OK)
        rc = json_real(&at, 1, CANARY_RATIO_MAX, &bounds->latency_ratio_max, err);
    at = json_member(canary, "latency_floor_us");
    if (rc == ERR_OK)
        rc = json_int(&at, 0, CANARY_FLOOR_US_MAX, &floor_us, err);
    at = json_member(canary, "degraded_max");
    if (rc == ERR_OK)
        rc = json_real(&at, 0, 1, &bounds->degraded_max, err);
    at = json_member(canary, "decisions_min");
    if (rc == ERR_OK)
        rc = json_int(&at, 1, CANARY_DECISIONS_MAX, &decisions_min, err);
    bounds->latency_floor_ns = (uint64_t)floor_us * 1000;
    bounds->decisions_min = (uint32_t)decisions_min;
    return rc;
}

static enum err_code read_trial(struct reg_resume *ret_resume, const struct json_at *root,
                                const char *key, struct err *err)
{
    struct json_at trial = json_member(root, key);
    struct canary_settings settings = {.share_e4 = 0};
    int64_t share_e4 = 0;
    const char *version = NULL;
    if (trial.value == NULL)
        return ERR_OK;
    struct json_at at = json_member(&trial, "version");
    enum err_code rc = json_string(&at, &version, err);
    if (rc == ERR_OK && !file_is_plain_name(version))
        rc = err_set(err, ERR_BAD_INPUT, "%s: expected a version, got '%.64s'", at.path, version);
    at = json_member(&trial, "share_e4");
    if (rc == ERR_OK)
        rc = json_int(&at, 1, TRIAL_SHARE_ALL, &share_e4, err);
    if (rc == ERR_OK && strcmp(key, "canary") == 0)
        rc = read_bounds(&trial, &settings.bounds, err);
    if (rc != ERR_OK)
        return rc;
    settings.share_e4 = (uint32_t)share_e4;
    ret_resume->settings = settings;
    text_copy(text_of(version), ret_resume->version, MODEL_NAME_BYTES);
    return ERR_OK;
}

static const char *const held_names[] = {
    [BREAKER_HELD_OPEN] = "open", [BREAKER_HELD_CLOSED] = "closed"};

static enum err_code read_held(struct reg_held *ret_held, const struct json_at *root,
                               struct err *err)
{
    struct json_at held = json_member(root, "held");
    struct json_at version_at = json_member(&held, "version");
    struct json_at breaker_at = json_member(&held, "breaker");
    const char *version = NULL, *breaker = NULL;
    enum breaker_hold hold = BREAKER_HELD_OPEN;
    if (held.value == NULL)
        return ERR_OK;
    enum err_code rc = json_string(&version_at, &version, err);
    if (rc == ERR_OK && !file_is_plain_name(version))
        rc = err_set(err, ERR_BAD_INPUT, "%s: expected a version, got '%.64s'", version_at.path,
                     version);
    if (rc == ERR_OK)
        rc = json_string(&breaker_at, &breaker, err);
    if (rc != ERR_OK)
        return rc;
    if (strcmp(breaker, held_names[BREAKER_HELD_CLOSED]) == 0)
        hold = BREAKER_HELD_CLOSED;
    else if (strcmp(breaker, held_names[BREAKER_HELD_OPEN]) != 0)
        return err_set(err, ERR_BAD_INPUT, "%s: expected open or closed, got '%.64s'",
                       breaker_at.path, breaker);
    ret_held->hold = hold;
    text_copy(text_of(version), ret_held->version, MODEL_NAME_BYTES);
    return ERR_OK;
}

enum err_code reg_state_take(struct registry *registry, struct reg_name *name, const char *path,
                             const cJSON *tree, struct err *err)
{
    struct json_at root = json_root(path, tree);
    int64_t format = 0, change = 0;
    struct json_at at = json_member(&root, "format"), change_at = json_member(&root, "change");
    enum err_code rc = json_int(&at, 1, 1, &format, err);
    if (rc == ERR_OK && change_at.value != NULL)
        rc = json_int(&change_at, 0, INT64_MAX / 2, &change, err);
    name->change = (uint64_t)change;
    if (rc == ERR_OK)
        rc = read_list(registry, name, &root, "line", true, err);
    if (rc == ERR_OK)
        rc = read_list(registry, name, &root, "aside", false, err);
    if (rc == ERR_OK)
        rc = read_waiting(name, &root, err);
    if (rc == ERR_OK)
        rc = read_trial(&name->canary_of_before, &root, "canary", err);
    if (rc == ERR_OK)
        rc = read_trial(&name->shadow_of_before, &root, "shadow", err);
    if (rc == ERR_OK)
        rc = read_held(&name->held_before, &root, err);
    return rc;
}

enum err_code reg_state_read(struct registry *registry, struct reg_name *name, struct err *err)
{
    char path[FILE_PATH_BYTES];
    cJSON *tree = NULL;
    enum err_code rc = state_path(registry, name, path, err);
    if (rc == ERR_OK)
        rc = json_parse_file(path, STATE_BYTES_MAX, &tree, err);
    if (rc == ERR_NOT_FOUND)
        return ERR_OK;
    if (rc == ERR_OK)
        rc = reg_state_take(registry, name, path, tree, err);
    cJSON_Delete(tree);
    return rc;
}

static const struct reg_version *next_in_line(const struct reg_name *name, uint64_t after)
{
    const struct reg_version *next = NULL;
    for (uint32_t i = 0; i < name->count; i++) {
        const struct reg_version *version = name->version[i];
        if (version->in_line && version->order > after &&
            (next == NULL || version->order < next->order))
            next = version;
    }
    return next;
}

static void put_line(struct buffer *buffer, const struct reg_name *name)
{
    const char *separator = "";
    const struct reg_version *version = next_in_line(name, 0);
    for (; version != NULL; version = next_in_line(name, version->order)) {
        buffer_put_fmt(buffer, "%s\"%s\"", separator, version->version);
        separator = ", ";
    }
}

/* Without those that were refused: they are tried again after a restart. */
static void put_aside(struct buffer *buffer, const struct reg_name *name, bool waiting_alone)
{
    const char *separator = "";
    for (uint32_t i = 0; i < name->count; i++) {
        const struct reg_version *version = name->version[i];
        bool is_aside = !version->in_line && !version->refused;
        if (waiting_alone ? !version->waits : !is_aside)
            continue;
        buffer_put_fmt(buffer, "%s\"%s\"", separator, version->version);
        separator = ", ";
    }
}

static void put_canary(struct buffer *buffer, const char *version,
                       const struct canary_settings *settings)
{
    const struct canary_bounds *bounds = &settings->bounds;
    char errors[NUM_REAL_BYTES], ratio[NUM_REAL_BYTES], degraded[NUM_REAL_BYTES];
    buffer_put_fmt(buffer,
                   ", \"canary\": {\"version\": \"%s\", \"share_e4\": %u, \"errors_max\": %s, "
                   "\"latency_ratio_max\": %s, \"latency_floor_us\": %llu, "
                   "\"degraded_max\": %s, \"decisions_min\": %u}",
                   version, settings->share_e4, num_format_real(bounds->errors_max, errors),
                   num_format_real(bounds->latency_ratio_max, ratio),
                   (unsigned long long)bounds->latency_floor_ns / 1000,
                   num_format_real(bounds->degraded_max, degraded), bounds->decisions_min);
}

static void put_shadow(struct buffer *buffer, const char *version, uint32_t share_e4)
{
    buffer_put_fmt(buffer, ", \"shadow\": {\"version\": \"%s\", \"share_e4\": %u}", version,
                   share_e4);
}

static void put_held(struct buffer *buffer, const struct reg_name *name)
{
    const struct reg_version *stable = name->now.stable;
    struct reg_held held = name->held_before;
    if (stable != NULL) {
        held.hold = breaker_held(stable->model->breaker);
        text_copy(text_of(stable->version), held.version, MODEL_NAME_BYTES);
    }
    if (held.version[0] != '\0' && held.hold != BREAKER_AUTO)
        buffer_put_fmt(buffer, ", \"held\": {\"version\": \"%s\", \"breaker\": \"%s\"}",
                       held.version, held_names[held.hold]);
}

void reg_state_save(const struct registry *registry, struct reg_name *name)
{
    char path[FILE_PATH_BYTES];
    struct err err = {0};
    struct buffer buffer = {0};
    size_t len = 0;
    if (registry->follows)
        return;
    buffer_put_str(&buffer, "{\"format\": 1, \"line\": [");
    put_line(&buffer, name);
    buffer_put_str(&buffer, "], \"aside\": [");
    put_aside(&buffer, name, false);
    buffer_put_str(&buffer, "], \"waiting\": [");
    put_aside(&buffer, name, true);
    buffer_put_char(&buffer, ']');
    if (name->change > 0)
        buffer_put_fmt(&buffer, ", \"change\": %llu", (unsigned long long)name->change);
    if (name->now.canary != NULL)
        put_canary(&buffer, name->now.canary->version->version, &name->now.canary->settings);
    else if (name->canary_of_before.version[0] != '\0')
        put_canary(&buffer, name->canary_of_before.version, &name->canary_of_before.settings);
    if (name->now.shadow != NULL)
        put_shadow(&buffer, name->now.shadow->version, name->now.shadow_share_e4);
    else if (name->shadow_of_before.version[0] != '\0')
        put_shadow(&buffer, name->shadow_of_before.version,
                   name->shadow_of_before.settings.share_e4);
    put_held(&buffer, name);
    buffer_put_str(&buffer, "}\n");
    char *text = buffer_take(&buffer, &len);
    uint64_t hash = text == NULL ? 0 : hash_bytes(text, len, 1);
    if (text == NULL || hash == name->saved_hash)
        goto out;
    name->saved_hash = hash; /* a folder that cannot be written to is told once, not every time */
    enum err_code rc = state_path(registry, name, path, &err);
    if (rc == ERR_OK)
        rc = file_write_atomic(path, text, len, &err);
    if (rc != ERR_OK && rc != ERR_NOT_FOUND) /* the folder may just have been removed */
        log_at(LOG_WARN, "the line of versions is not remembered over a restart",
               LOG_STR("model", name->name), LOG_STR("error", err.text));
out:
    free(text);
}
