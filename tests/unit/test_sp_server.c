/* SPDX-License-Identifier: Apache-2.0 */
/* What the native request socket promises to one who uses it well: requests and replies,
 * connections, a drain. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/metrics.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/sp_client.h"
#include "tests/support/sp_fixture.h"

#define BODY_MAX 65536

static char reply[CALL_REPLY_BYTES];

static bool is_refused(const char *url)
{
    struct sp_client client;
    bool refused = !sp_connect(&client, url);
    sp_close(&client);
    return refused;
}

static void test_the_largest_reply_arrives_whole(void **state)
{
    struct sp_fixture *fixture = *state;
    struct sp_server_options options = sp_fixture_options(fixture);
    sp_fixture_start(fixture, &options);
    struct sp_client client;
    assert_true(sp_open(&client, sp_fixture_url(fixture)));
    assert_int_equal(sp_ask(&client, "big:262144", reply, sizeof reply), CALL_REPLY_BYTES);
    assert_int_equal(reply[0], 'b');
    assert_int_equal(reply[CALL_REPLY_BYTES - 1], 'b');
    assert_int_equal(sp_ask(&client, "big:0", reply, sizeof reply), 0);
    sp_close(&client);
}

static void test_a_body_of_the_limit_passes_and_one_byte_more_closes(void **state)
{
    struct sp_fixture *fixture = *state;
    struct sp_server_options options = sp_fixture_options(fixture);
    sp_fixture_start(fixture, &options);
    static char body[BODY_MAX + 100];
    for (uint32_t more = 1; more < 100; more += 98) {
        struct sp_client client;
        uint32_t id = 0;
        assert_true(sp_open(&client, sp_fixture_url(fixture)));
        assert_true(sp_send(&client, 1, body, BODY_MAX));
        assert_int_equal(sp_receive(&client, &id, reply, sizeof reply), BODY_MAX);
        sp_send(&client, 2, body, BODY_MAX + more); /* it may be closed half-way */
        assert_true(sp_is_closed_by_peer(&client));
        sp_close(&client);
    }
    assert_true(sp_fixture_metric_becomes(fixture, M_MESSAGES_REFUSED, TRANSPORT_SP, 2));
    assert_true(sp_fixture_metric_becomes(fixture, M_CONNECTIONS_CLOSED, CLOSE_TOO_LARGE, 2));
    assert_true(sp_serves(sp_fixture_url(fixture)));
}

static void test_connections_beyond_the_limit_are_closed_and_counted(void **state)
{
    struct sp_fixture *fixture = *state;
    struct sp_server_options options = sp_fixture_options(fixture);
    options.connections_max = 2;
    sp_fixture_start(fixture, &options);
    struct sp_client clients[3];
    for (uint32_t i = 0; i < 2; i++)
        assert_true(sp_open(&clients[i], sp_fixture_url(fixture)));
    assert_true(sp_connect(&clients[2], sp_fixture_url(fixture)));
    assert_true(sp_is_closed_by_peer(&clients[2]));
    assert_int_equal(metric_value(fixture->metrics, M_CONNECTIONS_REFUSED, TRANSPORT_SP, 0), 1);
    assert_true(sp_fixture_metric_becomes(fixture, M_CONNECTIONS, TRANSPORT_SP, 2));
    assert_int_equal(sp_ask(&clients[0], "hello", reply, sizeof reply), 5);
    for (uint32_t i = 0; i < 3; i++)
        sp_close(&clients[i]);
    assert_true(sp_fixture_metric_becomes(fixture, M_CONNECTIONS, TRANSPORT_SP, 0));
    assert_true(sp_serves(sp_fixture_url(fixture)));
}

static void test_in_a_drain_open_connections_are_served_and_new_ones_refused(void **state)
{
    struct sp_fixture *fixture = *state;
    char ipc[600];
    const char *const addresses[] = {"tcp://127.0.0.1:0",
                                     sp_fixture_ipc_url(fixture, ipc, sizeof ipc)};
    struct sp_server_options options = sp_fixture_options(fixture);
    options.addresses = addresses;
    options.address_count = 2;
    sp_fixture_start(fixture, &options);
    struct sp_client open[2];
    for (uint32_t i = 0; i < 2; i++)
        assert_true(sp_open(&open[i], sp_server_address(fixture->server, i)));
    assert_true(sp_server_listener_fd(fixture->server, 0) >= 0);
    sp_server_refuse_new(fixture->server);
    assert_int_equal(sp_server_listener_fd(fixture->server, 0), -1);
    for (uint32_t i = 0; i < 2; i++) {
        while (!is_refused(sp_server_address(fixture->server, i)))
            continue; /* the worker has not looked yet */
        assert_int_equal(sp_ask(&open[i], "hello", reply, sizeof reply), 5);
        sp_close(&open[i]);
    }
}

