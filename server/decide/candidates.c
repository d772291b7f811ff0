/* SPDX-License-Identifier: Apache-2.0 */
/* Every source adds its weighted natural scores to an array by item number.  Of factors the best
 * items are marked in a second one (retrieve.c), or upper bounds for all items added there.  Then
 * the items that were reached, which are those where an array is not zero, compete for the places,
 * and only those that may get one are looked at and, where there are factors, computed. */
#include <math.h>

#include "server/decide/pipeline.h"

/* Looking at each place of the array costs less than half of finding it through a list. */
#define SCAN_ALL_SHARE 2

/* The rows that a dense source may have scored, or the items. */
static struct summed scored_rows(const struct pipeline *p, uint32_t s)
{
    if (!policy_has_vector(p->slot->source[s].kind))
        return sources_summed(p, p->models->place[s]);
    return (struct summed){NULL, model_row_count(p->models->source[s])};
}

/* A source of factors of which the best items were found. */
static bool lists_found(const struct pipeline *p, uint32_t s)
{
    return p->vector[s] != NULL && !p->adds_all;
}

static void add_items(const struct pipeline *p, uint32_t s)
{
    float *restrict blend = p->scratch->blend;
    const float *restrict sum = p->scratch->sum[p->models->place[s]];
    struct summed items = scored_rows(p, s);
    for (uint32_t i = 0; i < items.count; i++)
        blend[items.row[i]] += p->slot->source[s].weight * sum[items.row[i]];
}

static void add_neighbors(const struct pipeline *p, uint32_t s)
{
    float *restrict blend = p->scratch->blend;
    const uint32_t *restrict item = p->models->source[s]->item_of_row;
    const float *restrict sum = p->scratch->sum[p->models->place[s]];
    float weight = p->slot->source[s].weight;
    struct summed rows = scored_rows(p, s);
    if (rows.row != NULL) {
        for (uint32_t i = 0; i < rows.count; i++)
            blend[item[rows.row[i]]] += weight * sum[rows.row[i]];
    } else {
        for (uint32_t row = 0; row < rows.count; row++)
            blend[item[row]] += weight * sum[row];
    }
}

static void add_factors(const struct pipeline *p, uint32_t s)
{
    float *restrict upper = p->scratch->upper;
    float *restrict row_upper = p->scratch->row_upper;
    const struct model *model = p->models->source[s];
    const uint32_t *restrict item = model->item_of_row;
    uint32_t rows = model_row_count(model);
    float weight = p->slot->source[s].weight;
    factors_upper(model->as.factors, p->vector[s], row_upper);
    for (uint32_t row = 0; row < rows; row++)
        upper[item[row]] += weight * row_upper[row];
}

/* What was found is computed, whatever its bound. */
static void mark_found(const struct pipeline *p, uint32_t s)
{
    for (uint32_t i = 0; i < p->found[s].top.count; i++)
        p->scratch->upper[p->found[s].top.slot[i].key] = INFINITY;
}

/* What all sources of factors add, exactly. */
static float factors_part(const struct pipeline *p, uint32_t item)
{
    float part = 0.0f;
    for (uint32_t s = 0; s < p->slot->source_count; s++) {
        if (p->vector[s] != NULL)
            part += p->slot->source[s].weight * source_value(p, s, item);
    }
    return part;
}

/* The best of a popularity model that the source may bring. */
static uint32_t model_popular_count(const struct pipeline *p, uint32_t s)
{
    const struct model *model = p->models->source[s];
    if (model == NULL)
        return 0;
    uint32_t rows = model_row_count(model);
    return rows < p->slot->source[s].count ? rows : p->slot->source[s].count;
}

static void add_model_popular(struct pipeline *p, uint32_t s)
{
    const struct model *model = p->models->source[s];
    uint32_t count = model_popular_count(p, s);
    if (count == 0)
        return;
    const struct popularity *popularity = model->as.popularity;
    const uint32_t *order = popularity_order(popularity);
    float best = popularity_score(popularity, order[0]);
    for (uint32_t i = 0; i < count; i++)
        p->scratch->blend[model->item_of_row[order[i]]] +=
            p->slot->source[s].weight *
            source_popular(popularity_score(popularity, order[i]), best);
    pipeline_use_model(p, model);
}

/* The best of the window that the source may bring. */
static struct top_list popular_list(const struct pipeline *p, uint32_t s)
{
    struct top_list list;
    store_top(p->env->store, p->slot->source[s].window, IDMAP_NONE, &list);
    if (list.count > p->slot->source[s].count)
        list.count = p->slot->source[s].count;
    return list;
}

static void add_popular(const struct pipeline *p, uint32_t s)
{
    struct top_list list = popular_list(p, s);
    for (uint32_t i = 0; i < list.count; i++)
        p->scratch->blend[list.entry[i].item] += p->slot->source[s].weight * list.entry[i].share;
}

