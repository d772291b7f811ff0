/* SPDX-License-Identifier: Apache-2.0 */
/* Where the native request socket listens: tcp and ipc, addresses that are taken, stale or
 * replaced, sockets that are handed over. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/metrics.h"
#include "tests/support/sp_client.h"
#include "tests/support/sp_fixture.h"

static char reply[CALL_REPLY_BYTES];

static void test_a_request_is_answered_over_tcp_and_ipc(void **state)
{
    struct sp_fixture *fixture = *state;
    char ipc[600];
    const char *const addresses[] = {"tcp://127.0.0.1:0",
                                     sp_fixture_ipc_url(fixture, ipc, sizeof ipc)};
    struct sp_server_options options = sp_fixture_options(fixture);
    options.addresses = addresses;
    options.address_count = 2;
    sp_fixture_start(fixture, &options);
    assert_int_equal(sp_server_address_count(fixture->server), 2);
    assert_string_equal(sp_server_address(fixture->server, 1), ipc);
    assert_null(strstr(sp_server_address(fixture->server, 0), ":0"));
    struct stat status;
    assert_int_equal(stat(ipc + 6, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0660);
    for (uint32_t i = 0; i < 2; i++) {
        const char *url = sp_server_address(fixture->server, i);
        assert_true(sp_says(url, "hello", "hello"));
        assert_true(sp_says(url, "local", "yes"));
    }
    assert_true(sp_fixture_metric_becomes(fixture, M_CONNECTIONS_CLOSED, CLOSE_PEER, 4));
    assert_true(sp_fixture_metric_becomes(fixture, M_CONNECTIONS, TRANSPORT_SP, 0));
    assert_int_equal(metric_value(fixture->metrics, M_CONNECTIONS_ACCEPTED, TRANSPORT_SP, 0), 4);
    /* Per connection a greeting of 8, a frame of 8 (over ipc 9), an id of 4 and the text. */
    assert_int_equal(metric_value(fixture->metrics, M_SOCKET_BYTES, BYTES_RECEIVED, 0),
                     4 * (8 + 8 + 4 + 5) + 2);
    assert_int_equal(sp_server_in_flight(fixture->server), 0);
    sp_server_destroy(&fixture->server);
    assert_int_equal(access(ipc + 6, F_OK), -1);
}

/* A service on a wildcard address is open to other machines, so nobody there is local. */
static void test_who_is_local_depends_on_the_listener(void **state)
{
    struct sp_fixture *fixture = *state;
    const char *const addresses[] = {"tcp://*:0", "tcp://127.0.0.1:0", "tcp://0.0.0.0:0"};
    struct sp_server_options options = sp_fixture_options(fixture);
    options.addresses = addresses;
    options.address_count = 3;
    sp_fixture_start(fixture, &options);
    for (uint32_t i = 0; i < 3; i++) {
        char url[64];
        snprintf(url, sizeof url, "tcp://127.0.0.1%s",
                 strrchr(sp_server_address(fixture->server, i), ':'));
        assert_true(sp_says(url, "local", i == 1 ? "yes" : "no"));
    }
}

static void
test_a_second_server_on_the_same_address_is_refused_and_the_first_serves_on(void **state)
{
    struct sp_fixture *fixture = *state;
    char ipc[600];
    char free_ipc[600];
    const char *const addresses[] = {"tcp://127.0.0.1:0",
                                     sp_fixture_ipc_url(fixture, ipc, sizeof ipc)};
    struct sp_server_options options = sp_fixture_options(fixture);
    options.addresses = addresses;
    options.address_count = 2;
    sp_fixture_start(fixture, &options);
    snprintf(free_ipc, sizeof free_ipc, "ipc://%s/free", fixture->dir.path);
    for (uint32_t i = 0; i < 2; i++) {
        const char *busy = sp_server_address(fixture->server, i);
        const char *const wanted[] = {free_ipc, busy};
        struct sp_server *second = NULL;
        struct err err = {0};
        options.addresses = wanted;
        for (int attempt = 0; attempt < 10; attempt++) {
            assert_int_equal(sp_server_create(&options, &second, &err), ERR_OK);
            assert_int_equal(sp_server_start(second, &err), ERR_BUSY);
            assert_non_null(strstr(err.text, busy));
            sp_server_destroy(&second);
            fixture->service.claimed_count = 0;
        }
        assert_true(sp_serves(busy));
        assert_int_equal(access(free_ipc + 6, F_OK), -1); /* and nothing is left of the first */
    }
}

