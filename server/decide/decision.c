/* SPDX-License-Identifier: Apache-2.0 */
#include "server/decide/decision.h"

const char *level_name(enum level level)
{
    static const char *const names[LEVEL_COUNT] = {
#define X(name) #name,
        LEVELS(X)
#undef X
    };
    return level < LEVEL_COUNT ? names[level] : "static";
}

const char *left_out_name(enum left_out stage)
{
    static const char *const names[LEFT_OUT_COUNT] = {
#define X(name) #name,
        LEFT_OUT(X)
#undef X
    };
    return stage < LEFT_OUT_COUNT ? names[stage] : "none";
}

const char *reason_name(enum reason reason)
{
    static const char *const names[REASON_COUNT] = {
#define X(name) #name,
        REASONS(X)
#undef X
    };
    return reason < REASON_COUNT ? names[reason] : "none";
}

bool level_parse(struct text name, enum level *ret_level)
{
    for (uint32_t i = 0; i < LEVEL_COUNT; i++) {
        if (text_is(name, level_name((enum level)i))) {
            *ret_level = (enum level)i;
            return true;
        }
    }
    return false;
}