static void add_all(struct pipeline *p)
{
    for (uint32_t s = 0; s < p->slot->source_count; s++) {
        switch (p->slot->source[s].kind) {
        case SOURCE_popular: add_popular(p, s); break;
        case SOURCE_model_popular: add_model_popular(p, s); break;
        case SOURCE_neighbors:
        case SOURCE_cart:
            if (p->scored[s])
                add_neighbors(p, s);
            break;
        case SOURCE_factors:
        case SOURCE_embeddings:
            if (lists_found(p, s))
                mark_found(p, s);
            else if (p->scored[s])
                add_factors(p, s);
            break;
        default:
            if (p->scored[s])
                add_items(p, s);
        }
    }
}

/* Adding rounds, but the larger summand never gives the smaller sum: no item that should be among
 * the best is left out because of its bound. */
static void compute_and_put(const struct pipeline *p, struct top *top, uint32_t item, float blend)
{
    if (!eligible(p, item))
        return;
    float score = blend + factors_part(p, item);
    if (score != 0.0f && top_wants(top, score, item))
        top_put(top, score, item);
}

/* The item's turn; whoever comes to it again finds nothing. */
static void compete(const struct pipeline *p, struct top *top, uint32_t item)
{
    float blend = p->scratch->blend[item];
    float upper = p->scratch->upper[item];
    p->scratch->blend[item] = 0.0f;
    p->scratch->upper[item] = 0.0f;
    if (blend + upper + p->unseen >= top_least(top) && (blend != 0.0f || upper != 0.0f))
        compute_and_put(p, top, item, blend);
}

static void compete_found(const struct pipeline *p, struct top *top, uint32_t s)
{
    for (uint32_t i = 0; i < p->found[s].top.count; i++)
        compete(p, top, p->found[s].top.slot[i].key);
}

/* The items of one source, in any order. */
static void compete_of(struct pipeline *p, struct top *top, uint32_t s)
{
    const struct model *model = p->models->source[s];
    struct summed rows = {NULL, 0};
    switch (p->slot->source[s].kind) {
    case SOURCE_popular: {
        struct top_list list = popular_list(p, s);
        for (uint32_t i = 0; i < list.count; i++)
            compete(p, top, list.entry[i].item);
        break;
    }
    case SOURCE_model_popular:
        for (uint32_t i = 0; i < model_popular_count(p, s); i++)
            compete(p, top, model->item_of_row[popularity_order(model->as.popularity)[i]]);
        break;
    default:
        if (lists_found(p, s)) {
            compete_found(p, top, s);
            break;
        }
        if (p->scored[s])
            rows = scored_rows(p, s);
        for (uint32_t i = 0; i < rows.count; i++) {
            uint32_t row = rows.row != NULL ? rows.row[i] : i;
            compete(p, top, model != NULL ? model->item_of_row[row] : row);
        }
    }
}

static void compete_by_number(const struct pipeline *p, struct top *top, uint32_t item_count)
{
    float *restrict blend = p->scratch->blend;
    float *restrict upper = p->scratch->upper;
    float least = top_least(top);
    for (uint32_t item = 0; item < item_count; item++) {
        if (blend[item] + upper[item] + p->unseen >= least &&
            (blend[item] != 0.0f || upper[item] != 0.0f)) {
            compute_and_put(p, top, item, blend[item]);
            least = top_least(top);
        }
    }
    memset(blend, 0, item_count * sizeof blend[0]);
    memset(upper, 0, item_count * sizeof upper[0]);
}

static void compete_all(struct pipeline *p, struct top *top)
{
    uint32_t item_count = store_item_count(p->env->store);
    uint64_t dense_count = 0;
    for (uint32_t s = 0; s < p->slot->source_count; s++)
        dense_count += p->scored[s] && !lists_found(p, s) ? scored_rows(p, s).count : 0;
    if (SCAN_ALL_SHARE * dense_count >= item_count) {
        compete_by_number(p, top, item_count);
        return;
    }
    for (uint32_t s = 0; s < p->slot->source_count; s++)
        compete_of(p, top, s);
}

/* Did a source bring the item that knows more than what is popular? */
static bool is_personal(const struct pipeline *p, uint32_t item)
{
    for (uint32_t s = 0; s < p->slot->source_count; s++) {
        if (source_value(p, s, item) != 0.0f)
            return true;
    }
    return false;
}

