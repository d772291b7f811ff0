/* SPDX-License-Identifier: Apache-2.0 */
/* http_fixture - an http_server on a thread of its own, and a client that sends bytes as they are.
 *
 * The service: "echo" gives {"ok":true,"local":BOOL,"from_page":BOOL,"got":REQUEST}, "busy" is
 * overloaded, as are "busy_moment" for 2,000 ms and "busy_long" for 60,001 ms, "big" is 200,000
 * bytes, "later" is deferred until http_fixture_complete, anything else is unknown_op. Pages:
 * /hello says its query, /sick has status 503.  Threads: the test's own calls these. */
#ifndef TESTS_SUPPORT_HTTP_FIXTURE_H
#define TESTS_SUPPORT_HTTP_FIXTURE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/metrics.h"
#include "server/transport/http_server.h"

#define HTTP_FIXTURE_DEFERRED_MAX 16
#define HTTP_REPLY_BYTES_MAX      524288
#define HTTP_TIMEOUT_S            20

enum http_fixture_order { HTTP_NOTHING, HTTP_REFUSE_NEW, HTTP_DESTROY, HTTP_STOP };

struct http_fixture {
    struct metrics *metrics;
    struct http_server *server;
    struct event_base *base;
    pthread_t loop;
    int order_fd;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    enum http_fixture_order order;
    struct call *deferred[HTTP_FIXTURE_DEFERRED_MAX];
    uint32_t deferred_count;
};

/* Test options: 64 KiB, 20 connections, 500 ms for a request, 10 s between requests. */
struct http_server_options http_fixture_options(struct http_fixture *fixture);
void http_fixture_init(struct http_fixture *fixture);
void http_fixture_start(struct http_fixture *fixture, const struct http_server_options *options);
/* Done by the thread of the loop; returns when it is done. */
void http_fixture_do(struct http_fixture *fixture, enum http_fixture_order order);
void http_fixture_deinit(struct http_fixture *fixture);

bool http_fixture_wait_deferred(struct http_fixture *fixture, uint32_t count);
void http_fixture_complete(struct http_fixture *fixture);
bool http_fixture_metric_becomes(struct http_fixture *fixture, uint32_t family, uint32_t l0,
                                 uint64_t value);

struct http_reply {
    int status;
    char head[4096]; /* terminated */
    char *body;      /* terminated; valid until the next reply is read */
    size_t body_bytes;
};

int http_connect_to(const char *address); /* "127.0.0.1:PORT": the descriptor, or -1 */
int http_connect(const struct http_fixture *fixture);
bool http_send(int fd, const char *text);
bool http_send_bytes(int fd, const void *bytes, size_t len);
/* One reply; `is_head`: without the body that it announces. */
bool http_read(int fd, bool is_head, struct http_reply *ret_reply);
bool http_is_closed_by_peer(int fd); /* and nothing came before */
/* POST on a connection of its own; asserts that there is a reply. */
struct http_reply http_post(const struct http_fixture *fixture, const char *path, const char *body);

#endif
