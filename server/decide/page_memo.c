/* SPDX-License-Identifier: Apache-2.0 */
#include "server/decide/page_memo.h"

#include <string.h>

void page_memo_begin(struct page_memo *memo, struct arena *arena, uint32_t spare)
{
    arena_reset(arena);
    memo->arena = arena;
    memo->spare = spare;
    memo->count = memo->vector_count = memo->found_count = memo->products_count = 0;
    memo->popular.values.slot = NULL;
}

/* ---- vectors --------------------------------------------------------------------------------- */

const float *page_memo_vector(const struct page_memo *memo, const struct factors *factors,
                              const uint32_t *row, uint32_t row_count)
{
    for (uint32_t i = 0; i < memo->vector_count; i++) {
        const struct page_vector *vector = &memo->vector[i];
        if (vector->factors == factors && vector->row_count == row_count &&
            memcmp(vector->row, row, row_count * sizeof *row) == 0)
            return vector->value;
    }
    return NULL;
}

void page_memo_keep_vector(struct page_memo *memo, const struct page_vector *vector)
{
    size_t mark = arena_mark(memo->arena), row_bytes = vector->row_count * sizeof(uint32_t);
    size_t value_bytes = factors_dim(vector->factors) * sizeof(float);
    if (memo->vector_count == PAGE_MEMO_VECTORS_MAX)
        return;
    void *row = arena_alloc(memo->arena, row_bytes, alignof(uint32_t));
    void *value = arena_alloc(memo->arena, value_bytes, RANKER_ALIGN_BYTES);
    if (row == NULL || value == NULL) {
        arena_rewind(memo->arena, mark);
        return;
    }
    memcpy(row, vector->row, row_bytes);
    memcpy(value, vector->value, value_bytes);
    memo->vector[memo->vector_count++] =
        (struct page_vector){vector->factors, row, value, vector->row_count};
}

/* ---- what was found by vectors --------------------------------------------------------------- */

const struct page_found *page_memo_found(const struct page_memo *memo, const struct model *model,
                                         const float *vector)
{
    size_t bytes = factors_dim(model->as.factors) * sizeof *vector;
    for (uint32_t i = 0; i < memo->found_count; i++) {
        const struct page_found *found = &memo->found[i];
        if (found->model == model && memcmp(found->vector, vector, bytes) == 0)
            return found;
    }
    return NULL;
}

const struct page_found *page_memo_keep_found(struct page_memo *memo,
                                              const struct page_found *found)
{
    size_t vector_bytes = factors_dim(found->model->as.factors) * sizeof *found->vector;
    size_t item_bytes = found->refused.item_count * sizeof *found->refused.item;
    if (memo->found_count == PAGE_MEMO_VECTORS_MAX)
        return NULL;
    float *vector = arena_alloc(memo->arena, vector_bytes, alignof(float));
    uint32_t *item = arena_alloc(memo->arena, item_bytes, alignof(uint32_t));
    if (vector == NULL || item == NULL)
        return NULL;
    memcpy(vector, found->vector, vector_bytes);
    memcpy(item, found->refused.item, item_bytes);
    struct page_found *kept = &memo->found[memo->found_count++];
    *kept = *found;
    kept->vector = vector;
    kept->refused.item = item;
    return kept;
}

/* ---- numbers of items ------------------------------------------------------------------------ */

struct page_values *page_memo_products(struct page_memo *memo, const struct model *model,
                                       const float *vector)
{
    size_t mark = arena_mark(memo->arena);
    size_t bytes = factors_dim(model->as.factors) * sizeof *vector;
    for (uint32_t i = 0; i < memo->products_count; i++) {
        struct page_products *products = &memo->products[i];
        if (products->model == model && memcmp(products->vector, vector, bytes) == 0)
            return &products->values;
    }
    if (memo->products_count == PAGE_MEMO_VECTORS_MAX)
        return NULL;
    struct page_products *products = &memo->products[memo->products_count];
    float *copy = arena_alloc(memo->arena, bytes, alignof(float));
    if (copy == NULL || !page_values_create(&products->values, memo->arena)) {
        arena_rewind(memo->arena, mark);
        return NULL;
    }
    memcpy(copy, vector, bytes);
    products->model = model;
    products->vector = copy;
    memo->products_count++;
    return &products->values;
}

struct page_values *page_memo_popular(struct page_memo *memo, uint32_t window, float best)
{
    struct page_popular *popular = &memo->popular;
    if (popular->values.slot == NULL) {
        if (!page_values_create(&popular->values, memo->arena))
            return NULL;
        popular->window = window;
        popular->best = best;
    }
    return popular->window == window && popular->best == best ? &popular->values : NULL;
}

/* ---- rows of a ranker ------------------------------------------------------------------------ */

static uint32_t slots_for(uint32_t items)
{
    uint32_t slots = 64;
    while (slots < 2 * items)
        slots *= 2;
    return slots;
}

