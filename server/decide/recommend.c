/* SPDX-License-Identifier: Apache-2.0 */
/* The operation `recommend`: the slot's own sources, its fallback, and the ladder below them. */
#include <string.h>

#include "server/decide/pipeline.h"
#include "server/metrics.h"

/* Whether any source of the slot depends on the person. */
static bool is_personal_slot(const struct pipeline *p)
{
    for (uint32_t s = 0; s < p->slot->source_count; s++) {
        enum policy_source_kind kind = p->slot->source[s].kind;
        if (kind == SOURCE_neighbors || policy_has_vector(kind) || kind == SOURCE_repeat ||
            kind == SOURCE_content)
            return true;
    }
    return false;
}

/* Whether the slot has models that depend on the person, and none of them is loaded. */
static bool lacks_models(const struct pipeline *p)
{
    bool lacks = false;
    for (uint32_t s = 0; s < p->slot->source_count; s++) {
        enum policy_source_kind kind = p->slot->source[s].kind;
        if (!policy_adds_neighbors(kind) && !policy_has_vector(kind))
            continue;
        if (p->models->source[s] != NULL)
            return false;
        lacks = true;
    }
    return lacks;
}

/* The reason why nothing personal was found.  Missing models come first, then a mode, a deadline or
 * a failed model, then the lack of results. */
static enum reason why_generic(const struct pipeline *p)
{
    if (p->no_room)
        return REASON_overload;
    if (lacks_models(p))
        return REASON_no_model;
    if (p->out->reason != REASON_none)
        return p->out->reason;
    bool known = p->history.count > 0 || p->seed_count > 0 || p->cart_count > 0 ||
                 p->request->candidate_count > 0;
    return known ? REASON_no_candidates : REASON_unknown_user;
}

/* Reduces the ranker's candidates, to none if necessary, to what it can score in time. */
static bool fits_budget(struct pipeline *p)
{
    uint32_t *item_ps = &p->worker->cost[COST_RANK_ITEM];
    uint32_t count = pipeline_within_budget(p, STAGE_OF_RANKER, *item_ps, p->chosen_count);
    if (count == p->chosen_count)
        return true;
    pipeline_leave_out(p, LEFT_OUT_ranker, REASON_budget);
    if (count < p->wanted) {
        cost_fade(item_ps);
        return false;
    }
    p->chosen_count = count; /* the best come first */
    return true;
}

static void rank_in_time(struct pipeline *p)
{
    if (!pipeline_affords(p, 1u << COST_RANK | 1u << COST_FINISH)) {
        cost_fade(&p->worker->cost[COST_RANK]);
        pipeline_leave_out(p, LEFT_OUT_ranker, REASON_deadline);
        return;
    }
    if (!fits_budget(p) || !pipeline_model_begin(p, p->models->ranker))
        return;
    pipeline_cost_begin(p);
    bool good = true;
    uint64_t began_ns = p->cost_began_ns;
    if (!rank_candidates(p, &good))
        pipeline_lower(p, LEVEL_reduced, REASON_overload);
    pipeline_cost_learn(p, COST_RANK);
    if (p->chosen_count > 0)
        cost_learn(&p->worker->cost[COST_RANK_ITEM],
                   (p->cost_began_ns - began_ns) * 1000 / p->chosen_count);
    pipeline_model_end(p, p->models->ranker, good);
    if (!good)
        pipeline_lower(p, LEVEL_reduced, REASON_model_error);
}

/* Answers from the slot's own sources.  False: they have only popular items. */
static bool recommend_own(struct pipeline *p, enum level level)
{
    sources_score(p, level);
    bool ranker = p->models->ranker != NULL && level == LEVEL_full;
    bool deep = ranker || p->rules != NULL;
    pipeline_cost_begin(p);
    bool personal = candidates_choose(p, deep ? pipeline_depth(p) : p->wanted);
    pipeline_cost_learn(p, sources_have_vector(p) ? COST_CHOOSE_FULL : COST_CHOOSE_REDUCED);
    pipeline_stage(p, STAGE_CANDIDATES);
    retrieve_tell_all(p);
    if (is_personal_slot(p) ? !personal : p->chosen_count == 0)
        return false;
    if (p->models->missing || p->models->ranker_missing)
        pipeline_lower(p, LEVEL_reduced, REASON_no_model);
    if (ranker)
        rank_in_time(p);
    candidates_boost(p);
    select_emit(p);
    return true;
}

