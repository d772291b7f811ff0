/* SPDX-License-Identifier: Apache-2.0 */
/* What a hostile or broken client may do to the HTTP port; after each attack another client is
 * served. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "server/metrics.h"
#include "tests/support/http_fixture.h"

#define STORM_COUNT     300
#define CONNECTIONS_MAX 20

static void start(struct http_fixture *fixture, uint32_t request_timeout_ms,
                  uint32_t idle_timeout_ms)
{
    http_fixture_init(fixture);
    struct http_server_options options = http_fixture_options(fixture);
    options.request_timeout_ms = request_timeout_ms;
    options.idle_timeout_ms = idle_timeout_ms;
    http_fixture_start(fixture, &options);
}

static int set_up(void **state)
{
    *state = malloc(sizeof(struct http_fixture));
    start(*state, 5000, 10000);
    return 0;
}

static int set_up_hasty(void **state)
{
    *state = malloc(sizeof(struct http_fixture));
    start(*state, 200, 300);
    return 0;
}

/* What a storm has left in the queue of the kernel may still fill the server for a moment. */
static bool serves(struct http_fixture *fixture)
{
    uint64_t deadline_ns = clock_now_ns(clock_system()) + HTTP_TIMEOUT_S * UINT64_C(1000000000);
    while (clock_now_ns(clock_system()) < deadline_ns) {
        struct http_reply reply = http_post(fixture, "/v1/echo", "{}");
        if (reply.status == 200)
            return true;
    }
    return false;
}

static int tear_down(void **state)
{
    struct http_fixture *fixture = *state;
    bool fine =
        serves(fixture) && http_fixture_metric_becomes(fixture, M_CONNECTIONS, TRANSPORT_HTTP, 0);
    http_fixture_deinit(fixture);
    free(fixture);
    return fine ? 0 : -1;
}

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

/* A byte now and then would keep a timeout of single reads from ever firing. */
static void drip_until_closed(struct http_fixture *fixture, const char *text)
{
    int fd = http_connect(fixture);
    uint64_t begun_ns = clock_now_ns(clock_system());
    const struct timeval pause = {.tv_usec = 20000};
    char byte;
    ssize_t got = -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &pause, sizeof pause);
    for (size_t i = 0; got < 0 && i < strlen(text); i++) {
        if (!http_send_bytes(fd, text + i, 1))
            break;
        got = recv(fd, &byte, 1, 0); /* waits the pause, or sees the end */
        if (got < 0 && errno == ECONNRESET)
            break;
    }
    assert_true(got <= 0);
    assert_true(clock_now_ns(clock_system()) - begun_ns < UINT64_C(5000000000));
    close(fd);
}

static void test_slow_senders_are_closed_at_their_deadline(void **state)
{
    static char slow_head[2000] = "GET /hello HTTP/1.1\r\nX: ";
    static char slow_body[2000] = "POST /v1/echo HTTP/1.1\r\nContent-Length: 1900\r\n\r\n";
    memset(slow_head + strlen(slow_head), 'x', 1900);
    memset(slow_body + strlen(slow_body), 'x', 1900);
    drip_until_closed(*state, slow_head);
    drip_until_closed(*state, slow_body);
    struct http_fixture *fixture = *state;
    struct http_reply reply;
    int fd = http_connect(fixture); /* a body that is refused is dropped as long, and no longer */
    assert_true(http_send(fd, "POST /v1/echo HTTP/1.1\r\nContent-Length: 999999999999\r\n\r\n"));
    assert_true(http_read(fd, false, &reply));
    assert_int_equal(reply.status, 413);
    assert_true(http_fixture_metric_becomes(fixture, M_CONNECTIONS, TRANSPORT_HTTP, 0));
    close(fd);
    assert_int_equal(metric_value(fixture->metrics, M_SLOW_READERS_CLOSED, 0, 0), 0);
}

