/* SPDX-License-Identifier: Apache-2.0 */
#include "server/transport/http_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/num.h"
#include "server/transport/address.h"
#include "server/transport/http_internal.h"

#define ACCEPT_PAUSE_S       1
#define BACKLOG              128
#define ACCEPT_TOLD_EVERY_NS (UINT64_C(60) * 1000000000)

/* "127.0.0.1:7101" or "[::1]:7101"; libevent's own parser does not take port 0. */
static enum err_code parse_address(const char *text, struct sockaddr_storage *ret_address,
                                   socklen_t *ret_bytes, struct err *err)
{
    struct sockaddr_in *in = (struct sockaddr_in *)ret_address;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret_address;
    const char *colon = strrchr(text, ':');
    size_t host_bytes = colon == NULL ? 0 : (size_t)(colon - text);
    bool is_v6 = host_bytes > 2 && text[0] == '[' && colon[-1] == ']';
    char host[INET6_ADDRSTRLEN];
    int64_t port = 0;
    struct text host_text = {text + is_v6, (uint32_t)(host_bytes - 2 * is_v6)};
    memset(ret_address, 0, sizeof *ret_address);
    ret_address->ss_family = is_v6 ? AF_INET6 : AF_INET;
    *ret_bytes = is_v6 ? sizeof *in6 : sizeof *in;
    if (colon == NULL || host_text.len >= sizeof host ||
        !num_parse_int(text_of(colon + 1), 0, UINT16_MAX, &port) ||
        inet_pton(ret_address->ss_family, text_copy(host_text, host, sizeof host),
                  is_v6 ? (void *)&in6->sin6_addr : (void *)&in->sin_addr) != 1)
        return err_set(err, ERR_BAD_INPUT,
                       "http '%.200s': expected an address and a port, such as 127.0.0.1:7101",
                       text);
    in_port_t wire_port = htons((uint16_t)port);
    if (is_v6)
        in6->sin6_port = wire_port;
    else
        in->sin_port = wire_port;
    return ERR_OK;
}

static void note_bound(struct http_server *server, int fd)
{
    struct sockaddr_storage bound;
    socklen_t bound_bytes = sizeof bound;
    char host[INET6_ADDRSTRLEN] = "";
    if (getsockname(fd, (struct sockaddr *)&bound, &bound_bytes) != 0)
        return;
    server->listener_is_local = address_is_loopback((struct sockaddr *)&bound);
    if (bound.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&bound;
        inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
        snprintf(server->address, sizeof server->address, "%s:%u", host, ntohs(in->sin_port));
    } else {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&bound;
        inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host);
        snprintf(server->address, sizeof server->address, "[%s]:%u", host, ntohs(in6->sin6_port));
    }
}

/* Without descriptors every turn of the loop would fail again at once.  libevent tells the listener
 * and evhttp, but not us, so that a timer wakes it whether it sleeps or not, and finds the error
 * where the thread of the loop has left it. */
static _Thread_local int accept_error;

static void on_accept_error(struct evconnlistener *listener, void *evhttp)
{
    (void)evhttp;
    accept_error = errno;
    evconnlistener_disable(listener);
}

static void tell_accept_error(struct http_server *server)
{
    uint64_t now_ns = clock_now_ns(server->options.clock);
    if (server->accept_told_ns == 0 || now_ns - server->accept_told_ns >= ACCEPT_TOLD_EVERY_NS) {
        server->accept_told_ns = now_ns;
        log_at(LOG_WARN, "HTTP connections could not be accepted; tried again every second",
               LOG_STR("error", strerror(accept_error)),
               LOG_INT("connections", server->connection_count));
    }
    accept_error = 0;
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct http_server *server = arg;
    if (accept_error != 0)
        tell_accept_error(server);
    if (server->bound != NULL)
        evconnlistener_enable(evhttp_bound_socket_get_listener(server->bound));
}