/* An answer names one ranker: drops the feature rows of items from `first` on if another one made
 * them. */
static void keep_ranker(struct pipeline *p, const struct model *ranker, uint32_t first)
{
    if (first == 0 || ranker == NULL || p->out->ranker == ranker)
        return;
    for (uint32_t i = first; i < p->out->count; i++)
        p->out->items[i].features = NULL;
    p->out->ranker = ranker;
}

/* Continues the answer by the policy of the fallback slot, whose own fallback is ignored. */
static void ask_other_slot(struct pipeline *p, enum level level)
{
    uint32_t slot = p->slot->fallback.slot;
    struct pipeline other = *p;
    why_not_hold(p);
    sources_clear(p);
    memset(other.touched_count, 0, sizeof other.touched_count);
    memset(other.summed_items, 0, sizeof other.summed_items);
    memset(other.scored, 0, sizeof other.scored);
    memset(other.vector, 0, sizeof other.vector);
    memset(other.products, 0, sizeof other.products);
    memset(other.natural, 0, sizeof other.natural);
    other.seed_count = other.cart_count = 0;
    other.slot = &p->env->snapshot->policies->slot[slot];
    other.models = &p->variant->slot[slot];
    other.rules = NULL;
    other.goes_on = true;
    other.goes_on_at = p->out->count;
    other.allowed = NULL; /* its filters are others */
    other.looked_at_filters = false;
    other.chosen = NULL;
    other.chosen_count = 0;
    other.ranked = false;
    other.kept_rows = NULL;
    if (!subject_resolve(&other) || !rules_begin(&other)) {
        p->no_room = true;
        return;
    }
    rules_take_over(&other, p);
    uint32_t before = p->out->count;
    const struct model *ranker = p->out->ranker;
    (void)recommend_own(&other, level);
    keep_ranker(p, ranker, before);
    why_not_go_on(&other, p);
    sources_clear(&other);
    p->no_room = p->no_room || other.no_room;
    if (p->out->count > before)
        p->out->fallback = other.slot->name;
    rules_take_over(p, &other); /* what fills up follows the first slot's limits */
}

/* Applies the slot's fallback if it has too few items.  True: the answer is complete. */
static bool fall_back(struct pipeline *p, enum level level)
{
    const struct policy_fallback *fallback = &p->slot->fallback;
    uint32_t enough = fallback->fewer_than < p->wanted ? fallback->fewer_than : p->wanted;
    if (p->out->count >= enough)
        return p->out->count > 0;
    if (fallback->slot == POLICY_NO_SLOT) {
        enum reason reason = p->out->reason;
        ladder_descend(p, fallback->level, reason == REASON_none ? REASON_no_candidates : reason);
        return true;
    }
    ask_other_slot(p, level);
    return p->out->count > 0;
}

void recommend_answer(struct pipeline *p)
{
    enum reason reason = REASON_none;
    enum level level = pipeline_best_level(p, &reason);
    if (p->is_hidden && level < LEVEL_generic && is_personal_slot(p)) {
        ladder_descend(p, LEVEL_generic, REASON_consent);
        return;
    }
    if (level >= LEVEL_cached) {
        ladder_descend(p, level == LEVEL_cached && p->is_hidden ? LEVEL_generic : level, reason);
        return;
    }
    p->out->level = level;
    p->out->reason = reason;
    bool found = recommend_own(p, level);
    enum reason why = found ? REASON_none : why_generic(p); /* before its sources are cleared */
    if (p->slot->fallback.fewer_than > 0)
        found = fall_back(p, level);
    if (!found) {
        if (p->no_room)
            why = REASON_overload;
        ladder_descend(p, LEVEL_generic, why == REASON_none ? REASON_no_candidates : why);
        return;
    }
    if (p->out->level > LEVEL_reduced)
        return; /* the fallback was a level */
    ladder_remember(p);
    if (p->out->count < p->wanted)
        ladder_fill_generic(p);
}
