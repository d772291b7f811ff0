/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "server/decide/page_memo.h"
#include "server/decide/pipeline.h"
#include "server/metrics.h"

#define FOLD_IN_ROWS_MAX 1000
#define SPEAKING_MIN     5 /* history items that are used however short the time */

/* How much a history item says about the person's taste, by the strongest event with it. */
static float class_weight(uint8_t classes)
{
    if ((classes & 1u << EVENT_CLASS_DISLIKE) != 0)
        return 0.0f;
    if ((classes & 1u << EVENT_CLASS_PURCHASE) != 0)
        return 1.0f;
    if ((classes & 1u << EVENT_CLASS_CART) != 0)
        return 0.6f;
    return (classes & 1u << EVENT_CLASS_VIEW) != 0 ? 0.3f : 0.0f;
}

/* The weight of a history item: by the strongest event with it, decayed by its age. */
static float history_weight(const struct pipeline *p, uint32_t s, uint32_t position)
{
    float weight = class_weight(p->history.classes[position]);
    uint32_t half_life_s = p->slot->source[s].half_life_s;
    int64_t age_s = store_watermark_ms(p->env->store) / 1000 - p->history.last_s[position];
    if (half_life_s == 0 || age_s <= 0)
        return weight;
    return weight * exp2f(-(float)age_s / (float)half_life_s);
}

/* Uses fewer history items when the sources have recently taken longer than their budget. */
static uint32_t speaking_within_budget(struct pipeline *p, uint32_t count)
{
    uint64_t budget_ns = p->slot->stage_ns[STAGE_OF_SOURCES];
    uint64_t lately_ns = p->worker->cost[COST_NEIGHBORS];
    if (budget_ns == 0 || lately_ns <= budget_ns || count <= SPEAKING_MIN)
        return count;
    uint64_t kept = count * budget_ns / lately_ns;
    pipeline_leave_out(p, LEFT_OUT_sources, REASON_budget);
    return kept > SPEAKING_MIN ? (uint32_t)kept : SPEAKING_MIN;
}

const float *sources_history_weights(struct pipeline *p, uint32_t s, uint32_t *ret_count)
{
    uint32_t count = p->slot->source[s].history;
    *ret_count = 0;
    if (count > p->history.count)
        count = p->history.count;
    count = speaking_within_budget(p, pipeline_spare(p, count, SPEAKING_MIN));
    float *weight = ARENA_NEW(p->arena, float, count);
    if (weight == NULL) {
        p->no_room = true;
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++)
        weight[i] = history_weight(p, s, i);
    *ret_count = count;
    return weight;
}

static void score_neighbors(struct pipeline *p, uint32_t s)
{
    const struct model *model = p->models->source[s];
    uint32_t place = p->models->place[s];
    uint32_t count = 0;
    if (p->slot->source[s].kind == SOURCE_cart) {
        sources_sum_neighbors(p, model, place, p->cart, NULL, p->cart_count);
    } else {
        const float *weight = sources_history_weights(p, s, &count);
        if (weight == NULL)
            return;
        sources_sum_neighbors(p, model, place, p->history.item, weight, count);
        sources_sum_neighbors(p, model, place, p->seed, NULL, p->seed_count);
    }
    p->scored[s] = sources_summed(p, place).count > 0;
}

static bool is_among(const uint32_t *row, uint32_t count, uint32_t wanted)
{
    for (uint32_t i = 0; i < count; i++) {
        if (row[i] == wanted)
            return true;
    }
    return false;
}

/* The model rows of what the person did, each once: seeds first, then history, newest first. */
static uint32_t live_rows(const struct pipeline *p, const struct model *model,
                          uint32_t ret_row[FOLD_IN_ROWS_MAX])
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < p->seed_count && count < FOLD_IN_ROWS_MAX; i++) {
        uint32_t row = model_row(model, p->seed[i]);
        if (row != MODEL_NO_ROW)
            ret_row[count++] = row;
    }
    uint32_t seed_rows = count;
    for (uint32_t i = 0; i < p->history.count && count < FOLD_IN_ROWS_MAX; i++) {
        uint32_t row = model_row(model, p->history.item[i]);
        if (row != MODEL_NO_ROW && class_weight(p->history.classes[i]) > 0.0f &&
            !is_among(ret_row, seed_rows, row))
            ret_row[count++] = row;
    }
    return count;
}

