/* SPDX-License-Identifier: Apache-2.0 */
/* New connections, on the first worker's thread: dealt out to the worker that has fewest. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "server/transport/address.h"
#include "server/transport/sp_internal.h"

#define ACCEPTS_PER_TURN 64
#define PAUSE_MS         100
#define LOG_INTERVAL_NS  UINT64_C(60000000000)

static struct sp_worker *emptiest_worker(struct sp_server *server)
{
    struct sp_worker *best = &server->workers[0];
    uint32_t fewest = UINT32_MAX;
    for (uint32_t i = 0; i < server->worker_count; i++) {
        uint32_t count =
            atomic_load_explicit(&server->workers[i].connection_count, memory_order_relaxed);
        if (count >= fewest)
            continue;
        best = &server->workers[i];
        fewest = count;
    }
    return best;
}

static bool peer_is_local(const struct sp_listener *listener, const struct sockaddr_storage *peer)
{
    return listener->local && (listener->ipc || address_is_loopback((const struct sockaddr *)peer));
}

/* Takes the descriptor. */
static void welcome(struct sp_listener *listener, int fd, const struct sockaddr_storage *peer)
{
    struct sp_server *server = listener->server;
    struct sp_connection *connection = calloc(1, sizeof *connection);
    bool full = false;
    sp_server_count_connection(server, true, &full);
    if (full)
        metric_add_shared(server->options.metrics, M_CONNECTIONS_REFUSED, TRANSPORT_SP, 0, 1);
    if (full || connection == NULL) {
        sp_server_count_connection(server, false, &full);
        free(connection);
        close(fd);
        return;
    }
    connection->worker = emptiest_worker(server);
    connection->fd = fd;
    connection->ipc = listener->ipc;
    connection->local = peer_is_local(listener, peer);
    metric_add_shared(server->options.metrics, M_CONNECTIONS_ACCEPTED, TRANSPORT_SP, 0, 1);
    atomic_fetch_add_explicit(&connection->worker->connection_count, 1, memory_order_relaxed);
    sp_inbox_bring(connection->worker->inbox, connection);
}

/* Without descriptors or memory every turn of the loop would fail again at once. */
static void pause_accepting(struct sp_server *server, int error)
{
    const struct timeval pause = {.tv_usec = PAUSE_MS * 1000};
    uint64_t now_ns = clock_now_ns(server->options.clock);
    for (uint32_t i = 0; i < server->listener_count; i++)
        event_del(server->listeners[i].acceptable);
    event_add(server->accept_again, &pause);
    metric_add_shared(server->options.metrics, M_ACCEPT_PAUSES, 0, 0, 1);
    if (server->accept_logged_ns != 0 && now_ns - server->accept_logged_ns < LOG_INTERVAL_NS)
        return;
    server->accept_logged_ns = now_ns;
    log_at(LOG_WARN, "connections cannot be accepted; trying again",
           LOG_STR("error", strerror(error)), LOG_INT("every_ms", PAUSE_MS));
}

/* Errors of the connection that was to be accepted, and of nobody else. */
static bool concerns_one_peer(int error)
{
    return error == EINTR || error == ECONNABORTED || error == EPROTO || error == EPERM ||
           error == ENETDOWN || error == ENETUNREACH || error == EHOSTDOWN ||
           error == EHOSTUNREACH || error == ENOPROTOOPT || error == ENONET;
}

static void on_acceptable(evutil_socket_t listening_fd, short what, void *arg)
{
    (void)what;
    struct sp_listener *listener = arg;
    struct sp_worker *worker = &listener->server->workers[0];
    sp_worker_begin(worker);
    for (uint32_t i = 0; i < ACCEPTS_PER_TURN; i++) {
        struct sockaddr_storage peer = {.ss_family = AF_UNSPEC};
        socklen_t peer_bytes = sizeof peer;
        int fd = accept4(listening_fd, (struct sockaddr *)&peer, &peer_bytes,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            welcome(listener, fd, &peer);
        } else if (errno == EAGAIN) {
            break;
        } else if (!concerns_one_peer(errno)) {
            pause_accepting(listener->server, errno);
            break;
        }
    }
    sp_worker_end(worker);
}

static bool accept_all(struct sp_server *server)
{
    for (uint32_t i = 0; i < server->listener_count; i++) {
        if (event_add(server->listeners[i].acceptable, NULL) != 0)
            return false;
    }
    return true;
}

static void on_accept_again(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct sp_server *server = arg;
    sp_worker_begin(&server->workers[0]);
    if (!accept_all(server))
        pause_accepting(server, ENOMEM);
    sp_worker_end(&server->workers[0]);
}

enum err_code sp_accept_start(struct sp_server *server, struct err *err)
{
    struct event_base *base = server->workers[0].base;
    bool enough = true;
    server->accept_again = event_new(base, -1, 0, on_accept_again, server);
    for (uint32_t i = 0; i < server->listener_count; i++) {
        struct sp_listener *listener = &server->listeners[i];
        listener->acceptable =
            event_new(base, listener->fd, EV_READ | EV_PERSIST, on_acceptable, listener);
        enough = enough && listener->acceptable != NULL;
    }
    if (!enough || server->accept_again == NULL || !accept_all(server))
        return err_set(err, ERR_NOMEM, "out of memory for the listeners of the request socket");
    return ERR_OK;
}

void sp_accept_stop(struct sp_server *server)
{
    for (uint32_t i = 0; i < server->listener_count; i++) {
        struct sp_listener *listener = &server->listeners[i];
        if (listener->acceptable != NULL)
            event_free(listener->acceptable);
        listener->acceptable = NULL;
        sp_listener_close(listener);
    }
    if (server->accept_again != NULL)
        event_free(server->accept_again);
    server->accept_again = NULL;
}
