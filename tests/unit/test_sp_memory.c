/* SPDX-License-Identifier: Apache-2.0 */
/* What the native request socket takes of memory: nothing per request, little per connection, and
 * what happens when there is none. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/metrics.h"
#include "server/transport/sp_internal.h"
#include "tests/support/own_memory.h"
#include "tests/support/sp_client.h"
#include "tests/support/sp_fixture.h"

#define IDLE_CONNECTIONS 2000

_Static_assert(sizeof(struct sp_connection) <= 1024, "an idle connection costs less than 4 KiB");

static char reply[CALL_REPLY_BYTES];

static int set_up(void **state)
{
    struct sp_fixture *fixture = malloc(sizeof *fixture);
    sp_fixture_init(fixture);
    struct sp_server_options options = sp_fixture_options(fixture);
    options.worker_count = 1;
    options.connections_max = IDLE_CONNECTIONS + 10;
    options.send_timeout_ms = 10000;
    sp_fixture_start(fixture, &options);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    sp_fixture_deinit(*state);
    free(*state);
    return 0;
}

static uint64_t allocation_count(struct sp_client *client)
{
    uint64_t count = 0;
    assert_int_equal(sp_ask(client, "allocs", &count, sizeof count), sizeof count);
    return count;
}

/* One by one, many at once, in pieces, large, deferred. */
static void ask_in_all_ways(struct sp_fixture *fixture, struct sp_client *client)
{
    enum { PIPELINED = 64 };
    static char large[50000];
    uint32_t id = 0;
    for (int i = 0; i < 20; i++)
        assert_int_equal(sp_ask(client, "hello", reply, sizeof reply), 5);
    for (uint32_t i = 0; i < PIPELINED; i++)
        assert_true(sp_send(client, i, "big:5000", 8));
    for (uint32_t i = 0; i < PIPELINED; i++)
        assert_int_equal(sp_receive(client, &id, reply, sizeof reply), 5000);
    for (int i = 0; i < 5; i++) {
        uint64_t before = metric_value(fixture->metrics, M_SOCKET_BYTES, BYTES_RECEIVED, 0);
        assert_true(sp_announce(client, sizeof large));
        assert_true(sp_send_raw(client, "\200\0\0\1", 4));
        assert_true(sp_send_raw(client, large, 20000));
        assert_true(sp_fixture_metric_becomes(fixture, M_SOCKET_BYTES, BYTES_RECEIVED,
                                              before + 8 + 4 + 20000));
        assert_true(sp_send_raw(client, large, sizeof large - 4 - 20000));
        assert_int_equal(sp_receive(client, &id, reply, sizeof reply), sizeof large - 4);
    }
    for (uint32_t i = 0; i < 4; i++)
        assert_true(sp_send(client, i, "later", 5));
    assert_true(text_service_wait_deferred(&fixture->service, 4));
    text_service_complete(&fixture->service);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(sp_receive(client, &id, reply, sizeof reply), 5);
}

static void test_after_warm_up_a_request_allocates_nothing(void **state)
{
    struct sp_fixture *fixture = *state;
    struct sp_client client;
    assert_true(sp_open(&client, sp_fixture_url(fixture)));
    uint64_t cold = allocation_count(&client);
    /* What the warm-up needed depends on how its bytes came; at last there is enough of all. */
    uint64_t before = 0, after = 1;
    for (int round = 0; round < 50 && before != after; round++) {
        before = allocation_count(&client);
        for (int i = 0; i < 5; i++)
            ask_in_all_ways(fixture, &client);
        after = allocation_count(&client);
    }
    assert_int_equal(before, after);
    assert_true(after > cold); /* the counter counts */
    sp_close(&client);
}

static void test_idle_connections_are_cheap(void **state)
{
    struct sp_fixture *fixture = *state;
    static struct sp_client clients[IDLE_CONNECTIONS];
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    uint32_t count = IDLE_CONNECTIONS;
    if (limit.rlim_cur < 2 * IDLE_CONNECTIONS + 100)
        count = (uint32_t)(limit.rlim_cur - 100) / 2;
    assert_true(sp_serves(sp_fixture_url(fixture)));
    long before = own_memory_now().resident_bytes;
    for (uint32_t i = 0; i < count; i++) {
        assert_true(sp_open(&clients[i], sp_fixture_url(fixture)));
        if (i % 2 == 0) /* one that was used is idle again */
            assert_int_equal(sp_ask(&clients[i], "hello", reply, sizeof reply), 5);
    }
    long bytes = own_memory_now().resident_bytes - before;
    print_message("%u idle connections: %ld bytes each (struct: %zu)\n", count, bytes / (long)count,
                  sizeof(struct sp_connection));
    assert_int_equal(sp_ask(&clients[count / 2], "hello", reply, sizeof reply), 5);
    for (uint32_t i = 0; i < count; i++)
        sp_close(&clients[i]);
    assert_true(sp_fixture_metric_becomes(fixture, M_CONNECTIONS, TRANSPORT_SP, 0));
}

static uint64_t lost_count(const struct sp_fixture *fixture)
{
    return metric_value(fixture->metrics, M_CONNECTIONS_CLOSED, CLOSE_NO_MEMORY, 0);
}

/* The worker's n-th allocation fails, whatever it is for.  One connection may be lost by that, and
 * nothing else. */
static void test_a_failed_allocation_costs_one_connection_at_most(void **state)
{
    struct sp_fixture *fixture = *state;
    struct text_service *service = &fixture->service;
    static char half[30000];
    for (uint32_t n = 0; n < 24; n++) {
        struct sp_server_options options = sp_fixture_options(fixture);
        struct sp_client client;
        char text[32];
        uint32_t id = 0;
        uint64_t before = lost_count(fixture);
        options.worker_count = 1;
        sp_server_destroy(&fixture->server);
        sp_fixture_start(fixture, &options);
        snprintf(text, sizeof text, "nomem:%u", n);
        assert_true(sp_open(&client, sp_fixture_url(fixture)));
        assert_true(sp_ask(&client, text, reply, sizeof reply) > 0);
        for (uint32_t i = 0; i < SP_SERVER_DEFERRED_MAX; i++) /* calls, and blocks that they keep */
            sp_send(&client, i, "later", 5);
        if (sp_announce(&client, sizeof half))
            sp_send_raw(&client, half, 20000); /* a block of its own, and a larger one */
        while (text_service_deferred_count(service) < SP_SERVER_DEFERRED_MAX &&
               lost_count(fixture) == before)
            poll(NULL, 0, 1);
        text_service_complete(service);
        for (uint32_t i = 0; i < SP_SERVER_DEFERRED_MAX; i++) {
            if (sp_receive(&client, &id, reply, sizeof reply) != 5)
                assert_int_equal(lost_count(fixture), before + 1);
        }
        sp_close(&client);
        /* A new one may meet the failure instead. */
        assert_true(sp_serves(sp_fixture_url(fixture)) || sp_serves(sp_fixture_url(fixture)));
        assert_true(lost_count(fixture) <= before + 1);
        assert_true(sp_fixture_metric_becomes(fixture, M_CONNECTIONS, TRANSPORT_SP, 0));
        assert_true(sp_fixture_becomes_idle(fixture));
    }
    assert_true(lost_count(fixture) >= 3);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_after_warm_up_a_request_allocates_nothing),
        TEST(test_idle_connections_are_cheap),
        TEST(test_a_failed_allocation_costs_one_connection_at_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
