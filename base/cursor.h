/* SPDX-License-Identifier: Apache-2.0 */
/* cursor - reads MessagePack from untrusted bytes without allocating and without recursion.
 *
 * cursor_check walks the whole message once: exactly one value, no trailing bytes, bounded depth
 * and number of values, declared counts that fit into the remaining bytes (cumulatively over
 * nesting), well-formed UTF-8, texts as map keys, finite floats.  Once it has succeeded the typed
 * reads below cannot run past the end; on a wrong type they fail and leave the cursor unchanged.
 * Format: https://github.com/msgpack/msgpack (spec.md).  Numbers: any integer form is read as an
 * integer, a float with an integral value is not.  Duplicate keys pass; the caller decides which
 * one counts.
 *
 * Threads: one owner.  Texts that are read point into the bytes given.  Extension types are
 * refused. */
#ifndef BASE_CURSOR_H
#define BASE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"

#define CURSOR_DEPTH_MAX  32
#define CURSOR_VALUES_MAX 262144 /* default for `values_max`: a full batch of events fits */

struct cursor {
    const uint8_t *at;
    const uint8_t *end;
};

enum cursor_kind {
    CURSOR_NIL,
    CURSOR_BOOL,
    CURSOR_INT,
    CURSOR_REAL,
    CURSOR_TEXT,
    CURSOR_BIN,
    CURSOR_ARRAY,
    CURSOR_MAP,
    CURSOR_END, /* no byte left */
};

/* ERR_BAD_INPUT (malformed, trailing bytes, not UTF-8, extension type) or ERR_LIMIT (depth,
 * values); err->text says what and at which byte. */
MUST_CHECK enum err_code cursor_check(const uint8_t *bytes, size_t len, uint32_t values_max,
                                      struct err *err);

/* The same without a word of text, for the hot path: what is wrong, and at which byte. */
struct cursor_fault {
    const char *what; /* a static string */
    size_t at;
};

MUST_CHECK enum err_code cursor_check_fault(const uint8_t *bytes, size_t len, uint32_t values_max,
                                            struct cursor_fault *ret_fault);

/* For checked bytes only, or none (NULL). */
static inline struct cursor cursor_of(const uint8_t *bytes, size_t len)
{
    return (struct cursor){bytes, bytes == NULL ? NULL : bytes + len};
}

enum cursor_kind cursor_peek(const struct cursor *cursor);
const char *cursor_kind_name(enum cursor_kind kind); /* "an integer", "a map", ... */

/* Each returns false and moves nothing when the next value is of another kind (or out of range). */
bool cursor_nil(struct cursor *cursor);
bool cursor_bool(struct cursor *cursor, bool *ret_value);
bool cursor_int(struct cursor *cursor, int64_t *ret_value);   /* false above INT64_MAX */
bool cursor_uint(struct cursor *cursor, uint64_t *ret_value); /* false below 0 */
bool cursor_real(struct cursor *cursor, double *ret_value); /* integers too; NaN and Inf refused */
bool cursor_text(struct cursor *cursor, struct text *ret_value);
bool cursor_bin(struct cursor *cursor, struct text *ret_value);
bool cursor_array(struct cursor *cursor, uint32_t *ret_count); /* then `count` values */
bool cursor_map(struct cursor *cursor, uint32_t *ret_count);   /* then `count` pairs */

/* A text of less than 32 bytes in its usual form, without a call: false for any other value, which
 * cursor_text may still read. */
static inline bool cursor_short_text(struct cursor *cursor, struct text *ret_value)
{
    if (cursor->at == cursor->end || (*cursor->at & 0xe0) != 0xa0)
        return false;
    uint32_t len = *cursor->at & 31u;
    *ret_value = (struct text){(const char *)cursor->at + 1, len};
    cursor->at += 1 + len;
    return true;
}

/* The same of an array or a map, in the forms that are usual: of less than 16, or with 32 bits, as
 * pack.h writes them.  `small` and `wide` begin these. */
static inline bool cursor_usual_count(struct cursor *cursor, uint8_t small, uint8_t wide,
                                      uint32_t *ret_count)
{
    const uint8_t *at = cursor->at;
    if (at == cursor->end)
        return false;
    if ((*at & 0xf0) == small) {
        *ret_count = *at & 15u;
        cursor->at += 1;
        return true;
    }
    if (*at != wide || cursor->end - at < 5)
        return false;
    *ret_count = (uint32_t)at[1] << 24 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 8 | at[4];
    cursor->at += 5;
    return true;
}

static inline bool cursor_usual_array(struct cursor *cursor, uint32_t *ret_count)
{
    return cursor_usual_count(cursor, 0x90, 0xdd, ret_count) || cursor_array(cursor, ret_count);
}

static inline bool cursor_usual_map(struct cursor *cursor, uint32_t *ret_count)
{
    return cursor_usual_count(cursor, 0x80, 0xdf, ret_count) || cursor_map(cursor, ret_count);
}

/* Steps over the next value with all that is in it; the bytes of it in *ret_bytes when not NULL. */
void cursor_skip(struct cursor *cursor, struct text *ret_bytes);

/* The same; how deep arrays and maps are nested in it, itself included: 0 for any other value. */
uint32_t cursor_skip_deep(struct cursor *cursor, struct text *ret_bytes);

#endif
