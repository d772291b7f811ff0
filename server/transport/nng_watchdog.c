/* SPDX-License-Identifier: Apache-2.0 */
/* A thread that asks every listener each second and starts a silent one anew.  It also closes the
 * socket in the end, so that a close that never returns hangs here and not in main. */
#include <signal.h>
#include <string.h>

#include "server/metrics.h"
#include "server/transport/nng_internal.h"

#define ROUND_INTERVAL_NS UINT64_C(1000000000)
#define PROBE_TIMEOUT_MS  1000
#define SILENT_PROBES_MAX 3 /* a busy moment is not the end of a listener */
#define CLOSE_TIMEOUT_NS  UINT64_C(2000000000)

bool nng_server_wait(struct nng_server *server, const bool *flag, uint64_t deadline_ns)
{
    struct timespec deadline = {.tv_sec = (time_t)(deadline_ns / 1000000000),
                                .tv_nsec = (long)(deadline_ns % 1000000000)};
    while (!*flag && nng_monotonic_ns() < deadline_ns)
        pthread_cond_timedwait(&server->changed, &server->mutex, &deadline);
    return *flag;
}

static void restart(struct nng_server *server, struct nng_endpoint *endpoint)
{
    nng_endpoint_close(endpoint);
    if (nng_endpoint_listen(server, endpoint, NULL) != ERR_OK)
        return; /* the next round finds nobody there and tries again */
    endpoint->silent_probe_count = 0;
    metric_add_shared(server->options.metrics, M_LISTENER_RESTARTS, 0, 0, 1);
}

static void look_after(struct nng_server *server, struct nng_endpoint *endpoint)
{
    switch (nng_probe(&endpoint->probe_address, endpoint->probe_address_bytes, PROBE_TIMEOUT_MS)) {
    case PROBE_ANSWERED: endpoint->silent_probe_count = 0; break;
    case PROBE_IMPOSSIBLE: break;
    case PROBE_SILENT:
    case PROBE_NOBODY:
        if (++endpoint->silent_probe_count >= SILENT_PROBES_MAX)
            restart(server, endpoint);
        break;
    }
}

static bool has_room(struct nng_server *server)
{
    pthread_mutex_lock(&server->mutex);
    bool room = server->connection_count < server->options.connections_max;
    pthread_mutex_unlock(&server->mutex);
    return room;
}

void nng_watchdog_round(struct nng_server *server)
{
    for (uint32_t i = 0; i < server->endpoint_count; i++) {
        struct nng_endpoint *endpoint = &server->endpoints[i];
        /* A probe is a connection: at the limit, and in a drain, it would only be refused. */
        if (endpoint->probe_address_bytes > 0 && has_room(server) &&
            !atomic_load(&server->refuse_new))
            look_after(server, endpoint);
    }
}

static void *run(void *arg)
{
    struct nng_server *server = arg;
    pthread_mutex_lock(&server->mutex);
    while (
        !nng_server_wait(server, &server->stop_watchdog, nng_monotonic_ns() + ROUND_INTERVAL_NS)) {
        if (!server->listening)
            continue;
        pthread_mutex_unlock(&server->mutex);
        nng_watchdog_round(server);
        pthread_mutex_lock(&server->mutex);
    }
    pthread_mutex_unlock(&server->mutex);
    nng_close(server->socket);
    pthread_mutex_lock(&server->mutex);
    server->closed = true;
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->mutex);
    return NULL;
}

enum err_code nng_watchdog_start(struct nng_server *server, struct err *err)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for main's loop */
    int rc = pthread_create(&server->watchdog, NULL, run, server);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0)
        return err_set(err, ERR_IO, "cannot start the watchdog thread: %s", strerror(rc));
    server->watchdog_runs = true;
    return ERR_OK;
}

bool nng_watchdog_stop_and_close(struct nng_server *server)
{
    pthread_mutex_lock(&server->mutex);
    server->stop_watchdog = true;
    pthread_cond_broadcast(&server->changed);
    bool closed = nng_server_wait(server, &server->closed, nng_monotonic_ns() + CLOSE_TIMEOUT_NS);
    pthread_mutex_unlock(&server->mutex);
    if (closed)
        pthread_join(server->watchdog, NULL);
    else
        pthread_detach(server->watchdog);
    return closed;
}
