/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/train/best.h"

/* The entry at `at` sinks until no worse one is below it. */
static void sink(struct best *best, uint32_t at, struct best_entry entry)
{
    for (;;) {
        uint32_t below = 2 * at + 1;
        if (below >= best->count)
            break;
        if (below + 1 < best->count && best_before(best->entry[below], best->entry[below + 1]))
            below++;
        if (!best_before(entry, best->entry[below]))
            break;
        best->entry[at] = best->entry[below];
        at = below;
    }
    best->entry[at] = entry;
}

void best_put(struct best *best, struct best_entry entry)
{
    if (best->count == best->capacity) {
        sink(best, 0, entry);
        return;
    }
    uint32_t at = best->count++;
    while (at > 0 && best_before(best->entry[(at - 1) / 2], entry)) {
        best->entry[at] = best->entry[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    best->entry[at] = entry;
}

void best_sort(struct best *best)
{
    uint32_t count = best->count;
    while (best->count > 1) {
        struct best_entry worst = best->entry[0];
        best->count--;
        sink(best, 0, best->entry[best->count]);
        best->entry[best->count] = worst;
    }
    best->count = count;
}