static void test_connections_are_dealt_out_evenly(void **state)
{
    struct sp_fixture *fixture = *state;
    struct sp_server_options options = sp_fixture_options(fixture);
    options.worker_count = 4;
    sp_fixture_start(fixture, &options);
    struct sp_client clients[16];
    uint32_t counts[4] = {0};
    for (uint32_t i = 0; i < 16; i++) {
        assert_true(sp_open(&clients[i], sp_fixture_url(fixture)));
        assert_int_equal(sp_ask(&clients[i], "worker", reply, sizeof reply), 1);
        assert_in_range(reply[0], 0, 3);
        counts[(uint8_t)reply[0]]++;
    }
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(counts[i], 4);
    for (uint32_t i = 0; i < 16; i++)
        sp_close(&clients[i]);
    assert_in_range(sp_server_usable_processors(), 1, SP_SERVER_WORKERS_MAX);
}

/* A budget counts from when a request began to arrive; it waits for us from its last byte on. */
static void test_a_request_arrives_with_its_first_byte(void **state)
{
    struct sp_fixture *fixture = *state;
    struct sp_server_options options = sp_fixture_options(fixture);
    sp_fixture_start(fixture, &options);
    static const uint8_t frame[] = {0, 0, 0, 0, 0, 0, 0, 6, 0x80, 0, 0, 1, 'h', 'i'};
    struct sp_client client;
    uint32_t id = 0;
    assert_true(sp_open(&client, sp_fixture_url(fixture)));
    uint64_t received = 8;
    uint64_t first_sent_ns = 0;
    for (size_t i = 0; i < sizeof frame; i++) {
        assert_true(sp_send_raw(&client, frame + i, 1));
        assert_true(sp_fixture_metric_becomes(fixture, M_SOCKET_BYTES, BYTES_RECEIVED, ++received));
        if (i == 0)
            first_sent_ns = clock_now_ns(clock_system());
    }
    assert_int_equal(sp_receive(&client, &id, reply, sizeof reply), 2);
    assert_true(atomic_load(&fixture->service.last_arrived_ns) <= first_sent_ns);
    assert_true(atomic_load(&fixture->service.last_whole_ns) > first_sent_ns);
    assert_int_equal(sp_ask(&client, "next", reply, sizeof reply), 4);
    assert_true(atomic_load(&fixture->service.last_arrived_ns) > first_sent_ns);
    sp_close(&client);
}

static void test_create_and_start_survive_every_failed_allocation(void **state)
{
    struct sp_fixture *fixture = *state;
    struct sp_server_options options = sp_fixture_options(fixture);
    struct sp_server *server = NULL;
    for (uint32_t n = 0;; n++) {
        fixture->service.claimed_count = 0;
        alloc_fail_after(n);
        enum err_code rc = sp_server_create(&options, &server, NULL);
        if (rc == ERR_OK)
            rc = sp_server_start(server, NULL);
        bool failed = alloc_fail_off();
        if (!failed) {
            assert_int_equal(rc, ERR_OK);
            break;
        }
        assert_int_equal(rc, ERR_NOMEM);
        sp_server_destroy(&server);
    }
    assert_true(sp_serves(sp_server_address(server, 0)));
    sp_server_destroy(&server);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, sp_fixture_set_up, sp_fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_the_largest_reply_arrives_whole),
        TEST(test_a_body_of_the_limit_passes_and_one_byte_more_closes),
        TEST(test_connections_beyond_the_limit_are_closed_and_counted),
        TEST(test_in_a_drain_open_connections_are_served_and_new_ones_refused),
        TEST(test_connections_are_dealt_out_evenly),
        TEST(test_a_request_arrives_with_its_first_byte),
        TEST(test_create_and_start_survive_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
