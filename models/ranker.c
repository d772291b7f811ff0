/* SPDX-License-Identifier: Apache-2.0 */
#include "models/ranker.h"

size_t ranker_scratch_bytes(const struct model *ranker)
{
    ASSERT(ranker_is(ranker->kind));
    return ranker->kind == MODEL_trees ? trees_scratch_bytes(ranker->as.trees) : RANKER_ALIGN_BYTES;
}

void ranker_score_rows(const struct model *ranker, const double *values, uint32_t row_count,
                       void *scratch, double *ret_score)
{
    if (ranker->kind == MODEL_trees) {
        trees_score_rows(ranker->as.trees, values, row_count, scratch, ret_score);
        return;
    }
    for (uint32_t row = 0; row < row_count; row++)
        ret_score[row] =
            linear_score(ranker->as.linear, values + (size_t)row * ranker->feature_count);
}
