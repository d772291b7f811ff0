/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/ctl/model_features.h"

#include "featurestore/features.h"
#include "models/decision_features.h"

const char *feature_origin_name(enum feature_origin origin)
{
    static const char *const names[] = {"nothing", "the store", "the decision", "the request",
                                        "features.json"};
    return names[origin];
}

enum feature_origin model_feature_origin(struct text name, const struct definitions *definitions)
{
    struct text rest;
    if (feature_builtin(name) != NULL)
        return ORIGIN_STORE;
    if (definitions != NULL && definitions_find(definitions, name) != NULL)
        return ORIGIN_DEFINED;
    switch (decision_feature_find(name, &rest)) {
    case DECISION_FEATURE_NONE: return ORIGIN_NOWHERE;
    case DECISION_FEATURE_REQUEST: return ORIGIN_REQUEST;
    default: return ORIGIN_DECISION;
    }
}

bool model_feature_has_number(struct text name, const struct definitions *definitions)
{
    const struct definition *definition = definitions == NULL || feature_builtin(name) != NULL
                                              ? NULL
                                              : definitions_find(definitions, name);
    return definition == NULL || !definition_is_list_of_ids(definition);
}
