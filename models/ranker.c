/* SPDX-License-Identifier: Apache-2.0 */
#include "models/ranker.h"

#include "models/model_internal.h"

_Static_assert(RANKER_BLOCK % MLP_BLOCK == 0, "no part of a block goes alone");

static size_t whole_lines(size_t bytes)
{
    return (bytes + RANKER_ALIGN_BYTES - 1) / RANKER_ALIGN_BYTES * RANKER_ALIGN_BYTES;
}

/* The scratch of a blend: that of its parts, then a block of rows and scores of one part. */
static size_t blend_scratch_bytes(const struct blend *blend)
{
    return whole_lines(blend->scratch_bytes) +
           whole_lines((size_t)RANKER_BLOCK * (blend->widest + 1) * sizeof(double));
}

size_t ranker_scratch_bytes(const struct model *ranker)
{
    ASSERT(ranker_fits_slot(ranker->kind));
    switch (ranker->kind) {
    case MODEL_trees: return trees_scratch_bytes(ranker->as.trees);
    case MODEL_mlp: return mlp_scratch_bytes(ranker->as.mlp);
    case MODEL_blend: return blend_scratch_bytes(ranker->as.blend);
    default: return RANKER_ALIGN_BYTES;
    }
}

/* Of a model that is no blend. */
static void score_rows(const struct model *ranker, const double *values, uint32_t row_count,
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

/* At most a block of rows. */
static void blend_block(const struct blend *blend, const double *values, uint32_t row_count,
                        void *scratch, double *ret_score)
{
    double *rows = (double *)(void *)((char *)scratch + whole_lines(blend->scratch_bytes));
    double *score = rows + (size_t)RANKER_BLOCK * blend->widest;
    for (uint32_t row = 0; row < row_count; row++)
        ret_score[row] = 0.0;
    for (uint32_t p = 0; p < blend->part_count; p++) {
        const struct model *part = blend->model[p];
        const uint32_t count = part == NULL ? 0 : part->feature_count;
        for (uint32_t row = 0; row < row_count; row++) {
            score[row] = blend->part[p].fallback;
            for (uint32_t f = 0; f < count; f++)
                rows[(size_t)row * count + f] =
                    values[(size_t)row * blend->feature_count + blend->column[p][f]];
        }
        if (part != NULL)
            score_rows(part, rows, row_count, scratch, score);
        for (uint32_t row = 0; row < row_count; row++)
            ret_score[row] = blend_add(&blend->part[p], ret_score[row], score[row]);
    }
}

void ranker_score_rows(const struct model *ranker, const double *values, uint32_t row_count,
                       void *scratch, double *ret_score)
{
    if (ranker->kind != MODEL_blend) {
        score_rows(ranker, values, row_count, scratch, ret_score);
        return;
    }
    for (uint32_t row = 0; row < row_count; row += RANKER_BLOCK) {
        uint32_t count = row_count - row < RANKER_BLOCK ? row_count - row : RANKER_BLOCK;
        blend_block(ranker->as.blend, values + (size_t)row * ranker->feature_count, count, scratch,
                    ret_score + row);
    }
}
