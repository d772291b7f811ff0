/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "models/model_internal.h"

static size_t margin_bytes(const struct trees *trees)
{
    return (trees->forest->output_count * sizeof(double) + 63) & ~(size_t)63;
}

size_t trees_scratch_bytes(const struct trees *trees)
{
    return margin_bytes(trees) + trees->feature_count * sizeof(double);
}

double trees_score_plainly(const struct trees *trees, const double *values, void *scratch)
{
    double *margin = scratch;
    double *row = (double *)(void *)((char *)scratch + margin_bytes(trees));
    for (uint32_t i = 0; i < trees->feature_count; i++)
        row[i] = isnan(values[i]) ? trees->feature[i].fallback : values[i];
    forest_margins(trees->forest, row, margin);
    if (!trees->is_raw)
        forest_transform(trees->forest, margin);
    return margin[trees->output];
}

void trees_score_rows(const struct trees *trees, const double *values, uint32_t row_count,
                      void *scratch, double *ret_score)
{
    for (uint32_t row = 0; row < row_count; row++)
        ret_score[row] =
            trees_score_plainly(trees, values + (size_t)row * trees->feature_count, scratch);
}
