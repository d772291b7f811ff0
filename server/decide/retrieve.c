/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the best items of each factor source, so that most decisions need not compute the factor
 * scores of every item.
 *
 * All factor sources together add at most p->unseen to an item that none of them found.  So the
 * best of the found items and of those brought by other sources are the best of all if the last
 * of them scores more than that; otherwise all items are summed.  An index has no such bound: its
 * results, and the items of other sources, are taken as complete. */
#include <math.h>
#include <string.h>

#include "server/decide/page_memo.h"
#include "server/decide/pipeline.h"

#define NARROW_PERMILLE 100 /* of the items; wider filters are not worth a look at all of them */

/* Search deeper than needed, so that the last chosen item usually clears the bound. */
static uint32_t with_spare(uint32_t depth)
{
    return depth + depth / 4 + 8;
}

static bool is_eligible(const void *ctx, uint32_t item)
{
    return eligible(ctx, item);
}

static bool is_indexed(const struct model *model)
{
    struct factors_retrieval retrieval;
    factors_retrieval(model->as.factors, &retrieval);
    return !retrieval.is_exact;
}

/* The conditions of the request and of the slot's filters that catalogue columns can answer; lists
 * of more than a few names, and all other conditions, are checked item by item afterwards.  If a
 * category is required the bitmap pays off without a closer look. */
struct asked {
    struct store_wanted wanted;
    struct rules_needed needed;
    bool is_narrow, may_be_narrow;
};

static void want_names(const uint32_t *number, uint32_t count, bool any,
                       const struct rules_names *names, const uint32_t **ret_number,
                       uint32_t *ret_count)
{
    if (!any && count <= RULES_NAMES_MAX) {
        *ret_number = number;
        *ret_count = count;
    } else if (names->is_needed) {
        *ret_number = names->number;
        *ret_count = names->count;
    }
}

static int32_t to_stock(int64_t stock)
{
    return stock < INT32_MIN ? INT32_MIN : stock > INT32_MAX ? INT32_MAX : (int32_t)stock;
}

static void want_numbers(const struct pipeline *p, struct asked *asked)
{
    const struct filters *filters = &p->filters;
    const struct rules_range *price = &asked->needed.price, *stock = &asked->needed.stock;
    struct store_wanted *wanted = &asked->wanted;
    int64_t min = filters->min_price_minor, max = filters->max_price_minor;
    wanted->by_price = price->is_needed || min != INT64_MIN || max != INT64_MAX;
    wanted->price_min_minor = min > price->min ? min : price->min;
    wanted->price_max_minor = max < price->max ? max : price->max;
    wanted->by_stock = stock->is_needed || filters->min_stock > 1;
    wanted->stock_may_be_unknown = !stock->is_needed;
    wanted->stock_min = to_stock(stock->min > filters->min_stock ? stock->min : filters->min_stock);
    wanted->stock_max = to_stock(stock->max);
}

static void ask(const struct pipeline *p, struct asked *asked)
{
    const struct filters *filters = &p->filters;
    struct store_wanted *wanted = &asked->wanted;
    uint32_t item_count = store_item_count(p->env->store);
    rules_need(p, &asked->needed);
    *wanted = (struct store_wanted){.in_stock = filters->min_stock > 0};
    want_names(filters->category, filters->category_count, filters->any_category,
               &asked->needed.category, &wanted->category, &wanted->category_count);
    want_names(filters->brand, filters->brand_count, filters->any_brand, &asked->needed.brand,
               &wanted->brand, &wanted->brand_count);
    want_numbers(p, asked);
    wanted->needs_record = filters->needs_record || asked->needed.price.is_needed ||
                           asked->needed.stock.is_needed || wanted->category != NULL ||
                           wanted->brand != NULL;
    asked->is_narrow = wanted->category != NULL;
    asked->may_be_narrow =
        wanted->brand != NULL || wanted->by_price || wanted->by_stock ||
        (wanted->in_stock && store_sold_out_count(p->env->store) > item_count / 8 * 7);
}

/* If few items pass, scanning columns is cheaper than checking the record of each high-scoring
 * item.  All other conditions are checked afterwards. */
static void allow_wanted(struct pipeline *p)
{
    uint32_t item_count = store_item_count(p->env->store);
    struct asked asked;
    if (p->looked_at_filters)
        return;
    p->looked_at_filters = true;
    if (p->filters.by_marks && p->filters.min_stock == 0)
        return;
    ask(p, &asked);
    if (!asked.is_narrow &&
        (!asked.may_be_narrow ||
         store_wanted_permille(p->env->store, &asked.wanted, item_count) > NARROW_PERMILLE))
        return;
    uint64_t *bits = ARENA_NEW(p->arena, uint64_t, (size_t)item_count / 64 + 1);
    if (bits == NULL)
        return;
    store_items_wanted(p->env->store, &asked.wanted, item_count, bits);
    p->allowed = bits;
    p->allowed_count = item_count;
}

