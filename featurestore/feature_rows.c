/* SPDX-License-Identifier: Apache-2.0 */
#include "featurestore/feature_rows.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/rcu.h"
#include "featurestore/store_internal.h"

enum { INDEX_SLOTS_MIN = 64, HUGE_BYTES = 1 << 21 };

static void count_bytes(struct feature_rows *rows, int64_t bytes)
{
    uint64_t sum = atomic_load_explicit(&rows->bytes, memory_order_relaxed) + (uint64_t)bytes;
    atomic_store_explicit(&rows->bytes, sum, memory_order_relaxed);
}

static uint32_t page_count(const struct feature_rows *rows)
{
    return (rows->rows_max - 1) / FEATURE_PAGE_ROWS + 1;
}

static struct feature_index *index_create(struct feature_rows *rows, uint32_t slots)
{
    size_t bytes = sizeof(struct feature_index) + slots * sizeof(_Atomic uint32_t);
    size_t align = bytes >= HUGE_BYTES ? HUGE_BYTES : _Alignof(struct feature_index);
    struct feature_index *index = aligned_alloc(align, (bytes + align - 1) / align * align);
    if (index == NULL)
        return NULL;
    if (align == HUGE_BYTES) /* It is read in no order. */
        (void)madvise(index, bytes - bytes % HUGE_BYTES, MADV_HUGEPAGE);
    memset(index, 0, bytes);
    index->mask = slots - 1;
    count_bytes(rows, (int64_t)heap_bytes(bytes));
    return index;
}

