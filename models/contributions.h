/* SPDX-License-Identifier: Apache-2.0 */
/* contributions - what each feature adds to the margin of a row (the score, before a logistic or
 * other output function):  margin = base + sum of contributions, to the rounding of the model.
 *
 *   linear  weight * value, exact; base is the bias
 *   trees   by path (Saabas 2014): at each split that the row passes, what is expected below the
 *           child less what was expected above; base is what the model gives on average.  Means are
 *           those of the leaves, weighted by `sum_hessian` in files of XGBoost and by `leaf_count`
 *           in those of LightGBM; XGBoost's gblinear is as linear.  The margin of a random forest
 * of LightGBM is the mean of its trees, but their sum where the score is raw mlp, blend, and trees
 * whose score is the number of a class: none
 *
 * Off the fast path: asked for when a decision is to be explained.  Threads: any; no allocation. */
#ifndef MODELS_CONTRIBUTIONS_H
#define MODELS_CONTRIBUTIONS_H

#include "models/model.h"

/* values[feature_count], NaN where unknown; ret_adds[feature_count]; `room`: feature_count places.
 * False for a model that has none. */
bool ranker_contributions(const struct model *ranker, const double *values, double *room,
                          double *ret_adds, double *ret_base);

#endif
