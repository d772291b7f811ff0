/* SPDX-License-Identifier: Apache-2.0 */
/* loop - connections, and the calls that are in progress on them.
 *
 * There are two kinds.  A blocking call borrows a loop of its own (see pool.h), with one connection
 * per address, and waits in it.  The submitted calls share one loop, with more connections, that an
 * epoll descriptor watches for whoever drives it.
 * Threads: one owner at a time.
 * Failures of a connection are never handled where they are noticed, but in client_loop_settle,
 * which ends what was on it and lets the calls try on, until nothing more breaks. */
#ifndef CLIENT_LOOP_H
#define CLIENT_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "client/call.h"
#include "client/conn.h"
#include "client/fleet.h"
#include "client/timers.h"

/* Requests on their way on one connection: then a further one is opened, where it may be. */
#define CLIENT_CONN_BUSY 8

struct client_lane {           /* to one address */
    struct client_conn *conns; /* owned */
    uint32_t count;
};

struct client_loop {
    struct client_fleet *fleet; /* borrowed */
    _Atomic uint64_t *connects; /* borrowed: counts connections begun */
    struct client_lane *lanes;  /* owned; one per address */
    uint32_t conns_per_lane_max;
    int epoll_fd; /* owned; -1: the caller waits in client_loop_wait */
    struct client_timers timers;
    struct client_conn *broken;           /* since the last settle */
    struct client_call *done, **done_end; /* submitted calls that ended, oldest first */
    struct client_loop *next;             /* the pool's */
    bool is_lent;                         /* the pool's */
};

enum decide_status client_loop_init(struct client_loop *loop, struct client_fleet *fleet,
                                    _Atomic uint64_t *connects, uint32_t conns_per_lane_max,
                                    int epoll_fd);
void client_loop_deinit(struct client_loop *loop); /* no calls in progress */
/* In a child: closes its copies of the sockets.  Calls that were in progress are not its own. */
void client_loop_forget_parent(struct client_loop *loop);

/* Begins the call and settles; it may have ended. */
void client_loop_start(struct client_loop *loop, struct client_call *call, uint64_t now_ns);
/* Waits until something happened to the only call in progress, and handles it. */
void client_loop_wait(struct client_loop *loop, struct client_call *call);
/* What epoll said of a connection. */
void client_loop_ready(struct client_loop *loop, struct client_conn *conn, uint64_t now_ns);
/* Steps the calls whose time has come, and settles. */
void client_loop_turn(struct client_loop *loop, uint64_t now_ns);

/* A submitted call that has ended before it began. */
void client_loop_done(struct client_loop *loop, struct client_call *call);
/* The oldest submitted call that ended and was not taken, or NULL. */
struct client_call *client_loop_take_done(struct client_loop *loop);
/* Ends a call that is in progress. */
void client_loop_cancel(struct client_loop *loop, struct client_call *call);

/* For calls: puts an attempt on a connection to its address.  DECIDE_TIMEOUT: all of them are full;
 * DECIDE_UNREACHABLE: none is open, and this process lacks what another one takes (`shortage`);
 * DECIDE_NOMEM. */
enum decide_status client_loop_send(struct client_loop *loop, struct client_attempt *attempt,
                                    char shortage[CLIENT_CONN_ERROR_BYTES], uint64_t now_ns);

#endif
