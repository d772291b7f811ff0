/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/cli/value.h"

#include <inttypes.h>
#include <stdio.h>

bool value_find(struct cursor map, const char *key, struct cursor *ret_value)
{
    uint32_t count = 0;
    if (!cursor_map(&map, &count))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        struct text name = {0};
        if (!cursor_text(&map, &name))
            return false;
        if (text_is(name, key)) {
            *ret_value = map;
            return true;
        }
        cursor_skip(&map, NULL);
    }
    return false;
}

struct text value_text(struct cursor map, const char *key)
{
    struct cursor at;
    struct text text = {0};
    if (value_find(map, key, &at))
        (void)cursor_text(&at, &text);
    return text;
}

int64_t value_int(struct cursor map, const char *key, int64_t otherwise)
{
    struct cursor at;
    int64_t value = otherwise;
    if (value_find(map, key, &at))
        (void)cursor_int(&at, &value);
    return value;
}

double value_real(struct cursor map, const char *key, double otherwise)
{
    struct cursor at;
    double value = otherwise;
    if (value_find(map, key, &at))
        (void)cursor_real(&at, &value);
    return value;
}

bool value_bool(struct cursor map, const char *key, bool otherwise)
{
    struct cursor at;
    bool value = otherwise;
    if (value_find(map, key, &at))
        (void)cursor_bool(&at, &value);
    return value;
}

uint32_t value_array(struct cursor map, const char *key, struct cursor *ret_at)
{
    uint32_t count = 0;
    if (!value_find(map, key, ret_at) || !cursor_array(ret_at, &count))
        return 0;
    return count;
}

struct cursor value_next(struct cursor *at)
{
    struct cursor value = *at;
    cursor_skip(at, NULL);
    return value;
}

char *value_show(struct cursor value, char buf[VALUE_TEXT_BYTES])
{
    struct text text = {0};
    int64_t integer = 0;
    double real = 0;
    bool yes = false;
    if (cursor_text(&value, &text))
        text_copy(text, buf, VALUE_TEXT_BYTES);
    else if (cursor_int(&value, &integer))
        snprintf(buf, VALUE_TEXT_BYTES, "%" PRId64, integer);
    else if (cursor_real(&value, &real))
        snprintf(buf, VALUE_TEXT_BYTES, "%.6g", real);
    else if (cursor_bool(&value, &yes))
        snprintf(buf, VALUE_TEXT_BYTES, "%s", yes ? "yes" : "no");
    else
        snprintf(buf, VALUE_TEXT_BYTES, "%s", cursor_nil(&value) ? "-" : "...");
    return buf;
}
