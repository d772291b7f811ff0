/* SPDX-License-Identifier: Apache-2.0 */
/* store_kind - category and brand of an item from the columns of the catalogue, for those who count
 * or compare many items by them: a line of each column, where the way over a record takes two that
 * wait for each other.  What changes meanwhile is told as it was or as it is.
 *
 * Threads: any, inside rcu_read_begin/end. */
#ifndef FEATURESTORE_STORE_KIND_H
#define FEATURESTORE_STORE_KIND_H

#include "featurestore/store_items.h"

struct store_kind {
    uint32_t category, brand; /* numbers; IDMAP_NONE: none, or no record */
};
struct store_kind store_item_kind(const struct store *store, uint32_t item);
void store_item_fetch_kind(const struct store *store, uint32_t item); /* asks for its memory */

#endif
