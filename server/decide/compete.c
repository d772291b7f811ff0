/* SPDX-License-Identifier: Apache-2.0 */
/* The items that any source reached (those whose sum is not zero) compete for the places.  Only
 * items whose upper bound could win a place are filtered and computed exactly. */
#include "server/decide/candidates.h"

/* Scanning the whole array costs less than half as much per item as following a list of items. */
#define SCAN_ALL_SHARE 2

enum { AHEAD = 8 };

/* The exact contribution of all factor sources. */
static float factors_part(const struct pipeline *p, uint32_t item)
{
    float part = 0.0f;
    for (uint32_t s = 0; s < p->slot->source_count; s++) {
        if (p->vector[s] != NULL)
            part += p->slot->source[s].weight * source_value(p, s, item);
    }
    return part;
}

/* Rounding is monotonic: a larger summand never gives a smaller sum.  So no item that belongs among
 * the best is lost to its bound. */
void compete_item(const struct pipeline *p, struct top *top, uint32_t item, float blend,
                  float upper)
{
    if (!eligible(p, item))
        return;
    bool is_known = p->found_is_exact && upper != 0.0f;
    float score = blend + (is_known ? upper : factors_part(p, item));
    if (score != 0.0f && top_wants(top, score, item))
        top_put(top, score, item);
}

/* A queue between prefetching the rows of an item and reading them. */
enum { WAITING_MAX = 16 };
struct waiting {
    struct top *top;
    uint32_t count;
    struct reached_item {
        uint32_t item;
        float blend, upper;
    } item[WAITING_MAX];
};

static void compute_waiting(const struct pipeline *p, struct waiting *waiting)
{
    for (uint32_t i = 0; i < waiting->count; i++) {
        const struct reached_item *at = &waiting->item[i];
        if (at->blend + at->upper + p->unseen >= top_least(waiting->top))
            compete_item(p, waiting->top, at->item, at->blend, at->upper);
    }
    waiting->count = 0;
}

/* Takes the item's sums out of the arrays, so that a second source finds nothing, and queues it. */
static void take_turn(const struct pipeline *p, struct waiting *waiting, uint32_t item)
{
    float blend = p->scratch->blend[item];
    float upper = p->scratch->upper[item];
    p->scratch->blend[item] = 0.0f;
    p->scratch->upper[item] = 0.0f;
    if (blend + upper + p->unseen < top_least(waiting->top) || (blend == 0.0f && upper == 0.0f))
        return;
    for (uint32_t s = 0; s < p->slot->source_count; s++) {
        if (p->vector[s] != NULL && !(p->found_is_exact && upper != 0.0f))
            naturals_fetch(p, s, item);
    }
    waiting->item[waiting->count++] = (struct reached_item){item, blend, upper};
    if (waiting->count == WAITING_MAX)
        compute_waiting(p, waiting);
}

static void fetch_sums(const struct pipeline *p, uint32_t item)
{
    __builtin_prefetch(&p->scratch->blend[item], 1);
    __builtin_prefetch(&p->scratch->upper[item], 1);
    for (uint32_t s = 0; s < p->slot->source_count; s++) {
        if (p->vector[s] != NULL)
            model_fetch_row(p->models->source[s], item);
    }
}

static void compete_found(const struct pipeline *p, struct waiting *waiting, uint32_t s)
{
    const struct top *found = &p->found[s].top;
    for (uint32_t i = 0; i < found->count; i++) {
        if (i + AHEAD < found->count)
            fetch_sums(p, found->slot[i + AHEAD].key);
        take_turn(p, waiting, found->slot[i].key);
    }
}

/* Visits the items of one source, in any order. */
static void compete_of(struct pipeline *p, struct waiting *waiting, uint32_t s)
{
    const struct model *model = p->models->source[s];
    struct summed reached = {NULL, 0};
    switch (p->slot->source[s].kind) {
    case SOURCE_popular: {
        struct top_list list = candidates_popular(p, s);
        for (uint32_t i = 0; i < list.count; i++) {
            if (i + AHEAD < list.count)
                fetch_sums(p, list.entry[i + AHEAD].item);
            take_turn(p, waiting, list.entry[i].item);
        }
        break;
    }
    case SOURCE_model_popular:
        for (uint32_t i = 0; i < candidates_model_popular(p, s); i++)
            take_turn(p, waiting, model->item_of_row[popularity_order(model->as.popularity)[i]]);
        break;
    default:
        if (candidates_found(p, s)) {
            compete_found(p, waiting, s);
            break;
        }
        if (p->scored[s])
            reached = candidates_reached(p, s);
        for (uint32_t i = 0; i < reached.count; i++) {
            if (reached.item != NULL && i + AHEAD < reached.count)
                fetch_sums(p, reached.item[i + AHEAD]);
            take_turn(p, waiting, reached.item != NULL ? reached.item[i] : i);
        }
    }
}

void compete(struct pipeline *p, struct top *top)
{
    uint32_t item_count = store_item_count(p->env->store);
    uint64_t dense_count = 0;
    for (uint32_t s = 0; s < p->slot->source_count; s++)
        dense_count += p->scored[s] && !candidates_found(p, s) ? candidates_reached(p, s).count : 0;
    if (SCAN_ALL_SHARE * dense_count >= item_count) {
        compete_by_number(p, top, item_count);
        return;
    }
    /* Retrieved items first: they fill the heap with scores that are hard to beat. */
    struct waiting waiting = {.top = top};
    for (uint32_t s = 0; s < p->slot->source_count; s++) {
        if (candidates_found(p, s))
            compete_of(p, &waiting, s);
    }
    for (uint32_t s = 0; s < p->slot->source_count; s++) {
        if (!candidates_found(p, s))
            compete_of(p, &waiting, s);
    }
    compute_waiting(p, &waiting);
}
