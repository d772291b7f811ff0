/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of neighbor lists, indexed by item number. */
#include <float.h>
#include <string.h>

#include "server/decide/pipeline.h"

#define LINE_ENTRIES   16 /* of 4 bytes in a cache line */
#define SUM_MANY_SHARE 4  /* from a quarter of all items on, touched items are not recorded */

struct weighted_list {
    struct neighbor_list list;
    float factor;
};

/* Adds the list and records which items it touches. */
static void sum_few(struct pipeline *p, uint32_t place, const struct neighbor_list *list,
                    float factor)
{
    float *sum = p->scratch->sum[place];
    uint32_t *touched = p->scratch->touched[place];
    uint32_t touched_count = p->touched_count[place];
    for (uint32_t k = 0; k < list->count; k++) {
        uint32_t other = list->other[k];
        if (sum[other] == 0.0f)
            touched[touched_count++] = other;
        float next = sum[other] + factor * list->weight[k];
        /* Zero means "not touched": a sum that cancels out stays a little above it, so that no item
         * is noted twice. */
        sum[other] = next == 0.0f ? FLT_MIN : next;
    }
    p->touched_count[place] = touched_count;
}

/* No item is in a list twice, so four sums can be loaded before the first is stored. */
static inline void add_four(float *sum, const uint32_t *other, const float *weight, float factor)
{
    typedef float lanes __attribute__((vector_size(4 * sizeof(float))));
    lanes four;
    memcpy(&four, weight, sizeof four);
    four = (lanes){sum[other[0]], sum[other[1]], sum[other[2]], sum[other[3]]} + four * factor;
    sum[other[0]] = four[0];
    sum[other[1]] = four[1];
    sum[other[2]] = four[2];
    sum[other[3]] = four[3];
}

/* Records nothing: nearly every item is touched, and all will be scanned.  Together the lists are
 * far larger than the L2 cache, so the next one is prefetched. */
static void sum_many(float *restrict sum, const struct weighted_list *list,
                     const struct weighted_list *next)
{
    const uint32_t *restrict other = list->list.other;
    const float *restrict weight = list->list.weight;
    uint32_t count = list->list.count, k = 0;
    float factor = list->factor;
    for (uint32_t first = 0; first < next->list.count; first += LINE_ENTRIES) {
        __builtin_prefetch(next->list.other + first);
        __builtin_prefetch(next->list.weight + first);
    }
    for (; k + 4 <= count; k += 4)
        add_four(sum, other + k, weight + k, factor);
    for (; k < count; k++)
        sum[other[k]] += factor * weight[k];
}

/* The lists of the items that have one, and their total number of entries. */
static uint32_t find_lists(const struct model *model, const uint32_t *item, const float *weight,
                           uint32_t count, struct weighted_list *ret_list, uint64_t *ret_entries)
{
    uint32_t found = 0;
    *ret_entries = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t row = model_row(model, item[i]);
        float factor = weight != NULL ? weight[i] : 1.0f;
        if (row == MODEL_NO_ROW || factor == 0.0f)
            continue;
        neighbors_of(model->as.neighbors, row, &ret_list[found].list);
        *ret_entries += ret_list[found].list.count;
        ret_list[found++].factor = factor;
    }
    return found;
}

void sources_sum_neighbors(struct pipeline *p, const struct model *model, uint32_t place,
                           const uint32_t *item, const float *weight, uint32_t count)
{
    uint32_t items = model->row_of_item_count;
    uint64_t entries = 0;
    struct weighted_list *list = ARENA_NEW(p->arena, struct weighted_list, count + 1);
    if (list == NULL) {
        p->no_room = true;
        return;
    }
    uint32_t found = find_lists(model, item, weight, count, list, &entries);
    list[found] = (struct weighted_list){0}; /* behind the last there is nothing to fetch */
    if (entries >= items / SUM_MANY_SHARE)
        p->summed_items[place] = items;
    for (uint32_t i = 0; i < found; i++) {
        if (p->summed_items[place] != 0)
            sum_many(p->scratch->sum[place], &list[i], &list[i + 1]);
        else
            sum_few(p, place, &list[i].list, list[i].factor);
    }
}

struct summed sources_summed(const struct pipeline *p, uint32_t place)
{
    if (p->summed_items[place] != 0)
        return (struct summed){NULL, p->summed_items[place]};
    return (struct summed){p->scratch->touched[place], p->touched_count[place]};
}
