/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json_escape.h"

#include <string.h>

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* The four digits after "\u", or -1. */
static int32_t hex4(const char *at, const char *end)
{
    int32_t value = 0;
    if (end - at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(at[i]);
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

/* The code point of "\uXXXX" or of a surrogate pair at `at` (the backslash), and how many input
 * bytes it takes; -1 when malformed or when a surrogate stands alone. */
static int32_t unicode_escape(const char *at, const char *end, uint32_t *ret_taken)
{
    int32_t code = hex4(at + 2, end);
    *ret_taken = 6;
    if (code < 0xD800 || code > 0xDFFF)
        return code;
    if (code > 0xDBFF || end - at < 12 || at[6] != '\\' || at[7] != 'u')
        return -1;
    int32_t low = hex4(at + 8, end);
    if (low < 0xDC00 || low > 0xDFFF)
        return -1;
    *ret_taken = 12;
    return 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
}

static uint32_t utf8_encode(int32_t code, char *to)
{
    if (code < 0x80) {
        to[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        to[0] = (char)(0xC0 | (code >> 6));
        to[1] = (char)(0x80 | (code & 63));
        return 2;
    }
    if (code < 0x10000) {
        to[0] = (char)(0xE0 | (code >> 12));
        to[1] = (char)(0x80 | ((code >> 6) & 63));
        to[2] = (char)(0x80 | (code & 63));
        return 3;
    }
    to[0] = (char)(0xF0 | (code >> 18));
    to[1] = (char)(0x80 | ((code >> 12) & 63));
    to[2] = (char)(0x80 | ((code >> 6) & 63));
    to[3] = (char)(0x80 | (code & 63));
    return 4;
}

uint32_t json_escape_decode(const char *at, const char *end, char ret_utf8[4], uint32_t *ret_len)
{
    static const char from[] = "\"\\/bfnrt";
    static const char into[] = "\"\\/\b\f\n\r\t";
    if (end - at < 2)
        return 0;
    if (at[1] == 'u') {
        uint32_t taken;
        int32_t code = unicode_escape(at, end, &taken);
        if (code < 0)
            return 0;
        *ret_len = utf8_encode(code, ret_utf8);
        return taken;
    }
    const char *found = memchr(from, at[1], sizeof from - 1);
    if (found == NULL)
        return 0;
    ret_utf8[0] = into[found - from];
    *ret_len = 1;
    return 2;
}
