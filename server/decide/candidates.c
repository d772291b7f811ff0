/* SPDX-License-Identifier: Apache-2.0 */
#include "server/decide/pipeline.h"

static uint32_t spread(uint32_t item)
{
    return item * 2654435769u >> 7;
}

/* Where the item's candidate is in the index, or would be. */
static uint32_t candidate_place(const struct pipeline *p, uint32_t item)
{
    uint32_t at = spread(item) & p->candidate_mask;
    while (p->candidate_index[at] != 0 && p->candidate[p->candidate_index[at] - 1].item != item)
        at = (at + 1) & p->candidate_mask;
    return at;
}

/* The candidate of that item, made when it is new; NULL when there is no more room. */
static struct candidate *candidate_of(struct pipeline *p, uint32_t item)
{
    uint32_t at = candidate_place(p, item);
    if (p->candidate_index[at] != 0)
        return &p->candidate[p->candidate_index[at] - 1];
    if (p->candidate_count == p->candidate_capacity)
        return NULL;
    struct candidate *added = &p->candidate[p->candidate_count++];
    *added = (struct candidate){.item = item};
    p->candidate_index[at] = p->candidate_count;
    return added;
}

/* Notes where each item of the history stands among the candidates. */
static void mark_history(struct pipeline *p)
{
    for (uint32_t i = 0; i < p->history.count; i++) {
        uint32_t at = candidate_place(p, p->history.item[i]);
        if (p->candidate_index[at] != 0)
            p->candidate[p->candidate_index[at] - 1].position = i + 1;
    }
}

static bool is_dense(enum policy_source_kind kind)
{
    return kind == SOURCE_neighbors || kind == SOURCE_factors;
}

static bool candidates_create(struct pipeline *p, uint32_t depth)
{
    uint32_t capacity = depth;
    uint32_t places = 64;
    for (uint32_t s = 0; s < p->slot->source_count; s++)
        capacity += is_dense(p->slot->source[s].kind) ? 0 : p->slot->source[s].count;
    while (places < 2 * capacity)
        places *= 2;
    p->candidate = ARENA_NEW(p->arena, struct candidate, capacity);
    p->chosen = ARENA_NEW(p->arena, struct candidate *, depth);
    p->candidate_index = ARENA_NEW(p->arena, uint32_t, places);
    if (p->candidate == NULL || p->chosen == NULL || p->candidate_index == NULL)
        return false;
    memset(p->candidate_index, 0, places * sizeof p->candidate_index[0]);
    p->candidate_capacity = capacity;
    p->candidate_mask = places - 1;
    return true;
}

static void take(struct pipeline *p, uint32_t s, uint32_t item, float value)
{
    struct candidate *candidate = candidate_of(p, item);
    if (candidate != NULL)
        candidate->value[s] = value;
}

static bool collect_repeat(struct pipeline *p, uint32_t s)
{
    struct top top = pipeline_top(p, p->slot->source[s].count);
    for (uint32_t i = 0; i < p->history.count; i++) {
        float value = source_repeat(p, i);
        if (value > 0.0f && top_wants(&top, value, p->history.item[i]) &&
            eligible(p, p->history.item[i]))
            top_put(&top, value, p->history.item[i]);
    }
    for (uint32_t i = 0; i < top.count; i++)
        take(p, s, top.slot[i].key, top.slot[i].score);
    return top.count > 0;
}

static void collect_popular(struct pipeline *p, uint32_t s)
{
    struct top_list list;
    uint32_t taken = 0;
    store_top(p->env->store, p->slot->source[s].window, IDMAP_NONE, &list);
    for (uint32_t i = 0; i < list.count && taken < p->slot->source[s].count; i++) {
        if (!eligible(p, list.entry[i].item))
            continue;
        take(p, s, list.entry[i].item, list.entry[i].share);
        taken++;
    }
}

static void collect_model_popular(struct pipeline *p, uint32_t s)
{
    const struct model *model = p->models->source[s];
    const struct popularity *popularity = model->as.popularity;
    const uint32_t *order = popularity_order(popularity);
    uint32_t rows = model_row_count(model);
    uint32_t taken = 0;
    float best = rows > 0 ? popularity_score(popularity, order[0]) : 0.0f;
    for (uint32_t i = 0; i < rows && taken < p->slot->source[s].count && best > 0.0f; i++) {
        if (!eligible(p, model->item_of_row[order[i]]))
            continue;
        take(p, s, model->item_of_row[order[i]],
             source_popular(popularity_score(popularity, order[i]), best));
        taken++;
    }
    pipeline_use_model(p, model);
}

/* What repeat and popularity bring.  True when there is something to buy again. */
static bool collect(struct pipeline *p)
{
    bool repeats = false;
    for (uint32_t s = 0; s < p->slot->source_count; s++) {
        enum policy_source_kind kind = p->slot->source[s].kind;
        if (kind == SOURCE_repeat)
            repeats = collect_repeat(p, s) || repeats;
        else if (kind == SOURCE_popular)
            collect_popular(p, s);
        else if (kind == SOURCE_model_popular && p->models->source[s] != NULL)
            collect_model_popular(p, s);
    }
    return repeats;
}

/* Fills in what the dense sources make of the item, and adds up. */
static void blend(const struct pipeline *p, struct candidate *candidate)
{
    candidate->score = 0.0f;
    for (uint32_t s = 0; s < p->slot->source_count; s++) {
        if (p->scored[s])
            candidate->value[s] = source_value(p, s, candidate->item);
        candidate->score += p->slot->source[s].weight * candidate->value[s];
    }
}

