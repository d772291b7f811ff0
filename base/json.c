/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json_internal.h"
#include "base/json_scan.h"
#include "base/num.h"

enum { JSON_DEPTH_MAX = 32, JSON_NUMBER_BYTES_MAX = 63 }; /* the second is cJSON's own */

#define JSON_INT_EXACT INT64_C(9007199254740992) /* 2^53: cJSON keeps numbers as doubles */

/* Where the byte stands that a message is about. */
static enum err_code place_error(const char *name, const char *bytes, size_t at, enum err_code code,
                                 const char *what, struct err *err)
{
    struct json_scan place = {.begin = bytes, .at = bytes + at};
    uint32_t line;
    uint32_t column;
    json_scan_place(&place, &line, &column);
    return err_set(err, code, "%s:%u:%u: %s", name, line, column, what);
}

/* The index behind the string that begins at `at`. */
static size_t string_end(const char *bytes, size_t len, size_t at)
{
    for (at++; at < len && bytes[at] != '"'; at++) {
        if (bytes[at] == '\\')
            at++;
    }
    return at < len ? at + 1 : len;
}

/* Overwrites comments with blanks, line feeds excepted.  False at *ret_at: a comment is open. */
static bool blank_comments(char *bytes, size_t len, size_t *ret_at)
{
    size_t at = 0;
    while (at < len) {
        if (bytes[at] == '"') {
            at = string_end(bytes, len, at);
            continue;
        }
        bool is_line = len - at >= 2 && bytes[at] == '/' && bytes[at + 1] == '/';
        bool is_block = len - at >= 2 && bytes[at] == '/' && bytes[at + 1] == '*';
        if (!is_line && !is_block) {
            at++;
            continue;
        }
        const char *end = is_line ? memchr(bytes + at, '\n', len - at)
                                  : memmem(bytes + at + 2, len - at - 2, "*/", 2);
        if (end == NULL && is_block) {
            *ret_at = at;
            return false;
        }
        size_t behind = end == NULL ? len : (size_t)(end - bytes) + (is_block ? 2 : 0);
        for (; at < behind; at++) {
            if (bytes[at] != '\n')
                bytes[at] = ' ';
        }
    }
    return true;
}

/* All that cJSON would let pass, and the place of every fault. */
static enum err_code check_text(const char *name, const char *bytes, size_t len, struct err *err)
{
    struct json_scan scan;
    enum err_code rc = ERR_OK;
    enum json_token token;
    json_scan_init(&scan, bytes, len, JSON_DEPTH_MAX);
    do {
        token = json_scan_next(&scan);
        bool is_text = token == JSON_TOKEN_KEY || token == JSON_TOKEN_STRING;
        bool is_number = token == JSON_TOKEN_INTEGER || token == JSON_TOKEN_REAL;
        const char *what = NULL;
        double value;
        if (token == JSON_TOKEN_BAD)
            what = scan.what;
        else if (is_text && scan.has_nul)
            what = "a string holds \\u0000";
        else if (is_number && scan.raw.len > JSON_NUMBER_BYTES_MAX)
            what = "a number is longer than 63 characters";
        else if (is_number && !num_parse_real(scan.raw, &value))
            what = "a number is too large";
        if (what != NULL)
            rc = place_error(name, bytes, (size_t)(scan.at - bytes),
                             scan.code == ERR_NOMEM ? ERR_NOMEM : ERR_BAD_INPUT, what, err);
    } while (rc == ERR_OK && token != JSON_TOKEN_END);
    json_scan_deinit(&scan);
    return rc;
}

static enum err_code parse(const char *name, const char *bytes, size_t len, bool keeps_places,
                           cJSON **ret_root, struct err *err)
{
    enum err_code rc;
    size_t at = 0;
    char *copy = len == SIZE_MAX ? NULL : malloc(len + 1);
    if (copy == NULL)
        return err_set(err, ERR_NOMEM, "%s: out of memory for %zu bytes", name, len);
    if (len > 0)
        memcpy(copy, bytes, len);
    copy[len] = '\0';
    if (!blank_comments(copy, len, &at))
        rc = place_error(name, copy, at, ERR_BAD_INPUT, "a comment is not closed", err);
    else
        rc = check_text(name, copy, len, err);
    if (rc == ERR_OK) {
        cJSON *root = cJSON_ParseWithLength(copy, len);
        if (root == NULL) /* the text is good, so it can only be this */
            rc = err_set(err, ERR_NOMEM, "%s: out of memory for its values", name);
        else
            *ret_root = root;
        if (root != NULL && keeps_places)
            json_mark_places(root, copy, len);
    }
    free(copy);
    return rc;
}

