/* SPDX-License-Identifier: Apache-2.0 */
#include "featurestore/windows.h"

#include <string.h>

#include "base/err.h"

enum { TILES_PER_HOUR = 12, TILES_PER_DAY = 288 };

/* A ring of tiles; `width` is in the finest ones. */
struct ring {
    uint32_t *tile;
    uint32_t tile_count;
    uint32_t width;
};

enum { RING_FINE, RING_HOUR, RING_DAY, RING_COUNT };

static const struct {
    uint8_t ring;
    uint8_t tile_count;
} shape[STORE_WINDOW_COUNT] = {
    [STORE_WINDOW_1H] = {RING_FINE, WINDOWS_FINE_TILES},
    [STORE_WINDOW_1D] = {RING_HOUR, WINDOWS_HOUR_TILES},
    [STORE_WINDOW_7D] = {RING_DAY, 7},
    [STORE_WINDOW_14D] = {RING_DAY, 14},
    [STORE_WINDOW_30D] = {RING_DAY, WINDOWS_DAY_TILES},
};

static struct ring ring_of(struct windows *windows, uint32_t ring)
{
    switch (ring) {
    case RING_FINE: return (struct ring){windows->fine, WINDOWS_FINE_TILES, 1};
    case RING_HOUR: return (struct ring){windows->hour, WINDOWS_HOUR_TILES, TILES_PER_HOUR};
    default: return (struct ring){windows->day, WINDOWS_DAY_TILES, TILES_PER_DAY};
    }
}

static void total_set(struct windows *windows, uint32_t window, uint32_t total)
{
    atomic_store_explicit(&windows->total[window], total, memory_order_relaxed);
}

/* Clears the tiles that begin after `from` and up to `now`: they held what is out of reach now. */
static void ring_advance(struct ring ring, uint32_t from, uint32_t now)
{
    uint32_t last = now / ring.width;
    uint32_t steps = last - from / ring.width;
    if (steps > ring.tile_count)
        steps = ring.tile_count;
    for (uint32_t i = 0; i < steps; i++)
        ring.tile[(last - i) % ring.tile_count] = 0;
}

static uint32_t ring_sum(struct ring ring, uint32_t now, uint32_t tile_count)
{
    uint32_t last = now / ring.width;
    uint32_t sum = 0;
    for (uint32_t i = 0; i < tile_count && i <= last; i++)
        sum += ring.tile[(last - i) % ring.tile_count];
    return sum;
}

static void sum_tiles(struct windows *windows)
{
    for (uint32_t w = 0; w < STORE_WINDOW_COUNT; w++)
        total_set(windows, w,
                  ring_sum(ring_of(windows, shape[w].ring), windows->now, shape[w].tile_count));
}

void windows_advance(struct windows *windows, uint32_t now)
{
    if (now <= windows->now)
        return;
    for (uint32_t r = 0; r < RING_COUNT; r++)
        ring_advance(ring_of(windows, r), windows->now, now);
    windows->now = now;
    sum_tiles(windows);
}

void windows_restore(struct windows *windows, const struct windows *from)
{
    windows->now = from->now;
    memcpy(windows->fine, from->fine, sizeof windows->fine);
    memcpy(windows->hour, from->hour, sizeof windows->hour);
    memcpy(windows->day, from->day, sizeof windows->day);
    sum_tiles(windows);
}

void windows_count(struct windows *windows, uint32_t tile)
{
    ASSERT(tile <= windows->now);
    for (uint32_t r = 0; r < RING_COUNT; r++) {
        struct ring ring = ring_of(windows, r);
        if (windows->now / ring.width - tile / ring.width < ring.tile_count)
            ring.tile[tile / ring.width % ring.tile_count]++;
    }
    for (uint32_t w = 0; w < STORE_WINDOW_COUNT; w++) {
        uint32_t width = ring_of(windows, shape[w].ring).width;
        if (windows->now / width - tile / width < shape[w].tile_count)
            total_set(windows, w, windows_total(windows, (enum store_window)w) + 1);
    }
}
