/* SPDX-License-Identifier: Apache-2.0 */
#include "server/decide/decide.h"

#include "server/decide/pipeline.h"
#include "server/decide/trial.h"
#include "server/metrics.h"

#define EXPLAINED_PERMILLE 500 /* when more than this is spared, nothing is explained */

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

bool pipeline_late(const struct pipeline *p)
{
    return p->env->deadline_ns != 0 && clock_now_ns(p->worker->clock) >= p->env->deadline_ns;
}

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

void decide_learn_finish(struct worker *worker, uint64_t ns)
{
    cost_learn(&worker->cost[COST_FINISH], ns);
}

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

bool pipeline_model_begin(struct pipeline *p, const struct model *model)
{
    p->model_began_ns = clock_now_ns(p->worker->clock);
    if (p->env->aside != 0)
        return true;
    if (breaker_allows(model->breaker, p->model_began_ns))
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

void pipeline_stage(struct pipeline *p, uint32_t stage)
{
    uint64_t now_ns = clock_now_ns(p->worker->clock);
    metric_observe(p->worker->metrics, M_STAGE_DURATION, stage, 0, now_ns - p->stage_began_ns);
    p->stage_began_ns = now_ns;
}

/* The level that the mode and the time left allow, and why it is not full. */
static enum level best_level(const struct pipeline *p, enum reason *ret_reason)
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

/* Does the slot ask about the person at all? */
static bool is_personal_slot(const struct pipeline *p)
{
    for (uint32_t s = 0; s < p->slot->source_count; s++) {
        enum policy_source_kind kind = p->slot->source[s].kind;
        if (kind == SOURCE_neighbors || kind == SOURCE_factors || kind == SOURCE_repeat ||
            kind == SOURCE_content)
            return true;
    }
    return false;
}

/* The slot has models to ask about the person, and none of them is loaded. */
static bool lacks_models(const struct pipeline *p)
{
    bool lacks = false;
    for (uint32_t s = 0; s < p->slot->source_count; s++) {
        enum policy_source_kind kind = p->slot->source[s].kind;
        if (!policy_sums_rows(kind) && kind != SOURCE_factors)
            continue;
        if (p->models->source[s] != NULL)
            return false;
        lacks = true;
    }
    return lacks;
}

/* Why nothing personal was found.  A mode, a deadline or a model that failed come before what was
 * found, but not before models that nobody could have asked. */
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

/* How many candidates the ranker and the rules of the slot get. */
static uint32_t rank_depth(struct pipeline *p)
{
    uint32_t depth = p->wanted;
    for (uint32_t s = 0; s < p->slot->source_count; s++) {
        if (p->slot->source[s].count > depth)
            depth = p->slot->source[s].count;
    }
    return pipeline_spare(p, depth, p->wanted);
}

/* The ranker sees fewer candidates, or none, when all would take it too long. */
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
}