/* factors_fold_in, once per page. */
static const float *fold_in(const struct pipeline *p, const struct factors *factors,
                            const uint32_t *row, uint32_t row_count, float *vector)
{
    struct page_memo *memo = p->env->memo;
    const float *known = memo == NULL ? NULL : page_memo_vector(memo, factors, row, row_count);
    if (known != NULL)
        return known;
    if (!factors_fold_in(factors, row, row_count, p->arena, vector))
        return NULL;
    if (memo != NULL)
        page_memo_keep_vector(memo, &(struct page_vector){factors, row, vector, row_count});
    return vector;
}

/* The trained row is used as long as the person has done nothing since; otherwise the vector is
 * folded in from what is known now. */
static const float *person_vector(struct pipeline *p, const struct model *model, bool *ret_good)
{
    const struct factors *factors = model->as.factors;
    const float *trained = NULL;
    if (p->request->user.ptr != NULL && !p->is_hidden)
        trained = factors_user(factors, p->request->user);
    bool acted_since =
        p->history.count > 0 && (int64_t)p->history.last_s[0] * 1000 > model->trained_at_ms;
    if (trained != NULL && p->seed_count == 0 && !acted_since)
        return trained;
    uint32_t *row = ARENA_NEW(p->arena, uint32_t, FOLD_IN_ROWS_MAX);
    float *vector = ARENA_NEW(p->arena, float, factors_dim(factors));
    if (row == NULL || vector == NULL) {
        p->no_room = true;
        return trained;
    }
    uint32_t row_count = live_rows(p, model, row);
    if (row_count == 0)
        return trained;
    const float *folded = fold_in(p, factors, row, row_count, vector);
    if (folded != NULL)
        return folded;
    pipeline_lower(p, LEVEL_reduced, REASON_model_error);
    *ret_good = false;
    return trained;
}

/* False if the model could not be evaluated. */
static bool score_factors(struct pipeline *p, uint32_t s)
{
    bool good = true;
    p->vector[s] = p->slot->source[s].kind == SOURCE_embeddings
                       ? sources_mean_embedding(p, s)
                       : person_vector(p, p->models->source[s], &good);
    p->scored[s] = p->vector[s] != NULL;
    pipeline_stage(p, STAGE_FOLD_IN);
    return good;
}

/* Whether folding in and what factors add to the choice fit into the stage's budget. */
static bool fits_budget(const struct pipeline *p)
{
    const uint32_t *cost = p->worker->cost;
    uint32_t budget_ns = p->slot->stage_ns[STAGE_OF_FACTORS];
    uint64_t needed_ns = cost[COST_FACTORS];
    if (cost[COST_CHOOSE_FULL] > cost[COST_CHOOSE_REDUCED])
        needed_ns += cost[COST_CHOOSE_FULL] - cost[COST_CHOOSE_REDUCED];
    return budget_ns == 0 || needed_ns <= budget_ns;
}

