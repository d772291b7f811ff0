/* SPDX-License-Identifier: Apache-2.0 */
/* loop - connections, and the calls in progress on them.
 *
 * There are two kinds.  A blocking call borrows a loop of its own (see pool.h), with one connection
 * per address, and waits in it.  All submitted calls share one loop, with more connections, watched
 * by an epoll descriptor for the caller that drives it.
 *
 * A connection failure is not handled where it is detected, but in client_loop_settle, which ends
 * the attempts on it and lets their calls retry, until no further connection breaks.
 *
 * Threads: one owner at a time. */
#ifndef CLIENT_LOOP_H
#define CLIENT_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "client/call.h"
#include "client/conn.h"
#include "client/fleet.h"
#include "client/timers.h"

/* With this many requests in flight on a connection another one is opened, if allowed. */
#define CLIENT_CONN_BUSY 8

struct client_lane {           /* to one address */
    struct client_conn *conns; /* owned */
    uint32_t count;
};

struct client_loop {
    struct client_fleet *fleet; /* borrowed */
    _Atomic uint64_t *connects; /* borrowed: counts connections started */
    struct client_lane *lanes;  /* owned; one per address */
    uint32_t conns_per_lane_max;
    int epoll_fd; /* owned; -1: the caller waits in client_loop_wait */
    struct client_timers timers;
    struct client_conn *broken;           /* since the last settle */
    struct client_call *done, **done_end; /* submitted calls that ended, oldest first */
    struct client_loop *next;             /* used by the pool */
    bool is_lent;                         /* used by the pool */
};

enum decide_status client_loop_init(struct client_loop *loop, struct client_fleet *fleet,
                                    _Atomic uint64_t *connects, uint32_t conns_per_lane_max,
                                    int epoll_fd);
void client_loop_deinit(struct client_loop *loop); /* no calls in progress */
/* In a forked child: closes its copies of the sockets.  Calls in progress remain the parent's. */
void client_loop_forget_parent(struct client_loop *loop);

/* Starts the call and settles; the call may have ended on return. */
void client_loop_start(struct client_loop *loop, struct client_call *call, uint64_t now_ns);
/* Blocks until something happens to the only call in progress, and handles it. */
void client_loop_wait(struct client_loop *loop, struct client_call *call);
/* epoll has reported an event on this connection. */
void client_loop_ready(struct client_loop *loop, struct client_conn *conn, uint64_t now_ns);
/* Steps the calls whose wake_ns is reached, and settles. */
void client_loop_turn(struct client_loop *loop, uint64_t now_ns);

/* Queues the callback of a submitted call that ended before it was started. */
void client_loop_done(struct client_loop *loop, struct client_call *call);
/* Removes and returns the submitted call that ended first, or NULL. */
struct client_call *client_loop_take_done(struct client_loop *loop);
/* Ends a call in progress. */
void client_loop_cancel(struct client_loop *loop, struct client_call *call);

/* For calls: queues an attempt on a connection to its address.  DECIDE_TIMEOUT: all connections are
 * full; DECIDE_UNREACHABLE: none is open, and this process lacks what a new one takes (`shortage`);
 * DECIDE_NOMEM. */
enum decide_status client_loop_send(struct client_loop *loop, struct client_attempt *attempt,
                                    char shortage[CLIENT_CONN_ERROR_BYTES], uint64_t now_ns);

#endif
