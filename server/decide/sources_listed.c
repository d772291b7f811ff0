/* SPDX-License-Identifier: Apache-2.0 */
/* Sources that bring items by their numbers, each with its natural score: what was chosen ahead of
 * the request, and what the caller brings. */
#include <float.h>
#include <math.h>

#include "server/decide/pipeline.h"

/* The first that is said of an item counts; a score of zero stays a little above it, since zero
 * means that the source does not know the item. */
static void bring(struct pipeline *p, uint32_t s, uint32_t item, float value)
{
    uint32_t place = p->models->place[s];
    float *sum = &p->scratch->sum[place][item];
    if (*sum != 0.0f)
        return;
    *sum = value == 0.0f ? FLT_MIN : value;
    p->scratch->touched[place][p->touched_count[place]++] = item;
}

/* A narrow filter must not use up the places of a source: then those that may be shown count. */
static bool is_narrow(const struct pipeline *p)
{
    return p->filters.present || p->slot->filter_count > 0;
}

static void bring_list(struct pipeline *p, uint32_t s, struct list_items items)
{
    bool narrow = is_narrow(p);
    uint32_t left = p->slot->source[s].count;
    for (uint32_t i = 0; i < items.count && left > 0; i++) {
        if (narrow && !eligible(p, items.entry[i].item))
            continue;
        bring(p, s, items.entry[i].item, items.entry[i].value);
        left--;
    }
}

/* With the caller's scores, or without one by its place. */
static void bring_candidates(struct pipeline *p, uint32_t s)
{
    uint32_t count = p->request->candidate_count;
    for (uint32_t i = 0; i < count; i++) {
        const struct request_item *candidate = &p->request->candidates[i];
        uint32_t item = store_item_find(p->env->store, candidate->id);
        float by_place = (float)(count - i) / (float)count;
        if (item != IDMAP_NONE)
            bring(p, s, item, isnan(candidate->score) ? by_place : finite_score(candidate->score));
    }
}

void sources_list(struct pipeline *p)
{
    for (uint32_t s = 0; s < p->slot->source_count; s++) {
        const struct policy_source *source = &p->slot->source[s];
        switch (source->kind) {
        case SOURCE_list: bring_list(p, s, list_items(p->lists->list[source->list], 0)); break;
        case SOURCE_candidates: bring_candidates(p, s); break;
        default: continue;
        }
        p->scored[s] = p->touched_count[p->models->place[s]] > 0;
    }
}
