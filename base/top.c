/* SPDX-License-Identifier: Apache-2.0 */
#include "base/top.h"

/* `a` is worse than `b`: it belongs nearer to the root. */
static bool worse(const struct top_slot *a, const struct top_slot *b)
{
    return top_before(b->score, b->key, a);
}

static void sift_down(struct top_slot *slot, uint32_t count, uint32_t at)
{
    struct top_slot moving = slot[at];
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= count)
            break;
        if (child + 1 < count && worse(&slot[child + 1], &slot[child]))
            child++;
        if (!worse(&slot[child], &moving))
            break;
        slot[at] = slot[child];
        at = child;
    }
    slot[at] = moving;
}

static void sift_up(struct top_slot *slot, uint32_t at)
{
    struct top_slot moving = slot[at];
    while (at > 0 && worse(&moving, &slot[(at - 1) / 2])) {
        slot[at] = slot[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    slot[at] = moving;
}

void top_put(struct top *top, float score, uint32_t key)
{
    struct top_slot entry = {score, key};
    if (top->count < top->capacity) {
        top->slot[top->count] = entry;
        sift_up(top->slot, top->count++);
    } else if (top->capacity > 0) {
        top->slot[0] = entry;
        sift_down(top->slot, top->count, 0);
    }
}

void top_sort(struct top *top)
{
    for (uint32_t end = top->count; end > 1; end--) {
        struct top_slot worst = top->slot[0];
        top->slot[0] = top->slot[end - 1];
        top->slot[end - 1] = worst;
        sift_down(top->slot, end - 1, 0);
    }
}
