/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/hash.h"
#include "featurestore/feature_input.h"

struct text feature_query(struct text query, char buf[ID_BYTES_MAX])
{
    struct text none = {NULL, 0};
    uint32_t len = 0;
    for (uint32_t i = 0; i < query.len; i++) {
        char c = query.ptr[i];
        if (c == ' ' && (len == 0 || buf[len - 1] == ' '))
            continue;
        if (len == ID_BYTES_MAX)
            return none;
        buf[len++] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    if (len > 0 && buf[len - 1] == ' ')
        len--;
    return (struct text){buf, len};
}

static bool is_digit(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static bool is_key(struct text query)
{
    bool good = query.len == FEATURE_QUERY_KEY_BYTES && query.ptr[0] == 'Q';
    for (uint32_t i = 1; good && i < FEATURE_QUERY_KEY_BYTES; i++)
        good = is_digit(query.ptr[i]);
    return good;
}

struct text feature_query_key(struct text query, char buf[FEATURE_QUERY_KEY_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    char words[ID_BYTES_MAX];
    uint8_t digest[SHA256_BYTES];
    struct text none = {NULL, 0};
    if (is_key(query)) {
        memcpy(buf, query.ptr, FEATURE_QUERY_KEY_BYTES);
        return (struct text){buf, FEATURE_QUERY_KEY_BYTES};
    }
    struct text known = feature_query(query, words);
    if (known.len == 0)
        return none;
    sha256_of_short(known.ptr, known.len, digest);
    buf[0] = 'Q';
    for (uint32_t i = 0; i < FEATURE_QUERY_KEY_BYTES / 2; i++) {
        buf[1 + 2 * i] = digits[digest[i] >> 4];
        buf[2 + 2 * i] = digits[digest[i] & 15];
    }
    return (struct text){buf, FEATURE_QUERY_KEY_BYTES};
}
