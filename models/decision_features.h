/* SPDX-License-Identifier: Apache-2.0 */
/* decision_features - names of ranker features that come from the decision rather than the store:
 * the caller's values, the scores of the sources, the person's own purchases of the item.  Rankers
 * name them in their manifests (docs/policies.md defines them); the daemon binds them, and
 * `decidectl model verify` accepts them.
 *
 * Threads: no state. */
#ifndef MODELS_DECISION_FEATURES_H
#define MODELS_DECISION_FEATURES_H

#include "base/text.h"

/* Where candidates come from: "source.neighbors" is the natural score of that source. */
/* clang-format off */
#define DECISION_SOURCES(X) \
    X(neighbors) X(factors) X(repeat) X(popular) X(model_popular) X(cart) X(list) X(candidates) \
    X(trending) X(new) X(content) X(embeddings)
/* clang-format on */

enum decision_feature {
    DECISION_FEATURE_NONE,         /* no such feature */
    DECISION_FEATURE_CALLER_SCORE, /* caller.score */
    DECISION_FEATURE_BLEND_SCORE,  /* blend.score */
    DECISION_FEATURE_PAIR_DAYS,    /* pair.days */
    DECISION_FEATURE_PAIR_AGE_S,   /* pair.age_s */
    DECISION_FEATURE_SOURCE,       /* source.KIND, one of the kinds above */
    DECISION_FEATURE_REQUEST       /* request.KEY, any key */
};

/* *ret_rest: the KIND or KEY; written for those two alone. */
enum decision_feature decision_feature_find(struct text name, struct text *ret_rest);

#endif
