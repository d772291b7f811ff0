/* SPDX-License-Identifier: Apache-2.0 */
#include "server/transport/nng_server.h"

#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/metrics.h"
#include "server/transport/nng_internal.h"
#include "server/transport/nng_wrap.h"

#define HOPS_MAX          8
#define HOP_BYTES         4
#define CONTEXTS_MAX      4096
#define LINGER_NS         UINT64_C(50000000) /* a reply that was sent may wait in nng for its socket */
#define COMPLETE_LIMIT_NS UINT64_C(1000000000)

static enum err_code check_options(const struct nng_server_options *options, struct err *err)
{
    static const char *const schemes[] = {"tcp://", "ipc://", "inproc://", "ws://", "tls+tcp://"};
    if (options->address_count < 1 || options->address_count > NNG_ADDRESSES_MAX)
        return err_set(err, ERR_LIMIT, "listen: expected 1..%d addresses, got %u",
                       NNG_ADDRESSES_MAX, options->address_count);
    if (options->contexts < 1 || options->contexts > CONTEXTS_MAX)
        return err_set(err, ERR_LIMIT, "contexts: expected 1..%d, got %u", CONTEXTS_MAX,
                       options->contexts);
    for (uint32_t i = 0; i < options->address_count; i++) {
        const char *address = options->addresses[i];
        bool known = false;
        for (size_t s = 0; s < sizeof schemes / sizeof schemes[0]; s++)
            known |= strncmp(address, schemes[s], strlen(schemes[s])) == 0;
        if (!known)
            return err_set(
                err, ERR_BAD_INPUT,
                "address '%.200s': expected tcp://HOST:PORT, ipc:///PATH, inproc://NAME, "
                "ws://HOST:PORT/PATH or tls+tcp://HOST:PORT",
                address);
        if (strlen(address) >= NNG_ADDRESS_BYTES)
            return err_set(err, ERR_LIMIT, "address '%.40s...': longer than %d bytes", address,
                           NNG_ADDRESS_BYTES - 1);
    }
    return ERR_OK;
}

static void count_connections(struct nng_server *server, bool one_more, bool *ret_full)
{
    pthread_mutex_lock(&server->mutex);
    server->connection_count += one_more ? 1 : UINT32_MAX;
    *ret_full = server->connection_count > server->options.connections_max;
    metric_set(server->options.metrics, M_CONNECTIONS, TRANSPORT_NNG, 0,
               (double)server->connection_count);
    pthread_mutex_unlock(&server->mutex);
}

static void on_pipe_added(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    (void)event;
    struct nng_server *server = arg;
    bool full = false;
    count_connections(server, true, &full); /* a refused one is removed like any other */
    nng_endpoint_note_peer(server, pipe);
    if (full)
        metric_add_shared(server->options.metrics, M_CONNECTIONS_REFUSED, TRANSPORT_NNG, 0, 1);
    if (full || atomic_load(&server->refuse_new))
        nng_pipe_close(pipe);
}

/* An oversized message closes its connection, so this is where it is noticed. */
static void on_pipe_removed(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    (void)pipe;
    (void)event;
    struct nng_server *server = arg;
    bool full = false;
    count_connections(server, false, &full);
    uint64_t oversized = nng_wrap_take_oversized();
    if (oversized > 0)
        metric_add_shared(server->options.metrics, M_MESSAGES_REFUSED, TRANSPORT_NNG, 0, oversized);
}

static enum err_code open_socket(struct nng_server *server, struct err *err)
{
    int rc = nng_rep0_open(&server->socket);
    if (rc != 0)
        return err_set(err, ERR_NOMEM, "cannot open the request socket: %s", nng_strerror(rc));
    server->socket_is_open = true;
    nng_socket socket = server->socket;
    /* The limit of nng holds the hops in front of a body too; a body is measured on arrival. */
    size_t receive_bytes_max = server->options.message_bytes_max + HOP_BYTES * (HOPS_MAX + 1);
    if ((rc = nng_socket_set_size(socket, NNG_OPT_RECVMAXSZ, receive_bytes_max)) != 0 ||
        (rc = nng_socket_set_bool(socket, NNG_OPT_TCP_NODELAY, true)) != 0 ||
        (rc = nng_socket_set_bool(socket, NNG_OPT_TCP_KEEPALIVE, true)) != 0 ||
        (rc = nng_socket_set_int(socket, NNG_OPT_MAXTTL, HOPS_MAX)) != 0 ||
        (rc = nng_pipe_notify(socket, NNG_PIPE_EV_ADD_PRE, on_pipe_added, server)) != 0 ||
        (rc = nng_pipe_notify(socket, NNG_PIPE_EV_REM_POST, on_pipe_removed, server)) != 0)
        return err_set(err, ERR_IO, "cannot set up the request socket: %s", nng_strerror(rc));
    return ERR_OK;
}

