/* SPDX-License-Identifier: Apache-2.0 */
/* What a hostile or broken client may send to the HTTP port; after each attack another client is
 * served.  See test_http_storms.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/metrics.h"
#include "tests/support/http_fixture.h"
#include "tests/support/http_target.h"

/* The one reply before the connection is closed. */
static int last_status(int fd)
{
    static const char form[] = "{\"ok\":false,\"error\":{\"code\":\"";
    struct http_reply reply;
    assert_true(http_read(fd, false, &reply));
    assert_true(http_is_closed_by_peer(fd));
    assert_non_null(strstr(reply.head, "Content-Type: application/json\r\n"));
    assert_non_null(strstr(reply.head, "Connection: close\r\n"));
    assert_ptr_equal(strstr(reply.body, form), reply.body);
    close(fd);
    return reply.status;
}

static int status_of(struct http_fixture *fixture, const char *request)
{
    int fd = http_connect(fixture);
    assert_true(fd >= 0 && http_send(fd, request));
    return last_status(fd);
}

#define SERVED "POST /v1/echo HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}"

/* On a connection that has served a request: behind it, or with it in one piece. */
static int status_after(struct http_fixture *fixture, const char *request, bool in_one_piece)
{
    char both[512];
    struct http_reply reply;
    int fd = http_connect(fixture);
    snprintf(both, sizeof both, "%s%s", SERVED, in_one_piece ? request : "");
    assert_true(fd >= 0 && http_send(fd, both) && http_read(fd, false, &reply));
    assert_int_equal(reply.status, 200);
    assert_true(in_one_piece || http_send(fd, request));
    return last_status(fd);
}

static void test_what_is_no_http_is_refused_and_counted(void **state)
{
    static const char *const requests[] = {
        "\x16\x03\x01\x02\x20\x01\x01\x01\xfc\x03\x03\r\n\r\n",
        "GET\r\n\r\n",
        "GET /hello HTTP/9.9.9\r\n\r\n",
        "GET /hello HTTP/1.1\r\nno colon here\r\n\r\n",
        "POST /v1/echo HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        "POST /v1/echo HTTP/1.1\r\nContent-Length: 12x\r\n\r\n",
        "POST /v1/echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "POST /v1/echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        "POST /v1/echo HTTP/1.1\r\nContent-Length: 2\r\nExpect: a miracle\r\n\r\n{}",
    };
    struct http_fixture *fixture = *state;
    size_t count = sizeof requests / sizeof requests[0];
    for (size_t i = 0; i < count; i++) {
        int status = status_of(fixture, requests[i]);
        assert_true(status == 400 || status == 413 || status == 417);
        assert_int_equal(status_after(fixture, requests[i], false), status);
        assert_int_equal(status_after(fixture, requests[i], true), status);
    }
    assert_true(
        http_fixture_metric_becomes(fixture, M_MESSAGES_REFUSED, TRANSPORT_HTTP, 3 * count));
}

