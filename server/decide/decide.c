/* SPDX-License-Identifier: Apache-2.0 */
#include "server/decide/decide.h"

#include "server/decide/pipeline.h"
#include "server/decide/trial.h"
#include "server/metrics.h"

#define EXPLAINED_PERMILLE 500 /* when more than this is spared, nothing is explained */

void decide_learn_finish(struct worker *worker, uint64_t ns)
{
    cost_learn(&worker->cost[COST_FINISH], ns);
}

/* Price rules cost next to nothing and enforce the bounds, so neither mode nor deadline skips them.
 */
static void price(struct pipeline *p)
{
    if (p->models->prices_missing)
        pipeline_lower(p, LEVEL_reduced, REASON_no_model);
    price_callers_items(p);
}

static void run(struct pipeline *p)
{
    p->explains = p->request->explain && p->env->spared_permille <= EXPLAINED_PERMILLE;
    switch (p->request->op) {
    case OP_similar: similar_answer(p); break;
    case OP_rank: rank_answer(p); break;
    case OP_price: price(p); break;
    default: recommend_answer(p); break;
    }
    if (p->request->op == OP_recommend || p->request->op == OP_similar)
        pipeline_emit_pins(p);
    if (p->request->want_price && p->request->op != OP_price) {
        if (p->models->prices_missing)
            pipeline_lower(p, LEVEL_reduced, REASON_no_model);
        price_items(p);
    }
    if (p->no_room || p->explains != p->request->explain)
        pipeline_lower(p, LEVEL_reduced, REASON_overload);
}

static enum cost_op cost_op(enum op op)
{
    switch (op) {
    case OP_similar: return COST_OP_SIMILAR;
    case OP_rank: return COST_OP_RANK;
    case OP_price: return COST_OP_PRICE;
    default: return COST_OP_RECOMMEND;
    }
}

void decide(const struct decide_env *env, struct worker *worker, const struct request *request,
            struct decision *ret_decision)
{
    uint32_t slot = policy_slot_index(env->snapshot->policies, request->slot);
    bool all = request->op == OP_price || (request->op == OP_rank && request->n == 0);
    struct pipeline p = {.env = env,
                         .worker = worker,
                         .arena = &worker->arena,
                         .request = request,
                         .slot = &env->snapshot->policies->slot[slot],
                         .variant = &env->snapshot->variant[0],
                         .models = &env->snapshot->variant[0].slot[slot],
                         .scratch = &env->snapshot->scratch[worker->index],
                         .lists = snapshot_lists(env->snapshot),
                         .out = ret_decision,
                         .wanted = all ? request->item_count : request->n,
                         .stage_began_ns = clock_now_ns(worker->clock)};
    worker->cost = worker->costs.ns[cost_op(request->op)][slot];
    *ret_decision = (struct decision){.policy = p.models->policy, .epoch = env->snapshot->epoch};
    ulid_make(&worker->rand, env->wall_ms, ret_decision->id);
    ret_decision->items = ARENA_NEW(p.arena, struct decision_item, p.wanted);
    if (ret_decision->items != NULL && subject_resolve(&p) && rules_begin(&p)) {
        p.trials = ret_decision->trials = trial_choose(&p);
        p.variant = &env->snapshot->variant[p.trials];
        p.models = &p.variant->slot[slot];
        run(&p);
        trial_count_decision(&p);
        why_not_tell(&p);
    } else {
        ret_decision->level = LEVEL_static;
        ret_decision->reason = REASON_overload;
    }
    sources_clear(&p);
    metric_add(worker->metrics, M_DECISIONS, ret_decision->level, ret_decision->reason, 1);
}
