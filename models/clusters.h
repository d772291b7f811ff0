/* SPDX-License-Identifier: Apache-2.0 */
/* clusters - k-means clustering of rows in two levels (a few cells, then each cell separately),
 * trained on a sample.
 *
 * A row is assigned to the nearest center within its CLUSTERS_CELLS_TRIED nearest cells, so that
 * millions of rows take seconds instead of minutes.  The same rows and seed give the same clusters.
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
