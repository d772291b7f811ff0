/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/ctl/model_features.h"

#include "featurestore/store.h"

static const char *const of_a_decision[] = {
    "caller.score",         "blend.score",    "pair.days",     "pair.age_s",
    "source.neighbors",     "source.factors", "source.repeat", "source.popular",
    "source.model_popular", "source.cart",    "source.list",   "source.candidates",
    "source.trending",      "source.new",     "source.content"};

const char *feature_origin_name(enum feature_origin origin)
{
    static const char *const names[] = {"nothing", "the store", "the decision", "the request",
                                        "features.json"};
    return names[origin];
}

enum feature_origin model_feature_origin(struct text name, const struct definitions *definitions)
{
    const struct text request = TEXT_LITERAL("request.");
    if (feature_builtin(name) != NULL)
        return ORIGIN_STORE;
    if (definitions != NULL && definitions_find(definitions, name) != NULL)
        return ORIGIN_DEFINED;
    for (size_t i = 0; i < sizeof of_a_decision / sizeof of_a_decision[0]; i++) {
        if (text_is(name, of_a_decision[i]))
            return ORIGIN_DECISION;
    }
    if (name.len > request.len && memcmp(name.ptr, request.ptr, request.len) == 0)
        return ORIGIN_REQUEST;
    return ORIGIN_NOWHERE;
}
