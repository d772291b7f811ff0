/* SPDX-License-Identifier: Apache-2.0 */
/* op - what libdecide knows about each operation.  Threads: no state. */
#ifndef CLIENT_OP_H
#define CLIENT_OP_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct client_op {
    const char *name;
    bool repeatable; /* idempotent */
    bool has_items;  /* its reply has items */
    bool has_fallback;
};

/* Unlisted operations are sent as they are, and not repeated. */
static inline const struct client_op *client_op_find(const char *name)
{
    static const struct client_op other = {.name = ""};
    static const struct client_op ops[] = {
        {"recommend", true, true, true},    {"similar", true, true, true},
        {"rank", true, true, false},        {"price", true, true, false},
        {"offers", true, false, false},     {"decide", true, false, false},
        {"events", true, false, false},     {"features", true, false, false},
        {"ping", true, false, false},       {"status", true, false, false},
        {"model_list", true, false, false},
    };
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
        if (strcmp(name, ops[i].name) == 0)
            return &ops[i];
    return &other;
}

#endif
