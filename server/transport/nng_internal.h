/* SPDX-License-Identifier: Apache-2.0 */
/* nng_internal - shared by the files of nng_server; included otherwise only by their test.
 *
 * A context carries one request at a time and goes round, invariants numbered:
 *   receiving -> serving -> sending -> receiving
 * 1. receiving: `receive` is armed, `message` is NULL.
 * 2. serving: `message` holds the request, `call` points into it; one thread owns the context: the
 *    task thread inside call_fn or, after CALL_DEFERRED, whoever completes the call.
 * 3. sending: `send` is armed and owns the message.
 * Serving and sending contexts are counted in `in_flight`.  Two aios, so that receiving can be
 * stopped without touching a reply. */
#ifndef SERVER_TRANSPORT_NNG_INTERNAL_H
#define SERVER_TRANSPORT_NNG_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <nng/nng.h>

#include "server/transport/nng_probe.h"
#include "server/transport/nng_server.h"

struct nng_context {
    struct nng_server *server;
    nng_ctx ctx;
    nng_aio *receive;
    nng_aio *send;
    nng_msg *message;
    nng_pipe pipe;       /* that the request came by */
    _Atomic int pipe_id; /* the same, for other contexts; see close_slow_reader */
    int counted_pipe_id; /* a slow reader with a reply here was counted; 0: none */
    struct call call;
};

struct nng_endpoint {
    char address[NNG_ADDRESS_BYTES]; /* as bound, once it listens */
    nng_listener listener;
    _Atomic int listener_id; /* 0: does not listen; read by task threads */
    bool local;              /* reachable from this machine only */
    union nng_probe_address probe_address;
    socklen_t probe_address_bytes; /* 0: of a transport that is not probed */
    uint32_t silent_probe_count;   /* in a row; watchdog thread */
};

/* Whether the listener alone says who is local, so that a request need not ask for its peer. */
enum nng_locality { LOCALITY_ALL, LOCALITY_NONE, LOCALITY_MIXED };

struct nng_server {
    struct nng_server_options options;
    nng_socket socket;
    bool socket_is_open;
    struct nng_endpoint endpoints[NNG_ADDRESSES_MAX];
    uint32_t endpoint_count;
    struct nng_context *contexts;
    uint8_t *replies; /* CALL_REPLY_BYTES for each context */
    struct worker *workers[NNG_SERVER_TASK_THREADS];
    _Atomic enum nng_locality locality;
    _Atomic bool foreign_peer_seen; /* on whatever listener */
    _Atomic uint32_t in_flight;
    _Atomic bool refuse_new;
    _Atomic bool stopping;
    pthread_mutex_t mutex;  /* guards what follows, and counted_pipe_id of all contexts */
    pthread_cond_t changed; /* in_flight reached 0, stop_watchdog, closed */
    uint32_t connection_count;
    bool listening;
    bool stop_watchdog;
    bool closed;
    bool watchdog_runs;
    pthread_t watchdog;
};

/* nng_context.c */
MUST_CHECK enum err_code nng_context_open(struct nng_server *server, struct nng_context *context,
                                          uint8_t *reply, struct err *err);
void nng_context_stop_receiving(struct nng_context *context);
void nng_context_free(struct nng_context *context); /* after the socket is closed */

/* nng_endpoint.c */
MUST_CHECK enum err_code nng_endpoint_listen(struct nng_server *server,
                                             struct nng_endpoint *endpoint, struct err *err);
void nng_endpoint_close(struct nng_endpoint *endpoint);
/* Says for all listeners at once, where that is possible, who is local. */
void nng_endpoint_settle_locality(struct nng_server *server);
void nng_endpoint_note_peer(struct nng_server *server,
                            nng_pipe pipe); /* before its first request */
bool nng_pipe_is_local(const struct nng_server *server, nng_pipe pipe);
/* "nng 192.0.2.7": for the record. */
void nng_pipe_name_peer(nng_pipe pipe, char *buf, size_t buf_bytes);

/* nng_watchdog.c */
MUST_CHECK enum err_code nng_watchdog_start(struct nng_server *server, struct err *err);
/* One round over the listeners; the watchdog's thread calls it each second. */
void nng_watchdog_round(struct nng_server *server);
/* The watchdog closes the socket as its last act.  False when that is not done in time. */
bool nng_watchdog_stop_and_close(struct nng_server *server);
/* Waits until *flag or the deadline; the mutex is held.  False: the deadline passed. */
bool nng_server_wait(struct nng_server *server, const bool *flag, uint64_t deadline_ns);
uint64_t nng_monotonic_ns(void);

#endif
