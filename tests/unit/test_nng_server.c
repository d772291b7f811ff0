/* SPDX-License-Identifier: Apache-2.0 */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>

#include "server/metrics.h"
#include "server/transport/nng_internal.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/nng_fixture.h"
#include "tests/support/sp_client.h"

#define BODY_MAX 65536

static char reply[CALL_REPLY_BYTES];

static void test_a_request_is_answered_over_tcp_and_ipc(void **state)
{
    struct nng_fixture *fixture = *state;
    char ipc[600];
    const char *const addresses[] = {"tcp://127.0.0.1:0",
                                     nng_fixture_ipc_url(fixture, ipc, sizeof ipc)};
    struct nng_server_options options = nng_fixture_options(fixture);
    options.addresses = addresses;
    options.address_count = 2;
    nng_fixture_start(fixture, &options);
    assert_int_equal(nng_server_address_count(fixture->server), 2);
    assert_string_equal(nng_server_address(fixture->server, 1), ipc);
    assert_null(strstr(nng_server_address(fixture->server, 0), ":0"));
    struct stat status;
    assert_int_equal(stat(ipc + 6, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0660);
    for (uint32_t i = 0; i < 2; i++) {
        const char *url = nng_server_address(fixture->server, i);
        assert_true(sp_says(url, "hello", "hello"));
        assert_true(sp_says(url, "local", "yes"));
    }
    assert_true(nng_fixture_metric_becomes(fixture, M_CONNECTIONS, TRANSPORT_NNG, 0));
    assert_int_equal(nng_server_in_flight(fixture->server), 0);
}

static void test_the_largest_reply_arrives_whole(void **state)
{
    struct nng_fixture *fixture = *state;
    struct nng_server_options options = nng_fixture_options(fixture);
    nng_fixture_start(fixture, &options);
    struct sp_client client;
    assert_true(sp_open(&client, nng_fixture_url(fixture)));
    assert_int_equal(sp_ask(&client, "big:262144", reply, sizeof reply), CALL_REPLY_BYTES);
    assert_int_equal(reply[0], 'b');
    assert_int_equal(reply[CALL_REPLY_BYTES - 1], 'b');
    assert_int_equal(sp_ask(&client, "big:0", reply, sizeof reply), 0);
    sp_close(&client);
}

static void test_a_client_of_nng_is_served_over_inproc(void **state)
{
    struct nng_fixture *fixture = *state;
    const char *const addresses[] = {"inproc://test"};
    struct nng_server_options options = nng_fixture_options(fixture);
    options.addresses = addresses;
    nng_fixture_start(fixture, &options);
    nng_socket socket;
    assert_int_equal(nng_req0_open(&socket), 0);
    assert_int_equal(nng_dial(socket, "inproc://test", NULL, 0), 0);
    char text[] = "local";
    assert_int_equal(nng_send(socket, text, 5, 0), 0);
    size_t len = sizeof reply;
    assert_int_equal(nng_recv(socket, reply, &len, 0), 0);
    assert_int_equal(len, 3);
    assert_memory_equal(reply, "yes", 3);
    nng_close(socket);
}

/* A service on a wildcard address is open to other machines, so nobody there is local. */
static void test_who_is_local_depends_on_the_listener(void **state)
{
    struct nng_fixture *fixture = *state;
    const char *const addresses[] = {"tcp://0.0.0.0:0", "tcp://127.0.0.1:0"};
    struct nng_server_options options = nng_fixture_options(fixture);
    options.addresses = addresses;
    options.address_count = 2;
    nng_fixture_start(fixture, &options);
    char url[64];
    snprintf(url, sizeof url, "tcp://127.0.0.1%s",
             strrchr(nng_server_address(fixture->server, 0), ':'));
    assert_true(sp_says(url, "local", "no"));
    assert_true(sp_says(nng_server_address(fixture->server, 1), "local", "yes"));
    nng_server_destroy(&fixture->server);
    options.address_count = 1;
    nng_fixture_start(fixture, &options);
    snprintf(url, sizeof url, "tcp://127.0.0.1%s", strrchr(nng_fixture_url(fixture), ':'));
    assert_true(sp_says(url, "local", "no"));
}

static void test_deferred_calls_are_sent_when_they_complete_in_any_order(void **state)
{
    struct nng_fixture *fixture = *state;
    struct nng_server_options options = nng_fixture_options(fixture);
    nng_fixture_start(fixture, &options);
    struct sp_client client;
    assert_true(sp_open(&client, nng_fixture_url(fixture)));
    for (uint32_t id = 1; id <= 3; id++) {
        char text[] = {'l', 'a', 't', 'e', 'r', (char)('0' + id)};
        assert_true(sp_send(&client, id, text, sizeof text));
        assert_true(nng_fixture_wait_deferred(fixture, id));
    }
    assert_int_equal(nng_server_in_flight(fixture->server), 3);
    uint32_t got_id = 0;
    assert_true(sp_send(&client, 9, "now", 3)); /* the others do not stand in its way */
    assert_int_equal(sp_receive(&client, &got_id, reply, sizeof reply), 3);
    assert_int_equal(got_id, 9);
    nng_fixture_complete(fixture);
    for (uint32_t id = 3; id >= 1; id--) {
        assert_int_equal(sp_receive(&client, &got_id, reply, sizeof reply), 6);
        assert_int_equal(got_id, id);
        assert_int_equal(reply[5], '0' + id);
    }
    sp_close(&client);
}

static void *complete_later(void *arg)
{
    struct nng_fixture *fixture = arg;
    poll(NULL, 0, 20); /* so that destroy waits first, most of the time */
    nng_fixture_complete(fixture);
    return NULL;
}

static void test_destroy_waits_for_deferred_calls_and_their_replies_arrive(void **state)
{
    struct nng_fixture *fixture = *state;
    struct nng_server_options options = nng_fixture_options(fixture);
    nng_fixture_start(fixture, &options);
    struct sp_client client;
    assert_true(sp_open(&client, nng_fixture_url(fixture)));
    assert_true(sp_send(&client, 1, "later", 5));
    assert_true(nng_fixture_wait_deferred(fixture, 1));
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, complete_later, fixture), 0);
    nng_server_destroy(&fixture->server);
    pthread_join(thread, NULL);
    uint32_t id = 0;
    assert_int_equal(sp_receive(&client, &id, reply, sizeof reply), 5);
    assert_true(sp_is_closed_by_peer(&client));
    sp_close(&client);
}

