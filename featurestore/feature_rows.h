/* SPDX-License-Identifier: Apache-2.0 */
/* feature_rows - the feature rows of one kind of key: a map from row number to block.
 *
 * A row is one block with the states of all features of that key; an event replaces it by a new
 * block.  Rows of users, items, queries, ... are numbered like the id.  Rows of pairs have numbers
 * of their own, assigned in order of arrival and never reused, and are found by a key of two
 * numbers.
 *
 *  1. A page is published by the release store of its address and never moves; so is a block, and
 *     the block that it replaces goes to `retire`.
 *  2. A pair's key is written before its number is published in the index.  The index (linear
 *     probing from the start of a cache line, at most 3/4 full) is replaced by a larger one through
 *     RCU.
 *
 * Memory: 8 bytes per row plus the block (slabs_block_bytes); pages of 512 rows are created with
 * their first row.  A pair takes another 8 bytes for its key and 5.3 to 10.7 bytes in the index.
 * Threads: one writer; the read functions below by readers inside rcu_read_begin/end.  Limits:
 * rows_max rows. */
#ifndef FEATURESTORE_FEATURE_ROWS_H
#define FEATURESTORE_FEATURE_ROWS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/idmap.h"
#include "base/slabs.h"

enum { FEATURE_PAGE_BITS = 9, FEATURE_PAGE_ROWS = 1 << FEATURE_PAGE_BITS };

struct feature_page {
    _Atomic(const uint8_t *) block[FEATURE_PAGE_ROWS];
};

/* The key lies with the address, so that looking a pair up touches one line for both. */
struct feature_pair_row {
    _Atomic(const uint8_t *) block;
    uint64_t key;
};

struct feature_pair_page {
    struct feature_pair_row row[FEATURE_PAGE_ROWS];
};

/* Slots of one cache line.  A pair is looked for from the first slot of the line that its hash
 * says, so that a line is full from its first slot on, and its last slot tells whether what is not
 * in it may be in the next one. */
enum { FEATURE_LINE_SLOTS = 16 };

struct feature_index {
    uint32_t mask; /* slots - 1, and of the bits of a slot that hold the number */
    /* row number + 1, and above it as many bits of the hash as there is room for; 0: free */
    _Alignas(64) _Atomic uint32_t slot[];
};

struct feature_rows {
    struct slabs *slabs; /* borrowed: blocks lie there */
    uint32_t block_bytes;
    uint32_t rows_max;
    _Atomic(struct feature_page *) *page; /* owned, as many as rows_max needs; NULL: pairs */
    /* of pairs */
    _Atomic(struct feature_pair_page *) *pair_page; /* owned, likewise; NULL: no pairs */
    _Atomic(struct feature_index *) index;          /* owned */
    _Atomic uint32_t pair_count;

    _Atomic uint64_t bytes, row_count; /* of the writer, for statistics: relaxed */
};

MUST_CHECK enum err_code feature_rows_create(struct slabs *slabs, uint32_t block_bytes,
                                             uint32_t rows_max, bool are_pairs,
                                             struct feature_rows **ret_rows, struct err *err);
void feature_rows_destroy(struct feature_rows **rows); /* no readers left; NULL is fine */

/* The place of a row; NULL without memory. */
_Atomic(const uint8_t *) *feature_rows_slot(struct feature_rows *rows, uint32_t number);
/* Puts a block in place and returns the one that was there, for `retire`. */
const uint8_t *feature_rows_publish(struct feature_rows *rows, _Atomic(const uint8_t *) *slot,
                                    const uint8_t *block);
/* Takes a block away, which must be there, and returns it, for `retire`. */
const uint8_t *feature_rows_clear(struct feature_rows *rows, uint32_t number);
/* The number of the pair, given now if it is new.  ERR_LIMIT when rows_max is reached, ERR_NOMEM.
 * May wait for readers. */
MUST_CHECK enum err_code feature_rows_add_pair(struct feature_rows *rows, uint64_t key,
                                               uint32_t *ret_number, struct err *err);

/* ---- feature_rows_read.c: for readers */
uint32_t feature_rows_find_pair(const struct feature_rows *rows, uint64_t key); /* IDMAP_NONE */
/* The first of two steps, so that memory can be fetched before each: the row of the pair, if its
 * key is the one that is looked for; feature_no_pair where there is no such pair; else another's,
 * and feature_rows_find_pair has to tell.  `rows` has a pair, and had `index` before. */
const struct feature_pair_row *feature_rows_likely(const struct feature_rows *rows,
                                                   const struct feature_index *index, uint64_t key);
extern const struct feature_pair_row feature_no_pair; /* without a block */

static inline const struct feature_pair_row *feature_rows_pair_row(const struct feature_rows *rows,
                                                                   uint32_t number)
{
    /* Who has the number got it from the index or is the writer: page and key are there. */
    const struct feature_pair_page *page =
        atomic_load_explicit(&rows->pair_page[number >> FEATURE_PAGE_BITS], memory_order_acquire);
    return &page->row[number & (FEATURE_PAGE_ROWS - 1)];
}

static inline uint64_t feature_rows_pair(const struct feature_rows *rows, uint32_t number)
{
    return feature_rows_pair_row(rows, number)->key;
}

/* The place of a row's address; NULL when there is no such row. */
static inline const _Atomic(const uint8_t *) *feature_rows_place(const struct feature_rows *rows,
                                                                 uint32_t number)
{
    if (number >= rows->rows_max)
        return NULL;
    if (rows->pair_page != NULL)
        return &feature_rows_pair_row(rows, number)->block;
    const struct feature_page *page =
        atomic_load_explicit(&rows->page[number >> FEATURE_PAGE_BITS], memory_order_acquire);
    return page == NULL ? NULL : &page->block[number & (FEATURE_PAGE_ROWS - 1)];
}

static inline const uint8_t *feature_rows_block(const struct feature_rows *rows, uint32_t number)
{
    const _Atomic(const uint8_t *) *place = feature_rows_place(rows, number);
    return place == NULL ? NULL : atomic_load_explicit(place, memory_order_acquire);
}

/* Fibonacci hashing over both halves: the low bits of what is returned are the place. */
static inline uint32_t feature_rows_spread(uint64_t key)
{
    uint64_t product = (key ^ key >> 29) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(product >> 32);
}

/* The line of slots in which a pair is looked for first. */
static inline uint32_t feature_index_line(const struct feature_index *index, uint64_t key)
{
    return feature_rows_spread(key) & index->mask & ~(uint32_t)(FEATURE_LINE_SLOTS - 1);
}

#endif
