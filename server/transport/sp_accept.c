/* SPDX-License-Identifier: Apache-2.0 */
/* New connections, on the thread of the worker that accepts: dealt out to the worker that has
 * fewest and does not stand still.
 *
 * The listening sockets are in the loops of all workers that accept: one, and for a while also one
 * that stood still when another took its place and that has not gone on yet.  They are closed by
 * the last one that lets go of them, so that no loop has a descriptor that means something else. */
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

static bool stands_still(const struct sp_worker *worker)
{
    return atomic_load_explicit(&worker->stands_still, memory_order_relaxed);
}

/* Where all stand still it is as good as any. */
static struct sp_worker *emptiest_worker(struct sp_server *server)
{
    struct sp_worker *best = &server->workers[0];
    uint64_t fewest = UINT64_MAX;
    for (uint32_t i = 0; i < server->worker_count; i++) {
        struct sp_worker *worker = &server->workers[i];
        uint64_t count = atomic_load_explicit(&worker->connection_count, memory_order_relaxed);
        count += stands_still(worker) ? UINT32_MAX : 0;
        if (count >= fewest)
            continue;
        best = worker;
        fewest = count;
    }
    return best;
}

static void deal(struct sp_server *server, struct sp_connection *connection)
{
    connection->worker = emptiest_worker(server);
    atomic_fetch_add_explicit(&connection->worker->connection_count, 1, memory_order_relaxed);
    sp_inbox_bring(connection->worker->inbox, connection);
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
    connection->fd = fd;
    connection->ipc = listener->ipc;
    connection->local = peer_is_local(listener, peer);
    metric_add_shared(server->options.metrics, M_CONNECTIONS_ACCEPTED, TRANSPORT_SP, 0, 1);
    deal(server, connection);
}

static void stop_accepting(struct sp_worker *worker)
{
    for (uint32_t i = 0; i < worker->server->listener_count; i++)
        event_del(worker->acceptors[i].acceptable);
    event_del(worker->accept_again);
}

/* Without descriptors or memory every turn of the loop would fail again at once. */
static void pause_accepting(struct sp_worker *worker, int error)
{
    const struct timeval pause = {.tv_usec = PAUSE_MS * 1000};
    const struct sp_server_options *options = &worker->server->options;
    uint64_t now_ns = clock_now_ns(options->clock);
    stop_accepting(worker);
    event_add(worker->accept_again, &pause);
    metric_add_shared(options->metrics, M_ACCEPT_PAUSES, 0, 0, 1);
    if (worker->accept_logged_ns != 0 && now_ns - worker->accept_logged_ns < LOG_INTERVAL_NS)
        return;
    worker->accept_logged_ns = now_ns;
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
    struct sp_acceptor *acceptor = arg;
    struct sp_worker *worker = acceptor->worker;
    sp_worker_begin(worker);
    for (uint32_t i = 0; i < ACCEPTS_PER_TURN; i++) {
        struct sockaddr_storage peer = {.ss_family = AF_UNSPEC};
        socklen_t peer_bytes = sizeof peer;
        int fd = accept4(listening_fd, (struct sockaddr *)&peer, &peer_bytes,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            welcome(acceptor->listener, fd, &peer);
        } else if (errno == EAGAIN) {
            break;
        } else if (!concerns_one_peer(errno)) {
            pause_accepting(worker, errno);
            break;
        }
    }
    sp_worker_end(worker);
}

static bool begin_accepting(struct sp_worker *worker)
{
    for (uint32_t i = 0; i < worker->server->listener_count; i++) {
        if (event_add(worker->acceptors[i].acceptable, NULL) != 0)
            return false;
    }
    return true;
}

static void on_accept_again(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct sp_worker *worker = arg;
    sp_worker_begin(worker);
    if (!begin_accepting(worker))
        pause_accepting(worker, ENOMEM);
    sp_worker_end(worker);
}

/* ---- who accepts ---------------------------------------------------------------------- */

