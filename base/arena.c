/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <stdlib.h>

enum { ARENA_ALIGN = 64 }; /* a cache line, and enough for every SIMD load */

enum err_code arena_init(struct arena *arena, size_t capacity_bytes, struct err *err)
{
    if (capacity_bytes > SIZE_MAX - ARENA_ALIGN)
        return err_set(err, ERR_LIMIT, "an arena of %zu bytes is too large", capacity_bytes);
    size_t rounded = (capacity_bytes + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
    uint8_t *base = aligned_alloc(ARENA_ALIGN, rounded == 0 ? ARENA_ALIGN : rounded);
    if (base == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for an arena of %zu bytes", capacity_bytes);
    *arena = (struct arena){.base = base, .capacity_bytes = capacity_bytes};
    return ERR_OK;
}

void arena_deinit(struct arena *arena)
{
    free(arena->base);
    *arena = (struct arena){0};
}
