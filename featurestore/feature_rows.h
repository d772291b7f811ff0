/* SPDX-License-Identifier: Apache-2.0 */
/* feature_rows - the features of one kind of key: row number to block.
 *
 * A row is one block that holds the states of all features of that key; an event replaces it by a
 * new one.  Rows of users, items, queries, ... have the number of the id; those of pairs have
 * numbers of their own, given in the order in which pairs came and never taken back, and found by
 * a key of two numbers.
 *
 *  1. A page is published by the release store of its address and never moves; a block likewise,
 *     and the one it replaces goes to `retire`.
 *  2. A pair's key is written before its number is published in the index.  The index (linear
 *     probing, at most 3/4 full) is replaced by a larger one through RCU.
 *
 * Memory: 8 bytes a row and the block (heap_bytes); pages of 1,024 rows are made when the first row
 * in them is.  A pair has 8 bytes of key and 5.3 to 10.7 bytes in the index besides.
 * Threads: one writer; feature_rows_block and feature_rows_find_pair by readers inside
 * rcu_read_begin/end.  Limits: rows_max rows. */
#ifndef FEATURESTORE_FEATURE_ROWS_H
#define FEATURESTORE_FEATURE_ROWS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/idmap.h"

enum { FEATURE_PAGE_BITS = 10, FEATURE_PAGE_ROWS = 1 << FEATURE_PAGE_BITS };

struct feature_page {
    _Atomic(const uint8_t *) block[FEATURE_PAGE_ROWS];
};

struct feature_pair_page {
    uint64_t key[FEATURE_PAGE_ROWS];
};

struct feature_index {
    uint32_t mask;           /* slots - 1 */
    _Atomic uint32_t slot[]; /* row number + 1; 0: free */
};

struct feature_rows {
    uint32_t block_bytes;
    uint32_t rows_max;
    _Atomic(struct feature_page *) *page; /* owned; as many as rows_max needs */
    /* of pairs */
    _Atomic(struct feature_pair_page *) *pair_page; /* owned; NULL when rows are no pairs */
    _Atomic(struct feature_index *) index;          /* owned */
    _Atomic uint32_t pair_count;

    _Atomic uint64_t bytes, row_count; /* of the writer, for statistics: relaxed */
};

MUST_CHECK enum err_code feature_rows_create(uint32_t block_bytes, uint32_t rows_max,
                                             bool are_pairs, struct feature_rows **ret_rows,
                                             struct err *err);
void feature_rows_destroy(struct feature_rows **rows); /* no readers left; NULL is fine */

/* The place of a row; NULL without memory. */
_Atomic(const uint8_t *) *feature_rows_slot(struct feature_rows *rows, uint32_t number);
/* Puts a block in place and returns the one that was there, for `retire`. */
const uint8_t *feature_rows_publish(struct feature_rows *rows, _Atomic(const uint8_t *) *slot,
                                    const uint8_t *block);
/* The number of the pair, given now if it is new.  ERR_LIMIT when rows_max is reached, ERR_NOMEM.
 * May wait for readers. */
MUST_CHECK enum err_code feature_rows_add_pair(struct feature_rows *rows, uint64_t key,
                                               uint32_t *ret_number, struct err *err);

/* ---- feature_rows_read.c: for readers */
uint32_t feature_rows_find_pair(const struct feature_rows *rows, uint64_t key); /* IDMAP_NONE */

static inline const uint8_t *feature_rows_block(const struct feature_rows *rows, uint32_t number)
{
    if (number >= rows->rows_max)
        return NULL;
    struct feature_page *page =
        atomic_load_explicit(&rows->page[number >> FEATURE_PAGE_BITS], memory_order_acquire);
    return page == NULL ? NULL
                        : atomic_load_explicit(&page->block[number & (FEATURE_PAGE_ROWS - 1)],
                                               memory_order_acquire);
}

static inline uint64_t feature_rows_pair(const struct feature_rows *rows, uint32_t number)
{
    /* Who has the number got it from the index or is the writer: the key is there. */
    const struct feature_pair_page *page =
        atomic_load_explicit(&rows->pair_page[number >> FEATURE_PAGE_BITS], memory_order_acquire);
    return page->key[number & (FEATURE_PAGE_ROWS - 1)];
}

/* Fibonacci hashing over both halves. */
static inline uint32_t feature_rows_spread(uint64_t key)
{
    uint64_t product = (key ^ key >> 29) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(product >> 32);
}

#endif
