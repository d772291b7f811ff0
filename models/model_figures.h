/* SPDX-License-Identifier: Apache-2.0 */
/* model_figures - what a model is made of, in numbers, for reports: trees and their depth, sizes of
 * tensors, rules.
 *
 * Threads: any; it walks all trees, so not while somebody waits. */
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
