/* SPDX-License-Identifier: Apache-2.0 */
/* top - the k best of a stream by score, ties to the smaller key: a bounded heap with the worst on
 * top, so that most of what is offered costs one comparison (partial selection).
 *
 *   if (top_wants(&top, score, key) && eligible(...))
 *       top_put(&top, score, key);
 *   top_sort(&top);                 best first
 *
 * Threads: one owner.  Memory: the caller's. */
#ifndef BASE_TOP_H
#define BASE_TOP_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"

struct top_slot {
    float score;
    uint32_t key;
};

struct top {
    struct top_slot *slot; /* in the arena */
    uint32_t count;
    uint32_t capacity;
};

/* An empty heap when the arena is full: it wants nothing. */
static inline struct top top_make(struct arena *arena, uint32_t capacity)
{
    struct top top = {.slot = ARENA_NEW(arena, struct top_slot, capacity), .capacity = capacity};
    if (top.slot == NULL)
        top.capacity = 0;
    return top;
}

static inline bool top_before(float score, uint32_t key, const struct top_slot *other)
{
    return score > other->score || (score == other->score && key < other->key);
}

static inline bool top_wants(const struct top *top, float score, uint32_t key)
{
    return top->count < top->capacity || (top->capacity > 0 && top_before(score, key, top->slot));
}

/* What scores less is not wanted. */
static inline float top_least(const struct top *top)
{
    return top->count < top->capacity ? -INFINITY
           : top->capacity > 0        ? top->slot[0].score
                                      : INFINITY;
}

void top_put(struct top *top, float score, uint32_t key);
void top_sort(struct top *top);

#endif
