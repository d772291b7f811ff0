/* SPDX-License-Identifier: Apache-2.0 */
/* page_memo - what slots of a page worked out, for the slots after them: rows of features and their
 * scores, vectors that are folded in, what was found by them, their products with items, and how
 * popular items are.
 *
 * Rows are kept by ranker (one version of one model) and by whether the person allows that anything
 * of them goes in; then by item.  A later slot takes from a row what depends on person and item
 * alone, and computes anew what depends on itself: its sources, its blend, what is the same for all
 * its items.  The score is taken over where the whole row is the same to the bit and the ranker
 * scores each row by itself.  A vector is kept by model and by the rows that it is folded in from.
 * What was found is kept by model and by vector, and is longer than a slot wants by as many items
 * as the page shows.  A later slot for which nothing may be shown that was refused then takes from
 * it the first that it may show; where they are too few it searches itself. So the answer is what
 * the slot would have given alone.
 *
 * Memory: an arena of its own in the worker, so that slots have all of theirs.  Limits:
 * PAGE_MEMO_RANKERS_MAX rankers, PAGE_MEMO_ITEMS_MAX items of each, PAGE_MEMO_VECTORS_MAX vectors
 * of each kind, or what fits into the arena; beyond that slots do the work themselves.  Threads:
 * the worker that decides the page, until it resets the arena. */
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
    uint32_t *slot; /* open addressing by item: place + 1; 0 is free */
    uint32_t *item; /* by place */
    double *row, *score;
    double *group; /* rows of a group that have to be scored, side by side */
};

struct page_vector {
    const struct factors *factors;
    const uint32_t *row; /* that it is folded in from */
    const float *value;
    uint32_t row_count;
};

/* What may not be shown when items are found by marks alone (struct filters). */
struct page_refused {
    const uint32_t *item; /* by number */
    uint32_t item_count;
    bool sold_out, unrecorded;
};

struct page_found {
    const struct model *model;
    const float *vector;
    struct page_refused refused;
    struct factors_found found; /* exact, all that was found */
    bool is_all;                /* there are no others */
};

struct page_products {
    const struct model *model;
    const float *vector;
    struct page_values values;
};

/* By one window, while the most popular item scores that. */
struct page_popular {
    uint32_t window;
    float best;
    struct page_values values; /* .slot NULL: none yet */
};

struct page_memo {
    struct arena *arena; /* borrowed */
    uint32_t spare;      /* how many items the slots of the page want together */
    uint32_t count, vector_count, found_count, products_count;
    struct page_rows rows[PAGE_MEMO_RANKERS_MAX];
    struct page_vector vector[PAGE_MEMO_VECTORS_MAX];
    struct page_found found[PAGE_MEMO_VECTORS_MAX];
    struct page_products products[PAGE_MEMO_VECTORS_MAX];
    struct page_popular popular;
};

void page_memo_begin(struct page_memo *memo, struct arena *arena, uint32_t spare);
/* The rows of that ranker, none at first; NULL without room for them. */
struct page_rows *page_memo_rows(struct page_memo *memo, const struct model *ranker,
                                 bool is_hidden);

/* The vector folded in from these rows; NULL: none is kept. */
const float *page_memo_vector(const struct page_memo *memo, const struct factors *factors,
                              const uint32_t *row, uint32_t row_count);
/* Copies both, where there is room. */
void page_memo_keep_vector(struct page_memo *memo, const struct page_vector *vector);

/* What was found by the vector; NULL: nothing is kept. */
const struct page_found *page_memo_found(const struct page_memo *memo, const struct model *model,
                                         const float *vector);
/* Copies vector and refused items; what was found is in memo->arena already.  NULL without room. */
const struct page_found *page_memo_keep_found(struct page_memo *memo,
                                              const struct page_found *found);

/* The products of the vector by item, none at first; NULL without room for them. */
struct page_values *page_memo_products(struct page_memo *memo, const struct model *model,
                                       const float *vector);
/* How popular items are, of none at first; NULL without room, or where those of another window, or
 * of another best, are kept. */
struct page_values *page_memo_popular(struct page_memo *memo, uint32_t window, float best);

/* The place of the item; PAGE_MEMO_NONE: it is not kept. */
uint32_t page_rows_find(const struct page_rows *rows, uint32_t item);
static inline const double *page_rows_at(const struct page_rows *rows, uint32_t place)
{
    return rows->row + (size_t)place * rows->ranker->feature_count;
}

/* Rows of up to PAGE_MEMO_GROUP items, and where page_rows_find found each. */
struct page_group {
    const uint32_t *item, *place;
    const double *row;
    uint32_t count;
};
/* Scores the group as ranker_score_rows does, and keeps what was not there. */
void page_rows_score(struct page_rows *rows, const struct page_group *group, void *scratch,
                     double *ret_score);

#endif