enum err_code json_parse(const char *name, const char *bytes, size_t len, cJSON **ret_root,
                         struct err *err)
{
    return parse(name, bytes, len, false, ret_root, err);
}

enum err_code json_parse_placed(const char *name, const char *bytes, size_t len, cJSON **ret_root,
                                struct err *err)
{
    return parse(name, bytes, len, true, ret_root, err);
}

enum err_code json_parse_file(const char *path, size_t max_bytes, cJSON **ret_root, struct err *err)
{
    uint8_t *bytes = NULL;
    size_t len = 0;
    enum err_code rc = file_read(path, max_bytes, &bytes, &len, err);
    if (rc == ERR_OK)
        rc = json_parse(path, (const char *)bytes, len, ret_root, err);
    free(bytes);
    return rc;
}

/* Puts one more piece behind the path; what does not fit is cut. */
static void extend(struct json_at *at, const char *piece)
{
    size_t used = strlen(at->path);
    text_copy(text_of(piece), at->path + used, sizeof at->path - used);
}

/* "policies.json", or "policies.json:12:7" where the place of that value is known. */
static void begin_path(struct json_at *at, const cJSON *value)
{
    char place[JSON_PLACE_BYTES];
    json_place_text(value, place);
    at->placed = place[0] == '\0' ? NULL : value;
    text_copy(text_of(at->name), at->path, sizeof at->path);
    extend(at, place);
    at->steps_begin = (uint16_t)strlen(at->path);
}

struct json_at json_root(const char *name, const cJSON *root)
{
    struct json_at at = {.value = root, .name = name};
    begin_path(&at, cJSON_IsNumber(root) ? NULL : root); /* whose valueint says its value */
    return at;
}

/* The same steps with the place of that value; what is absent has that of what it is missing
 * from. */
static void move_to(struct json_at *at, const cJSON *value)
{
    struct json_at before = *at;
    if (before.placed == NULL || value == NULL)
        return;
    begin_path(at, value);
    extend(at, before.path + before.steps_begin);
}

/* "file: a" under the root, "file: a.b" and "file: a[3]" below. */
static struct json_at child(const struct json_at *parent, const cJSON *value, const char *separator,
                            const char *step)
{
    struct json_at at = *parent;
    at.value = value;
    move_to(&at, value);
    extend(&at, at.path[at.steps_begin] == '\0' ? ": " : separator);
    extend(&at, step);
    return at;
}

struct json_at json_member(const struct json_at *object, const char *key)
{
    bool is_object = cJSON_IsObject(object->value);
    return child(object, is_object ? cJSON_GetObjectItemCaseSensitive(object->value, key) : NULL,
                 ".", key);
}

struct json_at json_element(const struct json_at *array, int index)
{
    bool is_array = cJSON_IsArray(array->value);
    return json_element_at(array, is_array ? cJSON_GetArrayItem(array->value, index) : NULL, index);
}

struct json_at json_element_at(const struct json_at *array, const cJSON *element, int index)
{
    char step[16];
    snprintf(step, sizeof step, "[%d]", index);
    return child(array, element, "", step);
}

static const char *type_name(const cJSON *value)
{
    if (cJSON_IsString(value))
        return "a string";
    if (cJSON_IsNumber(value))
        return "a number";
    if (cJSON_IsBool(value))
        return "true or false";
    if (cJSON_IsArray(value))
        return "an array";
    return cJSON_IsObject(value) ? "an object" : "null";
}

static enum err_code wrong_type(const struct json_at *at, const char *expected, struct err *err)
{
    if (at->value == NULL)
        return err_set(err, ERR_NOT_FOUND, "%s: missing", at->path);
    return err_set(err, ERR_BAD_INPUT, "%s: expected %s, got %s", at->path, expected,
                   type_name(at->value));
}

enum err_code json_string(const struct json_at *at, const char **ret_value, struct err *err)
{
    if (!cJSON_IsString(at->value))
        return wrong_type(at, "a string", err);
    *ret_value = at->value->valuestring;
    return ERR_OK;
}