static void test_idle_connections_are_closed(void **state)
{
    struct http_reply reply;
    int silent = http_connect(*state);
    int used = http_connect(*state);
    assert_true(http_send(used, "GET /hello HTTP/1.1\r\n\r\n") && http_read(used, false, &reply));
    assert_true(http_is_closed_by_peer(silent));
    assert_true(http_is_closed_by_peer(used));
    close(silent);
    close(used);
}

/* Asks for much, reads nothing, and goes on sending. */
static void test_slow_readers_are_closed(void **state)
{
    struct http_fixture *fixture = *state;
    static const char ask[] = "POST /v1/big HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}";
    int small = 4096;
    int fd = http_connect(fixture);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    uint32_t sent_count = 0;
    while (sent_count < 1000000 && http_send(fd, ask))
        sent_count++;
    assert_true(sent_count < 1000000);
    assert_true(http_fixture_metric_becomes(fixture, M_SLOW_READERS_CLOSED, 0, 1));
    close(fd);
}

static void test_connections_beyond_the_limit_are_told_so(void **state)
{
    struct http_fixture *fixture = *state;
    struct http_reply reply;
    int fds[CONNECTIONS_MAX];
    for (uint32_t i = 0; i < CONNECTIONS_MAX; i++) {
        fds[i] = http_connect(fixture);
        assert_true(http_fixture_metric_becomes(fixture, M_CONNECTIONS, TRANSPORT_HTTP, i + 1));
    }
    for (uint64_t i = 0; i < 3; i++) {
        int one_more = http_connect(fixture);
        assert_true(http_read(one_more, false, &reply));
        assert_int_equal(reply.status, 503);
        assert_non_null(strstr(reply.head, "Retry-After: 1\r\n"));
        assert_true(http_is_closed_by_peer(one_more));
        close(one_more);
        assert_true(
            http_fixture_metric_becomes(fixture, M_CONNECTIONS_REFUSED, TRANSPORT_HTTP, i + 1));
    }
    assert_true(http_send(fds[0], "GET /hello HTTP/1.1\r\n\r\n"));
    assert_true(http_read(fds[0], false, &reply));
    for (uint32_t i = 0; i < CONNECTIONS_MAX; i++)
        close(fds[i]);
    assert_true(http_fixture_metric_becomes(fixture, M_CONNECTIONS, TRANSPORT_HTTP, 0));
}

static void test_storms_of_connections_that_close_at_once(void **state)
{
    static const char *const openings[] = {"", "G", "POST /v1/echo HTTP/1.1\r\nContent-Length: 9",
                                           "POST /v1/echo HTTP/1.1\r\nContent-Length: 9\r\n\r\n{",
                                           "GET /hello HTTP/1.1\r\n\r\n"};
    for (uint32_t i = 0; i < STORM_COUNT; i++) {
        int fd = http_connect(*state);
        assert_true(fd >= 0);
        http_send(fd, openings[i % 5]);
        if (i % 3 == 0) {
            const struct linger at_once = {.l_onoff = 1};
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        }
        close(fd);
    }
    assert_true(http_fixture_metric_becomes(*state, M_CONNECTIONS, TRANSPORT_HTTP, 0));
}

static void test_a_server_is_destroyed_in_the_midst_of_everything(void **state)
{
    struct http_fixture *fixture = *state;
    static const char *const openings[] = {"", "GET /hel", "POST /v1/later HTTP/1.1\r\n\r\n",
                                           "GET /hello HTTP/1.1\r\n\r\n"};
    int fds[16];
    for (uint32_t i = 0; i < 16; i++) {
        fds[i] = http_connect(fixture);
        assert_true(http_send(fds[i], openings[i % 4]));
    }
    assert_true(http_fixture_wait_deferred(fixture, 4));
    for (uint32_t i = 0; i < 4; i++) /* these are accepted in the very turn, or never */
        close(http_connect(fixture));
    http_fixture_do(fixture, HTTP_STOP);
    pthread_join(fixture->loop, NULL);
    fixture->loop = 0;
    http_fixture_complete(fixture);
    assert_int_equal(metric_value(fixture->metrics, M_CONNECTIONS, TRANSPORT_HTTP, 0), 0);
    for (uint32_t i = 0; i < 16; i++)
        close(fds[i]);
    struct http_server_options options = http_fixture_options(fixture);
    http_fixture_start(fixture, &options);
}

