/* SPDX-License-Identifier: Apache-2.0 */
/* What all stages of a decision share: its level, its time, the models that it uses. */
#include "server/decide/pipeline.h"

#include "models/blend.h"
#include "server/decide/trial.h"
#include "server/metrics.h"

/* ---- level and effort ------------------------------------------------------------------------ */

void pipeline_lower(struct pipeline *p, enum level level, enum reason reason)
{
    if (p->out->level < level) {
        p->out->level = level;
        p->out->reason = reason;
    }
}

void pipeline_leave_out(struct pipeline *p, enum left_out stage, enum reason reason)
{
    p->out->left_out |= 1u << stage;
    pipeline_lower(p, LEVEL_reduced, reason);
}

uint32_t pipeline_within_budget(const struct pipeline *p, enum policy_stage stage, uint32_t item_ps,
                                uint32_t count)
{
    uint64_t budget_ps = (uint64_t)p->slot->stage_ns[stage] * 1000;
    if (budget_ps == 0 || item_ps == 0 || (uint64_t)item_ps * count <= budget_ps)
        return count;
    return (uint32_t)(budget_ps / item_ps);
}

uint32_t pipeline_spare(struct pipeline *p, uint32_t count, uint32_t least)
{
    uint64_t kept = count - (uint64_t)count * p->env->spared_permille / 1000;
    if (kept < least)
        kept = least;
    if (kept >= count)
        return count;
    pipeline_lower(p, LEVEL_reduced, REASON_overload);
    return (uint32_t)kept;
}

/* How many candidates the ranker and the rules of the slot get. */
uint32_t pipeline_depth(struct pipeline *p)
{
    uint32_t depth = p->wanted;
    for (uint32_t s = 0; s < p->slot->source_count; s++) {
        if (p->slot->source[s].count > depth)
            depth = p->slot->source[s].count;
    }
    return pipeline_spare(p, depth, p->wanted);
}

/* ---- time ------------------------------------------------------------------------------------ */

bool pipeline_affords(const struct pipeline *p, uint32_t stages)
{
    uint64_t needed_ns = 0;
    if (p->env->deadline_ns == 0)
        return true;
    for (uint32_t stage = 0; stage < COST_COUNT; stage++)
        needed_ns += (stages >> stage & 1) != 0 ? p->worker->cost[stage] : 0;
    return clock_now_ns(p->worker->clock) + needed_ns < p->env->deadline_ns;
}

void pipeline_cost_begin(struct pipeline *p)
{
    p->cost_began_ns = clock_now_ns(p->worker->clock);
}

void pipeline_cost_learn(struct pipeline *p, enum cost stage)
{
    uint64_t now_ns = clock_now_ns(p->worker->clock);
    cost_learn(&p->worker->cost[stage], now_ns - p->cost_began_ns);
    p->cost_began_ns = now_ns;
}

void pipeline_stage(struct pipeline *p, uint32_t stage)
{
    uint64_t now_ns = clock_now_ns(p->worker->clock);
    metric_observe(p->worker->metrics, M_STAGE_DURATION, stage, 0, now_ns - p->stage_began_ns);
    p->stage_began_ns = now_ns;
}

/* The level that the mode and the time left allow, and why it is not full. */
enum level pipeline_best_level(const struct pipeline *p, enum reason *ret_reason)
{
    const uint32_t least = 1u << COST_NEIGHBORS | 1u << COST_CHOOSE_REDUCED | 1u << COST_FINISH;
    if (p->env->floor <= LEVEL_reduced && !pipeline_affords(p, least)) {
        for (uint32_t stage = 0; stage < COST_COUNT; stage++)
            cost_fade(&p->worker->cost[stage]);
        *ret_reason = REASON_deadline;
        return LEVEL_cached;
    }
    *ret_reason = p->env->floor > LEVEL_full ? p->env->floor_reason : REASON_none;
    return p->env->floor;
}

/* ---- models ---------------------------------------------------------------------------------- */

void pipeline_use_model(struct pipeline *p, const struct model *model)
{
    struct decision *out = p->out;
    for (uint32_t i = 0; i < out->model_count; i++) {
        if (out->models[i] == model->label)
            return;
    }
    if (out->model_count < DECISION_MODELS_MAX)
        out->models[out->model_count++] = model->label;
}

/* A blend needs all its parts: it is not used while the breaker of one keeps it back. */
static bool holds_a_part(const struct model *model)
{
    for (uint32_t i = 0; model->kind == MODEL_blend && i < blend_part_count(model); i++) {
        const struct model *part = blend_part_model(model, i);
        if (part != NULL && breaker_is_held_open(part->breaker))
            return true;
    }
    return false;
}

bool pipeline_model_begin(struct pipeline *p, const struct model *model)
{
    p->model_began_ns = clock_now_ns(p->worker->clock);
    if (p->env->aside != 0)
        return true;
    if (!holds_a_part(model) && breaker_allows(model->breaker, p->model_began_ns))
        return true;
    pipeline_lower(p, LEVEL_reduced, REASON_breaker);
    metric_add(p->worker->metrics, M_BREAKER_SKIPS, model->kind, 0, 1);
    return false;
}

void pipeline_model_end(struct pipeline *p, const struct model *model, bool good)
{
    uint64_t now_ns = clock_now_ns(p->worker->clock);
    if (p->env->aside != 0)
        return;
    bool slow = p->env->slow_ns != 0 && now_ns - p->model_began_ns > p->env->slow_ns;
    breaker_record(model->breaker, now_ns, good && !slow);
    trial_count_use(p, model, now_ns - p->model_began_ns, good);
}