/* Whether the source has an item that may be shown. */
static bool may_bring(const struct pipeline *p, uint32_t s)
{
    const struct model *model = p->models->source[s];
    struct summed rows = {NULL, 0};
    if (p->scored[s])
        rows = scored_rows(p, s);
    for (uint32_t i = 0; i < rows.count; i++) {
        uint32_t row = rows.row != NULL ? rows.row[i] : i;
        uint32_t item = model != NULL ? model->item_of_row[row] : row;
        if (source_value(p, s, item) != 0.0f && eligible(p, item))
            return true;
    }
    return false;
}

/* The first of the chosen nearly always is; when popularity crowds out everything personal, there
 * may still be something that could have been shown. */
static bool any_personal(const struct pipeline *p)
{
    for (uint32_t i = 0; i < p->chosen_count; i++) {
        if (is_personal(p, p->chosen[i].item))
            return true;
    }
    for (uint32_t s = 0; s < p->slot->source_count; s++) {
        if (may_bring(p, s))
            return true;
    }
    return false;
}

bool candidates_choose(struct pipeline *p, uint32_t depth)
{
    struct top top = pipeline_top(p, depth);
    uint32_t capacity = depth + select_extra(p);
    p->chosen = ARENA_NEW(p->arena, struct candidate, capacity);
    if (p->chosen == NULL || top.capacity == 0) {
        p->no_room = true;
        return false;
    }
    p->adds_all = !retrieve_factors(p, depth);
    add_all(p);
    compete_all(p, &top);
    if (!p->adds_all && !retrieve_is_enough(p, &top)) {
        p->adds_all = true;
        p->unseen = 0.0f;
        top.count = 0;
        add_all(p);
        compete_all(p, &top);
    }
    top_sort(&top);
    for (uint32_t i = 0; i < top.count; i++)
        p->chosen[p->chosen_count++] = (struct candidate){
            .item = top.slot[i].key, .score = top.slot[i].score, .blend = top.slot[i].score};
    select_prepare(p, capacity);
    return any_personal(p);
}

void candidates_each(const struct pipeline *p, uint32_t s, bool (*take)(void *ctx, uint32_t item),
                     void *ctx)
{
    const struct model *model = p->models->source[s];
    struct summed rows = {NULL, 0};
    struct top_list list = {0};
    switch (p->slot->source[s].kind) {
    case SOURCE_popular: list = popular_list(p, s); break;
    case SOURCE_model_popular:
        rows = (struct summed){model == NULL ? NULL : popularity_order(model->as.popularity),
                               model_popular_count(p, s)};
        break;
    default:
        if (p->scored[s])
            rows = scored_rows(p, s);
    }
    for (uint32_t i = 0; i < list.count; i++) {
        if (!take(ctx, list.entry[i].item))
            return;
    }
    for (uint32_t i = 0; i < rows.count; i++) {
        uint32_t row = rows.row != NULL ? rows.row[i] : i;
        if (!take(ctx, model != NULL ? model->item_of_row[row] : row))
            return;
    }
}

float candidates_natural(const struct pipeline *p, uint32_t s, uint32_t item)
{
    float natural = 0.0f;
    if (p->slot->source[s].kind == SOURCE_popular) {
        struct top_list list = popular_list(p, s);
        for (uint32_t i = 0; i < list.count && natural == 0.0f; i++)
            natural = list.entry[i].item == item ? list.entry[i].share : 0.0f;
    } else if (p->slot->source[s].kind == SOURCE_model_popular) {
        const struct model *model = p->models->source[s];
        for (uint32_t i = 0; i < model_popular_count(p, s) && natural == 0.0f; i++) {
            if (model->item_of_row[popularity_order(model->as.popularity)[i]] == item)
                natural = source_natural(p, s, item);
        }
    } else {
        natural = source_natural(p, s, item);
    }
    return natural;
}

void candidates_tell(struct pipeline *p, uint32_t item, const struct candidate *candidate,
                     struct decision_why **ret_why, uint32_t *ret_count)
{
    uint32_t count = 0;
    struct decision_why *why = ARENA_NEW(p->arena, struct decision_why, WHY_MAX(p->slot));
    if (why == NULL)
        return;
    for (uint32_t s = 0; s < p->slot->source_count; s++) {
        float value = p->slot->source[s].weight * candidates_natural(p, s, item);
        if (value != 0.0f)
            why[count++] =
                (struct decision_why){p->slot->source[s].label, finite_score((double)value)};
    }
    if (p->ranked && candidate != NULL)
        why[count++] = (struct decision_why){"ranker", finite_score((double)candidate->plain)};
    if (candidate != NULL)
        count += rules_explain(p, item, candidate->plain, why + count);
    *ret_why = why;
    *ret_count = count;
}

void candidates_boost(struct pipeline *p)
{
    for (uint32_t i = 0; i < p->chosen_count; i++) {
        struct candidate *candidate = &p->chosen[i];
        candidate->plain = candidate->score;
        candidate->score = rules_boosted(p, candidate->item, candidate->score);
    }
}