enum err_code json_int(const struct json_at *at, int64_t min, int64_t max, int64_t *ret_value,
                       struct err *err)
{
    if (!cJSON_IsNumber(at->value))
        return wrong_type(at, "an integer", err);
    double value = at->value->valuedouble;
    if (value != floor(value))
        return err_set(err, ERR_BAD_INPUT, "%s: expected an integer, got %g", at->path, value);
    if (fabs(value) > (double)JSON_INT_EXACT)
        return err_set(err, ERR_BAD_INPUT, "%s: %g is beyond 2^53 and not exact", at->path, value);
    if ((int64_t)value < min || (int64_t)value > max)
        return err_set(err, ERR_BAD_INPUT, "%s: must be %lld..%lld (got %lld)", at->path,
                       (long long)min, (long long)max, (long long)value);
    *ret_value = (int64_t)value;
    return ERR_OK;
}

enum err_code json_real(const struct json_at *at, double min, double max, double *ret_value,
                        struct err *err)
{
    if (!cJSON_IsNumber(at->value))
        return wrong_type(at, "a number", err);
    double value = at->value->valuedouble;
    if (!(value >= min && value <= max))
        return err_set(err, ERR_BAD_INPUT, "%s: must be %g..%g (got %g)", at->path, min, max,
                       value);
    *ret_value = value;
    return ERR_OK;
}

enum err_code json_bool(const struct json_at *at, bool *ret_value, struct err *err)
{
    if (!cJSON_IsBool(at->value))
        return wrong_type(at, "true or false", err);
    *ret_value = cJSON_IsTrue(at->value);
    return ERR_OK;
}

enum err_code json_array(const struct json_at *at, int *ret_count, struct err *err)
{
    if (!cJSON_IsArray(at->value))
        return wrong_type(at, "an array", err);
    *ret_count = cJSON_GetArraySize(at->value);
    return ERR_OK;
}

enum err_code json_object(const struct json_at *at, struct err *err)
{
    return cJSON_IsObject(at->value) ? ERR_OK : wrong_type(at, "an object", err);
}

enum err_code json_only(const struct json_at *object, const char *const *known, struct err *err)
{
    const cJSON *member;
    enum err_code rc = json_object(object, err);
    if (rc != ERR_OK)
        return rc;
    cJSON_ArrayForEach(member, object->value)
    {
        size_t i = 0;
        while (known[i] != NULL && strcmp(known[i], member->string) != 0)
            i++;
        if (known[i] != NULL)
            continue;
        const char *nearest = json_nearest(text_of(member->string), known);
        struct json_at at = *object; /* the path of the object, at the place of the key */
        move_to(&at, member);
        return err_set(err, ERR_BAD_INPUT, "%s: unknown key '%.80s'%s%s%s", at.path, member->string,
                       nearest == NULL ? "" : ", did you mean '", nearest == NULL ? "" : nearest,
                       nearest == NULL ? "" : "'?");
    }
    return ERR_OK;
}

const char *json_nearest(struct text key, const char *const *known)
{
    /* A slip changes a third of the word at most; a swap of neighbours counts as two changes. */
    uint32_t limit = key.len / 3 < 2 ? 2 : key.len / 3;
    const char *nearest = NULL;
    for (size_t i = 0; known[i] != NULL; i++) {
        struct text candidate = text_of(known[i]);
        uint32_t distance = text_distance(key, candidate);
        uint32_t shorter = key.len < candidate.len ? key.len : candidate.len;
        if (distance <= limit && distance < shorter) {
            limit = distance - (distance > 0);
            nearest = known[i];
        }
    }
    return nearest;
}

enum err_code json_name(const struct json_at *at, const char *const *names, uint32_t *ret_index,
                        struct err *err)
{
    const char *value = NULL;
    enum err_code rc = json_string(at, &value, err);
    if (rc != ERR_OK)
        return rc;
    for (uint32_t i = 0; names[i] != NULL; i++) {
        if (strcmp(value, names[i]) == 0) {
            *ret_index = i;
            return ERR_OK;
        }
    }
    const char *nearest = json_nearest(text_of(value), names);
    if (nearest != NULL)
        return err_set(err, ERR_BAD_INPUT, "%s: unknown name '%.64s', did you mean '%s'?", at->path,
                       value, nearest);
    char list[160] = "";
    for (size_t i = 0, used = 0; names[i] != NULL && used < sizeof list; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, i == 0 ? "%s" : ", %s", names[i]);
    return err_set(err, ERR_BAD_INPUT, "%s: unknown name '%.64s', expected one of %s", at->path,
                   value, list);
}
