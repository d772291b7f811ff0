/* SPDX-License-Identifier: Apache-2.0 */
/* Sources that propose explicit lists of items with natural scores: lists built ahead of the
 * request, and the caller's own. */
#include <float.h>
#include <math.h>

#include "server/decide/pipeline.h"

#define REPEAT_AGE_S (60.0f * 86400.0f)
#define DUE_SPREAD   0.5 /* of the logarithm of gaps around the interval */

/* Sets an item's score; the first one counts.  A score of zero is stored slightly above zero, since
 * zero means that the source does not know the item. */
static void bring(struct pipeline *p, uint32_t s, uint32_t item, float value)
{
    uint32_t place = p->models->place[s];
    float *sum = &p->scratch->sum[place][item];
    if (*sum != 0.0f)
        return;
    *sum = value == 0.0f ? FLT_MIN : value;
    p->scratch->touched[place][p->touched_count[place]++] = item;
}

/* Narrow filters must not use up the source's `count`: only items that may be shown are counted. */
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

/* Trending items of the requested categories, else of the person's category, else overall. */
static void bring_by_category(struct pipeline *p, uint32_t s, const struct list *list)
{
    uint32_t near = subject_category(p);
    for (uint32_t i = 0; i < p->filters.category_count; i++)
        bring_list(p, s, list_items(list, 1 + p->filters.category[i]));
    if (p->filters.category_count == 0 && near != IDMAP_NONE)
        bring_list(p, s, list_items(list, 1 + near));
    if (p->touched_count[p->models->place[s]] == 0)
        bring_list(p, s, list_items(list, 0));
}

static void bring_by_segment(struct pipeline *p, uint32_t s, const struct list *list)
{
    struct text name = text_of(p->env->snapshot->policies->list[p->slot->source[s].list].name);
    struct text attributes = {NULL, 0}, segment;
    if (!p->is_hidden)
        attributes = store_user_attributes(p->env->store, p->request->user);
    if (list_segment_of(attributes, name, &segment))
        bring_list(p, s, list_of_segment(list, segment));
    if (p->touched_count[p->models->place[s]] == 0)
        bring_list(p, s, list_items(list, 0));
}

static void bring_trending(struct pipeline *p, uint32_t s)
{
    uint32_t index = p->slot->source[s].list;
    const struct list *list = p->lists->list[index];
    switch (p->env->snapshot->policies->list[index].by) {
    case BY_CATEGORY: bring_by_category(p, s, list); break;
    case BY_SEGMENT: bring_by_segment(p, s, list); break;
    default: bring_list(p, s, list_items(list, 0));
    }
}

/* How due a repeat purchase is: the log-normal density of gaps, scaled to 1 at the interval. */
static float due(double since_s, double interval_s)
{
    double distance = log((since_s > 1.0 ? since_s : 1.0) / interval_s) / DUE_SPREAD;
    return (float)exp(-0.5 * distance * distance);
}

/* The natural score of `repeat` for an item that the person bought. */
static float repeat_value(struct pipeline *p, const struct policy_source *source, uint32_t position)
{
    uint32_t item = p->history.item[position];
    int64_t age_s = store_watermark_ms(p->env->store) / 1000 - p->history.last_s[position];
    double since_s = age_s > 0 ? (double)age_s : 0.0, interval_s = 0.0, told_s = 0.0;
    float now = expf(-(float)since_s / REPEAT_AGE_S);
    if (rules_number(p, source->since, item, &told_s))
        since_s = told_s;
    if (rules_number(p, source->interval, item, &interval_s) && interval_s > 0.0)
        now = due(since_s, interval_s);
    return logf(1.0f + (float)p->history.days[position]) + now;
}

static void bring_repeat(struct pipeline *p, uint32_t s)
{
    for (uint32_t i = 0; i < p->history.count; i++) {
        if ((p->history.classes[i] & 1u << EVENT_CLASS_PURCHASE) != 0)
            bring(p, s, p->history.item[i], repeat_value(p, &p->slot->source[s], i));
    }
}

void sources_sum_content(struct pipeline *p, uint32_t s, const uint32_t *item, const float *weight,
                         uint32_t count)
{
    const struct list *list = p->lists->list[p->slot->source[s].list];
    uint32_t place = p->models->place[s];
    float *sum = p->scratch->sum[place];
    uint32_t *touched = p->scratch->touched[place];
    for (uint32_t i = 0; i < count; i++) {
        struct list_items alike = list_items(list, item[i]);
        float factor = weight != NULL ? weight[i] : 1.0f;
        for (uint32_t k = 0; k < alike.count && factor > 0.0f; k++) {
            uint32_t other = alike.entry[k].item;
            if (sum[other] == 0.0f)
                touched[p->touched_count[place]++] = other;
            sum[other] += factor * alike.entry[k].value;
        }
    }
    p->scored[s] = p->touched_count[place] > 0;
}

static void bring_content(struct pipeline *p, uint32_t s)
{
    uint32_t count = 0;
    const float *weight = sources_history_weights(p, s, &count);
    sources_sum_content(p, s, p->history.item, weight, count);
    sources_sum_content(p, s, p->seed, NULL, p->seed_count);
}

/* The caller's candidates, by their scores or else by position. */
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
        case SOURCE_new: bring_list(p, s, list_items(p->lists->list[source->list], 0)); break;
        case SOURCE_trending: bring_trending(p, s); break;
        case SOURCE_repeat: bring_repeat(p, s); break;
        case SOURCE_content: bring_content(p, s); break;
        case SOURCE_candidates: bring_candidates(p, s); break;
        default: continue;
        }
        p->scored[s] = p->touched_count[p->models->place[s]] > 0;
    }
}
