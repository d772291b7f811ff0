/* SPDX-License-Identifier: Apache-2.0 */
#include "models/model_internal.h"

_Static_assert(TREES_BLOCK == FOREST_FAST_ROWS, "rows of a block");

/* Where the parts of the scratch begin, each aligned to 64 bytes. */
struct parts {
    size_t own; /* margins of one row; those of a block, by output, are at the start */
    size_t row; /* TREES_BLOCK rows with fallbacks in place */
    size_t fast;
    size_t bytes;
};

static size_t padded(size_t bytes)
{
    return (bytes + 63) & ~(size_t)63;
}

static struct parts parts_of(const struct trees *trees)
{
    size_t outputs = trees->forest->output_count * sizeof(double);
    size_t row_count = trees->has_fallback ? TREES_BLOCK : 0;
    struct parts parts = {.own = padded(outputs * TREES_BLOCK)};
    parts.row = parts.own + padded(outputs);
    parts.fast = parts.row + padded(trees->feature_count * sizeof(double) * row_count);
    parts.bytes = parts.fast + (trees->fast == NULL ? 0 : forest_fast_scratch_bytes(trees->fast));
    return parts;
}

static double *at(void *scratch, size_t place)
{
    return (double *)(void *)((char *)scratch + place);
}

size_t trees_scratch_bytes(const struct trees *trees)
{
    return parts_of(trees).bytes;
}

/* The values themselves when no feature has a fallback. */
static const double *with_fallbacks(const struct trees *trees, const double *values,
                                    uint32_t row_count, double *row)
{
    if (!trees->has_fallback)
        return values;
    for (uint32_t r = 0; r < row_count; r++) {
        for (uint32_t f = 0; f < trees->feature_count; f++) {
            size_t at = (size_t)r * trees->feature_count + f;
            row[at] = isnan(values[at]) ? trees->feature[f].fallback : values[at];
        }
    }
    return row;
}

static double score_of(const struct trees *trees, double *margin)
{
    return trees->is_raw ? margin[trees->output]
                         : forest_transform_one(trees->forest, margin, trees->output);
}

double trees_score_plainly(const struct trees *trees, const double *values, void *scratch)
{
    struct parts parts = parts_of(trees);
    double *margin = at(scratch, parts.own);
    forest_margins(trees->forest, with_fallbacks(trees, values, 1, at(scratch, parts.row)), margin);
    return score_of(trees, margin);
}

static void score_block(const struct trees *trees, const double *values, uint32_t row_count,
                        void *scratch, double *ret_score)
{
    struct parts parts = parts_of(trees);
    uint32_t outputs = trees->forest->output_count;
    double *margin = scratch;
    double *own = at(scratch, parts.own);
    values = with_fallbacks(trees, values, row_count, at(scratch, parts.row));
    forest_fast_margins(trees->fast, values, row_count, at(scratch, parts.fast), margin);
    for (uint32_t row = 0; row < row_count; row++) {
        for (uint32_t k = 0; k < outputs; k++)
            own[k] = margin[k * TREES_BLOCK + row];
        ret_score[row] = score_of(trees, own);
    }
}

void trees_score_rows(const struct trees *trees, const double *values, uint32_t row_count,
                      void *scratch, double *ret_score)
{
    uint32_t step = trees->fast == NULL ? 1 : TREES_BLOCK;
    for (uint32_t row = 0; row < row_count; row += step) {
        const double *block = values + (size_t)row * trees->feature_count;
        uint32_t count = row_count - row < step ? row_count - row : step;
        if (trees->fast == NULL)
            ret_score[row] = trees_score_plainly(trees, block, scratch);
        else
            score_block(trees, block, count, scratch, ret_score + row);
    }
}
