/* SPDX-License-Identifier: Apache-2.0 */
#include "server/decide/ring.h"

#include <stdlib.h>
#include <string.h>

enum err_code ring_init(struct ring *ring, uint64_t capacity, struct err *err)
{
    ASSERT(capacity > 0 && (capacity & (capacity - 1)) == 0);
    *ring = (struct ring){.bytes = calloc(1, capacity), .capacity = capacity};
    if (ring->bytes == NULL)
        return err_set(err, ERR_NOMEM, "no memory for a ring of %llu bytes",
                       (unsigned long long)capacity);
    return ERR_OK;
}

void ring_deinit(struct ring *ring)
{
    free(ring->bytes);
    ring->bytes = NULL;
}

static void copy_out(const struct ring *ring, uint64_t at, void *bytes, uint64_t len)
{
    uint64_t start = at & (ring->capacity - 1);
    uint64_t first = len < ring->capacity - start ? len : ring->capacity - start;
    memcpy(bytes, ring->bytes + start, first);
    memcpy((uint8_t *)bytes + first, ring->bytes, len - first);
}

bool ring_peek(const struct ring *ring, uint32_t *ret_len)
{
    uint64_t taken = atomic_load_explicit(&ring->taken, memory_order_relaxed); /* our own */
    if (atomic_load_explicit(&ring->put, memory_order_acquire) == taken)
        return false;
    copy_out(ring, taken, ret_len, sizeof *ret_len);
    return true;
}

void ring_take(struct ring *ring, void *bytes)
{
    uint64_t taken = atomic_load_explicit(&ring->taken, memory_order_relaxed);
    uint32_t len = 0;
    copy_out(ring, taken, &len, sizeof len);
    copy_out(ring, taken + sizeof len, bytes, len);
    atomic_store_explicit(&ring->taken, taken + sizeof len + len, memory_order_release);
}
