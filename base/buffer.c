/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_BYTES = 256, FORMATTED_BYTES = 256 };

/* Room for `len` more bytes and the NUL. */
static bool reserve(struct buffer *buffer, size_t len)
{
    if (buffer->failed)
        return false;
    if (buffer->bytes != NULL && len < buffer->capacity - buffer->used)
        return true;
    size_t capacity = buffer->capacity == 0 ? FIRST_BYTES : buffer->capacity;
    while (capacity - buffer->used <= len && capacity <= SIZE_MAX / 2)
        capacity *= 2;
    char *bytes = capacity - buffer->used > len ? realloc(buffer->bytes, capacity) : NULL;
    if (bytes == NULL) {
        buffer->failed = true;
        return false;
    }
    buffer->bytes = bytes;
    buffer->capacity = capacity;
    return true;
}

void buffer_put(struct buffer *buffer, const char *ptr, size_t len)
{
    if (!reserve(buffer, len))
        return;
    if (len > 0)
        memcpy(buffer->bytes + buffer->used, ptr, len);
    buffer->used += len;
    buffer->bytes[buffer->used] = '\0';
}

void buffer_put_str(struct buffer *buffer, const char *s)
{
    buffer_put(buffer, s, strlen(s));
}

void buffer_put_char(struct buffer *buffer, char c)
{
    buffer_put(buffer, &c, 1);
}

void buffer_put_fmt(struct buffer *buffer, const char *fmt, ...)
{
    char formatted[FORMATTED_BYTES];
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(formatted, sizeof formatted, fmt, args);
    va_end(args);
    if (len < 0 || len >= FORMATTED_BYTES)
        buffer->failed = true;
    else
        buffer_put(buffer, formatted, (size_t)len);
}

char *buffer_take(struct buffer *buffer, size_t *ret_len)
{
    char *bytes = NULL;
    if (reserve(buffer, 0)) {
        buffer->bytes[buffer->used] = '\0';
        bytes = buffer->bytes;
        buffer->bytes = NULL;
        *ret_len = buffer->used;
    }
    buffer_deinit(buffer);
    return bytes;
}

void buffer_deinit(struct buffer *buffer)
{
    free(buffer->bytes);
    *buffer = (struct buffer){0};
}
