/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <event2/event.h>

#include "server/metrics.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/http_fixture.h"

#define GET_HELLO "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"

static int set_up(void **state)
{
    struct http_fixture *fixture = malloc(sizeof *fixture);
    http_fixture_init(fixture);
    struct http_server_options options = http_fixture_options(fixture);
    http_fixture_start(fixture, &options);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    http_fixture_deinit(*state);
    free(*state);
    return 0;
}

static void assert_says(const struct http_reply *reply, int status, const char *part)
{
    if (reply->status != status || strstr(reply->body, part) == NULL)
        fail_msg("expected %d with '%s', got %d with '%.300s'", status, part, reply->status,
                 reply->body);
}

static void assert_has_header(const struct http_reply *reply, const char *line)
{
    if (strstr(reply->head, line) == NULL)
        fail_msg("no '%s' in '%s'", line, reply->head);
}

static void test_an_operation_takes_its_name_from_the_path(void **state)
{
    struct http_reply reply = http_post(*state, "/v1/echo", "{\"user\": \"u1\", \"n\": 5}");
    assert_says(&reply, 200, "{\"op\":\"echo\",\"user\":\"u1\",\"n\":5}");
    assert_says(&reply, 200, "\"local\":true");
    assert_has_header(&reply, "Content-Type: application/json\r\n");
    assert_null(strstr(reply.head, "Access-Control"));
    reply = http_post(*state, "/v1/echo", "");
    assert_says(&reply, 200, "\"got\":{\"op\":\"echo\"}");
    reply = http_post(*state, "/v1/echo", "{\"n\":1,\"op\":\"echo\"}");
    assert_says(&reply, 200, "\"got\":{\"n\":1,\"op\":\"echo\"}");
    reply = http_post(*state, "/v1/echo", "{\"op\":\"drain\"}");
    assert_says(&reply, 400, "\"field\":\"op\"");
    reply = http_post(*state, "/v1/echo?pretty=1", "{}");
    assert_says(&reply, 200, "\"got\":{\"op\":\"echo\"}");
    reply = http_post(*state, "/v1/nonsense", "{}");
    assert_says(&reply, 404, "\"code\":\"unknown_op\"");
    reply = http_post(*state, "/v1/", "{}");
    assert_says(&reply, 404, "\"code\":\"unknown_op\"");
    reply = http_post(*state, "/v1/echo/more", "{}");
    assert_says(&reply, 404, "\"code\":\"unknown_op\"");
}

