/* SPDX-License-Identifier: Apache-2.0 */
#include "featurestore/reader_json.h"

#include <inttypes.h>
#include <string.h>

#include "base/cursor.h"
#include "base/json_scan.h"
#include "base/transcode.h"
#include "featurestore/event.h"

/* The JSON is one line, so of the transcoder's "line 1, column 17: ..." only the column counts. */
static enum err_code line_to_pack(const struct json_line *line, struct pack *pack, struct err *err)
{
    struct err inner;
    enum err_code rc = transcode_from_json(line->text.ptr, line->text.len, pack, &inner);
    if (rc == ERR_OK)
        return ERR_OK;
    const char *column = strstr(inner.text, "column");
    return err_set(err, rc, "line %" PRIu64 ", %s", line->number,
                   column == NULL ? inner.text : column);
}

static enum err_code expect_map(const struct json_line *line, const struct pack *pack,
                                struct err *err)
{
    struct cursor cursor = cursor_of(pack->bytes, pack->used);
    enum cursor_kind kind = cursor_peek(&cursor);
    if (kind == CURSOR_MAP)
        return ERR_OK;
    return err_set(err, ERR_BAD_INPUT, "line %" PRIu64 ": expected an object, got %s", line->number,
                   cursor_kind_name(kind));
}

enum err_code json_line_event(const struct json_line *line, struct pack *pack, struct err *err)
{
    enum err_code rc = line_to_pack(line, pack, err);
    return rc == ERR_OK ? expect_map(line, pack, err) : rc;
}

/* The bytes of a member's value; .ptr is NULL when there is none. */
static struct text member(const struct pack *map, const char *name)
{
    struct cursor cursor = cursor_of(map->bytes, map->used);
    uint32_t count = 0;
    struct text key;
    struct text value;
    if (!cursor_map(&cursor, &count))
        return (struct text){0};
    for (uint32_t i = 0; i < count && cursor_text(&cursor, &key); i++) {
        cursor_skip(&cursor, &value);
        if (text_is(key, name))
            return value;
    }
    return (struct text){0};
}

static enum err_code check_type(const struct json_line *line, struct text raw, struct err *err)
{
    struct cursor cursor = cursor_of((const uint8_t *)raw.ptr, raw.len);
    struct text name = TEXT_LITERAL("another kind of value");
    bool is_text = cursor_text(&cursor, &name);
    if (is_text && (text_is(name, event_type_name(EVENT_item_upsert)) ||
                    text_is(name, event_type_name(EVENT_item_delete))))
        return ERR_OK;
    return map_fault(err, line->number, text_of("type"), "item_upsert or item_delete", name);
}

/* What says something of the event, not of the item. */
static const char *const beside[] = {"ts", "currency"};

static bool is_beside(struct text key)
{
    for (size_t i = 0; i < sizeof beside / sizeof beside[0]; i++) {
        if (text_is(key, beside[i]))
            return true;
    }
    return false;
}

/* The members that are the item's own, or those beside it; returns how many. */
static uint32_t put_members(struct pack *pack, const struct pack *line, bool of_item)
{
    struct cursor cursor = cursor_of(line->bytes, line->used);
    uint32_t count = 0;
    uint32_t put_count = 0;
    struct text key;
    struct text value;
    (void)cursor_map(&cursor, &count);
    for (uint32_t i = 0; i < count && cursor_text(&cursor, &key); i++) {
        cursor_skip(&cursor, &value);
        if (is_beside(key) == of_item)
            continue;
        pack_text(pack, key);
        pack_raw(pack, value.ptr, value.len);
        put_count++;
    }
    return put_count;
}

enum err_code json_line_item(const struct json_line *line, uint64_t hash, struct pack scratch,
                             struct pack *pack, struct err *err)
{
    enum err_code rc = json_line_event(line, &scratch, err);
    if (rc != ERR_OK)
        return rc;
    struct text type = member(&scratch, "type");
    if (type.ptr != NULL) {
        pack_raw(pack, scratch.bytes, scratch.used);
        return check_type(line, type, err);
    }
    size_t mark = pack_map_open(pack);
    uint32_t pair_count = map_item_head(pack, hash, line->number);
    pair_count += put_members(pack, &scratch, false);
    pack_key(pack, "items");
    pack_array(pack, 1);
    size_t item_mark = pack_map_open(pack);
    pack_map_close(pack, item_mark, put_members(pack, &scratch, true));
    pack_map_close(pack, mark, pair_count + 1);
    return ERR_OK;
}

