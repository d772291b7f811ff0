/* SPDX-License-Identifier: Apache-2.0 */
/* How many connections there are, and how long each may take: what evhttp 2.1 does not limit. */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "server/metrics.h"
#include "server/transport/address.h"
#include "server/transport/http_internal.h"
#include "server/transport/http_refusal.h"

static void wait_at_most(struct http_connection *connection, uint32_t timeout_ms)
{
    struct timeval timeout = {.tv_sec = timeout_ms / 1000,
                              .tv_usec = (suseconds_t)(timeout_ms % 1000) * 1000};
    event_add(connection->timer, &timeout);
}

static bool is_too_large(const struct http_connection *connection)
{
    return connection->head.state == HTTP_HEAD_ENDED &&
           connection->head.body_bytes > connection->server->options.body_bytes_max;
}

static bool is_all_known(const struct http_head *head)
{
    return head->state == HTTP_HEAD_ENDED &&
           (!head->is_chunked || head->chunks.state >= HTTP_CHUNKS_ENDED);
}

/* Head and chunks in the bytes of the input from there on. */
static void look_at_input(struct http_connection *connection, size_t from)
{
    struct evbuffer *input = bufferevent_get_input(connection->buffers);
    char bytes[1024];
    struct evbuffer_ptr at;
    ev_ssize_t len;
    while (!is_all_known(&connection->head) &&
           evbuffer_ptr_set(input, &at, from, EVBUFFER_PTR_SET) == 0 &&
           (len = evbuffer_copyout_from(input, &at, bytes, sizeof bytes)) > 0) {
        if (http_head_take(&connection->head, bytes, (size_t)len) && is_too_large(connection))
            event_active(connection->later, EV_TIMEOUT, 0);
        from += (size_t)len;
    }
}

static void begin_receiving(struct http_connection *connection)
{
    connection->phase = HTTP_RECEIVING;
    connection->head = (struct http_head){0};
    connection->evhttp_refuses = false;
    wait_at_most(connection, connection->server->options.request_timeout_ms);
    look_at_input(connection, 0);
}

static void on_input(struct evbuffer *buffer, const struct evbuffer_cb_info *info, void *arg)
{
    struct http_connection *connection = arg;
    if (info->n_added == 0)
        return;
    if (connection->phase == HTTP_IDLE)
        begin_receiving(connection);
    else if (connection->phase == HTTP_RECEIVING)
        look_at_input(connection, evbuffer_get_length(buffer) - info->n_added);
}

static bool is_continue(struct evbuffer *output)
{
    static const char interim[] = "HTTP/1.1 100";
    char head[sizeof interim - 1];
    return http_refusal_peek(output, head, sizeof head) && memcmp(head, interim, sizeof head) == 0;
}

static void on_output(struct evbuffer *buffer, const struct evbuffer_cb_info *info, void *arg)
{
    struct http_connection *connection = arg;
    const struct http_server_options *options = &connection->server->options;
    if (info->n_added > 0 && (connection->phase == HTTP_SERVING ||
                              (connection->phase == HTTP_RECEIVING && !is_continue(buffer)))) {
        /* A reply to what was not even a request is evhttp's own. */
        if (connection->phase == HTTP_RECEIVING) {
            metric_add_shared(options->metrics, M_MESSAGES_REFUSED, TRANSPORT_HTTP, 0, 1);
            connection->evhttp_refuses = true;
            event_active(connection->later, EV_TIMEOUT, 0);
        }
        connection->phase = HTTP_REPLYING;
        wait_at_most(connection, options->request_timeout_ms);
    }
    if (info->n_added > 0 && connection->phase == HTTP_REFUSED)
        event_active(connection->later, EV_TIMEOUT, 0); /* evhttp has dropped all of the body */
    if (info->n_deleted > 0 && evbuffer_get_length(buffer) == 0 &&
        connection->phase == HTTP_REPLYING) {
        connection->phase = HTTP_IDLE;
        wait_at_most(connection, options->idle_timeout_ms);
        if (evbuffer_get_length(bufferevent_get_input(connection->buffers)) > 0)
            begin_receiving(connection); /* the next request is there, in part at least */
    }
}