enum err_code feature_rows_create(struct slabs *slabs, uint32_t block_bytes, uint32_t rows_max,
                                  bool are_pairs, struct feature_rows **ret_rows, struct err *err)
{
    ASSERT(block_bytes > 0 && rows_max > 0);
    struct feature_rows *rows = calloc(1, sizeof *rows);
    if (rows == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for features");
    rows->slabs = slabs;
    rows->block_bytes = block_bytes;
    rows->rows_max = rows_max;
    bool made;
    if (are_pairs) {
        rows->pair_page = calloc(page_count(rows), sizeof *rows->pair_page);
        struct feature_index *index = index_create(rows, INDEX_SLOTS_MIN);
        atomic_init(&rows->index, index);
        made = rows->pair_page != NULL && index != NULL;
    } else {
        rows->page = calloc(page_count(rows), sizeof *rows->page);
        made = rows->page != NULL;
    }
    if (!made) {
        feature_rows_destroy(&rows);
        return err_set(err, ERR_NOMEM, "out of memory for a table of features");
    }
    *ret_rows = rows;
    return ERR_OK;
}

void feature_rows_destroy(struct feature_rows **rows)
{
    struct feature_rows *old = *rows;
    if (old == NULL)
        return;
    for (uint32_t i = 0; old->page != NULL && i < page_count(old); i++) {
        struct feature_page *page = atomic_load_explicit(&old->page[i], memory_order_relaxed);
        for (uint32_t r = 0; page != NULL && r < FEATURE_PAGE_ROWS; r++)
            slabs_free(old->slabs, atomic_load_explicit(&page->block[r], memory_order_relaxed),
                       old->block_bytes);
        slabs_free(old->slabs, page, sizeof *page);
    }
    for (uint32_t i = 0; old->pair_page != NULL && i < page_count(old); i++) {
        struct feature_pair_page *page =
            atomic_load_explicit(&old->pair_page[i], memory_order_relaxed);
        for (uint32_t r = 0; page != NULL && r < FEATURE_PAGE_ROWS; r++)
            slabs_free(old->slabs, atomic_load_explicit(&page->row[r].block, memory_order_relaxed),
                       old->block_bytes);
        slabs_free(old->slabs, page, sizeof *page);
    }
    free(old->page);
    free(old->pair_page);
    free(atomic_load_explicit(&old->index, memory_order_relaxed));
    free(old);
    *rows = NULL;
}

/* A page of either kind, of zeros; with the blocks, where memory is cheapest to find. */
static void *page_create(struct feature_rows *rows, uint64_t bytes)
{
    void *page = slabs_alloc(rows->slabs, bytes);
    if (page == NULL)
        return NULL;
    memset(page, 0, bytes);
    count_bytes(rows, (int64_t)slabs_block_bytes(bytes));
    return page;
}

/* The row of a pair, with a page behind it; NULL without memory. */
static struct feature_pair_row *pair_row(struct feature_rows *rows, uint32_t number)
{
    uint32_t at = number >> FEATURE_PAGE_BITS;
    struct feature_pair_page *page =
        atomic_load_explicit(&rows->pair_page[at], memory_order_relaxed);
    if (page == NULL) {
        page = page_create(rows, sizeof *page);
        if (page == NULL)
            return NULL;
        atomic_store_explicit(&rows->pair_page[at], page, memory_order_release);
    }
    return &page->row[number & (FEATURE_PAGE_ROWS - 1)];
}

_Atomic(const uint8_t *) *feature_rows_slot(struct feature_rows *rows, uint32_t number)
{
    ASSERT(number < rows->rows_max);
    if (rows->pair_page != NULL) {
        struct feature_pair_row *row = pair_row(rows, number);
        return row == NULL ? NULL : &row->block;
    }
    uint32_t at = number >> FEATURE_PAGE_BITS;
    struct feature_page *page = atomic_load_explicit(&rows->page[at], memory_order_relaxed);
    if (page == NULL) {
        page = page_create(rows, sizeof *page);
        if (page == NULL)
            return NULL;
        atomic_store_explicit(&rows->page[at], page, memory_order_release);
    }
    return &page->block[number & (FEATURE_PAGE_ROWS - 1)];
}

const uint8_t *feature_rows_publish(struct feature_rows *rows, _Atomic(const uint8_t *) *slot,
                                    const uint8_t *block)
{
    const uint8_t *old = atomic_load_explicit(slot, memory_order_relaxed);
    atomic_store_explicit(slot, block, memory_order_release);
    if (old == NULL) {
        count_bytes(rows, (int64_t)slabs_block_bytes(rows->block_bytes));
        uint64_t count = atomic_load_explicit(&rows->row_count, memory_order_relaxed) + 1;
        atomic_store_explicit(&rows->row_count, count, memory_order_relaxed);
    }
    return old;
}

const uint8_t *feature_rows_clear(struct feature_rows *rows, uint32_t number)
{
    _Atomic(const uint8_t *) *slot = feature_rows_slot(rows, number);
    const uint8_t *old = atomic_load_explicit(slot, memory_order_relaxed);
    uint64_t count = atomic_load_explicit(&rows->row_count, memory_order_relaxed) - 1;
    ASSERT(old != NULL);
    atomic_store_explicit(slot, NULL, memory_order_release);
    count_bytes(rows, -(int64_t)slabs_block_bytes(rows->block_bytes));
    atomic_store_explicit(&rows->row_count, count, memory_order_relaxed);
    return old;
}

/* ---- pairs ----------------------------------------------------------------------------------- */

static void index_put(struct feature_index *index, uint64_t key, uint32_t number)
{
    uint32_t hash = feature_rows_spread(key);
    uint32_t at = feature_index_line(index, key);
    while (atomic_load_explicit(&index->slot[at], memory_order_relaxed) != 0)
        at = (at + 1) & index->mask;
    atomic_store_explicit(&index->slot[at], (hash & ~index->mask) | (number + 1),
                          memory_order_release);
}

/* Room for one more pair; false without memory. */
static bool index_reserve(struct feature_rows *rows)
{
    struct feature_index *old = atomic_load_explicit(&rows->index, memory_order_relaxed);
    uint32_t count = atomic_load_explicit(&rows->pair_count, memory_order_relaxed);
    uint64_t slots = (uint64_t)old->mask + 1;
    if ((uint64_t)count + 1 <= slots / 4 * 3)
        return true;
    struct feature_index *grown = index_create(rows, (uint32_t)slots * 2);
    if (grown == NULL)
        return false;
    for (uint32_t i = 0; i < count; i++)
        index_put(grown, feature_rows_pair(rows, i), i);
    atomic_store_explicit(&rows->index, grown, memory_order_release);
    count_bytes(rows, -(int64_t)heap_bytes(sizeof *old + slots * sizeof old->slot[0]));
    rcu_wait();
    free(old);
    return true;
}

enum err_code feature_rows_add_pair(struct feature_rows *rows, uint64_t key, uint32_t *ret_number,
                                    struct err *err)
{
    uint32_t number = feature_rows_find_pair(rows, key);
    if (number != IDMAP_NONE) {
        *ret_number = number;
        return ERR_OK;
    }
    number = atomic_load_explicit(&rows->pair_count, memory_order_relaxed);
    if (number == rows->rows_max)
        return err_set(err, ERR_LIMIT, "feature_rows_max is reached");
    struct feature_pair_row *row = pair_row(rows, number);
    if (row == NULL || !index_reserve(rows))
        return err_set(err, ERR_NOMEM, "out of memory for features");
    row->key = key;
    atomic_store_explicit(&rows->pair_count, number + 1, memory_order_release);
    index_put(atomic_load_explicit(&rows->index, memory_order_relaxed), key, number);
    *ret_number = number;
    return ERR_OK;
}