/* The place of the value that is read now; NULL when the map does not name it. */
static struct text *value_of_key(const struct json_scan *scan, const struct reader_map *map,
                                 struct text *values)
{
    char decoded[JSON_SCAN_KEY_BYTES_MAX];
    struct text key = scan->raw;
    if (scan->has_escapes) {
        json_scan_decode(scan, decoded);
        key = (struct text){decoded, scan->decoded_len};
    }
    for (uint32_t i = 0; i < map->column_count; i++) {
        if (text_equal(map->column[i], key))
            return &values[i];
    }
    return NULL;
}

static struct text string_value(const struct json_scan *scan, char **decoded)
{
    if (!scan->has_escapes)
        return scan->raw;
    struct text text = {*decoded, scan->decoded_len};
    json_scan_decode(scan, *decoded);
    *decoded += scan->decoded_len;
    return text;
}

static enum err_code scan_fault(const struct json_line *line, const struct json_scan *scan,
                                struct err *err)
{
    uint32_t row;
    uint32_t column;
    json_scan_place(scan, &row, &column);
    return err_set(err, scan->code, "line %" PRIu64 ", column %u: %s", line->number, column,
                   scan->what);
}

/* Takes what the token says into *value, which is the member's place. */
static enum err_code take_value(const struct json_scan *scan, enum json_token token,
                                struct text *value, char **decoded)
{
    switch (token) {
    case JSON_TOKEN_STRING: *value = string_value(scan, decoded); return ERR_OK;
    case JSON_TOKEN_INTEGER:
    case JSON_TOKEN_REAL: *value = scan->raw; return ERR_OK;
    case JSON_TOKEN_TRUE: *value = TEXT_LITERAL("true"); return ERR_OK;
    case JSON_TOKEN_FALSE: *value = TEXT_LITERAL("false"); return ERR_OK;
    case JSON_TOKEN_OBJECT:
    case JSON_TOKEN_ARRAY: return ERR_BAD_INPUT;
    default: return ERR_OK; /* null stays empty; the ends of containers say nothing */
    }
}

enum err_code json_line_row(const struct json_line *line, const struct reader_map *map,
                            struct text *ret_values, char *decoded, struct err *err)
{
    struct json_scan scan;
    struct text *value = NULL; /* of the member at hand, when the map names it */
    enum err_code rc = ERR_OK;
    enum json_token token;
    for (uint32_t i = 0; i < map->column_count; i++)
        ret_values[i] = TEXT_LITERAL("");
    json_scan_init(&scan, line->text.ptr, line->text.len, CURSOR_DEPTH_MAX);
    do {
        uint32_t depth = scan.depth; /* before the token */
        token = json_scan_next(&scan);
        if (token == JSON_TOKEN_BAD)
            rc = scan_fault(line, &scan, err);
        else if (depth == 0 && token != JSON_TOKEN_OBJECT && token != JSON_TOKEN_END)
            rc = err_set(err, ERR_BAD_INPUT, "line %" PRIu64 ": expected an object", line->number);
        else if (depth == 1 && token == JSON_TOKEN_KEY)
            value = value_of_key(&scan, map, ret_values);
        else if (depth == 1 && value != NULL && take_value(&scan, token, value, &decoded) != ERR_OK)
            rc = err_set(err, ERR_BAD_INPUT,
                         "line %" PRIu64 ", field %.*s: expected a text, a number or a boolean, "
                         "got a container",
                         line->number, (int)map->column[value - ret_values].len,
                         map->column[value - ret_values].ptr);
    } while (rc == ERR_OK && token != JSON_TOKEN_END);
    json_scan_deinit(&scan);
    return rc;
}
