/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that finish later, on whatever thread, and come back to the loop. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "server/transport/address.h"
#include "server/transport/http_internal.h"
#include "server/transport/http_json.h"

/* The mutex is held; it is released. */
static void unlock_and_free_if_last(struct http_returns *returns)
{
    bool last = returns->closed && returns->outstanding_count == 0;
    pthread_mutex_unlock(&returns->mutex);
    if (!last)
        return;
    close(returns->event_fd);
    pthread_mutex_destroy(&returns->mutex);
    free(returns);
}

/* Any thread, and perhaps before the service has said that the call is deferred.  The wake-up is
 * written under the lock, so that the descriptor is still open. */
static void on_complete(struct call *call)
{
    struct http_call *done = call->owner;
    struct http_returns *returns = done->returns;
    pthread_mutex_lock(&returns->mutex);
    if (returns->closed) {
        returns->outstanding_count--;
        free(done);
    } else {
        done->next = returns->first;
        returns->first = done;
        eventfd_write(returns->event_fd, 1);
    }
    unlock_and_free_if_last(returns);
}

static void take_back(struct http_server *server, struct http_call *done)
{
    struct http_connection *connection = done->connection;
    server->in_flight--;
    pthread_mutex_lock(&done->returns->mutex);
    done->returns->outstanding_count--;
    pthread_mutex_unlock(&done->returns->mutex);
    if (connection == NULL) {
        free(done); /* nobody waits for the reply any more */
        return;
    }
    connection->call = NULL;
    http_request_answer(connection, done);
}

static void on_returned(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct http_server *server = arg;
    struct http_returns *returns = server->returns;
    eventfd_t count;
    eventfd_read(fd, &count);
    pthread_mutex_lock(&returns->mutex);
    struct http_call *done = returns->first;
    returns->first = NULL;
    pthread_mutex_unlock(&returns->mutex);
    while (done != NULL) {
        struct http_call *next = done->next;
        take_back(server, done);
        done = next;
    }
}

static void name_peer(const struct call *call, char ret_peer[CALL_PEER_BYTES])
{
    const struct http_call *from = call->owner;
    address_name_peer(from->connection->fd, "http", ret_peer, CALL_PEER_BYTES);
}

struct http_call *http_call_new(struct http_connection *connection, struct evhttp_request *request,
                                size_t body_bytes)
{
    struct http_server *server = connection->server;
    struct http_call *call = malloc(sizeof *call + CALL_REPLY_BYTES + http_json_room(body_bytes));
    if (call == NULL)
        return NULL;
    *call = (struct http_call){.connection = connection,
                               .request = request,
                               .returns = server->returns,
                               .message = call->reply_bytes + CALL_REPLY_BYTES};
    uint64_t now_ns = clock_now_ns(server->options.clock);
    call->call = (struct call){.arrived_ns = now_ns,
                               .whole_ns = now_ns,
                               .reply = call->reply_bytes,
                               .reply_capacity = CALL_REPLY_BYTES,
                               .code = REPLY_internal,
                               .name_peer = name_peer,
                               .complete = on_complete,
                               .owner = call};
    return call;
}

void http_call_defer(struct http_call *call)
{
    call->connection->call = call;
    call->connection->server->in_flight++;
    pthread_mutex_lock(&call->returns->mutex);
    call->returns->outstanding_count++;
    pthread_mutex_unlock(&call->returns->mutex);
}

enum err_code http_returns_open(struct http_server *server, struct err *err)
{
    struct http_returns *returns = calloc(1, sizeof *returns);
    if (returns == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for the HTTP server");
    returns->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (returns->event_fd < 0) {
        free(returns);
        return err_set(err, ERR_IO, "cannot open an eventfd: %s", strerror(errno));
    }
    pthread_mutex_init(&returns->mutex, NULL);
    server->returns = returns;
    server->returned =
        event_new(server->base, returns->event_fd, EV_READ | EV_PERSIST, on_returned, server);
    if (server->returned == NULL || event_add(server->returned, NULL) != 0)
        return err_set(err, ERR_NOMEM, "out of memory for the HTTP server");
    return ERR_OK;
}

void http_returns_close(struct http_server *server)
{
    struct http_returns *returns = server->returns;
    if (server->returned != NULL)
        event_free(server->returned);
    server->returned = NULL;
    server->returns = NULL;
    if (returns == NULL)
        return;
    pthread_mutex_lock(&returns->mutex);
    returns->closed = true;
    while (returns->first != NULL) {
        struct http_call *done = returns->first;
        returns->first = done->next;
        returns->outstanding_count--;
        free(done);
    }
    unlock_and_free_if_last(returns);
}