/* False: no room, and the arena is unchanged. */
static bool rows_create(struct page_rows *rows, struct arena *arena, uint32_t count_max)
{
    size_t stride = rows->ranker->feature_count, mark = arena_mark(arena);
    uint32_t slots = slots_for(count_max);
    rows->count_max = count_max;
    rows->mask = slots - 1;
    rows->slot = ARENA_NEW(arena, uint32_t, slots);
    rows->item = ARENA_NEW(arena, uint32_t, count_max);
    rows->score = ARENA_NEW(arena, double, count_max);
    rows->row = ARENA_NEW(arena, double, count_max *stride);
    rows->group = ARENA_NEW(arena, double, PAGE_MEMO_GROUP *stride);
    if (rows->slot == NULL || rows->item == NULL || rows->score == NULL || rows->row == NULL ||
        rows->group == NULL) {
        arena_rewind(arena, mark);
        return false;
    }
    memset(rows->slot, 0, slots * sizeof *rows->slot);
    return true;
}

struct page_rows *page_memo_rows(struct page_memo *memo, const struct model *ranker, bool is_hidden)
{
    for (uint32_t i = 0; i < memo->count; i++) {
        if (memo->rows[i].ranker == ranker && memo->rows[i].is_hidden == is_hidden)
            return &memo->rows[i];
    }
    if (memo->count == PAGE_MEMO_RANKERS_MAX)
        return NULL;
    struct page_rows *rows = &memo->rows[memo->count];
    *rows = (struct page_rows){.ranker = ranker, .is_hidden = is_hidden};
    for (uint32_t items = PAGE_MEMO_ITEMS_MAX; items >= PAGE_MEMO_GROUP; items /= 2) {
        if (rows_create(rows, memo->arena, items)) {
            memo->count++;
            return rows;
        }
    }
    return NULL;
}

/* Fibonacci hashing: item numbers are dense, their products are not. */
static uint32_t first_slot(const struct page_rows *rows, uint32_t item)
{
    return item * 2654435769u >> 7 & rows->mask;
}

uint32_t page_rows_find(const struct page_rows *rows, uint32_t item)
{
    uint32_t at = first_slot(rows, item);
    while (rows->slot[at] != 0) {
        if (rows->item[rows->slot[at] - 1] == item)
            return rows->slot[at] - 1;
        at = (at + 1) & rows->mask;
    }
    return PAGE_MEMO_NONE;
}

static void keep(struct page_rows *rows, uint32_t item, const double *row, double score)
{
    size_t stride = rows->ranker->feature_count;
    if (rows->count == rows->count_max)
        return;
    uint32_t at = first_slot(rows, item), place = rows->count++;
    while (rows->slot[at] != 0)
        at = (at + 1) & rows->mask;
    rows->slot[at] = place + 1;
    rows->item[place] = item;
    rows->score[place] = score;
    memcpy(rows->row + place * stride, row, stride * sizeof *row);
}

/* ---- scores ---------------------------------------------------------------------------------- */

/* Dense nets compute blocks of rows, in an order that may depend on their number. */
static bool scores_rows_alone(const struct model *ranker)
{
    return ranker->kind == MODEL_trees || ranker->kind == MODEL_linear;
}

static const double *row_of(const struct page_rows *rows, const struct page_group *group,
                            uint32_t index)
{
    return group->row + (size_t)index * rows->ranker->feature_count;
}

static bool is_same(const struct page_rows *rows, const struct page_group *group, uint32_t index)
{
    uint32_t place = group->place[index];
    return place != PAGE_MEMO_NONE && memcmp(page_rows_at(rows, place), row_of(rows, group, index),
                                             rows->ranker->feature_count * sizeof(double)) == 0;
}

/* Those that no slot scored before; returns how many, ret_index[] of the group. */
static uint32_t take_scores(const struct page_rows *rows, const struct page_group *group,
                            double *ret_score, uint32_t ret_index[PAGE_MEMO_GROUP])
{
    bool takes = scores_rows_alone(rows->ranker);
    uint32_t count = 0;
    for (uint32_t i = 0; i < group->count; i++) {
        if (takes && is_same(rows, group, i))
            ret_score[i] = rows->score[group->place[i]];
        else
            ret_index[count++] = i;
    }
    return count;
}

void page_rows_score(struct page_rows *rows, const struct page_group *group, void *scratch,
                     double *ret_score)
{
    ASSERT(group->count <= PAGE_MEMO_GROUP);
    size_t stride = rows->ranker->feature_count;
    uint32_t index[PAGE_MEMO_GROUP];
    uint32_t count = take_scores(rows, group, ret_score, index);
    if (count == group->count) {
        ranker_score_rows(rows->ranker, group->row, count, scratch, ret_score);
    } else if (count > 0) {
        double score[PAGE_MEMO_GROUP];
        for (uint32_t i = 0; i < count; i++)
            memcpy(rows->group + i * stride, row_of(rows, group, index[i]),
                   stride * sizeof(double));
        ranker_score_rows(rows->ranker, rows->group, count, scratch, score);
        for (uint32_t i = 0; i < count; i++)
            ret_score[index[i]] = score[i];
    }
    for (uint32_t i = 0; i < group->count; i++) {
        if (group->place[i] == PAGE_MEMO_NONE)
            keep(rows, group->item[i], row_of(rows, group, i), ret_score[i]);
    }
}
