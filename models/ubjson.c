/* SPDX-License-Identifier: Apache-2.0 */
#include "models/ubjson.h"

#include <string.h>

void ubjson_init(struct ubjson *ubjson, const void *bytes, size_t len)
{
    memset(ubjson, 0, sizeof *ubjson);
    ubjson->begin = bytes;
    ubjson->at = bytes;
    ubjson->end = ubjson->begin + len;
}

static enum ubjson_token bad(struct ubjson *u, const char *what)
{
    u->what = what;
    return UBJSON_BAD;
}

static size_t left(const struct ubjson *u)
{
    return (size_t)(u->end - u->at);
}

static uint32_t type_bytes(char type)
{
    switch (type) {
    case 'i':
    case 'U': return 1;
    case 'I': return 2;
    case 'l':
    case 'd': return 4;
    case 'L':
    case 'D': return 8;
    default: return 0;
    }
}

static uint64_t big_endian(const uint8_t *at, uint32_t bytes)
{
    uint64_t value = 0;
    for (uint32_t i = 0; i < bytes; i++)
        value = value << 8 | at[i];
    return value;
}

static enum ubjson_token number(struct ubjson *u, char type)
{
    uint32_t bytes = type_bytes(type);
    if (left(u) < bytes)
        return bad(u, "the file ends within a number");
    uint64_t raw = big_endian(u->at, bytes);
    u->at += bytes;
    switch (type) {
    case 'd': {
        uint32_t bits = (uint32_t)raw;
        float value = 0.0f;
        memcpy(&value, &bits, sizeof value);
        u->real = (double)value;
        return UBJSON_REAL32;
    }
    case 'D': memcpy(&u->real, &raw, sizeof raw); return UBJSON_REAL64;
    case 'i': u->integer = (int8_t)raw; break;
    case 'U': u->integer = (int64_t)raw; break;
    case 'I': u->integer = (int16_t)raw; break;
    case 'l': u->integer = (int32_t)raw; break;
    default: u->integer = (int64_t)raw; break;
    }
    return UBJSON_INTEGER;
}

/* A length of what takes at least `unit_bytes` each. */
static bool length(struct ubjson *u, uint32_t unit_bytes, uint64_t *ret_length)
{
    if (left(u) < 1 || strchr("iUIlL", u->at[0]) == NULL || u->at[0] == '\0') {
        bad(u, "expected a length");
        return false;
    }
    char type = (char)*u->at++;
    if (number(u, type) == UBJSON_BAD)
        return false;
    if (u->integer < 0 || (uint64_t)u->integer > left(u) / unit_bytes) {
        bad(u, "a length is beyond the end of the file");
        return false;
    }
    *ret_length = (uint64_t)u->integer;
    return true;
}

static bool string(struct ubjson *u)
{
    uint64_t len = 0;
    if (!length(u, 1, &len))
        return false;
    if (len > UINT32_MAX) {
        bad(u, "a string is longer than 4 GiB");
        return false;
    }
    u->text = (struct text){(const char *)u->at, (uint32_t)len};
    u->at += len;
    return true;
}

static enum ubjson_token open_level(struct ubjson *u, struct ubjson_level level)
{
    if (u->depth == UBJSON_DEPTH_MAX)
        return bad(u, "objects and arrays are nested too deep");
    u->level[u->depth++] = level;
    return level.is_object ? UBJSON_OBJECT : UBJSON_ARRAY;
}

static enum ubjson_token open_array(struct ubjson *u)
{
    struct ubjson_level level = {0};
    if (left(u) > 0 && *u->at == '$') {
        u->at++;
        level.type = left(u) > 0 ? (char)*u->at++ : 0;
        if (type_bytes(level.type) == 0)
            return bad(u, "expected a typed array of numbers");
        if (left(u) == 0 || *u->at != '#')
            return bad(u, "a typed array has no length");
    }
    if (left(u) > 0 && *u->at == '#') {
        u->at++;
        level.is_counted = true;
        if (!length(u, level.type == 0 ? 1 : type_bytes(level.type), &level.remain))
            return UBJSON_BAD;
    }
    return open_level(u, level);
}

static enum ubjson_token value(struct ubjson *u, char type)
{
    switch (type) {
    case '{':
        if (left(u) > 0 && (*u->at == '$' || *u->at == '#'))
            return bad(u, "a counted object is not supported");
        return open_level(u, (struct ubjson_level){.is_object = true});
    case '[': return open_array(u);
    case 'S': return string(u) ? UBJSON_STRING : UBJSON_BAD;
    case 'T': return UBJSON_TRUE;
    case 'F': return UBJSON_FALSE;
    case 'Z': return UBJSON_NULL;
    default: return type_bytes(type) > 0 ? number(u, type) : bad(u, "a type that is not supported");
    }
}

static enum ubjson_token close_level(struct ubjson *u)
{
    u->depth--;
    u->is_done = u->depth == 0;
    return u->level[u->depth].is_object ? UBJSON_OBJECT_END : UBJSON_ARRAY_END;
}

static enum ubjson_token next_of_object(struct ubjson *u, struct ubjson_level *level)
{
    if (level->has_key) {
        level->has_key = false;
        return value(u, (char)*u->at++);
    }
    if (*u->at == '}') {
        u->at++;
        return close_level(u);
    }
    if (!string(u))
        return UBJSON_BAD;
    level->has_key = true;
    return UBJSON_KEY;
}

static enum ubjson_token next_of_array(struct ubjson *u, struct ubjson_level *level)
{
    if (level->is_counted) {
        if (level->remain == 0)
            return close_level(u);
        level->remain--;
        if (level->type != 0)
            return number(u, level->type);
    } else if (left(u) > 0 && *u->at == ']') {
        u->at++;
        return close_level(u);
    }
    if (left(u) == 0)
        return bad(u, "the file ends within an array");
    return value(u, (char)*u->at++);
}

enum ubjson_token ubjson_next(struct ubjson *u)
{
    enum ubjson_token token;
    if (u->what != NULL)
        return UBJSON_BAD;
    if (u->is_done)
        return left(u) == 0 ? UBJSON_END : bad(u, "bytes follow the value");
    if (u->depth > 0 && !u->level[u->depth - 1].is_object)
        return next_of_array(u, &u->level[u->depth - 1]);
    if (left(u) == 0)
        return bad(u, "the file ends too early");
    if (u->depth > 0)
        return next_of_object(u, &u->level[u->depth - 1]);
    token = value(u, (char)*u->at++);
    u->is_done = u->depth == 0;
    return token;
}
