/* SPDX-License-Identifier: Apache-2.0 */
#include "server/protocol/ops.h"

const char *op_name(enum op op)
{
    static const char *const names[] = {
#define X(name, who) #name,
        OPS(X)
#undef X
            "invalid",
    };
    return names[op < OP_COUNT ? op : OP_COUNT];
}

bool op_is_administration(enum op op)
{
    enum who { PUBLIC, ADMIN };
    static const enum who who_may[OP_COUNT] = {
#define X(name, who) [OP_##name] = who,
        OPS(X)
#undef X
    };
    return op < OP_COUNT && who_may[op] == ADMIN;
}

const char *reply_code_name(enum reply_code code)
{
    static const char *const names[REPLY_CODE_COUNT] = {
#define X(name, http) #name,
        REPLY_CODES(X)
#undef X
    };
    return code < REPLY_CODE_COUNT ? names[code] : "internal";
}

int reply_code_http(enum reply_code code)
{
    static const int statuses[REPLY_CODE_COUNT] = {
#define X(name, http) http,
        REPLY_CODES(X)
#undef X
    };
    return code < REPLY_CODE_COUNT ? statuses[code] : 500;
}
