/* SPDX-License-Identifier: Apache-2.0 */
/* ubjson - reads the Universal Binary JSON that XGBoost writes, one token at a time.
 *
 * Objects without counts; arrays `[ ... ]`, `[#n` and `[$t#n` (of numbers, whose values come as
 * tokens of their own); all numbers big-endian; types i U I l L d D, strings S, T F Z.  `H`, `C`,
 * `N` and counted objects are refused by name.
 *
 * Untrusted input: every length is checked against the remaining bytes before use, and the position
 * only moves forwards, so that reading terminates.  Nothing is allocated; texts point into the
 * input. Threads: one owner.  Limits: nesting UBJSON_DEPTH_MAX. */
#ifndef MODELS_UBJSON_H
#define MODELS_UBJSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

#define UBJSON_DEPTH_MAX 32

enum ubjson_token {
    UBJSON_END,
    UBJSON_BAD, /* see `what`; `at` is where */
    UBJSON_OBJECT,
    UBJSON_OBJECT_END,
    UBJSON_ARRAY,
    UBJSON_ARRAY_END,
    UBJSON_KEY,
    UBJSON_STRING,
    UBJSON_INTEGER,
    UBJSON_REAL32,
    UBJSON_REAL64,
    UBJSON_TRUE,
    UBJSON_FALSE,
    UBJSON_NULL,
};

struct ubjson_level {
    bool is_object;
    bool is_counted;
    bool has_key;    /* objects: the value of a key comes next */
    char type;       /* of all elements; 0: each has its own */
    uint64_t remain; /* elements of a counted array */
};

struct ubjson {
    const uint8_t *begin, *at, *end;
    const char *what; /* after UBJSON_BAD */
    struct text text; /* of a key or string */
    int64_t integer;
    double real; /* UBJSON_REAL32: a float */
    uint32_t depth;
    bool is_done;
    struct ubjson_level level[UBJSON_DEPTH_MAX];
};

void ubjson_init(struct ubjson *ubjson, const void *bytes, size_t len);
enum ubjson_token ubjson_next(struct ubjson *ubjson);

#endif
