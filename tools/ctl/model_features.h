/* SPDX-License-Identifier: Apache-2.0 */
/* model_features - whether something will supply each feature that a ranker names, without a
 * daemon: the store's own features, what a decision brings along, and those of a features.json.
 *
 * server/decide/snapshot.c binds by the same tables; tests/unit/test_model_verify.c holds the two
 * together.  Threads: one. */
#ifndef TOOLS_CTL_MODEL_FEATURES_H
#define TOOLS_CTL_MODEL_FEATURES_H

#include <stdbool.h>

#include "base/text.h"
#include "featurestore/definitions.h"

enum feature_origin {
    ORIGIN_NOWHERE,  /* nothing supplies it */
    ORIGIN_STORE,    /* "item.price" */
    ORIGIN_DECISION, /* "caller.score", "pair.days" */
    ORIGIN_REQUEST,  /* "request.x": the caller, if it sends it */
    ORIGIN_DEFINED   /* by features.json */
};

/* "the store", "nothing"; never NULL. */
const char *feature_origin_name(enum feature_origin origin);

/* `definitions` may be NULL. */
enum feature_origin model_feature_origin(struct text name, const struct definitions *definitions);

/* False for a list of ids: a ranker that names it always gets its default. */
bool model_feature_has_number(struct text name, const struct definitions *definitions);

#endif
