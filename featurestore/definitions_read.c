/* SPDX-License-Identifier: Apache-2.0 */
/* Single values of features.json. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "featurestore/definitions_internal.h"

enum { MINUTE_S = 60, HOUR_S = 3600, DAY_S = 86400 };
enum { WINDOW_S_MIN = MINUTE_S, WINDOW_S_MAX = 90 * DAY_S, TILE_S_MIN = 5, TILES_MIN = 7 };

/* The widths of tiles that are taken unless `tile` says otherwise. */
static const uint32_t tile_widths_s[] = {
    10 * DAY_S, 5 * DAY_S, 2 * DAY_S,     DAY_S,         12 * HOUR_S,   6 * HOUR_S,   3 * HOUR_S,
    2 * HOUR_S, HOUR_S,    30 * MINUTE_S, 15 * MINUTE_S, 10 * MINUTE_S, 5 * MINUTE_S, MINUTE_S,
    30,         10,        TILE_S_MIN,
};

/* ---- events ---------------------------------------------------------------------------------- */

/* The types that say what happened; those that are about a person's record are not among them. */
static const char *const type_names[] = {
#define X(name, class) #name,
    EVENT_TYPES(X)
#undef X
        NULL};

static bool is_of_a_record(uint32_t type)
{
    return type == EVENT_identify || type == EVENT_user_upsert || type == EVENT_consent ||
           type == EVENT_forget;
}

static enum err_code read_event(const struct json_at *at, struct definition *definition,
                                struct err *err)
{
    static const char prefix[] = EVENT_CUSTOM_PREFIX;
    const char *value = NULL;
    uint32_t type = 0;
    enum err_code rc = json_string(at, &value, err);
    if (rc != ERR_OK)
        return rc;
    if (strncmp(value, prefix, sizeof prefix - 1) == 0) {
        if (definition->lists->custom_count == DEFINITION_CUSTOM_TYPES_MAX)
            return err_set(err, ERR_LIMIT, "%s: more than %d custom types", at->path,
                           DEFINITION_CUSTOM_TYPES_MAX);
        if (!text_is_id(text_of(value)) || value[sizeof prefix - 1] == '\0')
            return err_set(err, ERR_BAD_INPUT, "%s: expected custom:NAME, got '%.64s'", at->path,
                           value);
        definition->lists->custom[definition->lists->custom_count++] = value + sizeof prefix - 1;
        return ERR_OK;
    }
    rc = json_name(at, type_names, &type, err);
    if (rc == ERR_OK && type == EVENT_custom)
        rc = err_set(err, ERR_BAD_INPUT, "%s: expected custom:NAME, got 'custom'", at->path);
    if (rc == ERR_OK && is_of_a_record(type))
        rc = err_set(err, ERR_BAD_INPUT, "%s: '%s' is about a person's record and is not counted",
                     at->path, value);
    if (rc == ERR_OK)
        definition->types |= UINT64_C(1) << type;
    return rc;
}

enum err_code definitions_read_events(const struct json_at *at, struct definition *definition,
                                      struct err *err)
{
    int count = 0;
    enum err_code rc = json_array(at, &count, err);
    if (rc == ERR_OK && (count < 1 || count > EVENT_TYPE_COUNT + DEFINITION_CUSTOM_TYPES_MAX))
        rc = err_set(err, ERR_BAD_INPUT, "%s: expected a list of event types, got %d", at->path,
                     count);
    for (int i = 0; i < count && rc == ERR_OK; i++) {
        struct json_at element = json_element(at, i);
        rc = read_event(&element, definition, err);
    }
    return rc;
}

/* ---- conditions and values ------------------------------------------------------------------- */

static enum err_code read_value(const struct json_at *at, struct definition_value *ret_value,
                                struct err *err)
{
    const cJSON *value = at->value;
    if (cJSON_IsString(value))
        *ret_value = (struct definition_value){.text = value->valuestring};
    else if (cJSON_IsNumber(value))
        *ret_value = (struct definition_value){.number = value->valuedouble};
    else if (cJSON_IsBool(value))
        *ret_value = (struct definition_value){.number = cJSON_IsTrue(value) ? 1.0 : 0.0};
    else
        return err_set(err, ERR_BAD_INPUT, "%s: expected a text, a number or a boolean", at->path);
    return ERR_OK;
}

static enum err_code read_range(const struct json_at *at, struct definition_condition *condition,
                                struct err *err)
{
    static const char *const known[] = {"at_least", "at_most", "above", "below", NULL};
    double *const limit[] = {&condition->at_least, &condition->at_most, &condition->above,
                             &condition->below};
    enum err_code rc = json_only(at, known, err);
    bool any = false;
    for (uint32_t i = 0; known[i] != NULL && rc == ERR_OK; i++) {
        struct json_at member = json_member(at, known[i]);
        if (member.value == NULL)
            continue;
        rc = json_real(&member, -1e15, 1e15, limit[i], err);
        any = true;
    }
    if (rc == ERR_OK && !any)
        rc = err_set(err, ERR_BAD_INPUT,
                     "%s: expected at least one of at_least, at_most, above, below", at->path);
    return rc;
}