static void test_a_body_of_the_limit_passes_and_one_byte_more_is_refused(void **state)
{
    struct nng_fixture *fixture = *state;
    struct nng_server_options options = nng_fixture_options(fixture);
    nng_fixture_start(fixture, &options);
    struct sp_client client;
    static char body[BODY_MAX + 100];
    uint32_t id = 0;
    assert_true(sp_open(&client, nng_fixture_url(fixture)));
    assert_true(sp_send(&client, 1, body, BODY_MAX));
    assert_int_equal(sp_receive(&client, &id, reply, sizeof reply), BODY_MAX);
    assert_true(sp_send(&client, 2, body, BODY_MAX + 1));
    ssize_t len = sp_receive(&client, &id, reply, sizeof reply);
    assert_true(len > 0);
    assert_non_null(memmem(reply, (size_t)len, "too_large", 9));
    assert_true(nng_fixture_metric_becomes(fixture, M_MESSAGES_REFUSED, TRANSPORT_NNG, 1));
    /* Beyond what hops may add nng itself closes the connection. */
    assert_true(sp_announce(&client, BODY_MAX + 100));
    assert_true(sp_is_closed_by_peer(&client));
    assert_true(nng_fixture_metric_becomes(fixture, M_MESSAGES_REFUSED, TRANSPORT_NNG, 2));
    sp_close(&client);
    assert_true(sp_serves(nng_fixture_url(fixture)));
}