static enum err_code open_contexts(struct nng_server *server, struct err *err)
{
    uint32_t count = server->options.contexts;
    server->contexts = calloc(count, sizeof *server->contexts);
    /* Not touched before a reply is written: an idle daemon does not pay for them. */
    server->replies = malloc((size_t)count * CALL_REPLY_BYTES);
    if (server->contexts == NULL || server->replies == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for %u contexts of the request socket",
                       count);
    enum err_code rc = ERR_OK;
    for (uint32_t i = 0; i < count && rc == ERR_OK; i++)
        rc = nng_context_open(server, &server->contexts[i],
                              server->replies + (size_t)i * CALL_REPLY_BYTES, err);
    return rc;
}

static void init_locks(struct nng_server *server)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&server->mutex, NULL);
    pthread_cond_init(&server->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

enum err_code nng_server_create(const struct nng_server_options *options,
                                struct nng_server **ret_server, struct err *err)
{
    ASSERT(options->call != NULL && options->claim_worker != NULL && options->metrics != NULL);
    enum err_code rc = check_options(options, err);
    if (rc != ERR_OK)
        return rc;
    struct nng_server *server = calloc(1, sizeof *server);
    if (server == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for the request socket");
    server->options = *options;
    server->options.addresses = NULL; /* borrowed for this call only */
    server->endpoint_count = options->address_count;
    atomic_init(&server->locality, LOCALITY_MIXED);
    for (uint32_t i = 0; i < options->address_count; i++)
        memcpy(server->endpoints[i].address, options->addresses[i],
               strlen(options->addresses[i]) + 1);
    init_locks(server);
    rc = open_socket(server, err);
    if (rc == ERR_OK)
        rc = open_contexts(server, err);
    if (rc == ERR_OK)
        rc = nng_watchdog_start(server, err);
    if (rc == ERR_OK) {
        *ret_server = server;
        server = NULL;
    }
    nng_server_destroy(&server);
    return rc;
}

enum err_code nng_server_start(struct nng_server *server, struct err *err)
{
    for (uint32_t i = 0; i < server->endpoint_count; i++) {
        enum err_code rc = nng_endpoint_listen(server, &server->endpoints[i], err);
        if (rc != ERR_OK) {
            while (i-- > 0)
                nng_endpoint_close(&server->endpoints[i]);
            return rc;
        }
    }
    nng_endpoint_settle_locality(server);
    pthread_mutex_lock(&server->mutex);
    server->listening = true;
    pthread_mutex_unlock(&server->mutex);
    return ERR_OK;
}

uint32_t nng_server_address_count(const struct nng_server *server)
{
    return server->endpoint_count;
}

const char *nng_server_address(const struct nng_server *server, uint32_t index)
{
    ASSERT(index < server->endpoint_count);
    return server->endpoints[index].address;
}

void nng_server_refuse_new(struct nng_server *server)
{
    atomic_store(&server->refuse_new, true);
}

uint32_t nng_server_in_flight(const struct nng_server *server)
{
    return atomic_load(&server->in_flight);
}

/* Replies get the time that a send may take, and deferred calls a second more. */
static bool wait_for_replies(struct nng_server *server)
{
    uint64_t deadline_ns = nng_monotonic_ns() + COMPLETE_LIMIT_NS +
                           (uint64_t)server->options.send_timeout_ms * 1000000;
    struct timespec deadline = {.tv_sec = (time_t)(deadline_ns / 1000000000),
                                .tv_nsec = (long)(deadline_ns % 1000000000)};
    pthread_mutex_lock(&server->mutex);
    while (atomic_load(&server->in_flight) > 0 && nng_monotonic_ns() < deadline_ns)
        pthread_cond_timedwait(&server->changed, &server->mutex, &deadline);
    pthread_mutex_unlock(&server->mutex);
    return atomic_load(&server->in_flight) == 0;
}

static void linger(struct nng_server *server)
{
    static const bool never = false;
    pthread_mutex_lock(&server->mutex);
    nng_server_wait(server, &never, nng_monotonic_ns() + LINGER_NS);
    pthread_mutex_unlock(&server->mutex);
}

static void free_contexts(struct nng_server *server)
{
    for (uint32_t i = 0; server->contexts != NULL && i < server->options.contexts; i++)
        nng_context_free(&server->contexts[i]);
    free(server->contexts);
    free(server->replies);
}

void nng_server_destroy(struct nng_server **server)
{
    struct nng_server *gone = *server;
    *server = NULL;
    if (gone == NULL)
        return;
    atomic_store(&gone->stopping, true);
    for (uint32_t i = 0; gone->contexts != NULL && i < gone->options.contexts; i++)
        nng_context_stop_receiving(&gone->contexts[i]);
    bool all_sent = wait_for_replies(gone);
    bool closed = true;
    if (gone->watchdog_runs) {
        linger(gone);
        closed = nng_watchdog_stop_and_close(gone);
    } else if (gone->socket_is_open) {
        nng_close(gone->socket); /* it never listened */
    }
    /* What hangs, or is yet to be completed, still points into the server: it is left behind. */
    if (!closed || !all_sent)
        return;
    free_contexts(gone);
    pthread_cond_destroy(&gone->changed);
    pthread_mutex_destroy(&gone->mutex);
    free(gone);
}
