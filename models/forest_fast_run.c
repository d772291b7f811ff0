/* SPDX-License-Identifier: Apache-2.0 */
/* Which way rows go: in the lanes of a vector, or one by one where there is no such vector or where
 * they are too few for it. */
#include "models/forest_fast_internal.h"

#define ROWS_ONE_BY_ONE 2

static size_t column_bytes(const struct forest_fast *fast)
{
    size_t bytes = fast->has_floats ? sizeof(float) : sizeof(double);
    return (size_t)fast->column_count * FOREST_FAST_ROWS * bytes;
}

static size_t sum_bytes(const struct forest_fast *fast)
{
    return (size_t)fast->forest->output_count * FOREST_FAST_ROWS * sizeof(float);
}

/* What is left of each piece: by rows, and one for all. */
size_t forest_fast_scratch_bytes(const struct forest_fast *fast)
{
    size_t bytes = fast->has_floats ? sizeof(uint32_t) : sizeof(uint64_t);
    size_t alive = fast->chunk_pieces * bytes * (FOREST_FAST_ROWS + 1);
    return column_bytes(fast) + sum_bytes(fast) + ((alive + 63) & ~(size_t)63);
}

static void margins_of_each(const struct forest_fast *fast, const double *values,
                            uint32_t row_count, void *scratch, double *ret_margin)
{
    uint32_t outputs = fast->forest->output_count;
    float *sum = (float *)(void *)((char *)scratch + column_bytes(fast));
    void *alive = (char *)sum + sum_bytes(fast);
    for (uint32_t row = 0; row < row_count; row++) {
        const double *own = values + (size_t)row * fast->forest->feature_count;
        if (fast->has_floats) {
            for (uint32_t k = 0; k < outputs; k++)
                sum[k] = (float)fast->forest->base[k];
            forest_fast_fill32(fast, own, 1, 1, scratch);
            forest_fast_one32(fast, own, scratch, alive, sum);
            for (uint32_t k = 0; k < outputs; k++)
                ret_margin[k * FOREST_FAST_ROWS + row] = (double)sum[k];
        } else {
            for (uint32_t k = 0; k < outputs; k++)
                ret_margin[k * FOREST_FAST_ROWS + row] = fast->forest->base[k];
            forest_fast_fill64(fast, own, 1, 1, scratch);
            forest_fast_one64(fast, own, scratch, alive, ret_margin + row);
        }
    }
}

#if defined(__x86_64__)

static void margins_of_block(const struct forest_fast *fast, const double *values,
                             uint32_t row_count, void *scratch, double *ret_margin)
{
    const struct forest *forest = fast->forest;
    uint32_t lanes = row_count <= FAST_LANES_LEAST ? FAST_LANES_LEAST : FOREST_FAST_ROWS;
    size_t count = (size_t)forest->output_count * FOREST_FAST_ROWS;
    float *sum = (float *)(void *)((char *)scratch + column_bytes(fast));
    const struct fast_block block = {.values = values,
                                     .row_count = row_count,
                                     .lanes = lanes,
                                     .columns = scratch,
                                     .alive = (char *)sum + sum_bytes(fast)};
    if (fast->has_floats) {
        for (size_t i = 0; i < count; i++)
            sum[i] = (float)forest->base[i / FOREST_FAST_ROWS];
        forest_fast_fill32(fast, values, row_count, lanes, scratch);
        forest_fast_block32(fast, &block, sum);
        for (size_t i = 0; i < count; i++)
            ret_margin[i] = (double)sum[i];
    } else {
        for (size_t i = 0; i < count; i++)
            ret_margin[i] = forest->base[i / FOREST_FAST_ROWS];
        forest_fast_fill64(fast, values, row_count, lanes, scratch);
        forest_fast_block64(fast, &block, ret_margin);
    }
}

#else
#define margins_of_block margins_of_each
#endif

void forest_fast_margins(const struct forest_fast *fast, const double *values, uint32_t row_count,
                         void *scratch, double *ret_margin)
{
    ASSERT(row_count >= 1 && row_count <= FOREST_FAST_ROWS);
    if (!fast->has_avx2 || row_count <= ROWS_ONE_BY_ONE)
        margins_of_each(fast, values, row_count, scratch, ret_margin);
    else
        margins_of_block(fast, values, row_count, scratch, ret_margin);
}

void forest_fast_margins_portable(const struct forest_fast *fast, const double *values,
                                  uint32_t row_count, void *scratch, double *ret_margin)
{
    margins_of_each(fast, values, row_count, scratch, ret_margin);
}
