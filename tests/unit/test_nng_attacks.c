/* SPDX-License-Identifier: Apache-2.0 */
/* What a hostile or broken client may do to the request socket; after each attack another client is
 * served. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "server/metrics.h"
#include "tests/support/nng_fixture.h"
#include "tests/support/sp_attack.h"
#include "tests/support/sp_client.h"

/* One server on tcp and on ipc for every test. */
struct target {
    struct nng_fixture fixture;
    const char *url[2];
};

static int set_up(void **state)
{
    struct target *target = malloc(sizeof *target);
    char ipc[600];
    nng_fixture_init(&target->fixture);
    const char *const addresses[] = {"tcp://127.0.0.1:0",
                                     nng_fixture_ipc_url(&target->fixture, ipc, sizeof ipc)};
    struct nng_server_options options = nng_fixture_options(&target->fixture);
    options.addresses = addresses;
    options.address_count = 2;
    options.connections_max = 1000;
    nng_fixture_start(&target->fixture, &options);
    for (uint32_t i = 0; i < 2; i++)
        target->url[i] = nng_server_address(target->fixture.server, i);
    *state = target;
    return 0;
}

/* Whatever the attack was: served over both addresses, no connection left over, no restart. */
static int tear_down(void **state)
{
    struct target *target = *state;
    struct nng_fixture *fixture = &target->fixture;
    bool fine = sp_serves(target->url[0]) && sp_serves(target->url[1]) &&
                nng_fixture_metric_becomes(fixture, M_CONNECTIONS, TRANSPORT_NNG, 0) &&
                metric_value(fixture->metrics, M_LISTENER_RESTARTS, 0, 0) == 0 &&
                nng_fixture_becomes_idle(fixture);
    nng_fixture_deinit(fixture);
    free(target);
    return fine ? 0 : -1;
}

static void test_connecting_and_closing_at_once(void **state)
{
    struct target *target = *state;
    sp_attack_connect_and_close(target->url);
}

static void test_fin_and_then_rst_in_the_handshake(void **state)
{
    struct target *target = *state;
    sp_attack_reset_in_the_handshake(target->url);
}

static void test_handshake_garbage_and_http(void **state)
{
    struct target *target = *state;
    sp_attack_bad_handshakes(target->url);
}

static void test_announcing_four_gigabytes(void **state)
{
    struct target *target = *state;
    sp_attack_four_gigabytes(target->url);
    assert_true(
        nng_fixture_metric_becomes(&target->fixture, M_MESSAGES_REFUSED, TRANSPORT_NNG, 32));
}

static void test_half_messages_from_many_do_not_stop_others(void **state)
{
    struct target *target = *state;
    sp_attack_half_messages(target->url);
}

/* Many more requests than contexts, large replies, and nothing read. */
static void test_a_slow_reader_is_closed_and_others_are_served(void **state)
{
    struct target *target = *state;
    for (uint32_t round = 0; round < 2; round++) {
        struct sp_client slow;
        sp_attack_read_nothing(target->url[round], &slow);
        assert_true(
            nng_fixture_metric_becomes(&target->fixture, M_SLOW_READERS_CLOSED, 0, round + 1));
        sp_close(&slow);
    }
}

/* Their replies are sent by turns and time out together, several of each. */
static void slow_readers_come_and_go(struct target *target)
{
    enum { SLOW = 2, REPLIES = 16, BYTES = 60000 }; /* as many as there are contexts */
    static char request[BYTES] = "later";
    struct nng_fixture *fixture = &target->fixture;
    struct sp_client slow[SLOW];
    uint64_t before = metric_value(fixture->metrics, M_SLOW_READERS_CLOSED, 0, 0);
    for (uint32_t i = 0; i < SLOW; i++)
        assert_true(sp_open(&slow[i], target->url[1]));
    for (uint32_t i = 0; i < REPLIES; i++) {
        assert_true(sp_send(&slow[i % SLOW], i, request, sizeof request));
        assert_true(nng_fixture_wait_deferred(fixture, i + 1));
    }
    nng_fixture_complete(fixture);
    assert_true(nng_fixture_metric_becomes(fixture, M_CONNECTIONS, TRANSPORT_NNG, 0));
    assert_true(nng_fixture_becomes_idle(fixture));
    assert_int_equal(metric_value(fixture->metrics, M_SLOW_READERS_CLOSED, 0, 0), before + SLOW);
    for (uint32_t i = 0; i < SLOW; i++)
        sp_close(&slow[i]);
}

