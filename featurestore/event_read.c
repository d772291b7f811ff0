/* SPDX-License-Identifier: Apache-2.0 */
#include "featurestore/event_read.h"

#include <inttypes.h>
#include <string.h>

enum err_code event_wrong_kind(const struct event_read *read, const char *field,
                               const char *expected)
{
    return err_set(read->err, ERR_BAD_INPUT, "%s: expected %s, got %s", field, expected,
                   cursor_kind_name(cursor_peek(&read->cursor)));
}

enum err_code event_out_of_range(const struct event_read *read, const char *field, const char *unit,
                                 int64_t min, int64_t max, int64_t got)
{
    return err_set(read->err, ERR_BAD_INPUT,
                   "%s: expected %" PRId64 "..%" PRId64 "%s, got %" PRId64, field, min, max, unit,
                   got);
}

enum err_code event_read_text(struct event_read *read, const char *field, uint32_t min_bytes,
                              uint32_t max_bytes, struct text *ret_value)
{
    struct text value;
    if (!cursor_text(&read->cursor, &value))
        return event_wrong_kind(read, field, "a text");
    if (value.len < min_bytes || value.len > max_bytes)
        return event_out_of_range(read, field, " bytes", min_bytes, max_bytes, value.len);
    *ret_value = value;
    return ERR_OK;
}

enum err_code event_read_id(struct event_read *read, const char *field, uint32_t max_bytes,
                            struct text *ret_value)
{
    struct text value;
    enum err_code rc = event_read_text(read, field, 1, max_bytes, &value);
    if (rc != ERR_OK)
        return rc;
    if (!text_is_id(value))
        return err_set(read->err, ERR_BAD_INPUT, "%s: control characters are not allowed", field);
    *ret_value = value;
    return ERR_OK;
}

enum err_code event_read_int(struct event_read *read, const char *field, int64_t min, int64_t max,
                             int64_t *ret_value)
{
    int64_t value = 0;
    if (!cursor_int(&read->cursor, &value))
        return event_wrong_kind(read, field, "an integer");
    if (value < min || value > max)
        return event_out_of_range(read, field, "", min, max, value);
    *ret_value = value;
    return ERR_OK;
}

enum err_code event_read_map(struct event_read *read, const char *field, struct text *ret_bytes)
{
    if (cursor_peek(&read->cursor) != CURSOR_MAP)
        return event_wrong_kind(read, field, "a map");
    struct text raw;
    cursor_skip(&read->cursor, &raw);
    enum err_code rc = ERR_OK;
    if (read->rules->strictness != EVENT_STORED)
        rc = event_check_keys(read, field, raw);
    if (rc == ERR_OK)
        *ret_bytes = raw;
    return rc;
}

enum err_code event_read_key(struct event_read *read, struct event_keys *keys, uint32_t *ret_key)
{
    struct text key;
    if (!cursor_text(&read->cursor, &key))
        return event_wrong_kind(read, keys->field, "keys of text");
    uint32_t i = 0;
    while (i < keys->count && !text_equal(key, keys->name[i]))
        i++;
    if (i < keys->count && (keys->seen >> i & 1) != 0)
        return err_set(read->err, ERR_BAD_INPUT, "%s: '%s' is given twice", keys->field,
                       keys->name[i].ptr);
    if (i < keys->count)
        keys->seen |= UINT32_C(1) << i;
    else if (read->rules->strictness == EVENT_STRICT)
        return err_set(read->err, ERR_BAD_INPUT, "%s: there is no key '%.*s'", keys->field,
                       (int)key.len, key.ptr);
    else
        read->event->dropped++;
    *ret_key = i;
    return ERR_OK;
}

enum err_code event_check_depth(const struct event_read *read, uint32_t depth)
{
    if (depth <= EVENT_DEPTH_MAX || read->rules->strictness == EVENT_STORED)
        return ERR_OK;
    struct cursor cursor = read->cursor;
    struct text key = TEXT_LITERAL("event");
    uint32_t pairs = 0;
    for (bool found = !cursor_map(&cursor, &pairs); !found && pairs > 0; pairs--) {
        cursor_text(&cursor, &key);
        found = cursor_skip_deep(&cursor, NULL) >= EVENT_DEPTH_MAX;
    }
    uint32_t len = key.len < 64 ? key.len : 64;
    while (!text_is_utf8(key.ptr, len)) /* it was cut within a character */
        len--;
    return err_set(read->err, ERR_LIMIT, "%.*s: nested deeper than %d levels", (int)len, key.ptr,
                   EVENT_DEPTH_MAX - 1);
}

const char *event_fault_prefix(const struct err *err)
{
    return strncmp(err->text, "event:", strlen("event:")) == 0 ? "" : "field ";
}

enum err_code event_decode(struct cursor *cursor, int64_t arrival_ms, struct arena *arena,
                           struct event *ret_event, struct err *err)
{
    struct event_rules rules = {.strictness = EVENT_LENIENT, .arrival_ms = arrival_ms};
    return event_decode_by(cursor, &rules, arena, ret_event, err);
}
