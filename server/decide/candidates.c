/* SPDX-License-Identifier: Apache-2.0 */
#include "server/decide/pipeline.h"

static uint32_t spread(uint32_t item)
{
    return item * 2654435769u >> 7;
}

/* The candidate of that item, made when it is new; NULL when there is no more room. */
static struct candidate *candidate_of(struct pipeline *p, uint32_t item)
{
    uint32_t at = spread(item) & p->candidate_mask;
    while (p->candidate_index[at] != 0) {
        struct candidate *found = &p->candidate[p->candidate_index[at] - 1];
        if (found->item == item)
            return found;
        at = (at + 1) & p->candidate_mask;
    }
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
        uint32_t at = spread(p->history.item[i]) & p->candidate_mask;
        while (p->candidate_index[at] != 0) {
            struct candidate *found = &p->candidate[p->candidate_index[at] - 1];
            if (found->item == p->history.item[i]) {
                found->position = i + 1;
                break;
            }
            at = (at + 1) & p->candidate_mask;
        }
    }
}

static bool candidates_create(struct pipeline *p)
{
    uint32_t capacity = 0;
    uint32_t places = 64;
    for (uint32_t s = 0; s < p->slot->source_count; s++)
        capacity += p->slot->source[s].count;
    while (places < 2 * capacity)
        places *= 2;
    p->candidate = ARENA_NEW(p->arena, struct candidate, capacity);
    p->candidate_index = ARENA_NEW(p->arena, uint32_t, places);
    if (p->candidate == NULL || p->candidate_index == NULL)
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

/* The best rows of a model whose scores are in the scratch: all rows, or the touched ones. */
static void collect_dense(struct pipeline *p, uint32_t s)
{
    const struct model *model = p->models->source[s];
    uint32_t place = p->models->place[s];
    struct top top = pipeline_top(p, p->slot->source[s].count);
    if (p->slot->source[s].kind == SOURCE_factors) {
        const float *score = p->scratch->score[place];
        uint32_t rows = model_row_count(model);
        for (uint32_t row = 0; row < rows; row++) {
            if (top_wants(&top, score[row], model->item_of_row[row]) &&
                eligible(p, model->item_of_row[row]))
                top_put(&top, score[row], model->item_of_row[row]);
        }
    } else {
        const float *sum = p->scratch->sum[place];
        for (uint32_t i = 0; i < p->touched_count[place]; i++) {
            uint32_t row = p->scratch->touched[place][i];
            if (top_wants(&top, sum[row], model->item_of_row[row]) &&
                eligible(p, model->item_of_row[row]))
                top_put(&top, sum[row], model->item_of_row[row]);
        }
    }
    for (uint32_t i = 0; i < top.count; i++)
        take(p, s, top.slot[i].key, top.slot[i].score);
}

static void collect_repeat(struct pipeline *p, uint32_t s)
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
}

static void collect_popular(struct pipeline *p, uint32_t s)
{
    struct top_list list;
    uint32_t taken = 0;
    store_top(p->env->store, p->slot->source[s].window, IDMAP_NONE, &list);
    for (uint32_t i = 0; i < list.count && taken < p->slot->source[s].count; i++) {
        if (!eligible(p, list.entry[i].item))
            continue;
        take(p, s, list.entry[i].item, source_popular(list.entry[i].score, list.entry[0].score));
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

uint32_t candidates_collect(struct pipeline *p)
{
    uint32_t personal = 0;
    if (!candidates_create(p)) {
        p->no_room = true;
        return 0;
    }
    for (uint32_t s = 0; s < p->slot->source_count; s++) {
        enum policy_source_kind kind = p->slot->source[s].kind;
        if (kind == SOURCE_repeat)
            collect_repeat(p, s);
        else if (p->scored[s])
            collect_dense(p, s);
    }
    personal = p->candidate_count;
    for (uint32_t s = 0; s < p->slot->source_count; s++) {
        enum policy_source_kind kind = p->slot->source[s].kind;
        if (kind == SOURCE_popular)
            collect_popular(p, s);
        else if (kind == SOURCE_model_popular && p->models->source[s] != NULL)
            collect_model_popular(p, s);
    }
    return personal;
}

/* A candidate that only one source brought still gets the scores of the dense ones: otherwise an
 * item just below the cut of a source would lose that source's whole share. */
void candidates_blend(struct pipeline *p)
{
    mark_history(p);
    for (uint32_t i = 0; i < p->candidate_count; i++) {
        struct candidate *candidate = &p->candidate[i];
        float score = 0.0f;
        for (uint32_t s = 0; s < p->slot->source_count; s++) {
            if (candidate->value[s] == 0.0f)
                candidate->value[s] = source_value(p, s, candidate->item);
            score += p->slot->source[s].weight * candidate->value[s];
        }
        candidate->score = score;
    }
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

void candidates_select(struct pipeline *p)
{
    struct top top = pipeline_top(p, p->wanted);
    for (uint32_t i = 0; i < p->candidate_count; i++) {
        /* Ties go to the smaller item number, whatever order the sources came in. */
        if (top_wants(&top, p->candidate[i].score, p->candidate[i].item))
            top_put(&top, p->candidate[i].score, p->candidate[i].item);
    }
    top_sort(&top);
    for (uint32_t i = 0; i < top.count; i++) {
        const struct candidate *candidate = candidate_of(p, top.slot[i].key);
        if (!pipeline_emit(p, candidate->item, candidate->score, NULL))
            continue;
        if (p->request->explain)
            explain(p, candidate, &p->out->items[p->out->count - 1]);
    }
}