/* Which of them time out before the first close is up to chance: many rounds. */
static void test_slow_readers_at_once_count_once_each(void **state)
{
    for (int round = 0; round < 20; round++)
        slow_readers_come_and_go(*state);
}

static void test_hundreds_of_idle_connections(void **state)
{
    struct target *target = *state;
    static struct sp_client clients[SP_IDLE_COUNT];
    sp_attack_idle_open(target->url, clients);
    assert_true(
        nng_fixture_metric_becomes(&target->fixture, M_CONNECTIONS, TRANSPORT_NNG, SP_IDLE_COUNT));
    sp_attack_idle_close(target->url, clients);
}

static void test_a_message_of_too_many_hops_is_dropped_alone(void **state)
{
    struct target *target = *state;
    sp_attack_too_many_hops(target->url[0]);
}

static void test_an_empty_body_is_a_request_and_three_bytes_are_not(void **state)
{
    struct target *target = *state;
    sp_attack_short_messages(target->url);
}

static void test_replies_to_peers_that_have_vanished(void **state)
{
    struct target *target = *state;
    for (uint32_t i = 0; i < 10; i++) {
        struct sp_client client;
        assert_true(sp_open(&client, target->url[i % 2]));
        assert_true(sp_send(&client, 1, "later", 5));
        assert_true(nng_fixture_wait_deferred(&target->fixture, 1));
        if (i % 4 < 2)
            sp_reset(&client);
        else
            sp_close(&client);
        if (i >= 5)
            assert_true(
                nng_fixture_metric_becomes(&target->fixture, M_CONNECTIONS, TRANSPORT_NNG, 0));
        nng_fixture_complete(&target->fixture);
    }
    sp_attack_vanish(target->url); /* and with replies that are on their way */
}

static void test_pipelined_ids_come_back_with_their_own_replies(void **state)
{
    struct target *target = *state;
    sp_attack_pipeline(target->url);
}

/* In a process of its own, with few descriptors: those that are connected are served on, and others
 * again when descriptors are free. */
static int run_out_of_descriptors(void)
{
    void *state = NULL;
    const struct rlimit few = {.rlim_cur = 64, .rlim_max = 64};
    if (set_up(&state) != 0 || setrlimit(RLIMIT_NOFILE, &few) != 0)
        return 2;
    struct target *target = state;
    bool early_is_served = sp_attack_use_up_descriptors(target->url);
    return early_is_served && tear_down(&state) == 0 ? 0 : 1;
}

static void test_running_out_of_descriptors(void **state)
{
    (void)state;
    sp_attack_in_a_process("test_nng_attacks", "--few-descriptors");
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--few-descriptors") == 0)
        return run_out_of_descriptors();
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_connecting_and_closing_at_once),
        TEST(test_fin_and_then_rst_in_the_handshake),
        TEST(test_handshake_garbage_and_http),
        TEST(test_announcing_four_gigabytes),
        TEST(test_half_messages_from_many_do_not_stop_others),
        TEST(test_a_slow_reader_is_closed_and_others_are_served),
        TEST(test_slow_readers_at_once_count_once_each),
        TEST(test_hundreds_of_idle_connections),
        TEST(test_a_message_of_too_many_hops_is_dropped_alone),
        TEST(test_an_empty_body_is_a_request_and_three_bytes_are_not),
        TEST(test_replies_to_peers_that_have_vanished),
        TEST(test_pipelined_ids_come_back_with_their_own_replies),
        cmocka_unit_test(test_running_out_of_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