static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct http_connection *connection = arg;
    if (connection->phase == HTTP_REPLYING)
        metric_add_shared(connection->server->options.metrics, M_SLOW_READERS_CLOSED, 0, 0, 1);
    evhttp_connection_free(connection->evcon);
}

static void count(struct http_server *server, bool one_more)
{
    server->connection_count += one_more ? 1 : UINT32_MAX;
    metric_set(server->options.metrics, M_CONNECTIONS, TRANSPORT_HTTP, 0,
               (double)server->connection_count);
}

static void free_connection(struct http_connection *connection)
{
    count(connection->server, false);
    *connection->link = connection->next;
    if (connection->next != NULL)
        connection->next->link = connection->link;
    if (connection->later != NULL)
        event_free(connection->later);
    if (connection->timer != NULL)
        event_free(connection->timer);
    free(connection);
}

static void on_close(struct evhttp_connection *evcon, void *arg)
{
    (void)evcon;
    struct http_connection *connection = arg;
    if (connection->call != NULL)
        connection->call->connection = NULL;
    connection->server->by_fd[connection->fd] = NULL;
    evbuffer_remove_cb(bufferevent_get_input(connection->buffers), on_input, connection);
    evbuffer_remove_cb(bufferevent_get_output(connection->buffers), on_output, connection);
    free_connection(connection);
}

static bool put_by_fd(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    uint32_t index = (uint32_t)connection->fd;
    if (index >= server->by_fd_count) {
        uint32_t wanted_count = index < 64 ? 128 : index * 2;
        struct http_connection **larger =
            realloc(server->by_fd, wanted_count * sizeof(struct http_connection *));
        if (larger == NULL)
            return false;
        memset(larger + server->by_fd_count, 0,
               (wanted_count - server->by_fd_count) * sizeof(struct http_connection *));
        server->by_fd = larger;
        server->by_fd_count = wanted_count;
    }
    server->by_fd[index] = connection;
    return true;
}

/* evhttp names its connection to nobody before the first request, but it is what evhttp gives to
 * the callbacks of the bufferevent (libevent 2.1 and 2.2: http.c, evhttp_connection_base_...). */
static void attach(struct http_connection *connection)
{
    struct bufferevent *buffers = connection->buffers;
    struct sockaddr_storage peer;
    socklen_t peer_bytes = sizeof peer;
    void *evcon = NULL;
    bufferevent_getcb(buffers, NULL, NULL, NULL, &evcon);
    if (evcon == NULL) { /* evhttp could not make it, or has freed it */
        free_connection(connection);
        bufferevent_decref(buffers);
        return;
    }
    connection->evcon = evcon;
    connection->fd = bufferevent_getfd(buffers);
    connection->phase = HTTP_IDLE;
    connection->peer_is_local =
        getpeername(connection->fd, (struct sockaddr *)&peer, &peer_bytes) == 0 &&
        address_is_loopback((struct sockaddr *)&peer);
    if (connection->refused || !put_by_fd(connection)) {
        metric_add_shared(connection->server->options.metrics, M_CONNECTIONS_REFUSED,
                          TRANSPORT_HTTP, 0, 1);
        http_refusal_send(connection->fd, HTTP_REFUSAL_TOO_MANY);
        free_connection(connection);
        evhttp_connection_free(evcon);
        bufferevent_decref(buffers);
        return;
    }
    evhttp_connection_set_closecb(evcon, on_close, connection);
    evbuffer_add_cb(bufferevent_get_input(buffers), on_input, connection);
    evbuffer_add_cb(bufferevent_get_output(buffers), on_output, connection);
    wait_at_most(connection, connection->server->options.idle_timeout_ms);
    bufferevent_decref(buffers);
}