static void
test_a_second_server_on_the_same_address_is_refused_and_the_first_serves_on(void **state)
{
    struct nng_fixture *fixture = *state;
    char ipc[600];
    const char *const addresses[] = {"tcp://127.0.0.1:0",
                                     nng_fixture_ipc_url(fixture, ipc, sizeof ipc)};
    struct nng_server_options options = nng_fixture_options(fixture);
    options.addresses = addresses;
    options.address_count = 2;
    nng_fixture_start(fixture, &options);
    for (uint32_t i = 0; i < 2; i++) {
        const char *busy = nng_server_address(fixture->server, i);
        const char *const wanted[] = {"inproc://first", busy};
        struct nng_server *second = NULL;
        struct err err = {0};
        options.addresses = wanted;
        for (int attempt = 0; attempt < 10; attempt++) {
            assert_int_equal(nng_server_create(&options, &second, &err), ERR_OK);
            assert_int_equal(nng_server_start(second, &err), ERR_BUSY);
            assert_non_null(strstr(err.text, busy));
            nng_server_destroy(&second);
        }
        assert_true(sp_serves(busy));
        nng_listener unused; /* and nothing was left listening on the first address */
        assert_int_equal(nng_listen(fixture->server->socket, "inproc://first", &unused, 0), 0);
        nng_listener_close(unused);
    }
}

static void test_a_stale_socket_is_replaced_and_a_file_is_left_alone(void **state)
{
    struct nng_fixture *fixture = *state;
    char ipc[600];
    const char *const addresses[] = {nng_fixture_ipc_url(fixture, ipc, sizeof ipc)};
    struct nng_server_options options = nng_fixture_options(fixture);
    options.addresses = addresses;
    struct err err = {0};
    temp_dir_write_text(&fixture->dir, "sock", "precious");
    assert_int_equal(nng_server_create(&options, &fixture->server, &err), ERR_OK);
    assert_int_equal(nng_server_start(fixture->server, &err), ERR_EXISTS);
    assert_int_equal(access(ipc + 6, F_OK), 0);
    assert_int_equal(unlink(ipc + 6), 0);
    struct sockaddr_un stale = {.sun_family = AF_UNIX};
    snprintf(stale.sun_path, sizeof stale.sun_path, "%.100s", ipc + 6);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&stale, sizeof stale), 0);
    close(fd);
    assert_int_equal(nng_server_start(fixture->server, &err), ERR_OK);
    assert_true(sp_serves(ipc));
}

static void test_bad_options_are_refused_by_name(void **state)
{
    struct nng_fixture *fixture = *state;
    static const struct {
        const char *address;
        enum err_code code;
        const char *says;
    } cases[] = {
        {"http://127.0.0.1:1", ERR_BAD_INPUT, "expected tcp://"},
        {"", ERR_BAD_INPUT, "expected tcp://"},
        {"tcp://127.0.0.1:99999", ERR_BAD_INPUT, "99999"},
        {"tcp://192.0.2.1:0", ERR_BAD_INPUT, "192.0.2.1"},
        {"ipc://relative", ERR_BAD_INPUT, "absolute path"},
        {"ipc:///does/not/exist", ERR_IO, "/does/not/exist"},
    };
    struct err err;
    struct nng_server_options options = nng_fixture_options(fixture);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *const addresses[] = {cases[i].address};
        options.addresses = addresses;
        err.text[0] = '\0';
        struct nng_server *server = NULL;
        enum err_code rc = nng_server_create(&options, &server, &err);
        if (rc == ERR_OK)
            rc = nng_server_start(server, &err);
        nng_server_destroy(&server);
        assert_int_equal(rc, cases[i].code);
        assert_non_null(strstr(err.text, cases[i].says));
    }
    options.address_count = NNG_ADDRESSES_MAX + 1;
    struct nng_server *server = NULL;
    assert_int_equal(nng_server_create(&options, &server, &err), ERR_LIMIT);
    options = nng_fixture_options(fixture);
    options.contexts = 0;
    assert_int_equal(nng_server_create(&options, &server, &err), ERR_LIMIT);
    assert_null(server);
}

