/* SPDX-License-Identifier: Apache-2.0 */
#include "models/xgboost_reader.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"

#define PATH_BYTES 160
#define ROOM_LEAST 256

void xgboost_reader_init(struct xgboost_reader *reader, const char *file, const void *bytes,
                         size_t len, struct err *err)
{
    const uint8_t *first = bytes;
    memset(reader, 0, sizeof *reader);
    reader->file = file;
    reader->err = err;
    reader->is_binary = len >= 2 && first[0] == '{' && strchr("iUIlL", first[1]) != NULL;
    ubjson_init(&reader->ubjson, bytes, len);
    json_scan_init(&reader->json, bytes, len, XGBOOST_DEPTH_MAX);
    reader->json.takes_non_finite = true;
}

void xgboost_reader_deinit(struct xgboost_reader *reader)
{
    json_scan_deinit(&reader->json);
}

/* ---- faults ---------------------------------------------------------------------------------- */

/* "learner.gradient_booster.model.trees[3].left_children" */
static void write_path(const struct xgboost_reader *reader, char buf[PATH_BYTES])
{
    size_t used = 0;
    buf[0] = '\0';
    for (uint32_t i = 0; i < reader->depth && used < PATH_BYTES; i++) {
        int wrote = 0;
        if (!reader->path[i].is_array)
            wrote = snprintf(buf + used, PATH_BYTES - used, "%s%s", used > 0 ? "." : "",
                             reader->path[i].key);
        else if (reader->path[i].index >= 0)
            wrote =
                snprintf(buf + used, PATH_BYTES - used, "[%lld]", (long long)reader->path[i].index);
        used += wrote > 0 ? (size_t)wrote : 0;
    }
}

bool xgboost_fail(struct xgboost_reader *reader, enum err_code code, const char *fmt, ...)
{
    char path[PATH_BYTES];
    char text[ERR_TEXT_BYTES];
    va_list args;
    if (reader->rc != ERR_OK)
        return false;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    write_path(reader, path);
    reader->rc = err_set(reader->err, code, "%s: %s%s%s", reader->file, path,
                         path[0] == '\0' ? "" : ": ", text);
    return false;
}

static enum xgboost_value malformed(struct xgboost_reader *reader)
{
    if (reader->is_binary) {
        xgboost_fail(reader, ERR_CORRUPT, "byte %zu: %s",
                     (size_t)(reader->ubjson.at - reader->ubjson.begin), reader->ubjson.what);
    } else {
        uint32_t line = 0;
        uint32_t column = 0;
        json_scan_place(&reader->json, &line, &column);
        xgboost_fail(reader, reader->json.code == ERR_BAD_INPUT ? ERR_CORRUPT : reader->json.code,
                     "line %u, column %u: %s", line, column, reader->json.what);
    }
    return XGBOOST_BAD;
}

/* ---- values ---------------------------------------------------------------------------------- */

static enum xgboost_value next_json(struct xgboost_reader *reader)
{
    static const enum xgboost_value values[] = {
        [JSON_TOKEN_END] = XGBOOST_END,        [JSON_TOKEN_BAD] = XGBOOST_BAD,
        [JSON_TOKEN_OBJECT] = XGBOOST_OBJECT,  [JSON_TOKEN_OBJECT_END] = XGBOOST_OBJECT_END,
        [JSON_TOKEN_ARRAY] = XGBOOST_ARRAY,    [JSON_TOKEN_ARRAY_END] = XGBOOST_ARRAY_END,
        [JSON_TOKEN_KEY] = XGBOOST_KEY,        [JSON_TOKEN_STRING] = XGBOOST_STRING,
        [JSON_TOKEN_INTEGER] = XGBOOST_NUMBER, [JSON_TOKEN_REAL] = XGBOOST_NUMBER,
        [JSON_TOKEN_TRUE] = XGBOOST_BOOL,      [JSON_TOKEN_FALSE] = XGBOOST_BOOL,
        [JSON_TOKEN_NULL] = XGBOOST_NULL,
    };
    enum json_token token = json_scan_next(&reader->json);
    reader->truth = token == JSON_TOKEN_TRUE;
    return values[token];
}

static enum xgboost_value next_ubjson(struct xgboost_reader *reader)
{
    static const enum xgboost_value values[] = {
        [UBJSON_END] = XGBOOST_END,        [UBJSON_BAD] = XGBOOST_BAD,
        [UBJSON_OBJECT] = XGBOOST_OBJECT,  [UBJSON_OBJECT_END] = XGBOOST_OBJECT_END,
        [UBJSON_ARRAY] = XGBOOST_ARRAY,    [UBJSON_ARRAY_END] = XGBOOST_ARRAY_END,
        [UBJSON_KEY] = XGBOOST_KEY,        [UBJSON_STRING] = XGBOOST_STRING,
        [UBJSON_INTEGER] = XGBOOST_NUMBER, [UBJSON_REAL32] = XGBOOST_NUMBER,
        [UBJSON_REAL64] = XGBOOST_NUMBER,  [UBJSON_TRUE] = XGBOOST_BOOL,
        [UBJSON_FALSE] = XGBOOST_BOOL,     [UBJSON_NULL] = XGBOOST_NULL,
    };
    enum ubjson_token token = ubjson_next(&reader->ubjson);
    reader->truth = token == UBJSON_TRUE;
    if (token == UBJSON_INTEGER)
        reader->ubjson.real = (double)reader->ubjson.integer;
    else if (token == UBJSON_REAL32 || token == UBJSON_REAL64)
        reader->ubjson.integer = INT64_MIN; /* no integer */
    return values[token];
}

