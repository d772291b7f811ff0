/* SPDX-License-Identifier: Apache-2.0 */
/* The operation rank: orders the caller's items. */
#include <math.h>

#include "server/decide/rank_internal.h"
#include "server/metrics.h"

static double blend_of(const struct pipeline *p, uint32_t item)
{
    double blend = 0.0;
    for (uint32_t s = 0; s < p->slot->source_count; s++)
        blend += p->slot->source[s].weight * source_natural(p, s, item);
    return blend;
}

/* For dense sources this was done when they scored. */
static void use_popularity_models(struct pipeline *p)
{
    for (uint32_t s = 0; s < p->slot->source_count; s++) {
        if (p->slot->source[s].kind == SOURCE_model_popular && p->models->source[s] != NULL)
            pipeline_use_model(p, p->models->source[s]);
    }
}

/* Explains the ranker's own score and the effect of each boost. */
static void explain_asked(struct pipeline *p, struct decision_item *item)
{
    struct decision_why *why = ARENA_NEW(p->arena, struct decision_why, WHY_MAX(p->slot));
    if (why == NULL)
        return;
    why[0] = (struct decision_why){"ranker", item->ranked};
    item->why_count = 1 + rules_explain(p, item->item, item->ranked, why + 1);
    item->why = why;
}

/* Unlike pipeline_emit this does not check for duplicates: the caller may name an item twice. */
static void emit_asked(struct pipeline *p, uint32_t index, float score, float ranked,
                       const double *features)
{
    struct text id = p->request->items[index].id;
    p->out->items[p->out->count++] =
        (struct decision_item){.item = store_item_find(p->env->store, id),
                               .id = id,
                               .score = score,
                               .features = features,
                               .ranked = ranked};
    contributions_tell(p, &p->out->items[p->out->count - 1]);
}

static struct ranked asked_of(const struct pipeline *p, const struct request_item *asked)
{
    struct ranked ranked = {.item = store_item_find(p->env->store, asked->id),
                            .caller_score = asked->score,
                            .asked = asked};
    ranked.position = subject_position(p, ranked.item);
    ranked.blend_score = blend_of(p, ranked.item);
    return ranked;
}

/* Scores all items and sorts the best; false: one has no valid score. */
static bool rank_asked(struct pipeline *p, struct ranking *ranking, struct top *top)
{
    uint32_t item_count = p->request->item_count;
    for (uint32_t first = 0; first < item_count; first += GROUP_ITEMS) {
        uint32_t count = rank_group_size(item_count - first);
        for (uint32_t i = 0; i < count; i++)
            ranking->ranked[i] = asked_of(p, &p->request->items[first + i]);
        if (!rank_score_group(p, ranking, first, count))
            return false;
        for (uint32_t i = 0; i < count; i++) {
            ranking->plain[first + i] = (float)ranking->score[i];
            float score = rules_boosted(p, ranking->item[i], ranking->plain[first + i]);
            if (top_wants(top, score, first + i))
                top_put(top, score, first + i);
        }
    }
    top_sort(top);
    return true;
}

/* False: the slot's ranker has no room, or gave an invalid score; the caller's order applies. */
static bool rank_callers_items(struct pipeline *p, bool asks_ranker, bool *ret_good)
{
    uint32_t count = p->request->item_count;
    struct ranking *ranking = asks_ranker ? rank_begin(p, count) : NULL;
    struct top top = top_make(p->arena, p->wanted < count ? p->wanted : count);
    float *plain = ARENA_NEW(p->arena, float, count);
    bool ranks = ranking != NULL && top.slot != NULL && plain != NULL;
    if (ranks) {
        ranking->plain = plain;
        *ret_good = ranks = rank_asked(p, ranking, &top);
    }
    if (ranks) {
        use_popularity_models(p);
        rank_use_ranker(p);
        for (uint32_t i = 0; i < top.count; i++) {
            emit_asked(p, top.slot[i].key, top.slot[i].score, ranking->plain[top.slot[i].key],
                       rank_kept_row(ranking->kept, ranking->feature_count, top.slot[i].key));
            if (p->explains)
                explain_asked(p, &p->out->items[i]);
        }
    } else {
        p->out->ranker = NULL;
        for (uint32_t i = 0; i < count && i < p->wanted; i++) {
            double score = p->request->items[i].score;
            emit_asked(p, i, isnan(score) ? 0.0f : finite_score(score), 0.0f, NULL);
        }
    }
    pipeline_stage(p, STAGE_RANK);
    return ranks || !asks_ranker;
}

/* Without a ranker, or if it must not be used, the caller's order is kept: the cheapest ranking. */
void rank_answer(struct pipeline *p)
{
    enum reason reason = REASON_none;
    enum level level = pipeline_best_level(p, &reason);
    bool asks_ranker = level == LEVEL_full && p->models->ranker != NULL;
    if (asks_ranker)
        sources_score(p, level);
    if (asks_ranker && !pipeline_affords(p, 1u << COST_RANK | 1u << COST_FINISH)) {
        cost_fade(&p->worker->cost[COST_RANK]);
        p->out->left_out |= 1u << LEFT_OUT_ranker;
        asks_ranker = false;
        level = LEVEL_reduced;
        reason = REASON_deadline;
    }
    if (asks_ranker && !pipeline_model_begin(p, p->models->ranker)) {
        asks_ranker = false;
        level = LEVEL_reduced;
        reason = REASON_breaker;
    }
    bool good = true;
    pipeline_cost_begin(p);
    bool ranked = rank_callers_items(p, asks_ranker, &good);
    if (asks_ranker) {
        pipeline_cost_learn(p, COST_RANK);
        pipeline_model_end(p, p->models->ranker, good);
    }
    if (p->env->floor >= LEVEL_cached) /* no answer is remembered for a caller's list */
        pipeline_lower(p, p->env->floor == LEVEL_static ? LEVEL_static : LEVEL_generic, reason);
    else if (level > LEVEL_full)
        pipeline_lower(p, LEVEL_reduced, reason);
    else if (p->models->ranker_missing)
        pipeline_lower(p, LEVEL_reduced, REASON_no_model);
    else if (!ranked)
        pipeline_lower(p, LEVEL_reduced, good ? REASON_overload : REASON_model_error);
    if (p->is_hidden && asks_ranker)
        pipeline_lower(p, LEVEL_reduced, REASON_consent);
}
