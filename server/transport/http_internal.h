/* SPDX-License-Identifier: Apache-2.0 */
/* http_internal - shared by the files of http_server.
 *
 * The phases of a connection, and the timer that runs in each:
 *   ATTACHING -> IDLE -> RECEIVING -> SERVING -> REPLYING -> IDLE
 *                idle    request      none       request (a client that does not read)
 *                           |-> REPLYING: evhttp refuses it
 *                           '-> REFUSED: we did; further input is dropped and the timer continues
 * 1. evhttp reads requests and writes replies; phases are inferred from the traffic in its buffers,
 *    since evhttp 2.1 does not report the first byte of a request.
 * 2. In SERVING evhttp does not read, so a connection has at most one call.
 * 3. A connection is freed by evhttp alone, which calls http_connection's close callback first. */
#ifndef SERVER_TRANSPORT_HTTP_INTERNAL_H
#define SERVER_TRANSPORT_HTTP_INTERNAL_H

#include <pthread.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>

#include "server/transport/http_head.h"
#include "server/transport/http_server.h"

#define HTTP_HEAD_BYTES_MAX    16384
#define HTTP_ADDRESS_BYTES_MAX 64

enum http_phase {
    HTTP_ATTACHING, /* accepted in this turn of the loop; evhttp's side is not known yet */
    HTTP_IDLE,
    HTTP_RECEIVING,
    HTTP_SERVING,
    HTTP_REPLYING,
    HTTP_REFUSED
};

struct http_connection {
    struct http_server *server;
    struct bufferevent *buffers; /* evhttp's; ours too while ATTACHING */
    struct evhttp_connection *evcon;
    int fd;              /* its place in server->by_fd, once attached */
    struct event *later; /* what cannot be done within the callbacks of evhttp's buffers */
    struct event *timer;
    enum http_phase phase;
    struct http_head head; /* of the request that is received */
    bool evhttp_refuses;   /* the reply is evhttp's own page */
    bool refused;          /* beyond connections_max: closed as soon as it is attached */
    bool peer_is_local;
    struct http_call *call; /* deferred, or NULL */
    struct http_connection *next, **link;
};

/* Calls come back from any thread through this queue; it outlives the server when calls do. */
struct http_returns {
    pthread_mutex_t mutex;
    struct http_call *first;
    uint32_t outstanding_count; /* deferred, and not yet taken back by the loop */
    bool closed;
    int event_fd;
};

struct http_call {
    struct call call;
    struct http_connection *connection; /* NULL: closed meanwhile; the loop's thread only */
    struct evhttp_request *request;
    struct http_returns *returns;
    struct http_call *next;
    uint8_t *message;      /* the request's room */
    uint8_t reply_bytes[]; /* CALL_REPLY_BYTES, then the room */
};

struct http_server {
    struct http_server_options options;
    struct event_base *base; /* borrowed */
    struct evhttp *evhttp;
    struct evhttp_bound_socket *bound; /* NULL once new ones are refused */
    struct event *resume;              /* accepts again, when descriptors had run out */
    uint64_t accept_told_ns;           /* when that was logged; 0: never */
    struct event *returned;
    struct http_returns *returns;
    struct http_connection *connections;
    struct http_connection **by_fd;
    uint32_t by_fd_count;
    uint32_t connection_count;
    uint32_t in_flight;
    bool listener_is_local;
    char address[HTTP_ADDRESS_BYTES_MAX];
};

/* http_connection.c */
struct bufferevent *http_connection_accept(struct event_base *base, void *server);
struct http_connection *http_connection_of(const struct http_server *server,
                                           struct evhttp_request *request);
void http_connection_serving(struct http_connection *connection);
/* So that none is left whose end evhttp would not tell. */
void http_connection_attach_all(struct http_server *server);

/* Tells those whose requests have not come whole that the daemon stops. */
void http_connection_turn_away_all(struct http_server *server);
/* Requests that are on their way in, and replies that are on their way out. */
uint32_t http_connection_moving_count(const struct http_server *server);

/* http_request.c */
void http_request_serve(struct evhttp_request *request, void *server);
/* Sends what the call says and frees it. */
void http_request_answer(struct http_connection *connection, struct http_call *call);

/* http_call.c */
/* With room for the message of a body of `body_bytes`; NULL: out of memory. */
struct http_call *http_call_new(struct http_connection *connection, struct evhttp_request *request,
                                size_t body_bytes);
void http_call_defer(struct http_call *call); /* the service said so; it may be complete by now */
MUST_CHECK enum err_code http_returns_open(struct http_server *server, struct err *err);
void http_returns_close(struct http_server *server); /* connections are gone */

#endif
