/* SPDX-License-Identifier: Apache-2.0 */
/* windows - counts of one item's events of one class, over sliding windows.
 *
 * Time is divided into tiles, and a window covers the newest tiles up to the one containing "now":
 *
 *     window   tiles             covers, depending on where in its tile "now" is
 *     1h       12 of 5 minutes   the last 55 to 60 minutes
 *     1d       24 of an hour     the last 23 to 24 hours
 *     7d       7 of a UTC day    today and the 6 days before
 *     14d      14 of a UTC day   today and the 13 days before
 *     30d      30 of a UTC day   today and the 29 days before
 *
 * An event counts in every window whose tiles cover its time, however late it arrives.
 * Only the writer sees the tiles; readers see the sums.  Threads: one writer; readers of `total`.
 */
#ifndef FEATURESTORE_WINDOWS_H
#define FEATURESTORE_WINDOWS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "featurestore/store_items.h"

#define WINDOWS_TILE_MS INT64_C(300000) /* the finest tile; times are counted in it */

enum { WINDOWS_FINE_TILES = 12, WINDOWS_HOUR_TILES = 24, WINDOWS_DAY_TILES = 30 };

struct windows {
    uint32_t now; /* the tile that the windows end with */
    /* Relaxed: each number stands by itself, nothing is published through it. */
    _Atomic uint32_t total[STORE_WINDOW_COUNT];
    uint32_t fine[WINDOWS_FINE_TILES]; /* by tile number modulo tile count */
    uint32_t hour[WINDOWS_HOUR_TILES];
    uint32_t day[WINDOWS_DAY_TILES];
};

static inline uint32_t windows_tile(int64_t ms)
{
    return (uint32_t)(ms / WINDOWS_TILE_MS);
}

static inline uint32_t windows_total(const struct windows *windows, enum store_window window)
{
    return atomic_load_explicit(&windows->total[window], memory_order_relaxed);
}

/* The share of a class in the score by which items are popular. */
static inline float windows_score(const struct windows *windows, uint32_t event_class,
                                  enum store_window window)
{
    static const float weight[EVENT_COUNTED_CLASSES] = {
        [EVENT_CLASS_VIEW] = 1.0f, [EVENT_CLASS_CART] = 3.0f, [EVENT_CLASS_PURCHASE] = 10.0f};
    return weight[event_class] * (float)windows_total(windows, window);
}

/* Moves the end of the windows to a later tile; nothing for one that is not later. */
void windows_advance(struct windows *windows, uint32_t now);

/* Takes the tiles, and the tile that they end with, from `from`, whose totals do not count. */
void windows_restore(struct windows *windows, const struct windows *from);

/* Counts an event of that tile, which is not after `now`. */
void windows_count(struct windows *windows, uint32_t tile);

/* Nothing is left in any window. */
static inline bool windows_are_empty(const struct windows *windows)
{
    return windows_total(windows, STORE_WINDOW_30D) == 0;
}

#endif