static void test_a_stale_socket_is_replaced_and_a_file_is_left_alone(void **state)
{
    struct sp_fixture *fixture = *state;
    char ipc[600];
    const char *const addresses[] = {sp_fixture_ipc_url(fixture, ipc, sizeof ipc)};
    struct sp_server_options options = sp_fixture_options(fixture);
    options.addresses = addresses;
    struct err err = {0};
    temp_dir_write_text(&fixture->dir, "sock", "precious");
    assert_int_equal(sp_server_create(&options, &fixture->server, &err), ERR_OK);
    assert_int_equal(sp_server_start(fixture->server, &err), ERR_EXISTS);
    assert_int_equal(access(ipc + 6, F_OK), 0);
    assert_int_equal(unlink(ipc + 6), 0);
    struct sockaddr_un stale = {.sun_family = AF_UNIX};
    snprintf(stale.sun_path, sizeof stale.sun_path, "%.100s", ipc + 6);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&stale, sizeof stale), 0);
    close(fd);
    assert_int_equal(sp_server_start(fixture->server, &err), ERR_OK);
    assert_true(sp_serves(ipc));
}

/* Somebody else's socket of that name is not ours to remove. */
static void test_a_path_that_was_replaced_meanwhile_is_left_alone(void **state)
{
    struct sp_fixture *fixture = *state;
    char ipc[600];
    const char *const addresses[] = {sp_fixture_ipc_url(fixture, ipc, sizeof ipc)};
    struct sp_server_options options = sp_fixture_options(fixture);
    options.addresses = addresses;
    sp_fixture_start(fixture, &options);
    struct sockaddr_un other = {.sun_family = AF_UNIX};
    snprintf(other.sun_path, sizeof other.sun_path, "%.90s.other", ipc + 6);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&other, sizeof other), 0);
    assert_int_equal(rename(other.sun_path, ipc + 6), 0);
    sp_server_destroy(&fixture->server);
    assert_int_equal(access(ipc + 6, F_OK), 0);
    close(fd);
}

static void test_bad_options_are_refused_by_name(void **state)
{
    struct sp_fixture *fixture = *state;
    static const struct {
        const char *address;
        enum err_code code;
        const char *says;
    } cases[] = {
        {"http://127.0.0.1:1", ERR_BAD_INPUT, "expected tcp://"},
        {"inproc://a", ERR_BAD_INPUT, "expected tcp://"},
        {"", ERR_BAD_INPUT, "expected tcp://"},
        {"tcp://127.0.0.1:99999", ERR_BAD_INPUT, "99999"},
        {"tcp://127.0.0.1", ERR_BAD_INPUT, "tcp://127.0.0.1"},
        {"tcp://192.0.2.1:0", ERR_BAD_INPUT, "192.0.2.1"},
        {"tcp://no.such.host.invalid:0", ERR_BAD_INPUT, "no.such.host"},
        {"ipc://relative", ERR_BAD_INPUT, "absolute path"},
        {"ipc:///does/not/exist", ERR_IO, "/does/not/exist"},
    };
    struct err err;
    struct sp_server_options options = sp_fixture_options(fixture);
    struct sp_server *server = NULL;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *const addresses[] = {cases[i].address};
        options.addresses = addresses;
        fixture->service.claimed_count = 0;
        err.text[0] = '\0';
        enum err_code rc = sp_server_create(&options, &server, &err);
        if (rc == ERR_OK)
            rc = sp_server_start(server, &err);
        sp_server_destroy(&server);
        assert_int_equal(rc, cases[i].code);
        assert_non_null(strstr(err.text, cases[i].says));
    }
    options = sp_fixture_options(fixture);
    options.address_count = SP_SERVER_ADDRESSES_MAX + 1;
    assert_int_equal(sp_server_create(&options, &server, &err), ERR_LIMIT);
    options.address_count = 1;
    options.worker_count = 0;
    assert_int_equal(sp_server_create(&options, &server, &err), ERR_LIMIT);
    options.worker_count = SP_SERVER_WORKERS_MAX + 1;
    assert_int_equal(sp_server_create(&options, &server, &err), ERR_LIMIT);
    options.worker_count = 3;
    fixture->service.claimed_count = 0;
    fixture->service.workers_max = 2;
    assert_int_equal(sp_server_create(&options, &server, &err), ERR_LIMIT);
    assert_non_null(strstr(err.text, "worker"));
    assert_null(server);
}

