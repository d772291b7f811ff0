/* SPDX-License-Identifier: Apache-2.0 */
/* page_memo - work shared between the slots of a page: feature rows and their scores, folded-in
 * vectors, search results, products of vectors with items, and item popularity.  Reuse never
 * changes an answer: each slot answers as it would alone.
 *
 * Rows: kept by ranker (one version of one model) and by whether the person's data may be used;
 * then by item.  A later slot reuses the values that depend only on person and item, and recomputes
 * those that depend on the slot: its sources, its blend, values common to all its items.  The score
 * is reused if the whole row is bit-identical and the ranker scores rows independently.
 *
 * Vectors: kept by model and by the rows that they are folded in from.
 *
 * Search results: kept by model and vector, and longer than the slot needs by as many items as the
 * page shows.  A later slot that refuses at least what was refused then takes the first results
 * that it may show; if these are too few it searches by itself.
 *
 * Memory: an arena of its own in the worker, so that slots keep all of theirs.  Limits:
 * PAGE_MEMO_RANKERS_MAX rankers, PAGE_MEMO_ITEMS_MAX items for each, PAGE_MEMO_VECTORS_MAX vectors
 * of each kind, or what fits into the arena; beyond that slots do the work themselves.
 * Threads: the worker that decides the page, until it resets the arena. */
#ifndef SERVER_DECIDE_PAGE_MEMO_H
#define SERVER_DECIDE_PAGE_MEMO_H

#include "base/arena.h"
#include "models/ranker.h"
#include "server/decide/page_values.h"

enum {
    PAGE_MEMO_RANKERS_MAX = 4,
    PAGE_MEMO_ITEMS_MAX = 2048,
    PAGE_MEMO_GROUP = 32,
    PAGE_MEMO_VECTORS_MAX = 8
};
#define PAGE_MEMO_NONE UINT32_MAX

/* The rows of one ranker. */
struct page_rows {
    const struct model *ranker;
    bool is_hidden;
    uint32_t count, count_max, mask;
    uint32_t *slot; /* hash table by item, open addressing: place + 1; 0: free */
    uint32_t *item; /* by place */
    double *row, *score;
    double *group; /* the rows of a group that must be scored, contiguous */
};

struct page_vector {
    const struct factors *factors;
    const uint32_t *row; /* the rows it is folded in from */
    const float *value;
    uint32_t row_count;
};

/* What a search excluded, if the item flags alone decided (struct filters, by_marks). */
struct page_refused {
    const uint32_t *item; /* item numbers */
    uint32_t item_count;
    bool sold_out, unrecorded;
};

struct page_found {
    const struct model *model;
    const float *vector;
    struct page_refused refused;
    struct factors_found found; /* exact scores, all results */
    bool is_all;                /* the search returned every eligible item */
};

struct page_products {
    const struct model *model;
    const float *vector;
    struct page_values values;
};

/* For one window, as long as its best score is this. */
struct page_popular {
    uint32_t window;
    float best;
    struct page_values values; /* .slot is NULL: none yet */
};

struct page_memo {
    struct arena *arena; /* borrowed */
    uint32_t spare;      /* how many items all slots of the page request together */
    uint32_t count, vector_count, found_count, products_count;
    struct page_rows rows[PAGE_MEMO_RANKERS_MAX];
    struct page_vector vector[PAGE_MEMO_VECTORS_MAX];
    struct page_found found[PAGE_MEMO_VECTORS_MAX];
    struct page_products products[PAGE_MEMO_VECTORS_MAX];
    struct page_popular popular;
};

void page_memo_begin(struct page_memo *memo, struct arena *arena, uint32_t spare);
/* The (initially empty) rows of that ranker; NULL: no room. */
struct page_rows *page_memo_rows(struct page_memo *memo, const struct model *ranker,
                                 bool is_hidden);

/* The vector folded in from these rows; NULL: not kept. */
const float *page_memo_vector(const struct page_memo *memo, const struct factors *factors,
                              const uint32_t *row, uint32_t row_count);
/* Copies rows and values, if there is room. */
void page_memo_keep_vector(struct page_memo *memo, const struct page_vector *vector);

/* The results for the vector; NULL: not kept. */
const struct page_found *page_memo_found(const struct page_memo *memo, const struct model *model,
                                         const float *vector);
/* Copies vector and refused items; the results must already be in memo->arena.  NULL: no room. */
const struct page_found *page_memo_keep_found(struct page_memo *memo,
                                              const struct page_found *found);

/* The (initially empty) products of the vector by item; NULL: no room. */
struct page_values *page_memo_products(struct page_memo *memo, const struct model *model,
                                       const float *vector);
/* The (initially empty) popularity of items; NULL: no room, or another window or best score is
 * kept. */
struct page_values *page_memo_popular(struct page_memo *memo, uint32_t window, float best);

/* The place of the item; PAGE_MEMO_NONE: not kept. */
uint32_t page_rows_find(const struct page_rows *rows, uint32_t item);
static inline const double *page_rows_at(const struct page_rows *rows, uint32_t place)
{
    return rows->row + (size_t)place * rows->ranker->feature_count;
}

/* Rows of up to PAGE_MEMO_GROUP items, and the result of page_rows_find for each. */
struct page_group {
    const uint32_t *item, *place;
    const double *row;
    uint32_t count;
};
/* Scores the group as ranker_score_rows does, and keeps the new rows. */
void page_rows_score(struct page_rows *rows, const struct page_group *group, void *scratch,
                     double *ret_score);

#endif
