/* SPDX-License-Identifier: Apache-2.0 */
/* small_models - models for tests, small enough to be computed by hand.
 *
 * Each is written as a bundle into a temporary directory and loaded from there, as the daemon does
 * it; the golden rows are not looked at.  Whatever fails aborts the program with a message.  The
 * caller destroys the model.  A name's versions are told apart by `version`. */
#ifndef TESTS_SUPPORT_SMALL_MODELS_H
#define TESTS_SUPPORT_SMALL_MODELS_H

#include "models/model.h"

/* Ids are words in one text: "a b c" is three rows. */
struct small_factors {
    const char *users;
    const float *user_factors;
    const char *items;
    const float *item_factors;
    uint32_t dim;
    double regularization;
    const char *trained_at;
    uint32_t index_items; /* from so many items on there is an index; 0: as without the parameter */
};
struct model *small_factors(const char *name, const char *version,
                            const struct small_factors *factors);

/* embeddings[row * dim + k]; no index. */
struct model *small_embeddings(const char *name, const char *version, const char *items,
                               const float *embeddings, uint32_t dim);

/* weight[row * count + other]; 0 where `other` is no neighbor. */
struct model *small_neighbors(const char *name, const char *version, const char *items,
                              const float *weight);

struct model *small_popularity(const char *name, const char *version, const char *items,
                               const float *scores);

/* Features are words as well, in the order of the weights; unknown ones count as 0. */
struct model *small_linear(const char *name, const char *version, const char *features,
                           const double *weights, double bias);

/* One hidden layer of relu.  `parameters`: weights [hidden][features], biases [hidden], then those
 * of the output, weights [hidden] and bias. */
struct model *small_mlp(const char *name, const char *version, const char *features,
                        uint32_t hidden, const float *parameters);

/* `text` is a model file of XGBoost or LightGBM that names its features. */
struct model *small_trees(const char *name, const char *version, const char *text);

/* `rules` is rules.json of docs/bundles.md. */
struct model *small_prices(const char *name, const char *version, const char *rules);

#endif