static bool make_events(struct sp_worker *worker)
{
    struct sp_server *server = worker->server;
    bool enough = true;
    worker->accept_again = event_new(worker->base, -1, 0, on_accept_again, worker);
    for (uint32_t i = 0; i < server->listener_count; i++) {
        struct sp_acceptor *acceptor = &worker->acceptors[i];
        *acceptor = (struct sp_acceptor){.worker = worker, .listener = &server->listeners[i]};
        acceptor->acceptable = event_new(worker->base, acceptor->listener->fd, EV_READ | EV_PERSIST,
                                         on_acceptable, acceptor);
        enough = enough && acceptor->acceptable != NULL;
    }
    return enough && worker->accept_again != NULL;
}

enum err_code sp_accept_start(struct sp_server *server, struct err *err)
{
    struct sp_worker *first = &server->workers[0];
    bool enough = true;
    for (uint32_t i = 0; i < server->worker_count && enough; i++)
        enough = make_events(&server->workers[i]);
    first->asked_to_accept = first->accepts = enough;
    if (!enough || !begin_accepting(first))
        return err_set(err, ERR_NOMEM, "out of memory for the listeners of the request socket");
    return ERR_OK;
}

static void close_listeners(struct sp_server *server)
{
    for (uint32_t i = 0; i < server->listener_count; i++)
        sp_listener_close(&server->listeners[i]);
}

void sp_accept_stop(struct sp_server *server)
{
    for (uint32_t i = 0; i < server->worker_count; i++) {
        struct sp_worker *worker = &server->workers[i];
        for (uint32_t k = 0; k < server->listener_count; k++) {
            if (worker->acceptors[k].acceptable != NULL)
                event_free(worker->acceptors[k].acceptable);
            worker->acceptors[k].acceptable = NULL;
        }
        if (worker->accept_again != NULL)
            event_free(worker->accept_again);
        worker->accept_again = NULL;
    }
    close_listeners(server);
}

void sp_accept_let_go(struct sp_server *server)
{
    pthread_mutex_lock(&server->mutex);
    server->lets_go = true;
    pthread_mutex_unlock(&server->mutex);
}

void sp_accept_update(struct sp_worker *worker)
{
    struct sp_server *server = worker->server;
    pthread_mutex_lock(&server->mutex);
    bool wanted = worker->asked_to_accept && !server->lets_go;
    bool changes = wanted != worker->accepts, anyone = false;
    worker->accepts = wanted;
    if (changes && !wanted)
        stop_accepting(worker);
    for (uint32_t i = 0; i < server->worker_count; i++)
        anyone = anyone || server->workers[i].accepts;
    if (server->lets_go && !anyone)
        close_listeners(server);
    pthread_mutex_unlock(&server->mutex);
    if (changes && wanted && !begin_accepting(worker))
        pause_accepting(worker, ENOMEM);
}

static void ask(struct sp_server *server, uint32_t index, bool to_accept)
{
    struct sp_worker *worker = &server->workers[index];
    pthread_mutex_lock(&server->mutex);
    worker->asked_to_accept = to_accept;
    pthread_mutex_unlock(&server->mutex);
    sp_inbox_tell_role(worker->inbox);
}

/* What a worker that stands still has not looked at goes to others. */
static void deal_again(struct sp_worker *worker)
{
    struct sp_connection_list arrivals = TAILQ_HEAD_INITIALIZER(arrivals);
    sp_inbox_take_arrivals(worker->inbox, &arrivals);
    while (!TAILQ_EMPTY(&arrivals)) {
        struct sp_connection *connection = TAILQ_FIRST(&arrivals);
        TAILQ_REMOVE(&arrivals, connection, link);
        atomic_fetch_sub_explicit(&worker->connection_count, 1, memory_order_relaxed);
        deal(worker->server, connection);
    }
}

void sp_accept_look(struct sp_server *server)
{
    uint32_t index = emptiest_worker(server)->index;
    if (stands_still(&server->workers[index]))
        return; /* they all do */
    if (stands_still(&server->workers[server->acceptor])) {
        ask(server, server->acceptor, false);
        ask(server, index, true);
        server->acceptor = index;
    }
    for (uint32_t i = 0; i < server->worker_count; i++) {
        if (stands_still(&server->workers[i]))
            deal_again(&server->workers[i]);
    }
}