static enum err_code read_condition(const struct json_at *at,
                                    struct definition_condition *condition, struct err *err)
{
    *condition = (struct definition_condition){.prop = at->value->string,
                                               .at_least = -INFINITY,
                                               .at_most = INFINITY,
                                               .above = -INFINITY,
                                               .below = INFINITY};
    if (cJSON_IsObject(at->value))
        return read_range(at, condition, err);
    if (!cJSON_IsArray(at->value)) {
        condition->value_count = 1;
        return read_value(at, &condition->value[0], err);
    }
    int count = cJSON_GetArraySize(at->value);
    if (count < 1 || count > DEFINITION_VALUES_MAX)
        return err_set(err, ERR_BAD_INPUT, "%s: expected 1..%d values, got %d", at->path,
                       DEFINITION_VALUES_MAX, count);
    enum err_code rc = ERR_OK;
    for (int i = 0; i < count && rc == ERR_OK; i++) {
        struct json_at element = json_element(at, i);
        rc = read_value(&element, &condition->value[i], err);
    }
    condition->value_count = (uint32_t)count;
    return rc;
}

enum err_code definitions_read_where(const struct json_at *at, struct definition *definition,
                                     struct err *err)
{
    if (at->value == NULL)
        return ERR_OK;
    enum err_code rc = json_object(at, err);
    if (rc != ERR_OK)
        return rc;
    for (const cJSON *child = at->value->child; child != NULL && rc == ERR_OK;
         child = child->next) {
        if (definition->lists->condition_count == DEFINITION_CONDITIONS_MAX)
            return err_set(err, ERR_LIMIT, "%s: more than %d conditions", at->path,
                           DEFINITION_CONDITIONS_MAX);
        struct json_at member = json_member(at, child->string);
        rc = read_condition(
            &member, &definition->lists->condition[definition->lists->condition_count++], err);
    }
    return rc;
}

enum err_code definitions_read_numbers(const struct json_at *at, struct definition *definition,
                                       struct err *err)
{
    if (at->value == NULL)
        return ERR_OK;
    enum err_code rc = json_object(at, err);
    if (rc != ERR_OK)
        return rc;
    for (const cJSON *child = at->value->child; child != NULL && rc == ERR_OK;
         child = child->next) {
        if (definition->lists->value_count == DEFINITION_VALUES_MAX)
            return err_set(err, ERR_LIMIT, "%s: more than %d values", at->path,
                           DEFINITION_VALUES_MAX);
        struct definition_value *value =
            &definition->lists->value[definition->lists->value_count++];
        struct json_at member = json_member(at, child->string);
        value->text = child->string;
        rc = json_real(&member, -1e9, 1e9, &value->number, err);
    }
    return rc;
}

/* ---- windows --------------------------------------------------------------------------------- */

static bool is_cut_by(uint32_t window_s, uint32_t tile_s, uint32_t tiles_min)
{
    return window_s % tile_s == 0 && window_s / tile_s >= tiles_min &&
           window_s / tile_s <= DEFINITION_TILES_MAX;
}

enum err_code definitions_read_window(const struct json_at *window, const struct json_at *tile,
                                      struct definition *definition, struct err *err)
{
    uint32_t window_s = 0, tile_s = 0;
    definition->tile_s = UINT32_MAX;
    definition->tile_count = 1;
    enum err_code rc = json_duration(window, WINDOW_S_MIN, WINDOW_S_MAX, &window_s, err);
    if (rc == ERR_OK)
        rc = json_duration(tile, TILE_S_MIN, WINDOW_S_MAX, &tile_s, err);
    if (rc != ERR_OK)
        return rc;
    if (window_s == 0)
        return tile_s == 0 ? ERR_OK : err_set(err, ERR_BAD_INPUT, "%s: needs a window", tile->path);
    for (size_t i = 0; tile_s == 0 && i < sizeof tile_widths_s / sizeof tile_widths_s[0]; i++) {
        if (is_cut_by(window_s, tile_widths_s[i], TILES_MIN))
            tile_s = tile_widths_s[i];
    }
    if (tile_s == 0)
        return err_set(err, ERR_BAD_INPUT,
                       "%s: cannot be cut into %d..%d equal tiles: take a rounder length, or "
                       "say `tile`",
                       window->path, TILES_MIN, DEFINITION_TILES_MAX);
    if (!is_cut_by(window_s, tile_s, 2))
        return err_set(err, ERR_BAD_INPUT,
                       "%s: expected a time that cuts the window into 2..%d "
                       "equal tiles",
                       tile->path, DEFINITION_TILES_MAX);
    definition->tile_s = tile_s;
    definition->tile_count = window_s / tile_s;
    definition->tile_reciprocal = UINT64_MAX / tile_s + 1;
    definition->count_reciprocal = UINT64_MAX / definition->tile_count + 1;
    return ERR_OK;
}