/* What the slot's own sources have.  False when that is nothing but what is popular. */
static bool recommend_own(struct pipeline *p, enum level level)
{
    sources_score(p, level);
    bool ranker = p->models->ranker != NULL && level == LEVEL_full;
    bool deep = ranker || p->rules != NULL;
    pipeline_cost_begin(p);
    bool personal = candidates_choose(p, deep ? rank_depth(p) : p->wanted);
    pipeline_cost_learn(p, sources_have_vector(p) ? COST_CHOOSE_FULL : COST_CHOOSE_REDUCED);
    pipeline_stage(p, STAGE_CANDIDATES);
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

/* Goes on with the answer by the policy of another slot, whose own fallback is not looked at. */
static void ask_other_slot(struct pipeline *p, enum level level)
{
    uint32_t slot = p->slot->fallback.slot;
    struct pipeline other = *p;
    sources_clear(p);
    memset(other.touched_count, 0, sizeof other.touched_count);
    memset(other.summed_rows, 0, sizeof other.summed_rows);
    memset(other.scored, 0, sizeof other.scored);
    memset(other.vector, 0, sizeof other.vector);
    other.seed_count = other.cart_count = 0;
    other.slot = &p->env->snapshot->policies->slot[slot];
    other.models = &p->variant->slot[slot];
    other.rules = NULL;
    other.goes_on = true;
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
    (void)recommend_own(&other, level);
    sources_clear(&other);
    p->no_room = p->no_room || other.no_room;
    if (p->out->count > before)
        p->out->fallback = other.slot->name;
    rules_take_over(p, &other); /* what fills up follows the first slot's limits */
}

/* When the slot has too few items of its own.  True: the answer is what it shall be. */
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

static void recommend(struct pipeline *p)
{
    enum reason reason = REASON_none;
    enum level level = best_level(p, &reason);
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

/* The best of these sums. */
static void emit_best(struct pipeline *p, uint32_t place, const struct model *model,
                      const char *source)
{
    struct top top = pipeline_top(p, p->rules == NULL ? p->wanted : rank_depth(p));
    struct summed summed = sources_summed(p, place);
    for (uint32_t i = 0; i < summed.count; i++) {
        uint32_t row = summed.row != NULL ? summed.row[i] : i;
        uint32_t item = model != NULL ? model->item_of_row[row] : row;
        float score = p->scratch->sum[place][row];
        if (score != 0.0f && top_wants(&top, score, item) && eligible(p, item))
            top_put(&top, score, item);
    }
    top_sort(&top);
    for (uint32_t i = 0; i < top.count; i++)
        (void)pipeline_emit(p, top.slot[i].key, top.slot[i].score, source);
}

/* The first source of that kind; source_count when the slot has none. */
static uint32_t first_source(const struct pipeline *p, enum policy_source_kind kind)
{
    uint32_t s = 0;
    while (s < p->slot->source_count && p->slot->source[s].kind != kind)
        s++;
    return s;
}

/* Whose neighbors are asked: those of the slot, or the first that are loaded unless the slot goes
 * by content alone. */
static const struct model *neighbors_for_similar(const struct pipeline *p)
{
    for (uint32_t s = 0; s < p->slot->source_count; s++) {
        if (p->slot->source[s].kind == SOURCE_neighbors && p->models->source[s] != NULL)
            return p->models->source[s];
    }
    bool by_content = first_source(p, SOURCE_content) < p->slot->source_count &&
                      first_source(p, SOURCE_neighbors) == p->slot->source_count;
    return by_content ? NULL : p->variant->similar;
}

static void emit_neighbors(struct pipeline *p, const struct model *model)
{
    sources_sum_neighbors(p, model, 0, p->seed, NULL, p->seed_count);
    pipeline_model_end(p, model, true);
    emit_best(p, 0, model, "neighbors");
    if (p->out->count > 0)
        pipeline_use_model(p, model);
}

static const struct model *factors_for_similar(const struct pipeline *p)
{
    for (uint32_t s = 0; s < p->slot->source_count; s++) {
        if (p->slot->source[s].kind == SOURCE_factors && p->models->source[s] != NULL)
            return p->models->source[s];
    }
    return NULL;
}

/* What those want who act on the items: where there is nothing else to ask. */
static void similar_by_factors(struct pipeline *p, const struct model *model)
{
    struct factors_found found;
    uint32_t depth = p->rules == NULL ? p->wanted : rank_depth(p);
    if (!pipeline_model_begin(p, model)) {
        ladder_descend(p, LEVEL_generic, REASON_breaker);
        return;
    }
    bool is_found = retrieve_similar(p, model, depth, &found);
    pipeline_model_end(p, model, true);
    for (uint32_t i = 0; is_found && i < found.top.count; i++) {
        if (found.top.slot[i].score != 0.0f)
            (void)pipeline_emit(p, found.top.slot[i].key, found.top.slot[i].score, "factors");
    }
    pipeline_stage(p, STAGE_CANDIDATES);
    if (p->out->count == 0) {
        ladder_descend(p, LEVEL_generic, p->no_room ? REASON_overload : REASON_no_candidates);
        return;
    }
    pipeline_use_model(p, model);
    if (p->out->count < p->wanted)
        ladder_fill_generic(p);
}

/* The neighbors of the items that the caller names, and where the slot has such a source what is
 * like them behind those; nothing of the person goes in but what they must not see. */
static void similar(struct pipeline *p)
{
    enum reason reason = REASON_none;
    enum level level = best_level(p, &reason);
    const struct model *model = neighbors_for_similar(p);
    uint32_t content = first_source(p, SOURCE_content);
    bool has_content = content < p->slot->source_count;
    const struct model *factors = factors_for_similar(p);
    if (level < LEVEL_cached && model == NULL && !has_content && factors != NULL) {
        p->out->level = level;
        p->out->reason = reason;
        similar_by_factors(p, factors);
        return;
    }
    if (level >= LEVEL_cached || (model == NULL && !has_content)) {
        bool lowered = level >= LEVEL_cached;
        ladder_descend(p, lowered ? level : LEVEL_generic, lowered ? reason : REASON_no_model);
        return;
    }
    p->out->level = level;
    p->out->reason = reason;
    bool is_open = model != NULL && !pipeline_model_begin(p, model);
    if (is_open && !has_content) {
        ladder_descend(p, LEVEL_generic, REASON_breaker);
        return;
    }
    if (model != NULL && !is_open)
        emit_neighbors(p, model);
    if (has_content && p->out->count < p->wanted) {
        sources_sum_content(p, content, p->seed, NULL, p->seed_count);
        emit_best(p, p->models->place[content], NULL, "content");
    }
    pipeline_stage(p, STAGE_CANDIDATES);
    if (p->out->count == 0) {
        enum reason why = p->no_room ? REASON_overload
                          : is_open  ? REASON_breaker
                                     : REASON_no_candidates;
        ladder_descend(p, LEVEL_generic, why);
        return;
    }
    if (p->out->count < p->wanted)
        ladder_fill_generic(p);
}

/* A slot without a ranker keeps the caller's order, and so does whatever keeps a ranker from being
 * asked: it is the cheapest ranking there is. */
static void rank(struct pipeline *p)
{
    enum reason reason = REASON_none;
    enum level level = best_level(p, &reason);
    bool use_ranker = level == LEVEL_full && p->models->ranker != NULL;
    if (use_ranker)
        sources_score(p, level);
    if (use_ranker && !pipeline_affords(p, 1u << COST_RANK | 1u << COST_FINISH)) {
        cost_fade(&p->worker->cost[COST_RANK]);
        p->out->left_out |= 1u << LEFT_OUT_ranker;
        use_ranker = false;
        level = LEVEL_reduced;
        reason = REASON_deadline;
    }
    if (use_ranker && !pipeline_model_begin(p, p->models->ranker)) {
        use_ranker = false;
        level = LEVEL_reduced;
        reason = REASON_breaker;
    }
    bool good = true;
    pipeline_cost_begin(p);
    bool ranked = rank_callers_items(p, use_ranker, &good);
    if (use_ranker) {
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
        pipeline_lower(p, LEVEL_reduced, REASON_overload);
    if (p->is_hidden && use_ranker)
        pipeline_lower(p, LEVEL_reduced, REASON_consent);
}

/* Rules cost next to nothing and hold the bounds, so neither mode nor deadline lowers a price. */
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
    case OP_similar: similar(p); break;
    case OP_rank: rank(p); break;
    case OP_price: price(p); break;
    default: recommend(p); break;
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
        if (request->why_not.ptr != NULL && request->op == OP_recommend)
            why_not_tell(&p);
    } else {
        ret_decision->level = LEVEL_static;
        ret_decision->reason = REASON_overload;
    }
    sources_clear(&p);
    metric_add(worker->metrics, M_DECISIONS, ret_decision->level, ret_decision->reason, 1);
}
