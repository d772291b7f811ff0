/* SPDX-License-Identifier: Apache-2.0 */
/* call - one call: tries addresses until one answers, the time is up, or no further attempt is
 * allowed, and then builds the reply.
 *
 * A call is driven by the loop it was started in, which runs client_call_step when wake_ns is
 * reached or an attempt has ended.  At most two attempts are in flight; the second is a hedge.
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
    uint64_t route_key;  /* hash of the person; 0: none */
    uint64_t answer_key; /* hash of the question, for last good answers; 0: not for this call */
    uint64_t started_ns, deadline_ns;
    struct decide_reply *reply; /* the newest, refusals included; final when `done` */
    bool done;

    struct client_attempt attempts[CLIENT_CALL_ATTEMPTS];
    uint32_t live_count;
    const struct client_attempt *hedge; /* which attempt is the hedge; NULL: none yet */
    uint32_t try_count;
    uint64_t tried; /* a bit for each address */
    uint64_t shut;  /* overloaded addresses whose pause leaves too little time to ask again */
    bool final;     /* no further attempt */
    uint64_t hedge_at_ns, give_up_at_ns;

    uint64_t wake_ns; /* when step must be called; see timers.h */
    size_t timer_index;

    uint64_t ticket; /* this and the fields below: submitted calls only */
    decide_callback *callback;
    void *argument;
    struct client_call *next_done;
};

/* Starts the clock and the message.  `timeout_us`: 0 for the client's. */
void client_call_begin(struct client_call *call, struct decide_client *client, const char *op,
                       uint64_t timeout_us);
/* To be called when the message is complete; `status` and `error` are the result of building it.
 * False: the call has already ended. */
bool client_call_ready(struct client_call *call, enum decide_status status,
                       char error[DECIDE_ERROR_BYTES]);

/* Abandons attempts that are too late and starts those that are due.  Sets wake_ns, or ends. */
void client_call_step(struct client_call *call, struct client_loop *loop, uint64_t now_ns);
/* DECIDE_PROTOCOL: the body is not a reply, and the connection cannot be trusted. */
enum decide_status client_call_answered(struct client_call *call, struct client_attempt *attempt,
                                        const uint8_t *body, size_t body_bytes, uint64_t now_ns);
void client_call_lost(struct client_call *call, struct client_attempt *attempt,
                      enum decide_status status, const char *error, uint64_t now_ns);
/* Ends the call: abandons its attempts, builds the reply (a fallback, if allowed) and counts it.
 * `message` NULL: the reply already exists. */
void client_call_end(struct client_call *call, enum decide_status status, const char *message);
/* For client_call_end, once the reply exists: counts it, stores a good answer, and replaces a
 * failure by a fallback if there is one. */
void client_call_settle(struct client_call *call, uint64_t now_ns);
/* Frees the call's resources without a reply or callback. */
void client_call_discard(struct client_call *call);

#endif