static void test_a_body_that_is_no_object_is_refused_with_its_place(void **state)
{
    static const struct {
        const char *body;
        const char *says;
    } cases[] = {
        {"{\"n\": }", "line 1, column 7"},
        {"\n\n  [1]", "line 3, column 3: expected an object, got an array"},
        {"7", "line 1, column 1: expected an object, got an integer"},
        {"{\"user\":\"\xff\"}", "line 1, column"},
        {"{\"a\":1,\"a\":2}", "line 1, column"},
        {"{} {}", "line 1, column"},
        {"nul", "line 1, column"},
        {"user=u1&n=5", "line 1, column 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct http_reply reply = http_post(*state, "/v1/echo", cases[i].body);
        assert_says(&reply, 400, cases[i].says);
        assert_says(&reply, 400, "\"code\":\"bad_request\"");
    }
    char deep[64];
    memset(deep, '[', sizeof deep - 1);
    deep[sizeof deep - 1] = '\0';
    struct http_reply reply = http_post(*state, "/v1/echo", deep);
    assert_says(&reply, 413, "\"code\":\"too_large\"");
    /* they are counted, as what is no MessagePack is */
    const struct metrics *metrics = ((struct http_fixture *)*state)->metrics;
    assert_int_equal(metric_value(metrics, M_REQUESTS, OP_COUNT, REPLY_bad_request),
                     sizeof cases / sizeof cases[0]);
    assert_int_equal(metric_value(metrics, M_REQUESTS, OP_COUNT, REPLY_too_large), 1);
    (void)http_post(*state, "/v1/Echo", "{}");
    assert_int_equal(metric_value(metrics, M_REQUESTS, OP_COUNT, REPLY_unknown_op), 1);
}

static void test_pages_are_got_and_nothing_else(void **state)
{
    struct http_reply reply;
    int fd = http_connect(*state);
    assert_true(http_send(fd, "GET /hello?name=a&b HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert_true(http_read(fd, false, &reply));
    assert_says(&reply, 200, "hello name=a&b\n");
    assert_has_header(&reply, "Content-Type: text/plain\r\n");
    assert_true(http_send(fd, "HEAD /hello HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert_true(http_read(fd, true, &reply));
    assert_int_equal(reply.status, 200);
    assert_has_header(&reply, "Content-Length: 7\r\n");
    assert_true(http_send(fd, "GET /sick HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert_true(http_read(fd, false, &reply));
    assert_says(&reply, 503, "hello");
    assert_true(http_send(fd, "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert_true(http_read(fd, false, &reply));
    assert_says(&reply, 404, "\"code\":\"not_found\"");
    static const char *const methods[] = {"PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "POST"};
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        char request[64];
        snprintf(request, sizeof request, "%s /hello HTTP/1.1\r\nHost: x\r\n\r\n", methods[i]);
        assert_true(http_send(fd, request));
        assert_true(http_read(fd, false, &reply));
        assert_says(&reply, 405, "\"code\":\"bad_request\"");
        assert_has_header(&reply, "Allow: GET, HEAD\r\n");
    }
    assert_true(http_send(fd, "GET /v1/echo HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert_true(http_read(fd, false, &reply));
    assert_says(&reply, 405, "method");
    assert_has_header(&reply, "Allow: POST\r\n");
    close(fd);
}

static struct http_reply post_with(struct http_fixture *fixture, const char *header)
{
    char request[256];
    struct http_reply reply;
    int fd = http_connect(fixture);
    snprintf(request, sizeof request,
             "POST /v1/echo HTTP/1.1\r\nHost: x\r\n%s\r\nContent-Length: 2\r\n\r\n{}", header);
    assert_true(http_send(fd, request));
    assert_true(http_read(fd, false, &reply));
    close(fd);
    return reply;
}

static void test_content_types_and_origins(void **state)
{
    struct http_reply reply = post_with(*state, "Content-Type: application/json; charset=utf-8");
    assert_says(&reply, 200, "\"local\":true");
    reply = post_with(*state, "X-Nothing: here");
    assert_says(&reply, 200, "\"local\":true");
    reply = post_with(*state, "Content-Type: application/x-www-form-urlencoded");
    assert_says(&reply, 200, "\"local\":true");
    reply = post_with(*state, "Content-Type: text/plain");
    assert_says(&reply, 415, "application/json");
    reply = post_with(*state, "Origin: https://evil.example");
    assert_says(&reply, 200, "\"local\":false,\"from_page\":true");
    reply = post_with(*state, "origin: null");
    assert_says(&reply, 200, "\"local\":false,\"from_page\":true");
    reply = post_with(*state, "Referer: https://evil.example");
    assert_says(&reply, 200, "\"local\":true,\"from_page\":false");
    reply = post_with(*state, "Expect: 200-perhaps");
    assert_int_equal(reply.status, 417);
}

static void test_overload_says_when_to_come_again(void **state)
{
    struct http_reply reply = http_post(*state, "/v1/busy", "{}");
    assert_says(&reply, 503, "\"code\":\"overloaded\"");
    assert_has_header(&reply, "Retry-After: 1\r\n");
    reply = http_post(*state, "/v1/busy_moment", "{}");
    assert_says(&reply, 503, "\"retry_after_ms\":2000");
    assert_has_header(&reply, "Retry-After: 2\r\n");
    reply = http_post(*state, "/v1/busy_long", "{}");
    assert_says(&reply, 503, "\"retry_after_ms\":60001");
    assert_has_header(&reply, "Retry-After: 61\r\n");
    reply = http_post(*state, "/v1/echo", "{}");
    assert_says(&reply, 200, "\"ok\":true");
    assert_null(strstr(reply.head, "Retry-After"));
}

static void test_requests_in_pieces_and_in_a_row(void **state)
{
    static const char two[] =
        "POST /v1/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\n{\"n\":1}"
        "POST /v1/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\n{\"n\":2}";
    struct http_reply reply;
    int fd = http_connect(*state);
    for (size_t i = 0; i < sizeof two - 1; i++)
        assert_true(http_send_bytes(fd, two + i, 1));
    assert_true(http_read(fd, false, &reply));
    assert_says(&reply, 200, "\"n\":1}");
    assert_true(http_read(fd, false, &reply));
    assert_says(&reply, 200, "\"n\":2}");
    for (int i = 0; i < 20; i++)
        assert_true(http_send(fd, two));
    for (int i = 0; i < 40; i++) {
        assert_true(http_read(fd, false, &reply));
        assert_says(&reply, 200, i % 2 == 0 ? "\"n\":1}" : "\"n\":2}");
    }
    close(fd);
    assert_true(http_fixture_metric_becomes(*state, M_CONNECTIONS, TRANSPORT_HTTP, 0));
    assert_int_equal(metric_value(((struct http_fixture *)*state)->metrics, M_MESSAGES_REFUSED,
                                  TRANSPORT_HTTP, 0),
                     0);
}

static void test_a_client_that_half_closes_gets_its_reply(void **state)
{
    struct http_reply reply;
    int fd = http_connect(*state);
    assert_true(http_send(fd, GET_HELLO));
    shutdown(fd, SHUT_WR);
    assert_true(http_read(fd, false, &reply));
    assert_says(&reply, 200, "hello");
    close(fd);
}

static void test_chunked_bodies_and_100_continue(void **state)
{
    struct http_reply reply;
    int fd = http_connect(*state);
    assert_true(http_send(fd, "POST /v1/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
                              "\r\n3\r\n{\"n\r\n4\r\n\":3}\r\n0\r\n\r\n"));
    assert_true(http_read(fd, false, &reply));
    assert_says(&reply, 200, "\"n\":3}");
    assert_true(http_send(fd, "POST /v1/echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                              "Content-Length: 7\r\n\r\n"));
    assert_true(http_read(fd, false, &reply));
    assert_int_equal(reply.status, 100);
    assert_true(http_send(fd, "{\"n\":4}"));
    assert_true(http_read(fd, false, &reply));
    assert_says(&reply, 200, "\"n\":4}");
    close(fd);
}

static void test_connections_are_kept_unless_the_client_or_a_drain_says_otherwise(void **state)
{
    struct http_fixture *fixture = *state;
    struct http_reply reply;
    int kept = http_connect(fixture);
    int closed = http_connect(fixture);
    int old = http_connect(fixture);
    assert_true(http_send(kept, GET_HELLO) && http_read(kept, false, &reply));
    assert_true(http_send(closed, "GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
    assert_true(http_read(closed, false, &reply) && http_is_closed_by_peer(closed));
    assert_true(http_send(old, "GET /hello HTTP/1.0\r\n\r\n"));
    assert_true(http_read(old, false, &reply) && http_is_closed_by_peer(old));
    http_fixture_do(fixture, HTTP_REFUSE_NEW);
    assert_true(http_connect(fixture) < 0);
    assert_true(http_send(kept, GET_HELLO) && http_read(kept, false, &reply));
    assert_has_header(&reply, "Connection: close\r\n");
    assert_true(http_is_closed_by_peer(kept));
    close(kept);
    close(closed);
    close(old);
}

static void test_deferred_calls_are_answered_when_they_complete(void **state)
{
    struct http_fixture *fixture = *state;
    static const char later[] = "POST /v1/later HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}";
    struct http_reply reply;
    int first = http_connect(fixture);
    int second = http_connect(fixture);
    assert_true(http_send(first, later) && http_send(first, GET_HELLO));
    assert_true(http_send(second, later));
    assert_true(http_fixture_wait_deferred(fixture, 2));
    reply = http_post(fixture, "/v1/echo", "{}"); /* the loop goes on meanwhile */
    assert_says(&reply, 200, "echo");
    http_fixture_complete(fixture);
    assert_true(http_read(first, false, &reply));
    assert_says(&reply, 200, "\"op\":\"later\"");
    assert_true(http_read(first, false, &reply)); /* and what was sent behind it */
    assert_says(&reply, 200, "hello");
    assert_true(http_read(second, false, &reply));
    assert_says(&reply, 200, "\"op\":\"later\"");
    close(first);
    close(second);
}

static void test_a_client_or_a_server_that_vanished_before_the_call_completed(void **state)
{
    struct http_fixture *fixture = *state;
    static const char later[] = "POST /v1/later HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}";
    for (uint32_t i = 1; i <= 4; i++) {
        int fd = http_connect(fixture);
        assert_true(http_send(fd, later));
        assert_true(http_fixture_wait_deferred(fixture, i));
        if (i % 2 == 0) { /* with an RST */
            const struct linger at_once = {.l_onoff = 1};
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        }
        close(fd);
    }
    http_fixture_complete(fixture);
    assert_true(http_fixture_metric_becomes(fixture, M_CONNECTIONS, TRANSPORT_HTTP, 0));
    int fd = http_connect(fixture);
    assert_true(http_send(fd, later));
    assert_true(http_fixture_wait_deferred(fixture, 1));
    http_fixture_do(fixture, HTTP_DESTROY);
    assert_true(http_is_closed_by_peer(fd));
    http_fixture_complete(fixture);
    close(fd);
}

static void test_addresses_that_cannot_be_used_are_refused(void **state)
{
    struct http_fixture *fixture = *state;
    static const char *const bad[] = {
        "", "127.0.0.1", "[::1]", "localhost:80", "127.0.0.1:99999", "127.0.0.1:", "x:1", ":7101"};
    struct http_server_options options = http_fixture_options(fixture);
    struct http_server *server = NULL;
    struct event_base *base = event_base_new();
    struct err err;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        options.address = bad[i];
        assert_int_equal(http_server_create(base, &options, &server, &err), ERR_BAD_INPUT);
        assert_non_null(strstr(err.text, "127.0.0.1:7101"));
    }
    char taken[64];
    snprintf(taken, sizeof taken, "%s", http_server_address(fixture->server));
    options.address = taken;
    assert_int_equal(http_server_create(base, &options, &server, &err), ERR_BUSY);
    assert_non_null(strstr(err.text, taken));
    options.address = "192.0.2.1:0";
    assert_int_equal(http_server_create(base, &options, &server, &err), ERR_IO);
    assert_null(server);
    options.address = "127.0.0.1:0";
    for (uint32_t n = 0;; n++) {
        alloc_fail_after(n);
        enum err_code rc = http_server_create(base, &options, &server, NULL);
        bool failed = alloc_fail_off();
        if (!failed) {
            assert_int_equal(rc, ERR_OK);
            break;
        }
        assert_int_equal(rc, ERR_NOMEM);
    }
    http_server_destroy(&server);
    event_base_free(base);
    struct http_reply reply = http_post(fixture, "/v1/echo", "{}");
    assert_int_equal(reply.status, 200);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_an_operation_takes_its_name_from_the_path),
        TEST(test_a_body_that_is_no_object_is_refused_with_its_place),
        TEST(test_pages_are_got_and_nothing_else),
        TEST(test_content_types_and_origins),
        TEST(test_overload_says_when_to_come_again),
        TEST(test_requests_in_pieces_and_in_a_row),
        TEST(test_a_client_that_half_closes_gets_its_reply),
        TEST(test_chunked_bodies_and_100_continue),
        TEST(test_connections_are_kept_unless_the_client_or_a_drain_says_otherwise),
        TEST(test_deferred_calls_are_answered_when_they_complete),
        TEST(test_a_client_or_a_server_that_vanished_before_the_call_completed),
        TEST(test_addresses_that_cannot_be_used_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
