/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/http_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/cursor.h"
#include "server/metrics.h"
#include "server/protocol/reply.h"

#define BIG_BYTES 200000

static void must(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "http_fixture: %s\n", what);
        abort();
    }
}

static struct text op_of(const struct call *call)
{
    struct cursor cursor = cursor_of(call->request, call->request_bytes);
    uint32_t pair_count = 0;
    struct text key = {NULL, 0};
    struct text op = {NULL, 0};
    struct err err;
    must(cursor_check(call->request, call->request_bytes, UINT32_MAX, &err) == ERR_OK, err.text);
    must(cursor_map(&cursor, &pair_count), "the request is no map");
    for (uint32_t i = 0; i < pair_count && cursor_text(&cursor, &key); i++) {
        if (text_is(key, "op") && cursor_text(&cursor, &op))
            return op;
        cursor_skip(&cursor, NULL);
    }
    return op;
}

static void echo(struct call *call)
{
    static const struct text no_id = {NULL, 0};
    struct reply reply;
    reply_begin(&reply, call, no_id, clock_system());
    reply_key(&reply, "local");
    pack_bool(&reply.pack, call->local);
    reply_key(&reply, "from_page");
    pack_bool(&reply.pack, call->from_page);
    reply_key(&reply, "got");
    pack_raw(&reply.pack, call->request, call->request_bytes);
    reply_end(&reply);
}

static void big(struct call *call)
{
    static const struct text no_id = {NULL, 0};
    struct reply reply;
    reply_begin(&reply, call, no_id, clock_system());
    reply_key(&reply, "pad");
    memset(pack_text_reserve(&reply.pack, BIG_BYTES), 'b', BIG_BYTES);
    reply_end(&reply);
}

static enum call_state serve(void *service, struct worker *worker, struct call *call)
{
    static const struct text no_id = {NULL, 0};
    struct http_fixture *fixture = service;
    struct text op = op_of(call);
    must((void *)worker == service && call->arrived_ns > 0, "a call lacks its worker or its time");
    if (text_is(op, "echo")) {
        echo(call);
    } else if (text_is(op, "big")) {
        big(call);
    } else if (text_is(op, "busy")) {
        reply_error(call, no_id, clock_system(), REPLY_overloaded, "a queue is full", NULL);
    } else if (text_is(op, "busy_long")) {
        reply_overloaded(call, no_id, clock_system(), "a queue is full", 60001);
    } else if (text_is(op, "busy_moment")) {
        reply_overloaded(call, no_id, clock_system(), "a queue is full", 2000);
    } else if (text_is(op, "later")) {
        pthread_mutex_lock(&fixture->mutex);
        must(fixture->deferred_count < HTTP_FIXTURE_DEFERRED_MAX, "too many deferred calls");
        fixture->deferred[fixture->deferred_count++] = call;
        pthread_cond_broadcast(&fixture->changed);
        pthread_mutex_unlock(&fixture->mutex);
        return CALL_DEFERRED;
    } else {
        reply_error(call, no_id, clock_system(), REPLY_unknown_op, "no such operation", "op");
    }
    return CALL_DONE;
}

static bool page(void *ctx, const char *path, const char *query, struct http_page *ret_page)
{
    (void)ctx;
    bool is_sick = strcmp(path, "/sick") == 0;
    if (!is_sick && strcmp(path, "/hello") != 0)
        return false;
    char text[256];
    snprintf(text, sizeof text, "hello %.200s\n", query);
    *ret_page = (struct http_page){.status = is_sick ? 503 : 200,
                                   .content_type = "text/plain",
                                   .body = strdup(text),
                                   .body_bytes = strlen(text)};
    return true;
}

struct http_server_options http_fixture_options(struct http_fixture *fixture)
{
    return (struct http_server_options){
        .inherited_fd = -1,
        .address = "127.0.0.1:0",
        .body_bytes_max = 65536,
        .connections_max = 20,
        .request_timeout_ms = 500,
        .idle_timeout_ms = 10000,
        .call = serve,
        .service = fixture,
        .worker = (struct worker *)fixture, /* never looked into */
        .page = page,
        .page_ctx = fixture,
        .metrics = fixture->metrics,
        .clock = clock_system(),
    };
}