/* The rows that the source may have scored. */
static struct summed scored_rows(const struct pipeline *p, uint32_t s)
{
    if (p->slot->source[s].kind == SOURCE_neighbors)
        return sources_summed(p, p->models->place[s]);
    return (struct summed){NULL, model_row_count(p->models->source[s])};
}

/* Adds up what the dense sources make of each item, in the order of `blend`.  True when so many
 * items are reached that looking at all of them is cheapest. */
static bool blend_dense(const struct pipeline *p)
{
    float *sum = p->scratch->blend;
    bool reaches_all = false;
    for (uint32_t s = 0; s < p->slot->source_count; s++) {
        if (!p->scored[s])
            continue;
        const uint32_t *item = p->models->source[s]->item_of_row;
        const float *value = source_scores(p, s);
        float weight = p->slot->source[s].weight;
        struct summed rows = scored_rows(p, s);
        if (rows.row == NULL) {
            reaches_all = true;
            for (uint32_t row = 0; row < rows.count; row++)
                sum[item[row]] += weight * value[row];
        } else {
            for (uint32_t i = 0; i < rows.count; i++)
                sum[item[rows.row[i]]] += weight * value[rows.row[i]];
        }
    }
    return reaches_all;
}

/* Factors have an opinion on each of their items, be it zero. */
static bool is_scored(const struct pipeline *p, uint32_t item)
{
    for (uint32_t s = 0; s < p->slot->source_count; s++) {
        if (p->scored[s] && p->slot->source[s].kind == SOURCE_factors &&
            model_row(p->models->source[s], item) != MODEL_NO_ROW)
            return true;
    }
    return false;
}

/* Items among the candidates had their turn already, but show that something may be shown. */
static inline void compete(struct pipeline *p, struct top *top, uint32_t item, bool *found)
{
    float score = p->scratch->blend[item];
    p->scratch->blend[item] = 0.0f; /* whoever comes to it again finds nothing */
    if (score == 0.0f && !is_scored(p, item))
        return;
    bool wanted = top_wants(top, score, item);
    if ((!wanted && *found) || !eligible(p, item))
        return;
    *found = true;
    if (wanted && p->candidate_index[candidate_place(p, item)] == 0)
        top_put(top, score, item);
}

/* Every item that a dense source scored competes; true when one of them may be shown. */
static bool compete_all(struct pipeline *p, struct top *top)
{
    bool found = false;
    if (blend_dense(p)) {
        for (uint32_t item = 0; item < p->env->snapshot->blend_count; item++)
            compete(p, top, item, &found);
        return found;
    }
    for (uint32_t s = 0; s < p->slot->source_count; s++) {
        if (!p->scored[s])
            continue;
        struct summed rows = scored_rows(p, s);
        for (uint32_t i = 0; i < rows.count; i++)
            compete(p, top, p->models->source[s]->item_of_row[rows.row[i]], &found);
    }
    return found;
}

bool candidates_choose(struct pipeline *p, uint32_t depth)
{
    struct top top = pipeline_top(p, depth);
    if (!candidates_create(p, depth)) {
        p->no_room = true;
        return false;
    }
    bool personal = collect(p);
    uint32_t collected = p->candidate_count;
    for (uint32_t i = 0; i < collected; i++) {
        blend(p, &p->candidate[i]);
        if (top_wants(&top, p->candidate[i].score, p->candidate[i].item))
            top_put(&top, p->candidate[i].score, p->candidate[i].item);
    }
    personal = compete_all(p, &top) || personal;
    top_sort(&top);
    for (uint32_t i = 0; i < top.count; i++) {
        struct candidate *candidate = candidate_of(p, top.slot[i].key);
        blend(p, candidate);
        p->chosen[p->chosen_count++] = candidate;
    }
    if (p->models->ranker != NULL)
        mark_history(p);
    return personal;
}

/* Why the item is there: what each source added, and what the ranker made of it. */
static void explain(struct pipeline *p, const struct candidate *candidate,
                    struct decision_item *item)
{
    struct decision_why *why = ARENA_NEW(p->arena, struct decision_why, POLICY_SOURCES_MAX + 1);
    if (why == NULL)
        return;
    for (uint32_t s = 0; s < p->slot->source_count; s++) {
        float added = p->slot->source[s].weight * candidate->value[s];
        if (added != 0.0f)
            why[item->why_count++] = (struct decision_why){
                policy_source_name(p->slot->source[s].kind), finite_score((double)added)};
    }
    if (p->ranked)
        why[item->why_count++] =
            (struct decision_why){"ranker", finite_score((double)candidate->score)};
    item->why = why;
}

/* Ties go to the smaller item number, whatever order the candidates are in. */
static void sort_by_rank(struct pipeline *p)
{
    struct top top = pipeline_top(p, p->wanted);
    for (uint32_t i = 0; i < p->chosen_count; i++) {
        if (top_wants(&top, p->chosen[i]->score, p->chosen[i]->item))
            top_put(&top, p->chosen[i]->score, p->chosen[i]->item);
    }
    top_sort(&top);
    for (uint32_t i = 0; i < top.count; i++)
        p->chosen[i] = candidate_of(p, top.slot[i].key);
    p->chosen_count = top.count;
}

void candidates_emit(struct pipeline *p)
{
    if (p->ranked)
        sort_by_rank(p);
    for (uint32_t i = 0; i < p->chosen_count; i++) {
        if (!pipeline_emit(p, p->chosen[i]->item, p->chosen[i]->score, NULL))
            continue;
        if (p->request->explain)
            explain(p, p->chosen[i], &p->out->items[p->out->count - 1]);
    }
}
