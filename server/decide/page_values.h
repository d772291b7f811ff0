/* SPDX-License-Identifier: Apache-2.0 */
/* page_values - a number of each of some items that a slot of a page computed, for the slots after
 * it: the product of the person's vector with the item's, or how popular the item is.  The weights
 * of a slot decide which items compete, and most of those that neighbors bring compete in each.  A
 * number is looked up in a line of a small table; computing it takes several lines from anywhere.
 *
 * Memory: the arena that the table is made in.  Limits: PAGE_VALUES_MAX items, no others are kept.
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

/* An empty table; false when the arena is full. */
bool page_values_create(struct page_values *values, struct arena *arena);
/* False: none is kept of the item, and *ret_value stays. */
bool page_values_find(const struct page_values *values, uint32_t item, float *ret_value);
/* Of an item of which none is kept. */
void page_values_keep(struct page_values *values, uint32_t item, float value);

#endif