/* In a process of its own: without descriptors the loop rests, and accepts when there are some. */
static int run_out_of_descriptors(void)
{
    void *state = NULL;
    const struct rlimit few = {.rlim_cur = 40, .rlim_max = 40};
    struct rusage before;
    struct rusage after;
    static int fds[64];
    int log_ends[2];
    if (pipe(log_ends) != 0 || set_up(&state) != 0 || setrlimit(RLIMIT_NOFILE, &few) != 0)
        return 2;
    struct http_fixture *fixture = state;
    struct http_reply reply;
    int early = http_connect(fixture);
    int late = http_connect(fixture);
    bool fine = http_send(early, "GET /hello HTTP/1.1\r\n\r\n") && http_read(early, false, &reply);
    uint32_t count = 0;
    while (count < 64 && (fds[count] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
        count++;
    close(fds[--count]); /* one left, for a client, and none for its other end */
    int waiting = http_connect(fixture);
    log_set_fd(log_ends[1]);
    char line[LOG_LINE_BYTES] = ""; /* one, in the second that passes */
    struct pollfd told = {.fd = log_ends[0], .events = POLLIN};
    fine &= poll(&told, 1, HTTP_TIMEOUT_S * 1000) == 1 &&
            read(log_ends[0], line, sizeof line - 1) > 0 &&
            strstr(line, "\"msg\":\"HTTP connections could not be accepted") != NULL &&
            strstr(line, "Too many open files") != NULL;
    getrusage(RUSAGE_SELF, &before);
    for (int i = 0; i < 20; i++) /* the loop lives, and is not busy with failing */
        fine &= http_send(early, "GET /hello HTTP/1.1\r\n\r\n") && http_read(early, false, &reply);
    getrusage(RUSAGE_SELF, &after);
    fine &= after.ru_utime.tv_sec - before.ru_utime.tv_sec < 2;
    while (count > 0)
        close(fds[--count]);
    fine &= http_send(waiting, "GET /hello HTTP/1.1\r\n\r\n") && http_read(waiting, false, &reply);
    close(waiting);
    close(early);
    close(late);
    return fine && tear_down(&state) == 0 ? 0 : 1;
}

static void test_running_out_of_descriptors(void **state)
{
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        execl("/proc/self/exe", "test_http_attacks", "--few-descriptors", (char *)NULL);
        _exit(3);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--few-descriptors") == 0)
        return run_out_of_descriptors();
#define TEST(name)  cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define HASTY(name) cmocka_unit_test_setup_teardown(name, set_up_hasty, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_no_http_is_refused_and_counted),
        TEST(test_a_second_request_may_ask_before_it_sends_its_body),
        TEST(test_requests_whose_end_is_a_matter_of_opinion_are_refused),
        TEST(test_a_body_that_is_announced_too_large_is_refused_at_once),
        TEST(test_a_body_that_is_too_large_may_be_sent_nevertheless),
        TEST(test_a_head_and_a_body_that_are_too_large),
        HASTY(test_slow_senders_are_closed_at_their_deadline),
        HASTY(test_idle_connections_are_closed),
        HASTY(test_slow_readers_are_closed),
        TEST(test_connections_beyond_the_limit_are_told_so),
        TEST(test_storms_of_connections_that_close_at_once),
        TEST(test_a_server_is_destroyed_in_the_midst_of_everything),
        cmocka_unit_test(test_running_out_of_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
