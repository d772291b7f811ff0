/* SPDX-License-Identifier: Apache-2.0 */
/* best - the k best of a stream by weight, ties to the smaller row: a bounded heap with the worst
 * on top.  Threads: one owner.  Memory: the caller's. */
#ifndef TOOLS_TRAIN_BEST_H
#define TOOLS_TRAIN_BEST_H

#include <stdbool.h>
#include <stdint.h>

struct best_entry {
    float weight;
    uint32_t row;
};

struct best {
    struct best_entry *entry; /* borrowed, `capacity` places */
    uint32_t count;
    uint32_t capacity; /* at least 1 */
};

static inline bool best_before(struct best_entry a, struct best_entry b)
{
    return a.weight > b.weight || (a.weight == b.weight && a.row < b.row);
}

void best_put(struct best *best, struct best_entry entry);

/* Most of what is offered to a full heap costs one comparison. */
static inline void best_offer(struct best *best, float weight, uint32_t row)
{
    struct best_entry entry = {weight, row};
    if (best->count < best->capacity || best_before(entry, best->entry[0]))
        best_put(best, entry);
}

/* Best first; the heap is used up. */
void best_sort(struct best *best);

#endif