static void test_connections_beyond_the_limit_are_closed_and_counted(void **state)
{
    struct nng_fixture *fixture = *state;
    struct nng_server_options options = nng_fixture_options(fixture);
    options.connections_max = 2;
    nng_fixture_start(fixture, &options);
    struct sp_client clients[3];
    for (uint32_t i = 0; i < 2; i++) {
        assert_true(sp_open(&clients[i], nng_fixture_url(fixture)));
        assert_true(nng_fixture_metric_becomes(fixture, M_CONNECTIONS, TRANSPORT_NNG, i + 1));
    }
    assert_true(sp_open(&clients[2], nng_fixture_url(fixture)));
    assert_true(sp_is_closed_by_peer(&clients[2]));
    assert_true(nng_fixture_metric_becomes(fixture, M_CONNECTIONS_REFUSED, TRANSPORT_NNG, 1));
    assert_true(nng_fixture_metric_becomes(fixture, M_CONNECTIONS, TRANSPORT_NNG, 2));
    assert_int_equal(sp_ask(&clients[0], "hello", reply, sizeof reply), 5);
    for (uint32_t i = 0; i < 3; i++)
        sp_close(&clients[i]);
    assert_true(nng_fixture_metric_becomes(fixture, M_CONNECTIONS, TRANSPORT_NNG, 0));
    assert_true(sp_serves(nng_fixture_url(fixture)));
}

static void test_in_a_drain_open_connections_are_served_and_new_ones_closed(void **state)
{
    struct nng_fixture *fixture = *state;
    struct nng_server_options options = nng_fixture_options(fixture);
    nng_fixture_start(fixture, &options);
    struct sp_client open;
    struct sp_client late;
    assert_true(sp_open(&open, nng_fixture_url(fixture)));
    assert_int_equal(sp_ask(&open, "hello", reply, sizeof reply), 5);
    nng_server_refuse_new(fixture->server);
    assert_true(sp_open(&late, nng_fixture_url(fixture)));
    assert_true(sp_is_closed_by_peer(&late));
    assert_int_equal(sp_ask(&open, "hello", reply, sizeof reply), 5);
    assert_int_equal(metric_value(fixture->metrics, M_CONNECTIONS_REFUSED, TRANSPORT_NNG, 0), 0);
    sp_close(&open);
    sp_close(&late);
}

/* nng 1.5.2 itself crashes when it runs out of memory while it opens a socket: those allocations
 * are let pass. */
static void test_create_survives_every_failed_allocation_of_ours(void **state)
{
    struct nng_fixture *fixture = *state;
    struct nng_server_options options = nng_fixture_options(fixture);
    options.contexts = 2;
    struct nng_server *server = NULL;
    nng_socket socket;
    uint64_t before = alloc_count();
    assert_int_equal(nng_rep0_open(&socket), 0);
    uint32_t open_count = (uint32_t)(alloc_count() - before);
    nng_close(socket);
    for (uint32_t n = 0;; n += n == 0 ? open_count + 1 : 1) {
        alloc_fail_after(n);
        enum err_code rc = nng_server_create(&options, &server, NULL);
        bool failed = alloc_fail_off();
        if (rc == ERR_OK)
            nng_server_destroy(&server);
        assert_null(server);
        if (!failed) {
            assert_int_equal(rc, ERR_OK);
            break;
        }
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, nng_fixture_set_up, nng_fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_a_request_is_answered_over_tcp_and_ipc),
        TEST(test_the_largest_reply_arrives_whole),
        TEST(test_a_client_of_nng_is_served_over_inproc),
        TEST(test_who_is_local_depends_on_the_listener),
        TEST(test_deferred_calls_are_sent_when_they_complete_in_any_order),
        TEST(test_destroy_waits_for_deferred_calls_and_their_replies_arrive),
        TEST(test_a_body_of_the_limit_passes_and_one_byte_more_is_refused),
        TEST(test_a_second_server_on_the_same_address_is_refused_and_the_first_serves_on),
        TEST(test_a_stale_socket_is_replaced_and_a_file_is_left_alone),
        TEST(test_bad_options_are_refused_by_name),
        TEST(test_connections_beyond_the_limit_are_closed_and_counted),
        TEST(test_in_a_drain_open_connections_are_served_and_new_ones_closed),
        TEST(test_create_survives_every_failed_allocation_of_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
