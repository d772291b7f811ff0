/* SPDX-License-Identifier: Apache-2.0 */
/* store_kind - category and brand of an item from the catalogue's columns, for code that counts or
 * compares many items by them: two independent loads, where a record costs two dependent ones.  A
 * concurrent change is seen either before or after.
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
