/* SPDX-License-Identifier: Apache-2.0 */
/* ranker - a common interface to models of the kinds linear, trees and mlp, and to assembled blends
 * of them (models/blend.h): rows of named features in, one score per row out.
 *
 * model->feature names the columns of a row.  Threads: any, without allocation or locks. */
#ifndef MODELS_RANKER_H
#define MODELS_RANKER_H

#include "models/model.h"

#define RANKER_BLOCK       TREES_BLOCK /* as many rows at once are cheapest */
#define RANKER_ALIGN_BYTES 64

static inline bool ranker_is(enum model_kind kind)
{
    return kind == MODEL_linear || kind == MODEL_trees || kind == MODEL_mlp;
}

/* It may rank the items of a slot. */
static inline bool ranker_fits_slot(enum model_kind kind)
{
    return ranker_is(kind) || kind == MODEL_blend;
}

/* What ranker_score_rows needs as scratch, aligned to RANKER_ALIGN_BYTES and a multiple of it. */
size_t ranker_scratch_bytes(const struct model *ranker);

/* values[row_count][feature_count], NaN where unknown. */
void ranker_score_rows(const struct model *ranker, const double *values, uint32_t row_count,
                       void *scratch, double *ret_score);

#endif
