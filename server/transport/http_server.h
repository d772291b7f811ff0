/* SPDX-License-Identifier: Apache-2.0 */
/* http_server - HTTP/1.1 for people and machines: POST /v1/<op> in JSON, and pages by GET.
 *
 * A body is transcoded to MessagePack and handed to the same service as every other transport; the
 * reply is transcoded back.  Pages (/livez, /readyz, /metrics) come from a callback.  Bounded: head
 * and body size, connections, time for a request to arrive complete (a slow sender is closed), idle
 * time.
 *
 * Threads: everything on the thread of the event loop, except that a deferred call may complete on
 * any thread (it is handed back to the loop), even after the server was destroyed.  The process
 * ignores SIGPIPE.  Errors are JSON in the form of docs/protocol.md; what evhttp refuses by itself
 * (malformed, head or body too large) is closed behind its 400, 413 or 417, and a body that is
 * announced too large is refused before it comes.  Without memory it is 503 and a line of HTML.
 *
 * A call is local when the listener and the peer are loopback addresses and the request has no
 * `Origin`: a page in a browser must not act as an operator (call.from_page). */
#ifndef SERVER_TRANSPORT_HTTP_SERVER_H
#define SERVER_TRANSPORT_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/metrics.h"
#include "server/protocol/call.h"

struct event_base; /* libevent */
struct http_server;

struct http_page {
    int status;
    const char *content_type;
    char *body; /* malloc'ed; the server frees it */
    size_t body_bytes;
};

struct http_server_options {
    const char *address; /* "127.0.0.1:7101", "[::1]:7101", port 0 allowed */
    int inherited_fd;    /* a socket that listens on it already, which create takes; -1: none */
    uint32_t body_bytes_max;
    uint32_t connections_max;
    uint32_t request_timeout_ms; /* from the first byte to the last of a request */
    uint32_t idle_timeout_ms;    /* between requests */
    call_fn call;
    void *service;
    struct worker *worker; /* of the loop's thread; borrowed */
    /* GET `path` ("/readyz") with its query ("verbose", "" when there is none).  False: no such
     * page. */
    bool (*page)(void *ctx, const char *path, const char *query, struct http_page *ret_page);
    void *page_ctx;
    struct metrics *metrics; /* borrowed */
    const struct clock *clock;
};

/* Binds and listens; ERR_BUSY when the address is in use. */
MUST_CHECK enum err_code http_server_create(struct event_base *base,
                                            const struct http_server_options *options,
                                            struct http_server **ret_server, struct err *err);
/* For another process to take over; -1 after refuse_new.  Borrowed. */
int http_server_listener_fd(const struct http_server *server);
const char *http_server_address(const struct http_server *server); /* as bound */
/* Accepts nothing more and closes each connection after its reply. */
void http_server_refuse_new(struct http_server *server);
/* Calls that are not complete, requests that are not there as a whole, and replies that are not
 * sent. Those still receiving when the server is destroyed are told `draining`. */
uint32_t http_server_in_flight(const struct http_server *server);
void http_server_destroy(struct http_server **server);

#endif
