/* SPDX-License-Identifier: Apache-2.0 */
/* nng_server - the request/reply socket by the nng library: whole messages of any of its
 * transports (tcp, ipc, inproc, ws, tls+tcp), handed to the service.
 *
 * Calls are answered on nng's task threads, inline; a deferred call is sent when it completes, from
 * whichever thread completes it.  Every mitigation of Debian 12's nng 1.5.2 lives here: a listener
 * that survives clients which leave during the handshake (nng issue 1518), few task threads, a
 * bounded message size, a send timeout so that a client which does not read cannot stop the others,
 * a limit of connections.  A watchdog asks every tcp and ipc listener each second and restarts one
 * that is silent.
 *
 * A call is local when the listener and the peer are loopback, ipc or inproc addresses.
 *
 * Threads: create, start, drain, destroy on main.  Limits: the options, and nng's own: a client
 * that does not finish its handshake holds a descriptor for ten seconds, uncounted.  Errors name
 * the address. */
#ifndef SERVER_TRANSPORT_NNG_SERVER_H
#define SERVER_TRANSPORT_NNG_SERVER_H

#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/metrics.h"
#include "server/protocol/call.h"

#define NNG_SERVER_TASK_THREADS 2 /* how many workers it claims at most */
#define NNG_ADDRESSES_MAX       16
#define NNG_ADDRESS_BYTES       256

struct nng_server;

struct nng_server_options {
    const char *const *addresses; /* "tcp://127.0.0.1:7100", "ipc:///run/decided/decided.sock" */
    uint32_t address_count;       /* 1..NNG_ADDRESSES_MAX */
    uint32_t message_bytes_max;
    uint32_t connections_max;
    uint32_t contexts;        /* requests in progress, slow sends included */
    uint32_t send_timeout_ms; /* a reply that is not taken within this closes the connection */
    const char *tls_certificate_file; /* for tls+tcp://, PEM; NULL or "": none */
    call_fn call;
    void *service;
    struct worker *(*claim_worker)(void *ctx); /* once per thread that answers; NULL: none left */
    void *claim_ctx;
    struct metrics *metrics; /* borrowed */
    const struct clock *clock;
};

MUST_CHECK enum err_code nng_server_create(const struct nng_server_options *options,
                                           struct nng_server **ret_server, struct err *err);
/* Binds and listens on every address, or on none: ERR_BUSY when one is in use. */
MUST_CHECK enum err_code nng_server_start(struct nng_server *server, struct err *err);
uint32_t nng_server_address_count(const struct nng_server *server);
/* As bound: with the port that was given for port 0.  Valid until destroy. */
const char *nng_server_address(const struct nng_server *server, uint32_t index);
/* Refuses new connections; those that are open are served on (the service answers `draining`). */
void nng_server_refuse_new(struct nng_server *server);
/* Calls that were taken and not yet sent. */
uint32_t nng_server_in_flight(const struct nng_server *server);
/* Stops taking requests, waits for replies up to a second and the send timeout, closes.  Bounded: a
 * close that hangs (nng issues 1543, 1813) is left behind after two seconds, and so is a server
 * whose deferred calls were not completed. */
void nng_server_destroy(struct nng_server **server);

#endif
