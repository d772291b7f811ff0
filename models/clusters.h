/* SPDX-License-Identifier: Apache-2.0 */
/* clusters - rows that are near each other: k-means in two levels (a few cells, then each cell by
 * itself), learned from a sample.
 *
 * A row goes to the nearest center within the CLUSTERS_CELLS_TRIED cells nearest to it, so that
 * millions of rows take seconds and not minutes.  The same rows and seed give the same clusters.
 *
 * Threads: one; calls BLAS.  Limits: CLUSTERS_MAX, SIEVE_DIM_MAX factors. */
#ifndef MODELS_CLUSTERS_H
#define MODELS_CLUSTERS_H

#include <stdint.h>

#include "base/err.h"

#define CLUSTERS_MAX         65536
#define CLUSTERS_CELLS_TRIED 4

/* The cluster of each row of dim floats, 0..*ret_count-1; at most about `wanted` of them, and fewer
 * where there are few rows.  `ret_cluster` has row_count places.  ERR_NOMEM. */
MUST_CHECK enum err_code clusters_find(const float *rows, uint32_t row_count, uint32_t dim,
                                       uint32_t wanted, uint64_t seed, uint32_t *ret_cluster,
                                       uint32_t *ret_count, struct err *err);

#endif
