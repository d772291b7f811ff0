/* SPDX-License-Identifier: Apache-2.0 */
/* uppers - for each row a number that its inner product with a vector does not exceed, by item
 * number: what a small catalogue is blended with.
 *
 * The bound is that of sieve.h, but each row has a step of its own, and rows stand in the order of
 * the item numbers, so that adding the bounds to an array goes through it once from end to end.
 * A number without a row has the bound zero, or a little more.
 *
 * Threads: create and destroy on the loader; uppers_add on any.  Ownership: copies what it needs.
 * Limits: UPPERS_ITEMS_MAX numbers; where there are more, few of them would have a row. */
#ifndef MODELS_UPPERS_H
#define MODELS_UPPERS_H

#include "base/err.h"
#include "models/sieve.h"

#define UPPERS_ITEMS_MAX 32768

struct uppers {
    uint32_t quad_count, item_count, group_count;
    int8_t *bytes; /* owned; see dot_int8.h */
    /* Owned, by item number: as of struct sieve_group. */
    float *step, *rest, *length;
    dot_int8_fn dot;
};

/* The row of item i is floats[row_of_item[i]], of dim floats; SIEVE_NO_ROW: it has none.
 * ERR_NOMEM. */
MUST_CHECK enum err_code uppers_create(const float *floats, uint32_t dim,
                                       const uint32_t *row_of_item, uint32_t item_count,
                                       struct uppers **ret_uppers, struct err *err);
void uppers_destroy(struct uppers **uppers);
uint64_t uppers_bytes(const struct uppers *uppers); /* memory held */

/* ---- hot path (uppers_add.c) */

/* Adds to io_upper[i], i below item_count, a number that weight times the product of the row of
 * item i with the vector does not exceed; the weight is not negative. */
void uppers_add(const struct uppers *uppers, const float *vector, uint32_t dim, float weight,
                float *restrict io_upper);

#endif
