/* SPDX-License-Identifier: Apache-2.0 */
/* sp_server - the native request/reply socket: nng's and nanomsg's SP REQ/REP protocol on tcp://
 * and ipc://, without nng.
 *
 * Worker threads, each with one event loop and its own connections: one thread reads a request,
 * serves it and writes the reply.  One read takes whatever has arrived, all complete messages in it
 * are served, and their replies leave in one write.  A deferred call does not hold up the requests
 * behind it; its reply is sent when it completes, on any thread.
 *
 * One worker at a time, initially the first, accepts connections and gives each to the worker with
 * the fewest.  A stuck worker gets none: connections that it has been given but not yet taken go to
 * the others, and another worker accepts.  Connections that it already serves wait until it
 * recovers.
 *
 * A peer's cost is bounded.  A connection buffers only unserved bytes and unsent replies; while
 * replies are stuck in its socket, or SP_SERVER_DEFERRED_MAX of its calls are deferred, it is not
 * read.  It is closed if it does not greet in time, sends a malformed or oversized message, stalls
 * for message_timeout_ms within one, accepts no byte of its replies for send_timeout_ms, or if its
 * machine is gone (TCP keepalive, TCP_USER_TIMEOUT).  Without descriptors or memory accepting
 * pauses, and resumes automatically.  A peer that shuts down its sending side still gets its
 * replies.
 *
 * A call is local when the listener and the peer are loopback or ipc addresses.
 *
 * Threads: create, start, look, refuse_new, listener_fd and destroy on main; the rest on any.
 * Errors name the address. */
#ifndef SERVER_TRANSPORT_SP_SERVER_H
#define SERVER_TRANSPORT_SP_SERVER_H

#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/metrics.h"
#include "server/protocol/call.h"

#define SP_SERVER_WORKERS_MAX   64
#define SP_SERVER_ADDRESSES_MAX 16
#define SP_SERVER_ADDRESS_BYTES 256
#define SP_SERVER_DEFERRED_MAX  16 /* calls of one connection that are deferred at a time */

struct sp_server;

struct sp_server_options {
    const char *const *addresses; /* "tcp://127.0.0.1:7100", "ipc:///run/decided/decided.sock" */
    /* NULL, or for each address a socket that listens on it already, or -1.  Start takes them. */
    const int *inherited_fds;
    uint32_t address_count; /* 1..SP_SERVER_ADDRESSES_MAX */
    uint32_t worker_count;  /* 1..SP_SERVER_WORKERS_MAX; each takes a slot of the metrics */
    int realtime_priority;  /* 1..99: of the workers, by SCHED_RR; 0: they are ordinary threads */
    uint32_t message_bytes_max;
    uint32_t connections_max;
    uint32_t handshake_timeout_ms; /* a peer that has not greeted by then is closed */
    uint32_t message_timeout_ms; /* one that is silent for so long after a part of a message, too */
    uint32_t send_timeout_ms;    /* one that takes nothing of its replies for so long, too */
    uint32_t heartbeat_ms;       /* between signs of life of a worker; several within two looks */
    call_fn call;
    void *service;
    struct worker *(*claim_worker)(void *ctx); /* once per worker thread, on main; NULL: no more */
    void *claim_ctx;
    struct metrics *metrics; /* borrowed */
    const struct clock *clock;
};

/* How many processors this process may use, 1..SP_SERVER_WORKERS_MAX. */
uint32_t sp_server_usable_processors(void);

/* ERR_IO: the system refuses that realtime_priority to threads of this process. */
MUST_CHECK enum err_code sp_server_check_priority(int priority, struct err *err);

MUST_CHECK enum err_code sp_server_create(const struct sp_server_options *options,
                                          struct sp_server **ret_server, struct err *err);
/* Listens on every address, or on none: ERR_BUSY when one is in use. */
MUST_CHECK enum err_code sp_server_start(struct sp_server *server, struct err *err);
uint32_t sp_server_address_count(const struct sp_server *server);
/* As bound: with the port that was given for port 0.  Valid until destroy. */
const char *sp_server_address(const struct sp_server *server, uint32_t index);
/* The listening socket, for another process to take over; -1 after refuse_new.  Borrowed. */
int sp_server_listener_fd(const struct sp_server *server, uint32_t index);
/* Lets go of the listening sockets; connections that are open are served on (the service answers
 * `draining`).  A socket that another process holds too keeps its queue, and loses nobody. */
void sp_server_refuse_new(struct sp_server *server);
/* Calls that were taken and whose reply is not yet written. */
uint32_t sp_server_in_flight(const struct sp_server *server);
/* How many workers stand still: gave no sign of life, idle or not, since the look before.  With
 * `judge` false, as the first time, it finds none and changes nothing: the next compares with it.
 */
uint32_t sp_server_look(struct sp_server *server, bool judge);
/* Stops taking requests, waits for replies up to a second and the send timeout, closes.  Calls that
 * are still deferred may complete later; they are freed then. */
void sp_server_destroy(struct sp_server **server);

#endif
