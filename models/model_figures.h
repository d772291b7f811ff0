/* SPDX-License-Identifier: Apache-2.0 */
/* model_figures - statistics of a model for reports: trees and their depth, tensor sizes, rules.
 *
 * Threads: any.  It walks all trees, so it is not for the request path. */
#ifndef MODELS_MODEL_FIGURES_H
#define MODELS_MODEL_FIGURES_H

#include "models/model.h"

#define MODEL_FIGURES_MAX 8

struct model_figure {
    const char *name; /* "trees", "users": plain words, in the order for people */
    uint64_t value;
};

/* How many there are. */
uint32_t model_figures(const struct model *model, struct model_figure ret[MODEL_FIGURES_MAX]);

/* Bytes that the model will hold when it serves: as it was loaded, and the numbers of its items. */
uint64_t model_serving_bytes(const struct model *model);

#endif
