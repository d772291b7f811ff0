/* SPDX-License-Identifier: Apache-2.0 */
/* catalogue - random factors of a shop, what retrieval needs of their model, and the best items by
 * computing and sorting all.  Threads: one owner. */
#ifndef TESTS_SUPPORT_CATALOGUE_H
#define TESTS_SUPPORT_CATALOGUE_H

#include "base/rand.h"
#include "models/model_internal.h"

enum { DIM_MAX = 70, ITEMS_MAX = 6000, USERS = 64, ARENA_BYTES = 1 << 20 };

/* A model as model_load and model_bind leave it, but for what no query reads. */
struct catalogue {
    struct model model;
    struct factors factors;
    float *item, *user; /* of `factors` */
    uint32_t *item_of_row, *row_of_item;
    struct rand rand;
};

/* `scale`: of the length of the factors. */
void catalogue_create(struct catalogue *catalogue, uint64_t seed, uint32_t item_count, uint32_t dim,
                      double scale);
void catalogue_add_sieve(struct catalogue *catalogue);

/* Item numbers in another order than rows, with gaps. */
void catalogue_bind(struct catalogue *catalogue);

void catalogue_destroy(struct catalogue *catalogue);
/* Slots by their score; ties by their number. */
int catalogue_best_first(const void *left, const void *right);

/* All items that pass, best first. */
uint32_t catalogue_sort_all(const struct catalogue *catalogue, const struct factors_query *query,
                            struct top_slot *ret_slot);

/* Of every item with the probability share / 2^16. */
uint32_t catalogue_make_bits(struct rand *rand, uint32_t count, uint32_t share, uint64_t *ret_bits);

#endif
