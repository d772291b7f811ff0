/* SPDX-License-Identifier: Apache-2.0 */
/* Which way rows go: in the lanes of a vector; one by one, by ranks, where they are too few for
 * that, or split by split where the forest does not fit; the latter also where there is no such
 * vector. */
#include "models/forest_fast_internal.h"
#include "models/forest_ranks.h"

/* Measured with 300 trees of 31 leaves of either library, whose rows are alike or are not. */
#define ROWS_ONE_BY_ONE 2
#define ROWS_BY_RANKS   4
#define REST_BY_RANKS   3 /* more than FAST_LANES_LEAST */

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

static void row32(const struct forest_fast *fast, const double *values, bool by_ranks,
                  void *scratch, float *sum)
{
    for (uint32_t k = 0; k < fast->forest->output_count; k++)
        sum[k] = (float)fast->forest->base[k];
    if (by_ranks) {
        forest_ranks_add32(fast->ranks, values, sum);
        return;
    }
    forest_fast_fill32(fast, values, 1, 1, scratch);
    forest_fast_one32(fast, values, scratch, (void *)((char *)sum + sum_bytes(fast)), sum);
}

static void row64(const struct forest_fast *fast, const double *values, bool by_ranks,
                  void *scratch, double *sum)
{
    for (uint32_t k = 0; k < fast->forest->output_count; k++)
        sum[k * FOREST_FAST_ROWS] = fast->forest->base[k];
    if (by_ranks) {
        forest_ranks_add64(fast->ranks, values, sum);
        return;
    }
    void *alive = (char *)scratch + column_bytes(fast) + sum_bytes(fast);
    forest_fast_fill64(fast, values, 1, 1, scratch);
    forest_fast_one64(fast, values, scratch, alive, sum);
}

static void margins_of_each(const struct forest_fast *fast, const double *values,
                            uint32_t row_count, bool by_ranks, void *scratch, double *ret_margin)
{
    float *sum = (float *)(void *)((char *)scratch + column_bytes(fast));
    for (uint32_t row = 0; row < row_count; row++) {
        const double *own = values + (size_t)row * fast->forest->feature_count;
        if (fast->has_floats) {
            row32(fast, own, by_ranks, scratch, sum);
            for (uint32_t k = 0; k < fast->forest->output_count; k++)
                ret_margin[k * FOREST_FAST_ROWS + row] = (double)sum[k];
        } else {
            row64(fast, own, by_ranks, scratch, ret_margin + row);
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

static void margins_of_block(const struct forest_fast *fast, const double *values,
                             uint32_t row_count, void *scratch, double *ret_margin)
{
    margins_of_each(fast, values, row_count, false, scratch, ret_margin);
}

#endif

void forest_fast_margins(const struct forest_fast *fast, const double *values, uint32_t row_count,
                         void *scratch, double *ret_margin)
{
    ASSERT(row_count >= 1 && row_count <= FOREST_FAST_ROWS);
    bool by_ranks = fast->ranks != NULL;
    uint32_t each = row_count;
    if (fast->has_avx2 && row_count > (by_ranks ? ROWS_BY_RANKS : ROWS_ONE_BY_ONE)) {
        bool has_rest = by_ranks && row_count > FAST_LANES_LEAST &&
                        row_count <= FAST_LANES_LEAST + REST_BY_RANKS;
        each = has_rest ? row_count - FAST_LANES_LEAST : 0;
    }
    uint32_t together = row_count - each;
    if (together > 0)
        margins_of_block(fast, values, together, scratch, ret_margin);
    if (each > 0)
        margins_of_each(fast, values + (size_t)together * fast->forest->feature_count, each,
                        by_ranks, scratch, ret_margin + together);
}

void forest_fast_margins_portable(const struct forest_fast *fast, const double *values,
                                  uint32_t row_count, void *scratch, double *ret_margin)
{
    margins_of_each(fast, values, row_count, false, scratch, ret_margin);
}
