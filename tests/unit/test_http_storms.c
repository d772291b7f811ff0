/* SPDX-License-Identifier: Apache-2.0 */
/* How a hostile or broken client may hold on to the HTTP port: slow, idle, many at once, until no
 * descriptor is left; after each attack another client is served. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
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
#include "tests/support/http_target.h"

#define STORM_COUNT     300
#define CONNECTIONS_MAX 20

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
    if (pipe(log_ends) != 0 || http_target_set_up(&state) != 0 ||
        setrlimit(RLIMIT_NOFILE, &few) != 0)
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
    return fine && http_target_tear_down(&state) == 0 ? 0 : 1;
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
#define TEST(name) cmocka_unit_test_setup_teardown(name, http_target_set_up, http_target_tear_down)
#define HASTY(name) \
    cmocka_unit_test_setup_teardown(name, http_target_set_up_hasty, http_target_tear_down)
    const struct CMUnitTest tests[] = {
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
