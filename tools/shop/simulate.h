/* SPDX-License-Identifier: Apache-2.0 */
/* simulate - what happens in a shop on one day: people come, see pages of items, look at some, put
 * some into the cart and buy.
 *
 * A page shows items of one category that the person is likely to open, drawn by popularity alone;
 * what is viewed of it depends on affinity and place.  So popularity biases what is seen, as in
 * real shops, and the affinity is what a recommender has to find.
 *
 * Threads: one owner.  Memory: the events of one day. */
#ifndef TOOLS_SHOP_SIMULATE_H
#define TOOLS_SHOP_SIMULATE_H

#include <stdint.h>

#include "featurestore/event.h"
#include "tools/shop/shop.h"

#define SIMULATE_PAGE_ITEMS 12
#define SIMULATE_CART_MAX   16

/* The chances, in 65536ths before affinity and price change them; truth.json states them. */
#define SIMULATE_VIEW_CHANCE     5243  /* 0.08, of an item at the top of a page */
#define SIMULATE_VIEW_CHANCE_MAX 39322 /* 0.60 */
#define SIMULATE_CART_CHANCE     3932  /* 0.06, of an item that is viewed */
#define SIMULATE_BUY_CHANCE      36045 /* 0.55, of a cart */
#define SIMULATE_AGAIN_CHANCE    16384 /* 0.25, of a session of someone who bought a consumable */

struct shop_line {
    uint32_t item;
    uint16_t qty;
};

struct shop_event {
    int64_t ts_ms;
    enum event_type type; /* impression, view, cart_add or purchase */
    uint32_t user;
    uint64_t session;
    uint32_t line_first, line_count; /* into simulation->lines */
};

struct simulation {
    const struct shop *shop; /* borrowed */
    struct rand rand;
    uint64_t session_count;
    uint64_t *user_sums;       /* owned; how active each user is, summed */
    uint64_t *item_sums;       /* owned; by category, for the day at hand */
    uint32_t *again;           /* owned; the consumable that a user bought last, plus 1 */
    struct shop_event *events; /* owned; of the day, sorted by time */
    uint32_t event_count, event_capacity;
    struct shop_line *lines; /* owned */
    uint32_t line_count, line_capacity;
};

MUST_CHECK enum err_code simulation_create(const struct shop *shop, struct simulation **ret_sim,
                                           struct err *err);
void simulation_destroy(struct simulation **sim);

/* The events of day 0..days-1, which must come in order. */
MUST_CHECK enum err_code simulate_day(struct simulation *sim, uint32_t day, struct err *err);

#endif
