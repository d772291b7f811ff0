/* SPDX-License-Identifier: Apache-2.0 */
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
