/* SPDX-License-Identifier: Apache-2.0 */
/* page_values - a small table of one number per item, computed by one slot of a page and reused by
 * later ones: the product of the person's vector with the item's, or the item's popularity.
 * Mostly the same items compete in every slot.  A lookup touches one cache line of a small table;
 * computing the number misses the cache several times.
 *
 * Memory: the given arena.  Limits: PAGE_VALUES_MAX items; further ones are not kept.
 * Threads: the worker that decides the page. */
#ifndef SERVER_DECIDE_PAGE_VALUES_H
#define SERVER_DECIDE_PAGE_VALUES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"

enum { PAGE_VALUES_MAX = 2048 };

struct page_value {
    uint32_t item; /* number + 1; 0 is free */
    float value;
};

struct page_values {
    uint32_t count;
    struct page_value *slot; /* open addressing, at most half full */
};

/* An empty table; false: the arena is full. */
bool page_values_create(struct page_values *values, struct arena *arena);
/* False: no value is kept for the item, and *ret_value is unchanged. */
bool page_values_find(const struct page_values *values, uint32_t item, float *ret_value);
/* The item must not have a value yet. */
void page_values_keep(struct page_values *values, uint32_t item, float value);

#endif