/* Neighbors first, so that there is something to fall back on when time runs short. */
void sources_score(struct pipeline *p, enum level level)
{
    const uint32_t full = 1u << COST_FACTORS | 1u << COST_CHOOSE_FULL | 1u << COST_FINISH;
    pipeline_cost_begin(p);
    for (uint32_t s = 0; s < p->slot->source_count; s++) {
        const struct model *model = p->models->source[s];
        if (!policy_adds_neighbors(p->slot->source[s].kind) || model == NULL ||
            !pipeline_model_begin(p, model))
            continue;
        score_neighbors(p, s);
        pipeline_model_end(p, model, true);
    }
    sources_list(p);
    pipeline_cost_learn(p, COST_NEIGHBORS);
    for (uint32_t s = 0; s < p->slot->source_count && level == LEVEL_full; s++) {
        if (!policy_has_vector(p->slot->source[s].kind) || p->models->source[s] == NULL)
            continue;
        if (!fits_budget(p)) {
            cost_fade(&p->worker->cost[COST_FACTORS]);
            cost_fade(&p->worker->cost[COST_CHOOSE_FULL]);
            pipeline_leave_out(p, LEFT_OUT_factors, REASON_budget);
            break;
        }
        if (!pipeline_affords(p, full)) {
            cost_fade(&p->worker->cost[COST_FACTORS]);
            cost_fade(&p->worker->cost[COST_CHOOSE_FULL]);
            pipeline_leave_out(p, LEFT_OUT_factors, REASON_deadline);
            break;
        }
        if (!pipeline_model_begin(p, p->models->source[s]))
            continue;
        pipeline_cost_begin(p);
        bool good = score_factors(p, s);
        pipeline_cost_learn(p, COST_FACTORS);
        pipeline_model_end(p, p->models->source[s], good);
    }
    for (uint32_t s = 0; s < p->slot->source_count; s++) {
        if (p->scored[s] && p->models->source[s] != NULL)
            pipeline_use_model(p, p->models->source[s]);
    }
}

bool sources_have_vector(const struct pipeline *p)
{
    for (uint32_t s = 0; s < p->slot->source_count; s++) {
        if (p->vector[s] != NULL)
            return true;
    }
    return false;
}

void sources_clear(struct pipeline *p)
{
    const struct snapshot *snapshot = p->env->snapshot;
    for (uint32_t place = 0; place < snapshot->place_count; place++) {
        float *sum = p->scratch->sum[place];
        const uint32_t *touched = p->scratch->touched[place];
        if (p->summed_items[place] != 0) {
            memset(sum, 0, p->summed_items[place] * sizeof sum[0]);
        } else {
            for (uint32_t i = 0; i < p->touched_count[place]; i++)
                sum[touched[i]] = 0.0f;
        }
        p->summed_items[place] = 0;
        p->touched_count[place] = 0;
    }
}

float source_value(const struct pipeline *p, uint32_t s, uint32_t item)
{
    const struct model *model = p->models->source[s];
    if (!p->scored[s] || item == IDMAP_NONE)
        return 0.0f;
    if (p->vector[s] == NULL)
        return p->scratch->sum[p->models->place[s]][item];
    float value = 0.0f;
    if (p->products[s] != NULL && page_values_find(p->products[s], item, &value))
        return value;
    uint32_t row = model_row(model, item);
    if (row == MODEL_NO_ROW)
        return 0.0f;
    value = factors_score(model->as.factors, p->vector[s], row);
    if (p->products[s] != NULL)
        page_values_keep(p->products[s], item, value);
    return value;
}

float source_popular(float score, float best)
{
    return best > 0.0f ? log1pf(score) / log1pf(best) : 0.0f;
}

static float popular_in_store(const struct pipeline *p, enum store_window window, uint32_t item)
{
    struct top_list list;
    store_top(p->env->store, window, IDMAP_NONE, &list);
    if (item == IDMAP_NONE || list.count == 0)
        return 0.0f;
    return source_popular(store_item_score(p->env->store, item, window), list.entry[0].score);
}

static float popular_in_model(const struct model *model, uint32_t item)
{
    uint32_t row = model == NULL ? MODEL_NO_ROW : model_row(model, item);
    if (row == MODEL_NO_ROW)
        return 0.0f;
    const struct popularity *popularity = model->as.popularity;
    return source_popular(popularity_score(popularity, row),
                          popularity_score(popularity, popularity_order(popularity)[0]));
}

float source_natural(const struct pipeline *p, uint32_t s, uint32_t item)
{
    switch (p->slot->source[s].kind) {
    case SOURCE_popular: return popular_in_store(p, p->slot->source[s].window, item);
    case SOURCE_model_popular: return popular_in_model(p->models->source[s], item);
    default: return source_value(p, s, item);
    }
}
