/* SPDX-License-Identifier: Apache-2.0 */
#include "server/decide/mmr.h"

#include <math.h>

static const struct model *factors_of(const struct pipeline *p)
{
    for (uint32_t s = 0; s < p->slot->source_count; s++) {
        if (policy_has_vector(p->slot->source[s].kind) && p->models->source[s] != NULL)
            return p->models->source[s];
    }
    return NULL;
}

static bool fetch_vectors(struct pipeline *p, struct mmr *mmr)
{
    const struct model *model = factors_of(p);
    mmr->vector = ARENA_NEW(p->arena, const float *, mmr->count);
    mmr->scale = ARENA_NEW(p->arena, float, mmr->count);
    if (mmr->vector == NULL || mmr->scale == NULL)
        return false;
    for (uint32_t i = 0; i < mmr->count; i++) {
        uint32_t row = model == NULL ? MODEL_NO_ROW : model_row(model, mmr->candidate[i]->item);
        mmr->vector[i] = NULL;
        if (row == MODEL_NO_ROW)
            continue;
        mmr->vector[i] = factors_item(model->as.factors, row);
        float squares = factors_score(model->as.factors, mmr->vector[i], row);
        mmr->scale[i] = squares > 0.0f ? 1.0f / sqrtf(squares) : 0.0f;
    }
    return true;
}

static bool read_kinds(struct pipeline *p, struct mmr *mmr)
{
    mmr->kind = ARENA_NEW(p->arena, struct store_kind, mmr->count);
    for (uint32_t i = 0; i < mmr->count && mmr->kind != NULL; i++)
        mmr->kind[i] = store_item_kind(p->env->store, mmr->candidate[i]->item);
    return mmr->kind != NULL;
}

static bool read_what_is_compared(struct pipeline *p, struct mmr *mmr)
{
    switch (p->slot->mmr.likeness) {
    case LIKE_CONTENT: return true;
    case LIKE_FACTORS: return fetch_vectors(p, mmr);
    default: return read_kinds(p, mmr);
    }
}

bool mmr_begin(struct pipeline *p, const struct candidate *const *candidate, uint32_t count,
               struct mmr *ret_mmr)
{
    struct mmr mmr = {.p = p, .count = count, .candidate = candidate};
    mmr.relevance = ARENA_NEW(p->arena, float, count);
    mmr.likeness = ARENA_NEW(p->arena, float, count);
    if (mmr.relevance == NULL || mmr.likeness == NULL || !read_what_is_compared(p, &mmr))
        return false;
    float best = count > 0 ? candidate[0]->score : 0.0f;
    float range = count > 0 ? best - candidate[count - 1]->score : 0.0f;
    for (uint32_t i = 0; i < count; i++) {
        mmr.relevance[i] = range > 0.0f ? 1.0f - (best - candidate[i]->score) / range : 1.0f;
        mmr.likeness[i] = 0.0f;
    }
    *ret_mmr = mmr;
    return true;
}

/* ---- likeness -------------------------------------------------------------------------------- */

/* 1 within a category, a half within a brand. */
static float by_category(struct store_kind left, struct store_kind right)
{
    if (left.category != IDMAP_NONE && left.category == right.category)
        return 1.0f;
    return left.brand != IDMAP_NONE && left.brand == right.brand ? 0.5f : 0.0f;
}

static float listed(const struct list *list, uint32_t of, uint32_t item)
{
    struct list_items alike = list_items(list, of);
    for (uint32_t i = 0; i < alike.count; i++) {
        if (alike.entry[i].item == item)
            return alike.entry[i].value;
    }
    return 0.0f;
}

static float by_content(const struct pipeline *p, uint32_t a, uint32_t b)
{
    const struct list *list = p->lists->list[p->slot->mmr.list];
    return fmaxf(listed(list, a, b), listed(list, b, a));
}

/* The cosine; negative ones count as 0. */
static float by_factors(const struct mmr *mmr, uint32_t a, uint32_t b)
{
    const struct model *model = factors_of(mmr->p);
    if (model == NULL || mmr->vector[a] == NULL || mmr->vector[b] == NULL)
        return 0.0f;
    uint32_t row = model_row(model, mmr->candidate[b]->item);
    float product = factors_score(model->as.factors, mmr->vector[a], row);
    return fminf(fmaxf(product * mmr->scale[a] * mmr->scale[b], 0.0f), 1.0f);
}

static float likeness_of(const struct mmr *mmr, uint32_t a, uint32_t b)
{
    switch (mmr->p->slot->mmr.likeness) {
    case LIKE_CONTENT: return by_content(mmr->p, mmr->candidate[a]->item, mmr->candidate[b]->item);
    case LIKE_FACTORS: return by_factors(mmr, a, b);
    default: return by_category(mmr->kind[a], mmr->kind[b]);
    }
}

void mmr_note(struct mmr *mmr, uint32_t index)
{
    for (uint32_t i = 0; i < mmr->count; i++)
        mmr->likeness[i] = fmaxf(mmr->likeness[i], likeness_of(mmr, i, index));
}
