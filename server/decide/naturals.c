/* SPDX-License-Identifier: Apache-2.0 */
/* Natural scores of the chosen items, one source at a time.  The rows are scattered over tables of
 * megabytes, so the next ones are prefetched while one is computed. */
#include "server/decide/candidates.h"
#include "server/decide/page_memo.h"

enum { AHEAD = 8, LINE_FLOATS = 16, BLOCK = 128 };

void naturals_fetch(const struct pipeline *p, uint32_t s, uint32_t item)
{
    const struct model *model = p->models->source[s];
    float known;
    if (p->products[s] != NULL && page_values_find(p->products[s], item, &known))
        return;
    uint32_t row = model_row(model, item);
    if (row == MODEL_NO_ROW)
        return;
    const float *vector = factors_item(model->as.factors, row);
    for (uint32_t k = 0; k < factors_dim(model->as.factors); k += LINE_FLOATS)
        __builtin_prefetch(vector + k);
}

static void read_vectors(const struct pipeline *p, uint32_t s, float *ret_natural)
{
    const struct model *model = p->models->source[s];
    for (uint32_t i = 0; i < p->chosen_count && i < 2 * AHEAD; i++)
        model_fetch_row(model, p->chosen[i].item);
    for (uint32_t i = 0; i < p->chosen_count && i < AHEAD; i++)
        naturals_fetch(p, s, p->chosen[i].item);
    for (uint32_t i = 0; i < p->chosen_count; i++) {
        if (i + 2 * AHEAD < p->chosen_count)
            model_fetch_row(model, p->chosen[i + 2 * AHEAD].item);
        if (i + AHEAD < p->chosen_count)
            naturals_fetch(p, s, p->chosen[i + AHEAD].item);
        ret_natural[i] = source_natural(p, s, p->chosen[i].item);
    }
}

/* The search already computed the product of most chosen items. */
static void read_found(const struct pipeline *p, uint32_t s, float *ret_natural)
{
    float *known = p->scratch->upper; /* zeros between decisions */
    const struct top *found = &p->found[s].top;
    for (uint32_t i = 0; i < found->count; i++)
        known[found->slot[i].key] = found->slot[i].score;
    for (uint32_t i = 0; i < p->chosen_count; i++) {
        if (i + 2 * AHEAD < p->chosen_count)
            model_fetch_row(p->models->source[s], p->chosen[i + 2 * AHEAD].item);
        if (i + AHEAD < p->chosen_count && known[p->chosen[i + AHEAD].item] == 0.0f)
            naturals_fetch(p, s, p->chosen[i + AHEAD].item);
        float natural = known[p->chosen[i].item];
        ret_natural[i] = natural != 0.0f ? natural : source_natural(p, s, p->chosen[i].item);
    }
    for (uint32_t i = 0; i < found->count; i++)
        known[found->slot[i].key] = 0.0f;
}

/* Values for the chosen item[0..count), in that order. */
static void read_scores(const struct pipeline *p, enum store_window window, float best,
                        const uint32_t *item, uint32_t count, float *ret_natural)
{
    const struct store *store = p->env->store;
    for (uint32_t i = 0; i < count; i++) {
        if (i + 2 * AHEAD < count)
            store_item_fetch(store, item[i + 2 * AHEAD]);
        if (i + AHEAD < count)
            store_item_fetch_score(store, item[i + AHEAD]);
        ret_natural[i] = store_item_score(store, item[i], window);
    }
    for (uint32_t i = 0; i < count; i++)
        ret_natural[i] = source_popular(ret_natural[i], best);
}

/* A page asks for each item once. */
static void read_popular(const struct pipeline *p, uint32_t s, float *ret_natural)
{
    enum store_window window = p->slot->source[s].window;
    struct top_list list;
    store_top(p->env->store, window, IDMAP_NONE, &list);
    float best = list.count == 0 ? 0.0f : list.entry[0].score;
    struct page_values *known =
        p->env->memo == NULL ? NULL : page_memo_popular(p->env->memo, window, best);
    for (uint32_t first = 0; first < p->chosen_count; first += BLOCK) {
        uint32_t item[BLOCK], at[BLOCK], count = 0;
        float natural[BLOCK];
        for (uint32_t i = first; i < first + BLOCK && i < p->chosen_count; i++) {
            item[count] = p->chosen[i].item;
            at[count] = i;
            count += known == NULL || !page_values_find(known, item[count], &ret_natural[i]);
        }
        read_scores(p, window, best, item, count, natural);
        for (uint32_t i = 0; i < count; i++) {
            ret_natural[at[i]] = natural[i];
            if (known != NULL)
                page_values_keep(known, item[i], natural[i]);
        }
    }
}

const float *naturals_of(struct pipeline *p, uint32_t s)
{
    if (p->natural[s] != NULL && p->natural_count[s] == p->chosen_count)
        return p->natural[s];
    float *natural = ARENA_NEW(p->arena, float, p->chosen_count);
    if (natural == NULL)
        return NULL;
    if (p->scored[s] && candidates_found(p, s)) {
        read_found(p, s, natural);
    } else if (p->scored[s] && p->vector[s] != NULL) {
        read_vectors(p, s, natural);
    } else if (p->slot->source[s].kind == SOURCE_popular) {
        read_popular(p, s, natural);
    } else {
        for (uint32_t i = 0; i < p->chosen_count; i++)
            natural[i] = source_natural(p, s, p->chosen[i].item);
    }
    p->natural[s] = natural;
    p->natural_count[s] = p->chosen_count;
    return natural;
}

static void read_shares(const struct pipeline *p, uint32_t s, float *ret_natural)
{
    float *share = p->scratch->blend; /* zeros between decisions */
    struct top_list list = candidates_popular(p, s);
    for (uint32_t i = 0; i < list.count; i++)
        share[list.entry[i].item] = list.entry[i].share;
    for (uint32_t i = 0; i < p->chosen_count; i++)
        ret_natural[i] = share[p->chosen[i].item];
    for (uint32_t i = 0; i < list.count; i++)
        share[list.entry[i].item] = 0.0f;
}

/* 0 below the cut. */
static void read_model_popular(const struct pipeline *p, uint32_t s, float *ret_natural)
{
    const struct model *model = p->models->source[s];
    uint32_t count = candidates_model_popular(p, s);
    float *is_listed = p->scratch->blend;
    const uint32_t *order = count == 0 ? NULL : popularity_order(model->as.popularity);
    for (uint32_t i = 0; i < count; i++)
        is_listed[model->item_of_row[order[i]]] = 1.0f;
    for (uint32_t i = 0; i < p->chosen_count; i++) {
        uint32_t item = p->chosen[i].item;
        ret_natural[i] = is_listed[item] != 0.0f ? source_natural(p, s, item) : 0.0f;
    }
    for (uint32_t i = 0; i < count; i++)
        is_listed[model->item_of_row[order[i]]] = 0.0f;
}

const float *naturals_blended(struct pipeline *p, uint32_t s)
{
    enum policy_source_kind kind = p->slot->source[s].kind;
    if (kind != SOURCE_popular && kind != SOURCE_model_popular)
        return naturals_of(p, s);
    float *natural = ARENA_NEW(p->arena, float, p->chosen_count);
    if (natural == NULL)
        return NULL;
    if (kind == SOURCE_popular)
        read_shares(p, s, natural);
    else
        read_model_popular(p, s, natural);
    return natural;
}