/* It is no refusal, and what follows it is the body. */
static void test_a_second_request_may_ask_before_it_sends_its_body(void **state)
{
    struct http_fixture *fixture = *state;
    struct http_reply reply;
    char interim[25] = "";
    int fd = http_connect(fixture);
    assert_true(http_send(fd, SERVED) && http_read(fd, false, &reply));
    assert_true(http_send(fd, "POST /v1/echo HTTP/1.1\r\nContent-Length: 24\r\n"
                              "Expect: 100-continue\r\n\r\n"));
    assert_int_equal(recv(fd, interim, 25, MSG_WAITALL), 25);
    assert_memory_equal(interim, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    assert_true(http_send(fd, "{\"a\":1,\n\"b\":2,\n\"c\":333}\n"));
    assert_true(http_read(fd, false, &reply));
    assert_int_equal(reply.status, 200);
    assert_true(http_fixture_metric_becomes(fixture, M_MESSAGES_REFUSED, TRANSPORT_HTTP, 0));
    close(fd);
}

static void test_requests_whose_end_is_a_matter_of_opinion_are_refused(void **state)
{
    static const char *const requests[] = {
        "POST /v1/echo HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 5\r\n\r\n{}",
        "POST /v1/echo HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
        "POST /v1/echo HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
        "POST /v1/echo HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "POST /v1/echo HTTP/1.1\r\nContent-Length : 2\r\n\r\n",
        "POST /v1/echo HTTP/1.1\r\nContent-Length: +2\r\n\r\n{}",
        "POST /v1/echo HTTP/1.1\r\nContent-Length: -0\r\n\r\n",
        "HEAD /hello HTTP/1.1\r\nContent-Length: 30\r\n\r\n",
        "HEAD /hello HTTP/1.1\r\nContent-Length: 70000\r\n\r\n",
        "BREW /hello HTTP/1.1\r\nContent-Length: 23\r\n\r\nGET /hello HTTP/1.1\r\n\r\n",
        "BREW /hello HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        int fd = http_connect(*state);
        struct http_reply reply;
        assert_true(http_send(fd, requests[i]));
        assert_true(http_read(fd, requests[i][0] == 'H', &reply));
        assert_int_equal(reply.status, 400);
        assert_true(http_is_closed_by_peer(fd));
        close(fd);
    }
}

static void test_a_head_and_a_body_that_are_too_large(void **state)
{
    struct http_fixture *fixture = *state;
    static char head[40000] = "GET /hello HTTP/1.1\r\nX: ";
    memset(head + strlen(head), 'x', 20000);
    memcpy(head + 30000, "\r\n\r\n", 5);
    memset(head + 24, 'x', 30000 - 24);
    assert_int_equal(status_of(fixture, head), 400);
    assert_int_equal(status_after(fixture, head, false), 400);
    static char body[70000];
    memset(body, ' ', sizeof body - 1);
    struct http_reply reply = http_post(fixture, "/v1/echo", body);
    assert_int_equal(reply.status, 413);
    assert_non_null(strstr(reply.body,
                           "\"code\":\"too_large\",\"message\":\"the body is longer than "
                           "http_body_bytes_max"));
    body[65536] = '\0'; /* as much as is allowed: blanks, which are no JSON */
    reply = http_post(fixture, "/v1/echo", body);
    assert_int_equal(reply.status, 400);
    static const char chunked[] = "POST /v1/echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
                                  "fffffff\r\n";
    assert_int_equal(status_of(fixture, chunked), 413);
    static const char extended[] = "POST /v1/echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
                                   "9;ext=1\r\n{\"pad\":1}\r\n0\r\n\r\n";
    int fd = http_connect(fixture);
    assert_true(http_send(fd, extended) && http_read(fd, false, &reply));
    assert_int_equal(reply.status, 413);
    assert_non_null(strstr(reply.body, "chunks are malformed or have extensions"));
    close(fd);
}

/* Told before the body comes, however the head arrives and whatever stands around it. */
static void test_a_body_that_is_announced_too_large_is_refused_at_once(void **state)
{
    struct http_fixture *fixture = *state;
    static const char *const requests[] = {
        "POST /v1/echo HTTP/1.1\r\nContent-Length: 65537\r\n\r\n",
        "POST /v1/echo HTTP/1.1\r\ncontent-LENGTH:99999999999999999999\r\nA: b\r\n\r\n",
        "POST /v1/echo HTTP/1.1\r\nContent-Length: 2000000\r\nExpect: 100-continue\r\n\r\n",
        "POST /v1/echo HTTP/1.1\nContent-Length: 18446744073709551616\n\n{",
        "POST /v1/echo HTTP/1.1\r\nX-Content-Length: 9\r\nContent-Length: 70000\r\n\r\n{",
    };
    uint64_t refused = 0;
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        assert_int_equal(status_of(fixture, requests[i]), 413);
        /* Behind another request on its connection, and byte by byte. */
        int fd = http_connect(fixture);
        struct http_reply reply;
        assert_true(http_send(fd, "POST /v1/echo HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}"));
        assert_true(http_send(fd, requests[i]));
        assert_true(http_read(fd, false, &reply));
        assert_int_equal(reply.status, 200);
        assert_true(http_read(fd, false, &reply));
        assert_int_equal(reply.status, 413);
        close(fd);
        fd = http_connect(fixture);
        for (size_t at = 0; requests[i][at] != '\0'; at++)
            assert_true(http_send_bytes(fd, requests[i] + at, 1));
        assert_true(http_read(fd, false, &reply));
        assert_int_equal(reply.status, 413);
        close(fd);
        refused += 3;
    }
    assert_true(http_fixture_metric_becomes(fixture, M_MESSAGES_REFUSED, TRANSPORT_HTTP, refused));
    struct http_reply reply;
    int fd = http_connect(fixture); /* evhttp takes the second for complete when it is refused */
    assert_true(http_send(fd, "GET /hello HTTP/1.1\r\n\r\n"
                              "HEAD /hello HTTP/1.1\r\nContent-Length: 70000\r\n\r\n"));
    assert_true(http_read(fd, false, &reply));
    assert_int_equal(reply.status, 200);
    assert_true(http_read(fd, false, &reply));
    assert_int_equal(reply.status, 413);
    assert_true(http_is_closed_by_peer(fd));
    close(fd);
    fd = http_connect(fixture); /* what does not count */
    assert_true(http_send(fd, "POST /v1/echo HTTP/1.1\r\nX-Content-Length: 70000\r\n"
                              "Content-Length: 2\r\nContent-Length-Of: 70000\r\n\r\n{}"));
    assert_true(http_read(fd, false, &reply));
    assert_int_equal(reply.status, 200);
    close(fd);
}

/* The sender is not cut off: it may send all of it, and finds the reply. */
static void test_a_body_that_is_too_large_may_be_sent_nevertheless(void **state)
{
    struct http_fixture *fixture = *state;
    static char body[70000];
    struct http_reply reply;
    memset(body, ' ', sizeof body);
    int fd = http_connect(fixture);
    assert_true(http_send(fd, "POST /v1/echo HTTP/1.1\r\nContent-Length: 70000\r\n\r\n"));
    assert_true(http_read(fd, false, &reply));
    assert_int_equal(reply.status, 413);
    assert_true(http_send_bytes(fd, body, sizeof body));
    assert_true(http_is_closed_by_peer(fd));
    assert_true(http_fixture_metric_becomes(fixture, M_CONNECTIONS, TRANSPORT_HTTP, 0));
    close(fd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, http_target_set_up, http_target_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_no_http_is_refused_and_counted),
        TEST(test_a_second_request_may_ask_before_it_sends_its_body),
        TEST(test_requests_whose_end_is_a_matter_of_opinion_are_refused),
        TEST(test_a_body_that_is_announced_too_large_is_refused_at_once),
        TEST(test_a_body_that_is_too_large_may_be_sent_nevertheless),
        TEST(test_a_head_and_a_body_that_are_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
