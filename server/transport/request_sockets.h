/* SPDX-License-Identifier: Apache-2.0 */
/* request_sockets - the request/reply sockets of a daemon: the native responder for tcp:// and
 * ipc://, the nng library for nng+tcp://, nng+ipc://, inproc://, ws:// and tls+tcp://.  Each of the
 * two is started only when an address asks for it.
 *
 * Threads: all on main, but in_flight on any.  Errors name the address. */
#ifndef SERVER_TRANSPORT_REQUEST_SOCKETS_H
#define SERVER_TRANSPORT_REQUEST_SOCKETS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/metrics.h"
#include "server/protocol/call.h"

#define REQUEST_SOCKETS_ADDRESSES_MAX 16

struct request_sockets;

struct request_sockets_options {
    const char *const *addresses;
    uint32_t address_count; /* 1..REQUEST_SOCKETS_ADDRESSES_MAX */
    /* NULL, or for each address a socket that listens on it already, or -1; of tcp:// and ipc://
     * only.  Start takes them. */
    const int *inherited_fds;
    uint32_t native_workers; /* threads of the native responder; 0: one per usable processor */
    int realtime_priority;   /* of those, as of sp_server */
    uint32_t message_bytes_max;
    uint32_t connections_max; /* of either */
    uint32_t contexts;        /* of nng: requests in progress */
    uint32_t send_timeout_ms;
    uint64_t look_ns; /* between two looks of request_sockets_are_alive; 0: as without a watchdog */
    const char *tls_certificate_file; /* for tls+tcp://; certificates and key, PEM */
    call_fn call;
    void *service;
    struct worker *(*claim_worker)(void *ctx); /* once per thread that answers */
    void *claim_ctx;
    struct metrics *metrics; /* borrowed; the native responder takes a slot per worker */
    const struct clock *clock;
};

/* How often to look for workers that stand still: twice within what a watchdog waits (0: there is
 * none), with a tenth to spare for a late timer, so at least every 0.9 s; every 100 ms at most. */
uint64_t request_sockets_look_ns(uint64_t watchdog_us);

/* How many workers these addresses claim at most, with so many native ones. */
uint32_t request_sockets_worker_count(const struct request_sockets_options *options);

/* The native responder listens on it, not the nng library. */
bool request_sockets_is_native(const char *address);

/* That the system grants the priority and that the certificate can be used, where they are asked
 * for.  Opens nothing; addresses are address_probe's. */
MUST_CHECK enum err_code request_sockets_check(const struct request_sockets_options *options,
                                               struct err *err);

/* Listens on every address, or on none. */
MUST_CHECK enum err_code request_sockets_start(const struct request_sockets_options *options,
                                               struct request_sockets **ret_sockets,
                                               struct err *err);
uint32_t request_sockets_address_count(const struct request_sockets *sockets);
/* As bound, with the scheme that was asked for.  Valid until destroy. */
const char *request_sockets_address(const struct request_sockets *sockets, uint32_t index);
/* The listening socket of an address that was asked for, for another process to take over; -1 for
 * those of nng.  Borrowed until refuse_new. */
int request_sockets_listener_fd(const struct request_sockets *sockets, uint32_t index);
void request_sockets_refuse_new(struct request_sockets *sockets);
uint32_t request_sockets_in_flight(const struct request_sockets *sockets);
/* For a watchdog: false when a native worker stood still between the last two looks, which are at
 * least look_ns apart; new connections go to the others then.  Between looks, and when this process
 * itself was held up for twice as long, the last finding stands.  How many stand still is the
 * metric M_WORKERS_STILL. */
bool request_sockets_are_alive(struct request_sockets *sockets, uint64_t now_ns);
void request_sockets_destroy(struct request_sockets **sockets);

#endif
