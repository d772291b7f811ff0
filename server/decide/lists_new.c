/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/rcu.h"
#include "server/decide/lists_internal.h"

#define NEW_MAX LISTS_SPAN_MAX

struct arrival {
    uint32_t item, added_s;
};

/* The oldest of those that are kept stands first: a heap. */
static bool is_older(const struct arrival *a, const struct arrival *b)
{
    return a->added_s != b->added_s ? a->added_s < b->added_s : a->item > b->item;
}

static void sift_down(struct arrival *heap, uint32_t count, uint32_t at)
{
    struct arrival entry = heap[at];
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= count)
            break;
        if (child + 1 < count && is_older(&heap[child + 1], &heap[child]))
            child++;
        if (!is_older(&heap[child], &entry))
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = entry;
}

static void keep(struct arrival *heap, uint32_t *count, struct arrival arrival)
{
    if (*count < NEW_MAX) {
        heap[(*count)++] = arrival;
        for (uint32_t i = *count == NEW_MAX ? NEW_MAX / 2 : 0; i > 0; i--)
            sift_down(heap, NEW_MAX, i - 1);
    } else if (is_older(&heap[0], &arrival)) {
        heap[0] = arrival;
        sift_down(heap, NEW_MAX, 0);
    }
}

static int newest_first(const void *left, const void *right)
{
    const struct arrival *a = left, *b = right;
    return is_older(a, b) ? 1 : is_older(b, a) ? -1 : 0;
}

/* 1 for what came this moment, 0 for what is as old as a new item may be. */
bool list_make_new(struct list_builder *builder)
{
    static const uint32_t chunk = LISTS_CHUNK;
    struct arrival *heap = malloc(NEW_MAX * sizeof *heap);
    uint32_t count = 0;
    if (heap == NULL)
        return false;
    uint32_t item_count = store_item_count(builder->store);
    int64_t now_s = store_watermark_ms(builder->store) / 1000;
    uint32_t max_age_s = builder->spec->max_age_s;
    for (uint32_t first = 0; first < item_count; first += chunk) {
        rcu_read_begin();
        for (uint32_t i = first; i < item_count && i - first < chunk; i++) {
            const struct item *record = store_item(builder->store, i);
            if (record != NULL && !record->deleted && record->added_s != 0 &&
                now_s - record->added_s < max_age_s)
                keep(heap, &count, (struct arrival){i, record->added_s});
        }
        rcu_read_end();
    }
    qsort(heap, count, sizeof *heap, newest_first);
    bool has_room = list_begin_span(builder);
    for (uint32_t i = 0; i < count && has_room; i++) {
        int64_t age_s = now_s > heap[i].added_s ? now_s - heap[i].added_s : 0;
        has_room = list_add(builder, heap[i].item, 1.0f - (float)age_s / (float)max_age_s);
    }
    free(heap);
    return has_room;
}
