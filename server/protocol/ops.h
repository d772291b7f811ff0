/* SPDX-License-Identifier: Apache-2.0 */
/* ops - the operations of the wire and the error codes of replies, each list in one place. */
#ifndef SERVER_PROTOCOL_OPS_H
#define SERVER_PROTOCOL_OPS_H

#include <stdbool.h>

/* name, who may call it: PUBLIC, or ADMIN (token or loopback, see docs/protocol.md) */
#define OPS(X)               \
    X(ping, PUBLIC)          \
    X(recommend, PUBLIC)     \
    X(similar, PUBLIC)       \
    X(rank, PUBLIC)          \
    X(price, PUBLIC)         \
    X(decide, PUBLIC)        \
    X(events, PUBLIC)        \
    X(features, PUBLIC)      \
    X(status, PUBLIC)        \
    X(mode, ADMIN)           \
    X(breaker, ADMIN)        \
    X(reload, ADMIN)         \
    X(drain, ADMIN)          \
    X(restart, ADMIN)        \
    X(export, ADMIN)         \
    X(checkpoint, ADMIN)     \
    X(snapshot, ADMIN)       \
    X(state_hash, ADMIN)     \
    X(audit, ADMIN)          \
    X(person, ADMIN)         \
    X(erase, ADMIN)          \
    X(erasures, ADMIN)       \
    X(model_list, ADMIN)     \
    X(model_begin, ADMIN)    \
    X(model_chunk, ADMIN)    \
    X(model_commit, ADMIN)   \
    X(model_abort, ADMIN)    \
    X(model_canary, ADMIN)   \
    X(model_shadow, ADMIN)   \
    X(model_promote, ADMIN)  \
    X(model_rollback, ADMIN) \
    X(release_list, ADMIN)   \
    X(release_begin, ADMIN)  \
    X(release_commit, ADMIN) \
    X(release_rollback, ADMIN)

enum op {
#define X(name, who) OP_##name,
    OPS(X)
#undef X
        OP_COUNT
};

/* name, HTTP status */
#define REPLY_CODES(X)        \
    X(ok, 200)                \
    X(bad_request, 400)       \
    X(too_old, 400)           \
    X(unauthorized, 401)      \
    X(forbidden, 403)         \
    X(unknown_op, 404)        \
    X(not_found, 404)         \
    X(too_large, 413)         \
    X(overloaded, 503)        \
    X(draining, 503)          \
    X(deadline_exceeded, 504) \
    X(disk_full, 507)         \
    X(internal, 500)

enum reply_code {
#define X(name, http) REPLY_##name,
    REPLY_CODES(X)
#undef X
        REPLY_CODE_COUNT
};

const char *op_name(enum op op); /* "recommend"; "invalid" for OP_COUNT */
bool op_is_administration(enum op op);
const char *reply_code_name(enum reply_code code);
int reply_code_http(enum reply_code code);

#endif
