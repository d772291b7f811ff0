/* SPDX-License-Identifier: Apache-2.0 */
/* store_refresh - advances the windows of all items and rebuilds the top lists.
 *
 * Threads: the writer.  Readers get the published set of lists, inside rcu_read_begin/end.
 * Ownership: a set is one allocation of the store, retired when the next one is published.
 * Limits: STORE_TOP_MAX entries per list. */
#ifndef FEATURESTORE_STORE_REFRESH_H
#define FEATURESTORE_STORE_REFRESH_H

#include <stdbool.h>
#include <stdint.h>

#include "featurestore/store_items.h"

/* All top lists of one refresh.  list[w * (1 + category_count)] is the one over all items, those of
 * the categories follow it. */
struct store_top_span {
    uint32_t first; /* into `entry` */
    uint32_t count;
};

struct store_top_set {
    uint32_t category_count;
    const struct top_entry *entry; /* behind the lists, in the same allocation */
    uint64_t bytes;
    struct store_top_span list[];
};

/* Scratch of the refresh; grows with the number of items that have counts. */
struct store_top_item {
    uint32_t item;
    uint32_t category;
    float score[STORE_WINDOW_COUNT];
};

struct store_refresh {
    bool is_due;    /* something changed since the last one */
    uint64_t at_ns; /* when the last one ended */
    uint32_t item_capacity;
    struct store_top_item *item; /* owned, item_capacity places */
    uint32_t *order;             /* owned, item_capacity places: by category */
    uint32_t category_capacity;
    uint32_t *category_end; /* owned, category_capacity places: into `order` */
};

/* ---- store_refresh.c: moves all windows to the watermark, gives back those that are empty and
 * publishes new top lists.  Without memory the old lists stay and it is due again. */
void store_refresh_all(struct store *store);
/* A small store is refreshed after every batch that leaves the queue empty. */
bool store_refresh_is_cheap(const struct store *store);

#endif
