/* SPDX-License-Identifier: Apache-2.0 */
/* call - one call: it tries addresses until one answers, the time is used up, or trying on is not
 * allowed, and then makes its reply.
 *
 * A call is driven by the loop that it was started in: client_call_step whenever its wake_ns has
 * come or an attempt of it ended.  At most two attempts are on their way, the second being a hedge.
 * Threads: one owner, its loop's. */
#ifndef CLIENT_CALL_H
#define CLIENT_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/conn.h"
#include "client/decide.h"
#include "client/fleet.h"
#include "client/message.h"
#include "client/op.h"

#define CLIENT_CALL_ATTEMPTS 2

struct client_loop;

struct client_call {
    struct decide_client *client;
    const struct client_op *op;
    struct client_message message;
    uint64_t route_key;  /* of the person; 0: none */
    uint64_t answer_key; /* of the question, for last good answers; 0: they are not for this call */
    uint64_t started_ns, deadline_ns;
    struct decide_reply *reply; /* the newest, refusals included; whole when `done` */
    bool done;

    struct client_attempt attempts[CLIENT_CALL_ATTEMPTS];
    uint32_t live_count;
    const struct client_attempt *hedge; /* which of them is one; NULL: none yet */
    uint32_t try_count;
    uint64_t tried; /* a bit for each address */
    uint64_t shut;  /* those that are overloaded for too long to be asked again within the time */
    bool final;     /* no further try */
    uint64_t hedge_at_ns, give_up_at_ns;

    uint64_t wake_ns; /* when step must be called; see timers.h */
    size_t timer_index;

    uint64_t ticket; /* of a submitted one, as is what follows */
    decide_callback *callback;
    void *argument;
    struct client_call *next_done;
};

/* Starts its time and its message.  `timeout_us`: 0 for the client's. */
void client_call_begin(struct client_call *call, struct decide_client *client, const char *op,
                       uint64_t timeout_us);
/* After the message was added to: `status` is what that came to, with its error.  False: the call
 * has ended already. */
bool client_call_ready(struct client_call *call, enum decide_status status,
                       char error[DECIDE_ERROR_BYTES]);

/* Looks at the clock: gives up what is too late, begins what is due.  Sets wake_ns, or ends. */
void client_call_step(struct client_call *call, struct client_loop *loop, uint64_t now_ns);
/* DECIDE_PROTOCOL: the body is no reply, and its connection cannot be trusted. */
enum decide_status client_call_answered(struct client_call *call, struct client_attempt *attempt,
                                        const uint8_t *body, size_t body_bytes, uint64_t now_ns);
void client_call_lost(struct client_call *call, struct client_attempt *attempt,
                      enum decide_status status, const char *error, uint64_t now_ns);
/* Ends it: attempts are given up, the reply is made (with what stands in for an answer, where it
 * may) and counted.  `message` NULL: the reply is there already. */
void client_call_end(struct client_call *call, enum decide_status status, const char *message);
/* For client_call_end: counts it, keeps a good answer, and replaces a failure by what may stand in
 * for it.  The reply is there. */
void client_call_settle(struct client_call *call, uint64_t now_ns);
/* Frees what it has; nobody will know of it. */
void client_call_discard(struct client_call *call);

#endif