enum xgboost_value xgboost_next(struct xgboost_reader *reader)
{
    if (reader->rc != ERR_OK)
        return XGBOOST_BAD;
    reader->value = reader->is_binary ? next_ubjson(reader) : next_json(reader);
    return reader->value == XGBOOST_BAD ? malformed(reader) : reader->value;
}

static bool expect(struct xgboost_reader *reader, enum xgboost_value wanted)
{
    static const char *const names[] = {
        [XGBOOST_BAD] = "nothing",      [XGBOOST_END] = "the end",
        [XGBOOST_OBJECT] = "an object", [XGBOOST_OBJECT_END] = "the end of an object",
        [XGBOOST_ARRAY] = "an array",   [XGBOOST_ARRAY_END] = "the end of an array",
        [XGBOOST_KEY] = "a key",        [XGBOOST_STRING] = "a text",
        [XGBOOST_NUMBER] = "a number",  [XGBOOST_BOOL] = "true or false",
        [XGBOOST_NULL] = "null",
    };
    if (reader->rc != ERR_OK)
        return false;
    if (reader->value == wanted)
        return true;
    return xgboost_fail(reader, ERR_CORRUPT, "expected %s, got %s", names[wanted],
                        names[reader->value]);
}

static struct text raw_text(const struct xgboost_reader *reader)
{
    return reader->is_binary ? reader->ubjson.text : reader->json.raw;
}

bool xgboost_text(struct xgboost_reader *reader, char *buf, size_t buf_bytes)
{
    if (!expect(reader, XGBOOST_STRING))
        return false;
    if (!reader->is_binary && reader->json.has_escapes) {
        if (reader->json.decoded_len >= buf_bytes || reader->json.has_nul)
            return xgboost_fail(reader, ERR_LIMIT, "a text has a NUL or more than %zu bytes",
                                buf_bytes - 1);
        json_scan_decode(&reader->json, buf);
        buf[reader->json.decoded_len] = '\0';
        return true;
    }
    struct text text = raw_text(reader);
    if (text.len >= buf_bytes || memchr(text.ptr, '\0', text.len) != NULL)
        return xgboost_fail(reader, ERR_LIMIT, "a text has a NUL or more than %zu bytes",
                            buf_bytes - 1);
    text_copy(text, buf, buf_bytes);
    return true;
}

bool xgboost_float(struct xgboost_reader *reader, float *ret_value)
{
    if (!expect(reader, XGBOOST_NUMBER))
        return false;
    if (reader->is_binary) {
        *ret_value = (float)reader->ubjson.real;
        return true;
    }
    struct text raw = reader->json.raw;
    if (text_is(raw, "NaN"))
        *ret_value = NAN;
    else if (text_is(raw, "Infinity") || text_is(raw, "-Infinity"))
        *ret_value = raw.ptr[0] == '-' ? -INFINITY : INFINITY;
    else if (!num_parse_real32(raw, ret_value))
        return xgboost_fail(reader, ERR_CORRUPT, "expected a number within the range of float");
    return true;
}

bool xgboost_integer(struct xgboost_reader *reader, int64_t min, int64_t max, int64_t *ret_value)
{
    if (reader->value == XGBOOST_BOOL) {
        *ret_value = reader->truth;
        return true;
    }
    if (!expect(reader, XGBOOST_NUMBER))
        return false;
    bool is_good = reader->is_binary
                       ? reader->ubjson.integer >= min && reader->ubjson.integer <= max
                       : num_parse_int(reader->json.raw, min, max, ret_value);
    if (!is_good)
        return xgboost_fail(reader, ERR_CORRUPT, "expected an integer %lld..%lld", (long long)min,
                            (long long)max);
    if (reader->is_binary)
        *ret_value = reader->ubjson.integer;
    return true;
}

/* ---- structure ------------------------------------------------------------------------------- */

static bool push(struct xgboost_reader *reader, bool is_array)
{
    if (reader->depth == XGBOOST_DEPTH_MAX)
        return xgboost_fail(reader, ERR_LIMIT, "nested too deep");
    reader->path[reader->depth].is_array = is_array;
    reader->path[reader->depth].index = -1;
    reader->path[reader->depth++].key[0] = '\0';
    return true;
}

bool xgboost_enter_object(struct xgboost_reader *reader)
{
    return expect(reader, XGBOOST_OBJECT) && push(reader, false);
}

bool xgboost_open_object(struct xgboost_reader *reader)
{
    xgboost_next(reader);
    return xgboost_enter_object(reader);
}

