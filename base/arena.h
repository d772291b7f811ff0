/* SPDX-License-Identifier: Apache-2.0 */
/* arena - scratch memory that is released all at once.
 *
 * Sized once, on start; allocation bumps a pointer and never calls malloc.  A full arena returns
 * NULL, and the caller does less work instead of failing.
 * Threads: one owner.  Memory is not cleared. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct arena {
    uint8_t *base; /* owned */
    size_t capacity_bytes;
    size_t used_bytes;
    size_t used_bytes_max; /* high-water mark since init */
};

MUST_CHECK enum err_code arena_init(struct arena *arena, size_t capacity_bytes, struct err *err);
void arena_deinit(struct arena *arena); /* fine on a zeroed arena */

static inline void *arena_alloc(struct arena *arena, size_t bytes, size_t align)
{
    size_t start = (arena->used_bytes + align - 1) & ~(align - 1);
    if (start > arena->capacity_bytes || bytes > arena->capacity_bytes - start)
        return NULL;
    arena->used_bytes = start + bytes;
    if (arena->used_bytes > arena->used_bytes_max)
        arena->used_bytes_max = arena->used_bytes;
    return arena->base + start;
}

static inline void *arena_array(struct arena *arena, size_t count, size_t bytes, size_t align)
{
    size_t total = 0;
    return __builtin_mul_overflow(count, bytes, &total) ? NULL : arena_alloc(arena, total, align);
}

/* `count` elements of `type`, or NULL when full or when the product overflows. */
#define ARENA_NEW(arena, type, count) \
    ((type *)arena_array((arena), (count), sizeof(type), alignof(type)))

static inline void arena_reset(struct arena *arena)
{
    arena->used_bytes = 0;
}

/* Give back all that was allocated since the mark. */
static inline size_t arena_mark(const struct arena *arena)
{
    return arena->used_bytes;
}

static inline void arena_rewind(struct arena *arena, size_t mark)
{
    arena->used_bytes = mark;
}

#endif
