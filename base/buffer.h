/* SPDX-License-Identifier: Apache-2.0 */
/* buffer - a growing text buffer, for pages and files that are built as a whole.
 *
 * Errors are sticky: after a failed allocation `failed` stays set and further text is dropped; the
 * caller checks once, at the end.  Threads: one owner.  Never on the hot path: it allocates. */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer {
    char *bytes; /* owned; always terminated when not NULL */
    size_t used; /* without the terminating NUL */
    size_t capacity;
    bool failed;
};

void buffer_put(struct buffer *buffer, const char *ptr, size_t len);
void buffer_put_str(struct buffer *buffer, const char *s);
void buffer_put_char(struct buffer *buffer, char c);
/* For numbers and short lines; one call writes at most 255 bytes, longer results set `failed`. */
void buffer_put_fmt(struct buffer *buffer, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Hands the text over (malloc'ed, terminated, "" when nothing was put) or returns NULL when an
 * allocation failed.  The buffer is empty afterwards either way. */
char *buffer_take(struct buffer *buffer, size_t *ret_len);

void buffer_deinit(struct buffer *buffer); /* fine on a zeroed buffer */

#endif