bool xgboost_skip_rest(struct xgboost_reader *reader)
{
    uint32_t open = reader->value == XGBOOST_OBJECT || reader->value == XGBOOST_ARRAY ? 1 : 0;
    while (open > 0 && reader->rc == ERR_OK) {
        enum xgboost_value value = xgboost_next(reader);
        open += value == XGBOOST_OBJECT || value == XGBOOST_ARRAY;
        open -= value == XGBOOST_OBJECT_END || value == XGBOOST_ARRAY_END;
    }
    return reader->rc == ERR_OK;
}

static bool find_key(struct xgboost_reader *reader, const char *const *known, uint64_t *seen,
                     int *ret_key)
{
    char *key = reader->path[reader->depth - 1].key;
    text_copy(raw_text(reader), key, XGBOOST_KEY_BYTES);
    *ret_key = -1;
    for (int i = 0; known[i] != NULL; i++) {
        if (!text_is(raw_text(reader), known[i]))
            continue;
        if ((*seen >> i & 1) != 0)
            return xgboost_fail(reader, ERR_CORRUPT, "stands twice");
        *seen |= (uint64_t)1 << i;
        *ret_key = i;
        return true;
    }
    xgboost_next(reader);
    return xgboost_skip_rest(reader);
}

bool xgboost_next_key(struct xgboost_reader *reader, const char *const *known, uint64_t *seen,
                      int *ret_key)
{
    xgboost_next(reader);
    if (reader->rc == ERR_OK && reader->value == XGBOOST_OBJECT_END) {
        reader->depth--;
        return false;
    }
    return expect(reader, XGBOOST_KEY) && find_key(reader, known, seen, ret_key);
}

bool xgboost_require(struct xgboost_reader *reader, const char *const *known, uint64_t seen,
                     uint64_t needed)
{
    for (int i = 0; known[i] != NULL; i++) {
        if ((needed >> i & 1) != 0 && (seen >> i & 1) == 0)
            return xgboost_fail(reader, ERR_CORRUPT, "%s is missing", known[i]);
    }
    return reader->rc == ERR_OK;
}

bool xgboost_open_array(struct xgboost_reader *reader)
{
    xgboost_next(reader);
    return expect(reader, XGBOOST_ARRAY) && push(reader, true);
}

bool xgboost_next_element(struct xgboost_reader *reader)
{
    xgboost_next(reader);
    if (reader->rc != ERR_OK)
        return false;
    if (reader->value == XGBOOST_ARRAY_END) {
        reader->depth--;
        return false;
    }
    reader->path[reader->depth - 1].index++;
    return true;
}

/* ---- pieces ---------------------------------------------------------------------------------- */

bool xgboost_next_text(struct xgboost_reader *reader, char *buf, size_t buf_bytes)
{
    xgboost_next(reader);
    return xgboost_text(reader, buf, buf_bytes);
}

bool xgboost_next_text_integer(struct xgboost_reader *reader, int64_t min, int64_t max,
                               int64_t *ret_value)
{
    char buf[32];
    if (!xgboost_next_text(reader, buf, sizeof buf))
        return false;
    if (!num_parse_int(text_of(buf), min, max, ret_value))
        return xgboost_fail(reader, ERR_CORRUPT, "expected an integer %lld..%lld as text, got '%s'",
                            (long long)min, (long long)max, buf);
    return true;
}

/* Both kinds of array have elements of four bytes. */
static bool make_room(struct xgboost_reader *reader, uint32_t count, uint32_t most, uint32_t *room,
                      void *array)
{
    void *old = NULL;
    if (count == most)
        return xgboost_fail(reader, ERR_CORRUPT, "expected at most %u elements", most);
    if (count < *room)
        return true;
    uint32_t wanted = *room < ROOM_LEAST ? ROOM_LEAST : 2 * *room;
    memcpy(&old, array, sizeof old);
    void *grown = realloc(old, (size_t)wanted * sizeof(float));
    if (grown == NULL)
        return xgboost_fail(reader, ERR_NOMEM, "out of memory");
    memcpy(array, &grown, sizeof grown);
    *room = wanted;
    return true;
}

bool xgboost_next_floats(struct xgboost_reader *reader, uint32_t most, struct xgboost_floats *array)
{
    array->count = 0;
    if (!xgboost_open_array(reader))
        return false;
    while (xgboost_next_element(reader)) {
        float value = 0.0f;
        if (!make_room(reader, array->count, most, &array->room, &array->value) ||
            !xgboost_float(reader, &value))
            return false;
        array->value[array->count++] = value;
    }
    return reader->rc == ERR_OK;
}

bool xgboost_next_integers(struct xgboost_reader *reader, uint32_t most,
                           struct xgboost_integers *array)
{
    array->count = 0;
    if (!xgboost_open_array(reader))
        return false;
    while (xgboost_next_element(reader)) {
        int64_t value = 0;
        if (!make_room(reader, array->count, most, &array->room, &array->value) ||
            !xgboost_integer(reader, INT32_MIN, INT32_MAX, &value))
            return false;
        array->value[array->count++] = (int32_t)value;
    }
    return reader->rc == ERR_OK;
}
