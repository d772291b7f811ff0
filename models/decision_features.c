/* SPDX-License-Identifier: Apache-2.0 */
#include "models/decision_features.h"

#include <stdbool.h>
#include <string.h>

static bool starts_with(struct text name, const char *prefix, struct text *ret_rest)
{
    uint32_t len = (uint32_t)strlen(prefix);
    if (name.len <= len || memcmp(name.ptr, prefix, len) != 0)
        return false;
    *ret_rest = (struct text){name.ptr + len, name.len - len};
    return true;
}

static bool is_source(struct text kind)
{
    static const char *const kinds[] = {
#define X(name) #name,
        DECISION_SOURCES(X)
#undef X
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (text_is(kind, kinds[i]))
            return true;
    }
    return false;
}

enum decision_feature decision_feature_find(struct text name, struct text *ret_rest)
{
    static const struct {
        const char *name;
        enum decision_feature feature;
    } whole[] = {{"caller.score", DECISION_FEATURE_CALLER_SCORE},
                 {"blend.score", DECISION_FEATURE_BLEND_SCORE},
                 {"pair.days", DECISION_FEATURE_PAIR_DAYS},
                 {"pair.age_s", DECISION_FEATURE_PAIR_AGE_S}};
    struct text rest;
    for (size_t i = 0; i < sizeof whole / sizeof whole[0]; i++) {
        if (text_is(name, whole[i].name))
            return whole[i].feature;
    }
    bool is_of_source = starts_with(name, "source.", &rest);
    if (is_of_source ? !is_source(rest) : !starts_with(name, "request.", &rest))
        return DECISION_FEATURE_NONE;
    *ret_rest = rest;
    return is_of_source ? DECISION_FEATURE_SOURCE : DECISION_FEATURE_REQUEST;
}
