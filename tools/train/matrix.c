/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/train/matrix.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static enum err_code allocate(uint32_t row_count, uint32_t column_count, uint64_t count,
                              struct matrix *ret_matrix, struct err *err)
{
    struct matrix matrix = {.row_count = row_count, .column_count = column_count};
    /* One place more than needed: malloc(0) may return NULL. */
    matrix.offset = calloc((size_t)row_count + 2, sizeof matrix.offset[0]);
    matrix.column = calloc(count + 1, sizeof matrix.column[0]);
    matrix.value = calloc(count + 1, sizeof matrix.value[0]);
    if (matrix.offset == NULL || matrix.column == NULL || matrix.value == NULL) {
        matrix_deinit(&matrix);
        return err_set(err, ERR_NOMEM, "a matrix of %u rows with %llu entries: out of memory",
                       row_count, (unsigned long long)count);
    }
    *ret_matrix = matrix;
    return ERR_OK;
}

/* Counts in offset[r + 1] become beginnings in offset[r + 1]: filling a row moves its beginning to
 * its end, which is where the next row begins. */
static void counts_to_beginnings(struct matrix *matrix)
{
    uint64_t begin = 0;
    for (uint32_t r = 0; r < matrix->row_count; r++) {
        uint64_t count = matrix->offset[r + 1];
        matrix->offset[r + 1] = begin;
        begin += count;
    }
}

static void put(struct matrix *matrix, uint32_t row, uint32_t column, float value)
{
    uint64_t at = matrix->offset[row + 1]++;
    matrix->column[at] = column;
    matrix->value[at] = value;
}

enum err_code matrix_transpose(const struct matrix *matrix, struct matrix *ret_matrix,
                               struct err *err)
{
    struct matrix out = {0};
    uint64_t count = matrix_count(matrix);
    enum err_code rc = allocate(matrix->column_count, matrix->row_count, count, &out, err);
    if (rc != ERR_OK)
        return rc;
    for (uint64_t i = 0; i < count; i++)
        out.offset[matrix->column[i] + 1]++;
    counts_to_beginnings(&out);
    for (uint32_t row = 0; row < matrix->row_count; row++) {
        for (uint64_t i = matrix->offset[row]; i < matrix->offset[row + 1]; i++)
            put(&out, matrix->column[i], row, matrix->value[i]);
    }
    *ret_matrix = out;
    return ERR_OK;
}

/* Columns ascend already, so what is at one place stands side by side. */
static void merge_duplicates(struct matrix *matrix)
{
    uint64_t kept = 0;
    uint64_t begin = 0;
    for (uint32_t row = 0; row < matrix->row_count; row++) {
        uint64_t end = matrix->offset[row + 1];
        uint64_t row_begin = kept;
        for (uint64_t i = begin; i < end; i++) {
            if (kept > row_begin && matrix->column[kept - 1] == matrix->column[i]) {
                if (matrix->value[i] > matrix->value[kept - 1])
                    matrix->value[kept - 1] = matrix->value[i];
                continue;
            }
            matrix->column[kept] = matrix->column[i];
            matrix->value[kept] = matrix->value[i];
            kept++;
        }
        begin = end;
        matrix->offset[row + 1] = kept;
    }
}

enum err_code matrix_build(const struct matrix_entry *entries, uint64_t count, uint32_t row_count,
                           uint32_t column_count, struct matrix *ret_matrix, struct err *err)
{
    /* By columns first; transposing that brings the columns of each row in ascending order. */
    struct matrix by_column = {0};
    enum err_code rc = allocate(column_count, row_count, count, &by_column, err);
    if (rc != ERR_OK)
        return rc;
    for (uint64_t i = 0; i < count; i++)
        by_column.offset[entries[i].column + 1]++;
    counts_to_beginnings(&by_column);
    for (uint64_t i = 0; i < count; i++)
        put(&by_column, entries[i].column, entries[i].row, entries[i].value);
    rc = matrix_transpose(&by_column, ret_matrix, err);
    matrix_deinit(&by_column);
    if (rc == ERR_OK)
        merge_duplicates(ret_matrix);
    return rc;
}

void matrix_drop_above(struct matrix *matrix, float limit)
{
    uint64_t kept = 0;
    uint64_t begin = 0;
    for (uint32_t row = 0; row < matrix->row_count; row++) {
        uint64_t end = matrix->offset[row + 1];
        for (uint64_t i = begin; i < end; i++) {
            if (matrix->value[i] > limit)
                continue;
            matrix->column[kept] = matrix->column[i];
            matrix->value[kept] = matrix->value[i];
            kept++;
        }
        begin = end;
        matrix->offset[row + 1] = kept;
    }
}

float matrix_at(const struct matrix *matrix, uint32_t row, uint32_t column)
{
    uint64_t low = matrix->offset[row];
    uint64_t high = matrix->offset[row + 1];
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (matrix->column[middle] < column)
            low = middle + 1;
        else
            high = middle;
    }
    bool found = low < matrix->offset[row + 1] && matrix->column[low] == column;
    return found ? matrix->value[low] : 0.0f;
}

void matrix_deinit(struct matrix *matrix)
{
    free(matrix->offset);
    free(matrix->column);
    free(matrix->value);
    *matrix = (struct matrix){0};
}
