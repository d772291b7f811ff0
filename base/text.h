/* SPDX-License-Identifier: Apache-2.0 */
/* text - borrowed pieces of text, and the rules for external ids.
 *
 * A `struct text` points into memory that somebody else owns and is not NUL-terminated.  External
 * ids (users, items, events, decisions) are opaque UTF-8 of 1..ID_BYTES_MAX bytes without control
 * characters.  Threads: no state. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ID_BYTES_MAX 128

struct text {
    const char *ptr; /* borrowed; NULL means absent */
    uint32_t len;    /* bytes */
};

#define TEXT_LITERAL(s) ((struct text){"" s, sizeof(s) - 1})

static inline struct text text_of(const char *s)
{
    return (struct text){s, s == NULL ? 0 : (uint32_t)strlen(s)};
}

static inline bool text_equal(struct text a, struct text b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool text_is(struct text a, const char *s)
{
    return text_equal(a, text_of(s));
}

/* Byte order, shorter first on a tie; for deterministic sorting. */
int text_compare(struct text a, struct text b);

/* Well-formed UTF-8 (RFC 3629): no overlong forms, no surrogates, at most U+10FFFF. */
bool text_is_utf8(const char *ptr, size_t len);

/* Bytes (1..4) of the well-formed character at ptr; 0 when it is none or len is 0. */
size_t text_utf8_length(const char *ptr, size_t len);

/* 1..ID_BYTES_MAX bytes of UTF-8 without bytes below 0x20 and without 0x7f. */
bool text_is_id(struct text id);

/* Edit distance (Levenshtein) of the first TEXT_DISTANCE_BYTES bytes; used for "did you mean". */
#define TEXT_DISTANCE_BYTES 64
uint32_t text_distance(struct text a, struct text b);

/* Copies into `buf` and terminates it; cuts at buf_bytes - 1.  Returns buf. */
char *text_copy(struct text from, char *buf, size_t buf_bytes);

#endif
