/* SPDX-License-Identifier: Apache-2.0 */
/* factors_index - an inverted file (IVF) over item factors: a query reads the most promising of
 * many lists of nearby items (each list is a sieve).
 *
 * Built for inner products rather than cosines: rows are clustered by Euclidean distance, lengths
 * included, so that long rows, which score high for many queries, get lists of their own.  A list's
 * priority is the query's product with its mean plus INDEX_SPREAD standard deviations, for which
 * the means have one extra dimension.  Rows in a list are sorted by length, longest first, and the
 * scan stops where they are too short to matter.
 *
 * The number of lists per query is calibrated at build time: for up to 512 sampled users the best
 * INDEX_RECALL_AT items are computed exactly, and the rank of each item's list in the user's order
 * is looked up.  Half of the users determine the smallest number of lists whose mean recall reaches
 * the target, less its sampling error (the lower end of a one-sided 95 % interval); the other half
 * give the reported recall for that number.  With filters more lists are read (factors_top.c).
 *
 * Threads: create and destroy on the loader.  The same factors give the same index. */
#ifndef MODELS_FACTORS_INDEX_H
#define MODELS_FACTORS_INDEX_H

#include "models/sieve.h"

#define INDEX_RECALL_AT 100
#define INDEX_SPREAD    1.5f

struct factors_index {
    struct sieve *lists;     /* owned */
    struct sieve *means;     /* owned: one row for each list, of dim + 1; estimates */
    uint32_t probes;         /* lists that a query without a filter reads */
    double recall;           /* measured with so many, at INDEX_RECALL_AT */
    uint32_t recall_queries; /* users that it was measured with, none of whom chose */
};

struct factors_index_spec {
    const float *items; /* borrowed as long as the index lives */
    uint32_t item_count, dim;
    const float *users; /* to measure with, borrowed during the call; items where there are none */
    uint32_t user_count;
    double recall; /* wanted, 0..1 */
};

MUST_CHECK enum err_code factors_index_create(const struct factors_index_spec *spec,
                                              struct factors_index **ret_index, struct err *err);
void factors_index_destroy(struct factors_index **index);
uint64_t factors_index_bytes(const struct factors_index *index); /* memory held */

/* ---- hot path (factors_top.c) */

/* What factors_index_order takes of its arena, which its caller gives back. */
#define INDEX_ORDER_BYTES(count) (SIEVE_SCAN_BYTES(count) + sizeof(float) * SIEVE_DIM_MAX)

/* The `count` lists that promise the vector most: ret_lists->best, the best first.  False when the
 * arena is full. */
bool factors_index_order(const struct factors_index *index, const float *vector, uint32_t count,
                         struct arena *arena, struct sieve_scan *ret_lists);

#endif
