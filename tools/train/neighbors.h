/* SPDX-License-Identifier: Apache-2.0 */
/* neighbors - item-to-item weights, cut to the strongest.
 *
 * Row j lists the items that somebody who has item j should see; a person's score of an item is the
 * sum over the person's items of the weights that their rows give it.
 *
 * ease    Steck, "Embarrassingly shallow autoencoders for sparse data" (2019): B = I - P / diag(P)
 *         by columns, P = (X'X + lambda I)^-1.  Weights may be negative, and what is cut matters:
 *         `per_row` entries a row are kept on average, a third of them the strongest of each row,
 *         the others the strongest of all that is left of the matrix, by magnitude.  With `energy`
 *         fewer are, where the strongest hold that share of the sum of all squares.
 *         Memory: one dense matrix, 4 * items^2 bytes; more than EASE_ITEMS_MAX items are refused.
 * cosine  x_i.x_j / (|x_i| |x_j| + shrinkage): the `per_row` strongest of each row.
 *         Memory: 8 bytes an item and thread beside the lists.
 *
 * The lists take 8 bytes an entry and 8 a row.  Threads: their own (parallel.h); ease lets OpenBLAS
 * use them for the inverse, whose last bits depend on their number. */
#ifndef TOOLS_TRAIN_NEIGHBORS_H
#define TOOLS_TRAIN_NEIGHBORS_H

#include <stdint.h>

#include "base/err.h"
#include "tools/train/matrix.h"

#define EASE_ITEMS_MAX        40000u /* 6.0 GiB */
#define ENERGY_PER_ROW_MIN    60u    /* `energy` leaves each row enough for `similar` */
#define NEIGHBORS_PER_ROW_MAX 4096u  /* what a bundle may hold (docs/bundles.md) */

struct neighbors_options {
    uint32_t per_row; /* 1..NEIGHBORS_PER_ROW_MAX */
    double energy;    /* ease: 0..1; 0 keeps per_row whatever they hold */
    double lambda;    /* ease; above 0 */
    double shrinkage; /* cosine; at least 0 */
    uint32_t threads;
    void (*progress)(void *ctx, uint64_t done, uint64_t total); /* steps; NULL: none */
    void *progress_ctx;
};

/* As the bundle holds them. */
struct neighbor_lists {
    uint32_t row_count;
    int64_t *offset; /* owned; row_count + 1 */
    uint32_t *row;   /* owned; descending weight within a list, never the item itself */
    float *weight;   /* owned */
};

/* ERR_LIMIT for too many items (before anything is allocated), ERR_NOMEM, ERR_BAD_INPUT when the
 * matrix cannot be inverted. */
MUST_CHECK enum err_code neighbors_ease(const struct matrix *pairs,
                                        const struct neighbors_options *options,
                                        struct neighbor_lists *ret_lists, struct err *err);
MUST_CHECK enum err_code neighbors_cosine(const struct matrix *pairs,
                                          const struct neighbors_options *options,
                                          struct neighbor_lists *ret_lists, struct err *err);
void neighbor_lists_deinit(struct neighbor_lists *lists); /* fine when zeroed */

/* ERR_NOMEM with the number of entries. */
MUST_CHECK enum err_code neighbor_lists_init(uint32_t row_count, uint64_t entry_count,
                                             struct neighbor_lists *ret_lists, struct err *err);

/* row[j] += sum over the people who have `item` of x(person, item) * x(person, j). */
void neighbors_add_products(const struct matrix *by_person, const struct matrix *by_item,
                            uint32_t item, float *row);

#endif
