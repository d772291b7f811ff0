/* SPDX-License-Identifier: Apache-2.0 */
/* A whole daemon under clients that storm, babble and do not read: it serves the others meanwhile,
 * its pages say what happened, nothing is left over, and it stops with exit status 0.  All of that
 * with the native request socket and with the one of the nng library. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/pack.h"
#include "tests/support/daemon.h"
#include "tests/support/http_fixture.h"
#include "tests/support/sp_client.h"

#define STORM_COUNT 200

static char reply[CALL_REPLY_BYTES];

static int set_up_native(void **state)
{
    struct daemon *daemon = malloc(sizeof *daemon);
    daemon_start(daemon, NULL);
    *state = daemon;
    return 0;
}

static int set_up_nng(void **state)
{
    struct daemon *daemon = malloc(sizeof *daemon);
    daemon_start_on(daemon, "nng+tcp://127.0.0.1:0", NULL);
    *state = daemon;
    return 0;
}

static int tear_down(void **state)
{
    struct daemon *daemon = *state;
    daemon_stop(daemon);
    free(daemon);
    return 0;
}

static bool ask_ping(struct sp_client *client, uint32_t id, uint32_t pad_bytes)
{
    uint8_t request[64];
    struct pack pack = pack_into(request, sizeof request);
    pack_map(&pack, 2);
    pack_key(&pack, "op");
    pack_str(&pack, "ping");
    pack_key(&pack, "pad");
    pack_int(&pack, pad_bytes);
    return sp_send(client, id, request, pack.used);
}

static bool is_served(const struct daemon *daemon)
{
    struct sp_client client;
    uint32_t id = 0;
    bool served = sp_open(&client, daemon->url) && ask_ping(&client, 5, 10) &&
                  sp_receive(&client, &id, reply, sizeof reply) > 10 && id == 5;
    sp_close(&client);
    return served;
}

/* The value of a row of /metrics; -1 when there is none. */
static double metric(const struct daemon *daemon, const char *row)
{
    struct http_reply page;
    int fd = http_connect_to(daemon->http);
    assert_true(fd >= 0 && http_send(fd, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert_true(http_read(fd, false, &page));
    close(fd);
    assert_int_equal(page.status, 200);
    char line_start[200];
    snprintf(line_start, sizeof line_start, "\n%s ", row);
    const char *line = strstr(page.body, line_start);
    return line == NULL ? -1 : strtod(line + strlen(line_start), NULL);
}

static void assert_becomes(const struct daemon *daemon, const char *row, double value)
{
    uint64_t deadline_ns = clock_now_ns(clock_system()) + SP_TIMEOUT_S * UINT64_C(1000000000);
    while (metric(daemon, row) != value)
        if (clock_now_ns(clock_system()) > deadline_ns)
            fail_msg("%s is %f, not %f", row, metric(daemon, row), value);
}

static const char *connections_of(const struct daemon *daemon)
{
    return daemon->by_nng ? "decided_connections{transport=\"nng\"}"
                          : "decided_connections{transport=\"sp\"}";
}

static void test_storms_leave_nothing_behind(void **state)
{
    struct daemon *daemon = *state;
    assert_true(is_served(daemon));
    assert_becomes(daemon, connections_of(daemon), 0);
    double descriptors = metric(daemon, "process_open_fds");
    for (int i = 0; i < STORM_COUNT; i++) {
        static const char *const openings[] = {
            "", "GET / HTTP/1.1\r\n\r\n", "POST /v1/ping HTTP/1.1\r\nContent-Length: 9\r\n\r\n"};
        struct sp_client client;
        assert_true(sp_connect(&client, daemon->url));
        sp_send_raw(&client, openings[i % 3], strlen(openings[i % 3]));
        if (i % 2 == 0)
            shutdown(client.fd, SHUT_WR);
        sp_reset(&client);
        int fd = http_connect_to(daemon->http);
        assert_true(fd >= 0);
        http_send(fd, openings[i % 3]);
        close(fd);
    }
    assert_true(is_served(daemon));
    assert_becomes(daemon, connections_of(daemon), 0);
    assert_becomes(daemon, "decided_connections{transport=\"http\"}", 1);
    assert_becomes(daemon, "process_open_fds", descriptors);
    assert_true(metric(daemon, "decided_listener_restarts_total") <= 0);
}

static void test_a_slow_reader_is_closed_while_others_are_served(void **state)
{
    struct daemon *daemon = *state;
    struct sp_client slow;
    int small = 4096;
    assert_true(sp_open(&slow, daemon->url));
    setsockopt(slow.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    for (uint32_t i = 0; i < 5000 && ask_ping(&slow, i, 60000); i++)
        continue;
    uint64_t asked_ns = clock_now_ns(clock_system());
    assert_true(is_served(daemon));
    assert_true(clock_now_ns(clock_system()) - asked_ns < UINT64_C(2000000000));
    assert_becomes(daemon, "decided_slow_readers_closed_total", 1);
    sp_close(&slow);
    assert_becomes(daemon, connections_of(daemon), 0);
}

static void test_it_stops_cleanly_with_clients_of_every_kind_connected(void **state)
{
    struct daemon *daemon = *state;
    struct sp_client idle;
    struct sp_client half;
    assert_true(sp_open(&idle, daemon->url));
    assert_true(sp_open(&half, daemon->url));
    assert_true(sp_announce(&half, 5000) && sp_send_raw(&half, "half", 4));
    int http = http_connect_to(daemon->http);
    assert_true(http_send(http, "POST /v1/ping HTTP/1.1\r\nContent-Length: 10\r\n\r\n{"));
    daemon_signal(daemon, SIGTERM);
    int status = daemon_wait(daemon);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    sp_close(&idle);
    sp_close(&half);
    close(http);
}

int main(void)
{
#define TEST(name)                                             \
    {#name " (native)", name, set_up_native, tear_down, NULL}, \
    {                                                          \
#name " (nng)", name, set_up_nng, tear_down, NULL      \
    }
    const struct CMUnitTest tests[] = {
        TEST(test_storms_leave_nothing_behind),
        TEST(test_a_slow_reader_is_closed_while_others_are_served),
        TEST(test_it_stops_cleanly_with_clients_of_every_kind_connected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
