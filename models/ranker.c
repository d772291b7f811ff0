/* SPDX-License-Identifier: Apache-2.0 */
#include "models/ranker.h"

_Static_assert(RANKER_BLOCK % MLP_BLOCK == 0, "no part of a block goes alone");

size_t ranker_scratch_bytes(const struct model *ranker)
{
    ASSERT(ranker_is(ranker->kind));
    switch (ranker->kind) {
    case MODEL_trees: return trees_scratch_bytes(ranker->as.trees);
    case MODEL_mlp: return mlp_scratch_bytes(ranker->as.mlp);
    default: return RANKER_ALIGN_BYTES;
    }
}

void ranker_score_rows(const struct model *ranker, const double *values, uint32_t row_count,
                       void *scratch, double *ret_score)
{
    switch (ranker->kind) {
    case MODEL_trees:
        trees_score_rows(ranker->as.trees, values, row_count, scratch, ret_score);
        break;
    case MODEL_mlp: mlp_score_rows(ranker->as.mlp, values, row_count, scratch, ret_score); break;
    default:
        for (uint32_t row = 0; row < row_count; row++)
            ret_score[row] =
                linear_score(ranker->as.linear, values + (size_t)row * ranker->feature_count);
    }
}
