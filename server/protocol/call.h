/* SPDX-License-Identifier: Apache-2.0 */
/* call - one request on its way through the daemon: bytes in, bytes out, whatever carried them.
 *
 * A transport fills in the request side, lends a reply buffer and calls the service.  CALL_DONE:
 * the reply is in `reply`, and the transport sends it.  CALL_DEFERRED: the call is completed later,
 * by one call of call->complete(call) from any thread; until then the transport must leave request
 * bytes, reply buffer and the call itself valid and untouched.  There is always a reply.
 *
 * Request and reply are one MessagePack map each.  Threads: owned by one thread at a time. */
#ifndef SERVER_PROTOCOL_CALL_H
#define SERVER_PROTOCOL_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/protocol/ops.h"

struct worker; /* server/decide/worker.h */

#define CALL_REPLY_BYTES 262144 /* the capacity every transport must lend */
#define CALL_PEER_BYTES  96

struct call {
    const uint8_t *request;
    size_t request_bytes;
    uint64_t arrived_ns; /* monotonic, when the first byte came: budgets count from here */
    uint64_t whole_ns;   /* when the last byte had come: from here on it waits for us */
    bool local;          /* the listener is reachable from this machine only */
    bool from_page;      /* a page in a browser sent it, so that it is not local */
    uint8_t *reply;
    size_t reply_capacity;   /* >= CALL_REPLY_BYTES */
    size_t reply_bytes;      /* out */
    enum reply_code code;    /* out: what the reply says; HTTP status and metrics come from it */
    uint32_t retry_after_ms; /* out: what the reply says of that; 0: nothing */
    /* "tcp 192.0.2.7", "unix uid 1000 pid 4711": for the record.  On the thread that has the call,
     * before it is deferred; NULL: not known. */
    void (*name_peer)(const struct call *call, char ret_peer[CALL_PEER_BYTES]);
    void (*complete)(struct call *call);
    void *owner; /* the transport's */
};

enum call_state { CALL_DONE, CALL_DEFERRED };

/* The service behind all transports; `service` is what main.c wired in.  `worker` belongs to the
 * calling thread. */
typedef enum call_state (*call_fn)(void *service, struct worker *worker, struct call *call);

#endif