/* ---- once for a page ------------------------------------------------------------------------- */

/* Whether everything excluded in the kept search is excluded now, too. */
static bool refuses_all(const struct pipeline *p, const struct page_refused *refused)
{
    if ((refused->sold_out && p->filters.min_stock <= 0) ||
        (refused->unrecorded && !p->filters.needs_record))
        return false;
    for (uint32_t i = 0; i < refused->item_count; i++) {
        if (!subject_blocks(p, refused->item[i]))
            return false;
    }
    return true;
}

/* False: no room. */
static bool note_refused(const struct pipeline *p, struct page_refused *ret_refused)
{
    uint32_t count = 0;
    uint32_t *item = ARENA_NEW(p->env->memo->arena, uint32_t, p->blocked.mask + 1);
    if (item == NULL)
        return false;
    for (uint32_t at = 0; at <= p->blocked.mask; at++) {
        if (p->blocked.slot[at] != 0)
            item[count++] = p->blocked.slot[at] - 1;
    }
    *ret_refused = (struct page_refused){.item = item,
                                         .item_count = count,
                                         .sold_out = p->filters.min_stock > 0,
                                         .unrecorded = p->filters.needs_record};
    return true;
}

/* Searches for more than this slot needs, to serve later slots.  NULL: no room. */
static const struct page_found *find_for_page(const struct pipeline *p, const struct model *model,
                                              struct factors_query query)
{
    struct page_memo *memo = p->env->memo;
    size_t mark = arena_mark(memo->arena);
    struct page_found page = {.model = model, .vector = query.user};
    const struct page_found *kept = NULL;
    query.n += memo->spare;
    if (note_refused(p, &page.refused) && factors_top(model, &query, memo->arena, &page.found)) {
        page.is_all = page.found.top.count < query.n;
        kept = page_memo_keep_found(memo, &page);
    }
    if (kept == NULL)
        arena_rewind(memo->arena, mark);
    return kept;
}

/* Takes the first results that may be shown from a search by an earlier slot.  False: a search of
 * its own is needed.  Only searches whose exclusions are item flags are shared, so that narrow
 * filters do not use up the kept results. */
static bool take_found(struct pipeline *p, const struct model *model,
                       const struct factors_query *query, struct factors_found *ret_found)
{
    if (p->env->memo == NULL || !p->filters.by_marks || is_indexed(model))
        return false;
    const struct page_found *page = page_memo_found(p->env->memo, model, query->user);
    if (page == NULL)
        page = find_for_page(p, model, *query);
    if (page == NULL || !refuses_all(p, &page->refused))
        return false;
    const struct top *all = &page->found.top;
    size_t mark = arena_mark(p->arena);
    struct top top = top_make(p->arena, query->n < all->count ? query->n : all->count);
    for (uint32_t i = 0; i < all->count && top.count < top.capacity; i++) {
        if (eligible(p, all->slot[i].key))
            top.slot[top.count++] = all->slot[i];
    }
    if (top.slot == NULL || (top.count < query->n && !page->is_all)) {
        arena_rewind(p->arena, mark);
        return false;
    }
    *ret_found = page->found;
    ret_found->top = top;
    ret_found->unseen = top.count == query->n ? top.slot[query->n - 1].score : -INFINITY;
    return true;
}

static bool find(struct pipeline *p, const struct model *model, const float *vector, uint32_t n,
                 struct factors_found *ret_found)
{
    allow_wanted(p);
    const struct factors_query query = {.user = vector,
                                        .n = n,
                                        .allowed = p->allowed,
                                        .allowed_count = p->allowed_count,
                                        .admits = is_eligible,
                                        .ctx = p};
    return take_found(p, model, &query, ret_found) ||
           factors_top(model, &query, p->arena, ret_found);
}

bool retrieve_factors(struct pipeline *p, uint32_t depth)
{
    p->unseen = 0.0f;
    p->unseen_sources = p->indexed_sources = 0;
    for (uint32_t s = 0; s < p->slot->source_count; s++) {
        if (p->vector[s] == NULL)
            continue;
        bool indexed = is_indexed(p->models->source[s]);
        if (p->env->memo != NULL)
            p->products[s] = page_memo_products(p->env->memo, p->models->source[s], p->vector[s]);
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
    /* Copies the array for each source: few decisions are explained. */
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