static enum err_code bind_listener(struct http_server *server, struct err *err)
{
    const char *text = server->options.address;
    struct sockaddr_storage address;
    socklen_t bytes = 0;
    enum err_code rc = parse_address(text, &address, &bytes, err);
    if (rc != ERR_OK)
        return rc;
    const unsigned flags = LEV_OPT_REUSEABLE | LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC;
    struct evconnlistener *listener = NULL;
    if (server->options.inherited_fd >= 0)
        listener = evconnlistener_new(server->base, NULL, NULL, flags, BACKLOG,
                                      server->options.inherited_fd);
    else
        listener = evconnlistener_new_bind(server->base, NULL, NULL, flags, BACKLOG,
                                           (struct sockaddr *)&address, (int)bytes);
    if (listener == NULL && errno == EADDRINUSE)
        return err_set(err, ERR_BUSY, "http '%s' is in use by another process", text);
    if (listener == NULL)
        return err_set(err, ERR_IO, "cannot listen on http '%s': %s", text, strerror(errno));
    server->bound = evhttp_bind_listener(server->evhttp, listener);
    if (server->bound == NULL) {
        evconnlistener_free(listener);
        return err_set(err, ERR_NOMEM, "out of memory for the HTTP server");
    }
    evconnlistener_set_error_cb(listener, on_accept_error);
    note_bound(server, evconnlistener_get_fd(listener));
    return ERR_OK;
}

static enum err_code open_evhttp(struct http_server *server, struct err *err)
{
    server->evhttp = evhttp_new(server->base);
    server->resume = event_new(server->base, -1, EV_TIMEOUT | EV_PERSIST, on_resume, server);
    const struct timeval pause = {.tv_sec = ACCEPT_PAUSE_S};
    if (server->evhttp == NULL || server->resume == NULL || event_add(server->resume, &pause) != 0)
        return err_set(err, ERR_NOMEM, "out of memory for the HTTP server");
    evhttp_set_max_headers_size(server->evhttp, HTTP_HEAD_BYTES_MAX);
    evhttp_set_max_body_size(server->evhttp, server->options.body_bytes_max);
    evhttp_set_flags(server->evhttp, EVHTTP_SERVER_LINGERING_CLOSE); /* so that a 413 arrives */
    /* A method that is not allowed is refused by us, in JSON and with Allow. */
    evhttp_set_allowed_methods(server->evhttp, UINT16_MAX);
    evhttp_set_bevcb(server->evhttp, http_connection_accept, server);
    evhttp_set_gencb(server->evhttp, http_request_serve, server);
    return ERR_OK;
}

enum err_code http_server_create(struct event_base *base, const struct http_server_options *options,
                                 struct http_server **ret_server, struct err *err)
{
    ASSERT(options->call != NULL && options->page != NULL && options->metrics != NULL);
    struct http_server *server = calloc(1, sizeof *server);
    if (server == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for the HTTP server");
    server->options = *options;
    server->base = base;
    enum err_code rc = open_evhttp(server, err);
    if (rc == ERR_OK)
        rc = http_returns_open(server, err);
    if (rc == ERR_OK)
        rc = bind_listener(server, err);
    server->options.address = NULL; /* borrowed for this call only */
    if (rc == ERR_OK) {
        *ret_server = server;
        server = NULL;
    }
    http_server_destroy(&server);
    return rc;
}

int http_server_listener_fd(const struct http_server *server)
{
    return server->bound == NULL ? -1 : evhttp_bound_socket_get_fd(server->bound);
}

const char *http_server_address(const struct http_server *server)
{
    return server->address;
}

void http_server_refuse_new(struct http_server *server)
{
    if (server->bound != NULL)
        evhttp_del_accept_socket(server->evhttp, server->bound);
    server->bound = NULL;
}

uint32_t http_server_in_flight(const struct http_server *server)
{
    return server->in_flight + http_connection_moving_count(server);
}

void http_server_destroy(struct http_server **server)
{
    struct http_server *gone = *server;
    *server = NULL;
    if (gone == NULL)
        return;
    if (gone->evhttp != NULL) {
        http_connection_attach_all(gone);
        http_connection_turn_away_all(gone);
        evhttp_free(gone->evhttp);
    }
    http_returns_close(gone);
    if (gone->resume != NULL)
        event_free(gone->resume);
    free(gone->by_fd);
    free(gone);
}