void http_fixture_init(struct http_fixture *fixture)
{
    struct err err;
    signal(SIGPIPE, SIG_IGN);
    *fixture = (struct http_fixture){.order_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    pthread_mutex_init(&fixture->mutex, NULL);
    pthread_cond_init(&fixture->changed, NULL);
    fixture->base = event_base_new();
    must(fixture->base != NULL && fixture->order_fd >= 0, "no event base");
    must(metrics_create(server_metric_families, M_COUNT, 4, &fixture->metrics, &err) == ERR_OK,
         "no metrics");
}

static void on_order(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct http_fixture *fixture = arg;
    eventfd_t count;
    eventfd_read(fd, &count);
    pthread_mutex_lock(&fixture->mutex);
    if (fixture->order == HTTP_REFUSE_NEW)
        http_server_refuse_new(fixture->server);
    if (fixture->order == HTTP_DESTROY || fixture->order == HTTP_STOP)
        http_server_destroy(&fixture->server);
    if (fixture->order == HTTP_STOP)
        event_base_loopbreak(fixture->base);
    fixture->order = HTTP_NOTHING;
    pthread_cond_broadcast(&fixture->changed);
    pthread_mutex_unlock(&fixture->mutex);
}

static void *run_loop(void *arg)
{
    struct http_fixture *fixture = arg;
    struct event *ordered =
        event_new(fixture->base, fixture->order_fd, EV_READ | EV_PERSIST, on_order, fixture);
    event_add(ordered, NULL);
    event_base_dispatch(fixture->base);
    event_free(ordered);
    return NULL;
}

void http_fixture_start(struct http_fixture *fixture, const struct http_server_options *options)
{
    struct err err = {0};
    must(http_server_create(fixture->base, options, &fixture->server, &err) == ERR_OK, err.text);
    must(pthread_create(&fixture->loop, NULL, run_loop, fixture) == 0, "no thread");
}

void http_fixture_do(struct http_fixture *fixture, enum http_fixture_order order)
{
    pthread_mutex_lock(&fixture->mutex);
    fixture->order = order;
    eventfd_write(fixture->order_fd, 1);
    while (fixture->order != HTTP_NOTHING)
        pthread_cond_wait(&fixture->changed, &fixture->mutex);
    pthread_mutex_unlock(&fixture->mutex);
}

void http_fixture_deinit(struct http_fixture *fixture)
{
    if (fixture->loop != 0) {
        http_fixture_do(fixture, HTTP_STOP);
        pthread_join(fixture->loop, NULL);
    }
    event_base_free(fixture->base);
    metrics_destroy(&fixture->metrics);
    close(fixture->order_fd);
    pthread_cond_destroy(&fixture->changed);
    pthread_mutex_destroy(&fixture->mutex);
}

bool http_fixture_wait_deferred(struct http_fixture *fixture, uint32_t count)
{
    struct timespec deadline;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += HTTP_TIMEOUT_S;
    int rc = 0;
    pthread_mutex_lock(&fixture->mutex);
    while (fixture->deferred_count < count && rc == 0)
        rc = pthread_cond_timedwait(&fixture->changed, &fixture->mutex, &deadline);
    bool enough = fixture->deferred_count >= count;
    pthread_mutex_unlock(&fixture->mutex);
    return enough;
}

void http_fixture_complete(struct http_fixture *fixture)
{
    for (;;) {
        pthread_mutex_lock(&fixture->mutex);
        struct call *call =
            fixture->deferred_count > 0 ? fixture->deferred[--fixture->deferred_count] : NULL;
        pthread_mutex_unlock(&fixture->mutex);
        if (call == NULL)
            return;
        echo(call);
        call->complete(call);
    }
}

bool http_fixture_metric_becomes(struct http_fixture *fixture, uint32_t family, uint32_t l0,
                                 uint64_t value)
{
    uint64_t deadline_ns = clock_now_ns(clock_system()) + HTTP_TIMEOUT_S * UINT64_C(1000000000);
    while (metric_value(fixture->metrics, family, l0, 0) != value) {
        if (clock_now_ns(clock_system()) > deadline_ns)
            return false;
        poll(NULL, 0, 1);
    }
    return true;
}

int http_connect_to(const char *address)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    in.sin_port = htons((uint16_t)strtoul(strrchr(address, ':') + 1, NULL, 10));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct timeval timeout = {.tv_sec = HTTP_TIMEOUT_S};
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, (struct sockaddr *)&in, sizeof in) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

int http_connect(const struct http_fixture *fixture)
{
    static char address[64];
    if (fixture->server != NULL) /* remembered for when the server is gone */
        snprintf(address, sizeof address, "%s", http_server_address(fixture->server));
    return http_connect_to(address);
}

bool http_send_bytes(int fd, const void *bytes, size_t len)
{
    const char *at = bytes;
    while (len > 0) {
        ssize_t n = send(fd, at, len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        at += n;
        len -= (size_t)n;
    }
    return true;
}

bool http_send(int fd, const char *text)
{
    return http_send_bytes(fd, text, strlen(text));
}

/* Byte by byte: what follows belongs to the next reply. */
static bool read_head(int fd, struct http_reply *reply)
{
    size_t used = 0;
    while (used < sizeof reply->head - 1 && recv(fd, reply->head + used, 1, 0) == 1) {
        reply->head[++used] = '\0';
        if (used >= 4 && memcmp(reply->head + used - 4, "\r\n\r\n", 4) == 0)
            return true;
    }
    return false;
}

bool http_read(int fd, bool is_head, struct http_reply *ret_reply)
{
    static char body[HTTP_REPLY_BYTES_MAX + 1];
    *ret_reply = (struct http_reply){.body = body};
    if (!read_head(fd, ret_reply) || strncmp(ret_reply->head, "HTTP/1.", 7) != 0)
        return false;
    ret_reply->status = (int)strtol(ret_reply->head + 9, NULL, 10);
    const char *length = strcasestr(ret_reply->head, "\r\nContent-Length: ");
    size_t wanted = is_head                    ? 0
                    : length != NULL           ? strtoul(length + 18, NULL, 10)
                    : ret_reply->status == 100 ? 0
                                               : HTTP_REPLY_BYTES_MAX;
    while (ret_reply->body_bytes < wanted) {
        ssize_t n = recv(fd, body + ret_reply->body_bytes, wanted - ret_reply->body_bytes, 0);
        if (n <= 0)
            break;
        ret_reply->body_bytes += (size_t)n;
    }
    body[ret_reply->body_bytes] = '\0';
    return length == NULL || ret_reply->body_bytes == wanted;
}

bool http_is_closed_by_peer(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, 0);
    return n == 0 || (n < 0 && errno == ECONNRESET);
}

struct http_reply http_post(const struct http_fixture *fixture, const char *path, const char *body)
{
    char head[512];
    struct http_reply reply = {.status = 0};
    int fd = http_connect(fixture);
    must(fd >= 0, "cannot connect");
    snprintf(head, sizeof head,
             "POST %.300s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
             "Content-Length: %zu\r\n\r\n",
             path, strlen(body));
    must(http_send(fd, head) && http_send(fd, body) && http_read(fd, false, &reply), "no reply");
    close(fd);
    return reply;
}
