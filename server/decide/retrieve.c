/* SPDX-License-Identifier: Apache-2.0 */
/* The best items of each source of factors, by which most decisions are made without adding up
 * what factors give to every item.
 *
 * An item that no source of factors found scores at most p->unseen by all of them together.  So
 * the best of those that were found and of those that other sources brought are the best of all
 * when the last of them scores more than that; otherwise all items are added up.  An index has no
 * such bound: what it found, and what others bring, is what there is. */
#include <math.h>
#include <string.h>

#include "server/decide/pipeline.h"

/* More than are wanted, so that the last of the chosen stands clear of what was not found. */
static uint32_t with_spare(uint32_t depth)
{
    return depth + depth / 4 + 8;
}

static bool is_eligible(const void *ctx, uint32_t item)
{
    return eligible(ctx, item);
}

static bool is_indexed(const struct pipeline *p, uint32_t s)
{
    struct factors_retrieval retrieval;
    factors_retrieval(p->models->source[s]->as.factors, &retrieval);
    return !retrieval.is_exact;
}

/* The items of a few categories, which the request or a filter of the slot asks for, are found by
 * going through a column, which costs less than looking at the record of each item that scores
 * high.  Whatever else may not be shown is asked after. */
static void allow_categories(struct pipeline *p)
{
    uint32_t item_count = store_item_count(p->env->store);
    uint32_t own[RULES_CATEGORIES_MAX], count = p->filters.category_count;
    const uint32_t *category = p->filters.category;
    if (p->allowed != NULL)
        return;
    if (p->filters.any_category || count > RULES_CATEGORIES_MAX) {
        if (!rules_categories(p, own, &count))
            return;
        category = own;
    }
    uint64_t *bits = ARENA_NEW(p->arena, uint64_t, (size_t)item_count / 64 + 1);
    if (bits == NULL)
        return;
    store_items_of_categories(p->env->store, category, count, item_count, bits);
    p->allowed = bits;
    p->allowed_count = item_count;
}

static bool find(struct pipeline *p, const struct model *model, const float *vector, uint32_t n,
                 struct factors_found *ret_found)
{
    allow_categories(p);
    const struct factors_query query = {.user = vector,
                                        .n = n,
                                        .allowed = p->allowed,
                                        .allowed_count = p->allowed_count,
                                        .admits = is_eligible,
                                        .ctx = p};
    return factors_top(model, &query, p->arena, ret_found);
}

bool retrieve_factors(struct pipeline *p, uint32_t depth)
{
    p->unseen = 0.0f;
    p->unseen_sources = p->indexed_sources = 0;
    for (uint32_t s = 0; s < p->slot->source_count; s++) {
        if (p->vector[s] == NULL)
            continue;
        bool indexed = is_indexed(p, s);
        if (!find(p, p->models->source[s], p->vector[s], with_spare(depth), &p->found[s])) {
            if (!indexed) {
                p->unseen = 0.0f;
                return false;
            }
            p->found[s] = (struct factors_found){.unseen = -INFINITY};
            p->no_room = true;
        }
        p->indexed_sources += indexed;
        p->unseen_sources += p->found[s].unseen > -INFINITY;
        p->unseen += p->slot->source[s].weight * fmaxf(p->found[s].unseen, 0.0f);
    }
    return true;
}

bool retrieve_is_enough(const struct pipeline *p, const struct top *top)
{
    return p->unseen_sources == 0 || p->indexed_sources > 0 ||
           (top->count == top->capacity && top_least(top) > p->unseen);
}

bool retrieve_similar(struct pipeline *p, const struct model *model, uint32_t n,
                      struct factors_found *ret_found)
{
    uint32_t *row = ARENA_NEW(p->arena, uint32_t, p->seed_count);
    float *vector = ARENA_NEW(p->arena, float, factors_dim(model->as.factors));
    uint32_t count = 0;
    if (row == NULL || vector == NULL) {
        p->no_room = true;
        return false;
    }
    for (uint32_t i = 0; i < p->seed_count; i++) {
        row[count] = model_row(model, p->seed[i]);
        count += row[count] != MODEL_NO_ROW;
    }
    bool is_known = model->kind == MODEL_embeddings
                        ? embeddings_mean(model->as.factors, row, NULL, count, vector)
                        : factors_fold_in(model->as.factors, row, count, p->arena, vector);
    return is_known && find(p, model, vector, n, ret_found);
}

/* ---- what explanations say of it ------------------------------------------------------------- */

void retrieve_tell(struct pipeline *p, const struct model *model, const struct factors_found *found)
{
    struct factors_retrieval retrieval;
    struct decision *out = p->out;
    if (!p->explains)
        return;
    /* Once more for each source: few decisions are explained. */
    struct decision_retrieval *told =
        ARENA_NEW(p->arena, struct decision_retrieval, out->retrieval_count + 1);
    if (told == NULL)
        return;
    if (out->retrieval_count > 0)
        memcpy(told, out->retrieval, out->retrieval_count * sizeof *told);
    factors_retrieval(model->as.factors, &retrieval);
    bool is_indexed = found != NULL && !retrieval.is_exact;
    told[out->retrieval_count] = (struct decision_retrieval){.model = model->label,
                                                             .by = found == NULL ? "sums"
                                                                   : is_indexed  ? "index"
                                                                                 : "exact"};
    if (is_indexed) {
        told[out->retrieval_count].lists = retrieval.list_count;
        told[out->retrieval_count].lists_read = found->lists_probed;
        told[out->retrieval_count].recall = retrieval.recall;
    }
    out->retrieval = told;
    out->retrieval_count++;
}

void retrieve_tell_all(struct pipeline *p)
{
    for (uint32_t s = 0; s < p->slot->source_count; s++) {
        if (p->vector[s] != NULL)
            retrieve_tell(p, p->models->source[s], p->adds_all ? NULL : &p->found[s]);
    }
}
