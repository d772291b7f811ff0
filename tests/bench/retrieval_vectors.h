/* SPDX-License-Identifier: Apache-2.0 */
/* retrieval_vectors - items and users as training would leave them, made from a seed.
 *
 * Items belong to 50 subcategories of each of 100 categories, of which the first have most. An
 * item's direction is that of its category, 0.7 parts of its subcategory's own and 0.7 of its own,
 * all normal, with a spectrum that falls as (k + 1)^-0.3; its length is lognormal (0.5), as that of
 * popular and rare items is.  A user is the sum of five items of each of one to three
 * subcategories, and a little noise: what a fold-in makes of a history. */
#ifndef TESTS_BENCH_RETRIEVAL_VECTORS_H
#define TESTS_BENCH_RETRIEVAL_VECTORS_H

#include <stdint.h>

#define VECTORS_DIM 64

struct vectors {
    uint32_t item_count, user_count;
    float *item, *user; /* rows of VECTORS_DIM, aligned to 64 bytes */
};

/* Exits with a message without memory. */
void vectors_make(struct vectors *vectors, uint32_t item_count, uint32_t user_count, uint64_t seed);
void vectors_free_items(struct vectors *vectors);
void vectors_free(struct vectors *vectors);

#endif
