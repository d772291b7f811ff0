/* SPDX-License-Identifier: Apache-2.0 */
/* contributions - the contribution of each feature to the margin of a row (the score before a
 * logistic or other output function): margin = base + sum of contributions, up to rounding.
 *
 *   linear  weight * value, exact; base is the bias
 *   trees   by path (Saabas 2014): each split on the row's path adds the mean below the child taken
 *           minus the mean above; base is the model's average.  Means are over leaves, weighted by
 *           `sum_hessian` in XGBoost files and by `leaf_count` in LightGBM files.  XGBoost's
 *           gblinear is handled as linear.  The margin of a LightGBM random forest is the mean of
 *           its trees, or their sum if the score is raw.
 *
 *   none    mlp, blend, and trees whose score is a class number
 *
 * Not a fast path: used when a decision is explained.  Threads: any; no allocation. */
#ifndef MODELS_CONTRIBUTIONS_H
#define MODELS_CONTRIBUTIONS_H

#include "models/model.h"

/* values[feature_count], NaN where unknown; ret_adds[feature_count]; `room`: feature_count places.
 * False for a model that has none. */
bool ranker_contributions(const struct model *ranker, const double *values, double *room,
                          double *ret_adds, double *ret_base);

#endif
