/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "server/decide/ring.h"

static void copy_in(struct ring *ring, uint64_t at, const void *bytes, uint64_t len)
{
    uint64_t start = at & (ring->capacity - 1);
    uint64_t first = len < ring->capacity - start ? len : ring->capacity - start;
    memcpy(ring->bytes + start, bytes, first);
    memcpy(ring->bytes, (const uint8_t *)bytes + first, len - first);
}

bool ring_put(struct ring *ring, const void *bytes, uint32_t len)
{
    uint64_t put = atomic_load_explicit(&ring->put, memory_order_relaxed); /* our own */
    /* Acquire: the consumer has finished copying before its space is reused. */
    uint64_t taken = atomic_load_explicit(&ring->taken, memory_order_acquire);
    if (sizeof len + len > ring->capacity - (put - taken))
        return false;
    copy_in(ring, put, &len, sizeof len);
    copy_in(ring, put + sizeof len, bytes, len);
    /* Release: a consumer that sees the new count also sees the record. */
    atomic_store_explicit(&ring->put, put + sizeof len + len, memory_order_release);
    return true;
}
