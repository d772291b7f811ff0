/* SPDX-License-Identifier: Apache-2.0 */
/* Every source adds its weighted scores to an array indexed by item number.  Factor sources add to
 * a second array: their best items (retrieve.c), or upper bounds for all items.  Then the items
 * that were reached, those with a sum that is not zero, compete for the places (compete.c). */
#include "server/decide/candidates.h"

/* Up to so many rows, summing all of them costs less than retrieving the best and checking whether
 * they suffice. */
#define ADD_ALL_ROWS_MAX 16384

struct summed candidates_reached(const struct pipeline *p, uint32_t s)
{
    if (!policy_has_vector(p->slot->source[s].kind))
        return sources_summed(p, p->models->place[s]);
    const struct model *model = p->models->source[s];
    return (struct summed){model->item_of_row, model_row_count(model)};
}

bool candidates_found(const struct pipeline *p, uint32_t s)
{
    return p->vector[s] != NULL && !p->adds_all;
}

static void add_sums(const struct pipeline *p, uint32_t s)
{
    float *restrict blend = p->scratch->blend;
    const float *restrict sum = p->scratch->sum[p->models->place[s]];
    float weight = p->slot->source[s].weight;
    struct summed reached = sources_summed(p, p->models->place[s]);
    if (reached.item != NULL) {
        for (uint32_t i = 0; i < reached.count; i++)
            blend[reached.item[i]] += weight * sum[reached.item[i]];
    } else {
        for (uint32_t item = 0; item < reached.count; item++)
            blend[item] += weight * sum[item];
    }
}

static void add_factors(const struct pipeline *p, uint32_t s)
{
    factors_add_upper(p->models->source[s], p->vector[s], p->slot->source[s].weight,
                      p->scratch->upper);
}

/* The scores of retrieved items are exact. */
static void add_found(const struct pipeline *p, uint32_t s)
{
    const struct top *found = &p->found[s].top;
    for (uint32_t i = 0; i < found->count; i++)
        p->scratch->upper[found->slot[i].key] += p->slot->source[s].weight * found->slot[i].score;
}

uint32_t candidates_model_popular(const struct pipeline *p, uint32_t s)
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
    uint32_t count = candidates_model_popular(p, s);
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

struct top_list candidates_popular(const struct pipeline *p, uint32_t s)
{
    struct top_list list;
    store_top(p->env->store, p->slot->source[s].window, IDMAP_NONE, &list);
    if (list.count > p->slot->source[s].count)
        list.count = p->slot->source[s].count;
    return list;
}

static void add_popular(const struct pipeline *p, uint32_t s)
{
    struct top_list list = candidates_popular(p, s);
    for (uint32_t i = 0; i < list.count; i++)
        p->scratch->blend[list.entry[i].item] += p->slot->source[s].weight * list.entry[i].share;
}

static void add_all(struct pipeline *p)
{
    for (uint32_t s = 0; s < p->slot->source_count; s++) {
        switch (p->slot->source[s].kind) {
        case SOURCE_popular: add_popular(p, s); break;
        case SOURCE_model_popular: add_model_popular(p, s); break;
        case SOURCE_factors:
        case SOURCE_embeddings:
            if (candidates_found(p, s))
                add_found(p, s);
            else if (p->scored[s])
                add_factors(p, s);
            break;
        default:
            if (p->scored[s])
                add_sums(p, s);
        }
    }
}

/* Whether a source other than popularity proposed the item. */
static bool is_personal(const struct pipeline *p, uint32_t item)
{
    for (uint32_t s = 0; s < p->slot->source_count; s++) {
        if (source_value(p, s, item) != 0.0f)
            return true;
    }
    return false;
}

/* Whether the source proposes any item that may be shown. */
static bool may_bring(const struct pipeline *p, uint32_t s)
{
    struct summed reached = {NULL, 0};
    if (p->scored[s])
        reached = candidates_reached(p, s);
    for (uint32_t i = 0; i < reached.count; i++) {
        uint32_t item = reached.item != NULL ? reached.item[i] : i;
        if (source_value(p, s, item) != 0.0f && eligible(p, item))
            return true;
    }
    return false;
}

/* The first chosen item nearly always is personal.  If popularity crowds out everything personal,
 * the answer is still personal as long as some personal item could have been shown. */
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

static bool has_few_rows(const struct pipeline *p)
{
    uint64_t rows = 0;
    for (uint32_t s = 0; s < p->slot->source_count; s++)
        rows += p->vector[s] != NULL ? model_row_count(p->models->source[s]) : 0;
    return rows <= ADD_ALL_ROWS_MAX;
}

static bool has_one_vector(const struct pipeline *p)
{
    uint32_t count = 0;
    for (uint32_t s = 0; s < p->slot->source_count; s++)
        count += p->vector[s] != NULL;
    return count == 1;
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
    p->adds_all = has_few_rows(p) || !retrieve_factors(p, depth);
    p->found_is_exact = !p->adds_all && has_one_vector(p);
    add_all(p);
    compete(p, &top);
    if (!p->adds_all && !retrieve_is_enough(p, &top)) {
        p->adds_all = true;
        p->found_is_exact = false;
        p->unseen = 0.0f;
        top.count = 0;
        add_all(p);
        compete(p, &top);
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
    struct summed reached = {NULL, 0};
    struct top_list list = {0};
    uint32_t popular_count = 0;
    switch (p->slot->source[s].kind) {
    case SOURCE_popular: list = candidates_popular(p, s); break;
    case SOURCE_model_popular: popular_count = candidates_model_popular(p, s); break;
    default:
        if (p->scored[s])
            reached = candidates_reached(p, s);
    }
    for (uint32_t i = 0; i < list.count; i++) {
        if (!take(ctx, list.entry[i].item))
            return;
    }
    for (uint32_t i = 0; i < popular_count; i++) {
        if (!take(ctx, model->item_of_row[popularity_order(model->as.popularity)[i]]))
            return;
    }
    for (uint32_t i = 0; i < reached.count; i++) {
        if (!take(ctx, reached.item != NULL ? reached.item[i] : i))
            return;
    }
}

float candidates_natural(const struct pipeline *p, uint32_t s, uint32_t item)
{
    float natural = 0.0f;
    if (p->slot->source[s].kind == SOURCE_popular) {
        struct top_list list = candidates_popular(p, s);
        for (uint32_t i = 0; i < list.count && natural == 0.0f; i++)
            natural = list.entry[i].item == item ? list.entry[i].share : 0.0f;
    } else if (p->slot->source[s].kind == SOURCE_model_popular) {
        const struct model *model = p->models->source[s];
        for (uint32_t i = 0; i < candidates_model_popular(p, s) && natural == 0.0f; i++) {
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