/* evhttp goes on reading what still comes, so that the reply is not lost in a reset. */
static void refuse_too_large(struct http_connection *connection)
{
    connection->phase = HTTP_REFUSED;
    metric_add_shared(connection->server->options.metrics, M_MESSAGES_REFUSED, TRANSPORT_HTTP, 0,
                      1);
    http_refusal_send(connection->fd, HTTP_REFUSAL_TOO_LARGE);
    shutdown(connection->fd, SHUT_WR);
}

static void on_later(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct http_connection *connection = arg;
    switch (connection->phase) {
    case HTTP_ATTACHING: attach(connection); break;
    case HTTP_RECEIVING: refuse_too_large(connection); break;
    case HTTP_REPLYING:
        if (connection->evhttp_refuses)
            http_refusal_replace(bufferevent_get_output(connection->buffers));
        break;
    case HTTP_REFUSED: evhttp_connection_free(connection->evcon); break;
    case HTTP_IDLE:
    case HTTP_SERVING: break;
    }
}

void http_connection_attach_all(struct http_server *server)
{
    struct http_connection *next = NULL;
    for (struct http_connection *at = server->connections; at != NULL; at = next) {
        next = at->next;
        if (at->phase == HTTP_ATTACHING)
            attach(at);
    }
}

void http_connection_turn_away_all(struct http_server *server)
{
    for (struct http_connection *at = server->connections; at != NULL; at = at->next) {
        if (at->phase == HTTP_RECEIVING)
            http_refusal_send(at->fd, HTTP_REFUSAL_DRAINING);
    }
}

uint32_t http_connection_moving_count(const struct http_server *server)
{
    uint32_t count = 0;
    for (const struct http_connection *at = server->connections; at != NULL; at = at->next)
        count += at->phase == HTTP_RECEIVING || at->phase == HTTP_REPLYING;
    return count;
}

struct bufferevent *http_connection_accept(struct event_base *base, void *arg)
{
    struct http_server *server = arg;
    struct http_connection *connection = calloc(1, sizeof *connection);
    struct bufferevent *buffers = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
    if (connection == NULL || buffers == NULL) {
        free(connection);
        return buffers; /* memory is out: closed with its first request, see http_request_serve */
    }
    *connection = (struct http_connection){.server = server,
                                           .buffers = buffers,
                                           .fd = -1,
                                           .phase = HTTP_ATTACHING,
                                           .next = server->connections,
                                           .link = &server->connections};
    if (connection->next != NULL)
        connection->next->link = &connection->next;
    server->connections = connection;
    connection->refused = server->connection_count >= server->options.connections_max;
    count(server, true);
    connection->later = event_new(base, -1, 0, on_later, connection);
    connection->timer = event_new(base, -1, EV_TIMEOUT, on_timeout, connection);
    if (connection->later == NULL || connection->timer == NULL) {
        free_connection(connection);
        return buffers;
    }
    /* While a reply is sent evhttp reads without limit: a body and a head are all that is owed. */
    bufferevent_setwatermark(buffers, EV_READ, 0,
                             server->options.body_bytes_max + 2 * HTTP_HEAD_BYTES_MAX);
    bufferevent_incref(buffers);
    event_active(connection->later, EV_TIMEOUT, 0);
    return buffers;
}

struct http_connection *http_connection_of(const struct http_server *server,
                                           struct evhttp_request *request)
{
    struct evhttp_connection *evcon = evhttp_request_get_connection(request);
    int fd = bufferevent_getfd(evhttp_connection_get_bufferevent(evcon));
    return fd >= 0 && (uint32_t)fd < server->by_fd_count ? server->by_fd[fd] : NULL;
}

void http_connection_serving(struct http_connection *connection)
{
    connection->phase = HTTP_SERVING;
    event_del(connection->timer);
}
