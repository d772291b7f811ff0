/* SPDX-License-Identifier: Apache-2.0 */
/* What a hostile or broken client may do to the connections of the native request socket; after
 * each attack another client is served.  See test_sp_messages.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "server/metrics.h"
#include "tests/support/sp_attack.h"
#include "tests/support/sp_client.h"
#include "tests/support/sp_fixture.h"
#include "tests/support/sp_target.h"

static char reply[CALL_REPLY_BYTES];

static void test_connecting_and_closing_at_once(void **state)
{
    struct sp_target *target = *state;
    sp_attack_connect_and_close(target->url);
}

static void test_fin_and_then_rst_in_the_handshake(void **state)
{
    struct sp_target *target = *state;
    sp_attack_reset_in_the_handshake(target->url);
}

static void test_handshake_garbage_and_http(void **state)
{
    struct sp_target *target = *state;
    sp_attack_bad_handshakes(target->url);
}

static void test_hundreds_of_idle_connections(void **state)
{
    struct sp_target *target = *state;
    static struct sp_client clients[SP_IDLE_COUNT];
    sp_attack_idle_open(target->url, clients);
    assert_true(
        sp_fixture_metric_becomes(&target->fixture, M_CONNECTIONS, TRANSPORT_SP, SP_IDLE_COUNT));
    sp_attack_idle_close(target->url, clients);
}

/* One that has closed may have shut down its sending side only: it is kept until it has its reply.
 * A reset leaves no doubt. */
static void test_replies_to_peers_that_have_vanished(void **state)
{
    struct sp_target *target = *state;
    struct sp_fixture *fixture = &target->fixture;
    for (uint32_t i = 0; i < 10; i++) {
        struct sp_client client;
        assert_true(sp_open(&client, target->url[i % 2]));
        assert_true(sp_send(&client, 1, "later", 5));
        assert_true(text_service_wait_deferred(&fixture->service, 1));
        if (i % 4 == 0) {
            sp_reset(&client);
            assert_true(sp_fixture_metric_becomes(fixture, M_CONNECTIONS, TRANSPORT_SP, 0));
        } else {
            sp_close(&client);
        }
        text_service_complete(&fixture->service);
        assert_true(sp_fixture_metric_becomes(fixture, M_CONNECTIONS, TRANSPORT_SP, 0));
    }
    sp_attack_vanish(target->url); /* and with replies that are on their way */
}

/* In a process of its own, with few descriptors: those that are connected are served on, and others
 * again when descriptors are free. */
static int run_out_of_descriptors(void)
{
    void *state = NULL;
    const struct rlimit few = {.rlim_cur = 64, .rlim_max = 64};
    if (sp_target_set_up(&state) != 0 || setrlimit(RLIMIT_NOFILE, &few) != 0)
        return 2;
    struct sp_target *target = state;
    bool early_is_served = sp_attack_use_up_descriptors(target->url);
    bool paused = metric_value(target->fixture.metrics, M_ACCEPT_PAUSES, 0, 0) > 0;
    return early_is_served && paused && sp_target_tear_down(&state) == 0 ? 0 : 1;
}

static void test_running_out_of_descriptors(void **state)
{
    (void)state;
    sp_attack_in_a_process("test_sp_attacks", "--few-descriptors");
}

static void test_one_who_does_not_greet_in_time_is_closed(void **state)
{
    struct sp_target *target = *state;
    struct sp_fixture *fixture = &target->fixture;
    struct sp_server_options options = sp_fixture_options(fixture);
    options.handshake_timeout_ms = 20;
    sp_server_destroy(&fixture->server);
    uint64_t before = metric_value(fixture->metrics, M_CONNECTIONS_CLOSED, CLOSE_HANDSHAKE, 0);
    sp_fixture_start(fixture, &options);
    struct sp_client served;
    assert_true(sp_open(&served, sp_fixture_url(fixture)));
    for (uint32_t i = 0; i < 8; i++) { /* a part of the greeting is none */
        static const uint8_t greeting[8] = {0, 'S', 'P', 0, 0, 0x30, 0, 0};
        uint8_t answer[8];
        struct sp_client client;
        assert_true(sp_connect(&client, sp_fixture_url(fixture)));
        assert_true(sp_send_raw(&client, greeting, i));
        assert_int_equal(recv(client.fd, answer, sizeof answer, MSG_WAITALL), 8);
        assert_true(sp_is_closed_by_peer(&client));
        sp_close(&client);
    }
    assert_true(
        sp_fixture_metric_becomes(fixture, M_CONNECTIONS_CLOSED, CLOSE_HANDSHAKE, before + 8));
    assert_int_equal(sp_ask(&served, "hello", reply, sizeof reply), 5);
    sp_close(&served);
    target->url[0] = target->url[1] = sp_fixture_url(fixture);
}

/* After a message that is whole, too; who has nothing to say stays. */
static void test_one_who_is_silent_within_a_message_is_closed(void **state)
{
    struct sp_target *target = *state;
    struct sp_fixture *fixture = &target->fixture;
    struct sp_server_options options = sp_fixture_options(fixture);
    options.message_timeout_ms = 20;
    sp_server_destroy(&fixture->server);
    sp_fixture_start(fixture, &options);
    struct sp_client quiet;
    assert_true(sp_open(&quiet, sp_fixture_url(fixture)));
    for (uint32_t i = 0; i < 8; i++) {
        static const uint8_t half[] = {0, 0, 0, 0, 0, 0, 0, 12, 0x80, 0, 0};
        struct sp_client client;
        assert_true(sp_open(&client, sp_fixture_url(fixture)));
        if (i % 2 == 1)
            assert_int_equal(sp_ask(&client, "hello", reply, sizeof reply), 5);
        assert_true(sp_send_raw(&client, half, i < 4 ? 1 + i : sizeof half));
        assert_true(sp_is_closed_by_peer(&client));
        sp_close(&client);
    }
    assert_true(sp_fixture_metric_becomes(fixture, M_CONNECTIONS_CLOSED, CLOSE_HALF_MESSAGE, 8));
    assert_int_equal(sp_ask(&quiet, "hello", reply, sizeof reply), 5);
    sp_close(&quiet);
    target->url[0] = target->url[1] = sp_fixture_url(fixture);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--few-descriptors") == 0)
        return run_out_of_descriptors();
#define TEST(name) cmocka_unit_test_setup_teardown(name, sp_target_set_up, sp_target_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_connecting_and_closing_at_once),
        TEST(test_fin_and_then_rst_in_the_handshake),
        TEST(test_handshake_garbage_and_http),
        TEST(test_hundreds_of_idle_connections),
        TEST(test_replies_to_peers_that_have_vanished),
        TEST(test_one_who_does_not_greet_in_time_is_closed),
        TEST(test_one_who_is_silent_within_a_message_is_closed),
        cmocka_unit_test(test_running_out_of_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
