/* SPDX-License-Identifier: Apache-2.0 */
/* matrix - a sparse matrix of people by items, row by row (CSR), columns ascending within a row.
 *
 * Memory: 8 bytes an entry and 8 a row; building needs 24 more an entry.  Threads: built by one,
 * then read by any.  Limits: 2^32 - 1 rows and columns. */
#ifndef TOOLS_TRAIN_MATRIX_H
#define TOOLS_TRAIN_MATRIX_H

#include <stdint.h>

#include "base/err.h"

struct matrix {
    uint32_t row_count;
    uint32_t column_count;
    uint64_t *offset; /* owned; row_count + 1: where each row begins */
    uint32_t *column; /* owned */
    float *value;     /* owned */
};

struct matrix_entry {
    uint32_t row, column;
    float value;
};

static inline uint64_t matrix_count(const struct matrix *matrix)
{
    return matrix->offset[matrix->row_count];
}

static inline uint32_t matrix_row_length(const struct matrix *matrix, uint32_t row)
{
    return (uint32_t)(matrix->offset[row + 1] - matrix->offset[row]);
}

/* From entries in any order; of several at one place the largest value stays.  ERR_NOMEM says how
 * much was wanted. */
MUST_CHECK enum err_code matrix_build(const struct matrix_entry *entries, uint64_t count,
                                      uint32_t row_count, uint32_t column_count,
                                      struct matrix *ret_matrix, struct err *err);

MUST_CHECK enum err_code matrix_transpose(const struct matrix *matrix, struct matrix *ret_matrix,
                                          struct err *err);

/* Drops the entries whose value is above `limit`, in place. */
void matrix_drop_above(struct matrix *matrix, float limit);

/* The value at a place, 0 where there is none. */
float matrix_at(const struct matrix *matrix, uint32_t row, uint32_t column);

void matrix_deinit(struct matrix *matrix); /* fine on a zeroed matrix */

#endif