/* The whole way of a restart: the second server takes the sockets, the first one lets go of them,
 * and whoever connects meanwhile is served by one or the other. */
static void test_listening_sockets_are_handed_to_another_server(void **state)
{
    struct sp_fixture *fixture = *state;
    char ipc[600];
    const char *const addresses[] = {"tcp://127.0.0.1:0",
                                     sp_fixture_ipc_url(fixture, ipc, sizeof ipc)};
    struct sp_server_options options = sp_fixture_options(fixture);
    options.addresses = addresses;
    options.address_count = 2;
    sp_fixture_start(fixture, &options);
    char tcp[64];
    snprintf(tcp, sizeof tcp, "%s", sp_server_address(fixture->server, 0));
    int fds[2];
    for (uint32_t i = 0; i < 2; i++) /* as another process would get them */
        fds[i] = fcntl(sp_server_listener_fd(fixture->server, i), F_DUPFD_CLOEXEC, 0);
    struct sp_server *first = fixture->server;
    struct sp_client before;
    struct sp_client queued;
    assert_true(sp_open(&before, tcp));
    sp_server_refuse_new(first);
    while (sp_connect(&queued, tcp)) { /* until one waits in a queue that nobody accepts from */
        char byte;
        struct timeval soon = {.tv_usec = 100000};
        setsockopt(queued.fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon);
        if (recv(queued.fd, &byte, 1, MSG_PEEK) < 0)
            break;
        sp_close(&queued);
    }
    options.inherited_fds = fds;
    sp_fixture_start(fixture, &options);
    assert_string_equal(sp_server_address(fixture->server, 0), tcp);
    struct timeval long_time = {.tv_sec = SP_TIMEOUT_S};
    setsockopt(queued.fd, SOL_SOCKET, SO_RCVTIMEO, &long_time, sizeof long_time);
    assert_true(sp_handshake(&queued));
    assert_int_equal(sp_ask(&queued, "hello", reply, sizeof reply), 5);
    assert_int_equal(sp_ask(&before, "hello", reply, sizeof reply), 5);
    sp_server_destroy(&first);
    assert_true(sp_is_closed_by_peer(&before));
    assert_true(sp_says(tcp, "local", "yes"));
    assert_true(sp_says(ipc, "local", "yes")); /* the path is still there */
    assert_int_equal(sp_ask(&queued, "hello", reply, sizeof reply), 5);
    sp_close(&before);
    sp_close(&queued);
    sp_server_destroy(&fixture->server);
    assert_int_equal(access(ipc + 6, F_OK), -1);
}

static void test_descriptors_that_do_not_listen_are_refused(void **state)
{
    struct sp_fixture *fixture = *state;
    struct sp_server_options options = sp_fixture_options(fixture);
    struct err err = {0};
    for (int kind = 0; kind < 3; kind++) {
        int fd = kind == 0   ? open("/dev/null", O_RDONLY | O_CLOEXEC)
                 : kind == 1 ? socket(AF_INET, SOCK_STREAM, 0)
                             : socket(AF_UNIX, SOCK_STREAM, 0);
        options.inherited_fds = &fd;
        fixture->service.claimed_count = 0;
        assert_int_equal(sp_server_create(&options, &fixture->server, &err), ERR_OK);
        assert_int_equal(sp_server_start(fixture->server, &err),
                         kind == 0 ? ERR_IO : ERR_BAD_INPUT);
        assert_non_null(strstr(err.text, "descriptor"));
        sp_server_destroy(&fixture->server);
        close(fd);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, sp_fixture_set_up, sp_fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_a_request_is_answered_over_tcp_and_ipc),
        TEST(test_who_is_local_depends_on_the_listener),
        TEST(test_a_second_server_on_the_same_address_is_refused_and_the_first_serves_on),
        TEST(test_a_stale_socket_is_replaced_and_a_file_is_left_alone),
        TEST(test_a_path_that_was_replaced_meanwhile_is_left_alone),
        TEST(test_bad_options_are_refused_by_name),
        TEST(test_listening_sockets_are_handed_to_another_server),
        TEST(test_descriptors_that_do_not_listen_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
