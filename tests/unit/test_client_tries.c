/* SPDX-License-Identifier: Apache-2.0 */
/* When a call asks a second address, and what may be repeated. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>

#include "base/clock.h"
#include "client/decide.h"
#include "tests/support/fake_peer.h"
#include "tests/support/two_peers.h"

static void a_hedge_beats_a_silent_address(void **state)
{
    (void)state;
    struct decide_options options = decide_options_default();
    options.hedge_after_us = 2000;
    struct decide_client *client = two_peers_open(&options);
    int home = two_peers_home("u1");
    atomic_store(&two_peers[home].behaviour, FAKE_NEVER_ANSWERS);
    for (int i = 0; i < 3; i++)
        two_peers_expect(client, "u1");
    struct decide_counters counters = two_peers_counters(client);
    assert_int_equal(counters.ok, 3);
    /* One at least; after it the silent address is avoided for a while. */
    assert_in_range(counters.hedge_wins, 1, 3);
    assert_true(counters.hedges >= counters.hedge_wins);
    assert_int_equal(counters.retries, 0);
    two_peers_close(&client);
}

static void on_reply(struct decide_reply *reply, void *argument)
{
    *(struct decide_reply **)argument = reply;
}

static void a_submitted_call_is_hedged_as_well(void **state)
{
    (void)state;
    struct decide_options options = decide_options_default();
    options.hedge_after_us = 2000;
    struct decide_client *client = two_peers_open(&options);
    int home = two_peers_home("u1");
    atomic_store(&two_peers[home].behaviour, FAKE_NEVER_ANSWERS);
    struct decide_reply *reply = NULL;
    struct decide_request request = {.user = "u1", .timeout_us = LONG_US};
    assert_int_not_equal(decide_submit(client, "recommend", &request, on_reply, &reply), 0);
    struct pollfd pollfd = {.fd = decide_fd(client), .events = POLLIN};
    while (reply == NULL) {
        assert_int_equal(poll(&pollfd, 1, 30000), 1);
        decide_process(client);
    }
    assert_int_equal(reply->status, DECIDE_OK);
    assert_string_equal(reply->items[0].id, "u1");
    decide_reply_free(reply);
    assert_int_equal(two_peers_counters(client).hedge_wins, 1);
    two_peers_close(&client);
}

static void by_default_a_silent_address_costs_a_quarter_of_the_time(void **state)
{
    (void)state;
    enum { TIME_US = 4000000 };
    struct decide_options options = decide_options_default();
    struct decide_client *client = two_peers_open(&options);
    atomic_store(&two_peers[two_peers_home("u1")].behaviour, FAKE_NEVER_ANSWERS);
    struct decide_reply *reply = two_peers_ask(client, "u1", TIME_US);
    assert_int_equal(reply->status, DECIDE_OK);
    assert_true(reply->waited_us >= TIME_US / 4);
    decide_reply_free(reply);
    assert_int_equal(two_peers_counters(client).hedge_wins, 1);
    two_peers_close(&client);

    options.hedge_after_us = DECIDE_HEDGE_NEVER;
    client = two_peers_open(&options);
    atomic_store(&two_peers[two_peers_home("u1")].behaviour, FAKE_NEVER_ANSWERS);
    reply = two_peers_ask(client, "u1", 100000);
    assert_int_equal(reply->status, DECIDE_TIMEOUT);
    decide_reply_free(reply);
    assert_int_equal(two_peers_counters(client).hedges, 0);
    two_peers_close(&client);
}

static void hedges_wait_for_the_95th_percentile(void **state)
{
    (void)state;
    struct decide_options options = decide_options_default();
    options.hedge_after_us = DECIDE_HEDGE_P95;
    struct decide_client *client = two_peers_open(&options);
    int home = two_peers_home("u1");
    /* It is known after twenty answers. */
    for (int i = 0; i < 30; i++)
        two_peers_expect(client, "u1");
    atomic_store(&two_peers[home].behaviour, FAKE_NEVER_ANSWERS);
    two_peers_expect(client, "u1");
    assert_in_range(two_peers_counters(client).hedge_wins, 1, 31);
    two_peers_close(&client);
}

static void what_changes_the_daemon_is_not_hedged(void **state)
{
    (void)state;
    struct decide_options options = decide_options_default();
    options.hedge_after_us = 1;
    struct decide_client *client = two_peers_open(&options);
    for (int i = 0; i < 2; i++)
        atomic_store(&two_peers[i].delay_us, 20000);
    for (int i = 0; i < 3; i++)
        decide_reply_free(decide_call(client, "drain", NULL, 0, LONG_US));
    assert_int_equal(
        atomic_load(&two_peers[0].request_count) + atomic_load(&two_peers[1].request_count), 3);
    assert_int_equal(two_peers_counters(client).hedges, 0);
    two_peers_close(&client);
}

static void no_budget_no_hedge_and_no_repeat(void **state)
{
    (void)state;
    struct decide_options options = decide_options_default();
    options.hedge_after_us = 1;
    options.retry_percent = DECIDE_RETRY_NEVER;
    struct decide_client *client = two_peers_open(&options);
    for (int i = 0; i < 2; i++)
        atomic_store(&two_peers[i].delay_us, 5000);
    for (int i = 0; i < 5; i++)
        two_peers_expect(client, "u1");
    assert_int_equal(two_peers_counters(client).hedges, 0);
    for (int i = 0; i < 2; i++) {
        atomic_store(&two_peers[i].delay_us, 0);
        atomic_store(&two_peers[i].behaviour, FAKE_RESETS);
    }
    struct decide_reply *reply =
        two_peers_ask(client, "u1", LONG_US); /* it was sent, and is not repeated */
    assert_int_equal(reply->status, DECIDE_UNREACHABLE);
    decide_reply_free(reply);
    assert_int_equal(two_peers_counters(client).retries, 0);
    /* What was certainly not received may go elsewhere. */
    atomic_store(&two_peers[0].behaviour, FAKE_CLOSES);
    atomic_store(&two_peers[1].behaviour, FAKE_CLOSES);
    uint64_t end_ns = clock_now_ns(clock_system()) + LONG_US * 1000;
    enum decide_status status = DECIDE_TIMEOUT;
    while (status == DECIDE_TIMEOUT || two_peers_counters(client).retries == 0) {
        assert_true(clock_now_ns(clock_system()) < end_ns); /* the machine may be busy */
        reply = two_peers_ask(client, "u1", 100000);
        status = reply->status;
        assert_true(status == DECIDE_UNREACHABLE || status == DECIDE_TIMEOUT);
        decide_reply_free(reply);
    }
    two_peers_close(&client);
}

static void further_tries_stay_within_the_budget(void **state)
{
    (void)state;
    enum { CALLS = 600, PERCENT = 5, FULL = 100 };
    struct decide_options options = decide_options_default();
    options.hedge_after_us = 1; /* every call would like one */
    options.retry_percent = PERCENT;
    struct decide_client *client = two_peers_open(&options);
    for (int i = 0; i < 2; i++)
        atomic_store(&two_peers[i].delay_us, 500);
    uint64_t waited_us = 0;
    for (int i = 0; i < CALLS; i++) {
        struct decide_reply *reply = two_peers_ask(client, "u1", LONG_US);
        assert_int_equal(reply->status, DECIDE_OK);
        waited_us += reply->waited_us;
        decide_reply_free(reply);
    }
    uint64_t allowed = FULL + CALLS * PERCENT / 100 + waited_us / 1000000 + 1;
    assert_in_range(two_peers_counters(client).hedges, 10, allowed);
    assert_int_equal(two_peers_counters(client).retries, 0);
    two_peers_close(&client);
}

static void a_probe_costs_its_call_no_time(void **state)
{
    (void)state;
    struct decide_options options = decide_options_default();
    options.hedge_after_us = DECIDE_HEDGE_NEVER; /* but for probes */
    struct decide_client *client = two_peers_open(&options);
    int home = two_peers_home("u1");
    for (int i = 0; i < 25; i++)
        two_peers_expect(client, "u1");
    atomic_store(&two_peers[home].behaviour, FAKE_NEVER_ANSWERS);
    /* Found out by a call that runs out of time; from then on each probe is hedged. */
    struct decide_reply *reply = two_peers_ask(client, "u1", 20000);
    assert_int_equal(reply->status, DECIDE_TIMEOUT);
    decide_reply_free(reply);
    for (int i = 0; i < 2000 && two_peers_counters(client).hedge_wins < 5; i++)
        two_peers_expect(client, "u1");
    assert_true(two_peers_counters(client).hedge_wins >= 5);
    struct decide_endpoint endpoints[2];
    decide_client_endpoints(client, endpoints, 2);
    assert_true(endpoints[home].failures_in_a_row >= 5);
    assert_true(two_peers_counters(client).ejections >= 1);
    /* And it is taken back. */
    atomic_store(&two_peers[home].behaviour, FAKE_ANSWERS);
    uint32_t before = atomic_load(&two_peers[home].request_count);
    for (int i = 0; i < 200000 && endpoints[home].failures_in_a_row > 0; i++) {
        two_peers_expect(client, "u1");
        decide_client_endpoints(client, endpoints, 2);
    }
    assert_int_equal(endpoints[home].state, DECIDE_ENDPOINT_FINE);
    two_peers_expect(client, "u1");
    assert_true(atomic_load(&two_peers[home].request_count) >= before + 2);
    two_peers_close(&client);
}

/* Half of a call's time goes to an address that does not greet; when the rest is left alone by
 * then, the call ends early, and does not say that its time was out. */
static void who_gives_up_early_does_not_blame_the_time(void **state)
{
    (void)state;
    struct decide_options options = decide_options_default();
    options.hedge_after_us = DECIDE_HEDGE_NEVER;
    struct decide_client *client = two_peers_open(&options);
    int home = two_peers_home("u1");
    atomic_store(&two_peers[home].behaviour, FAKE_NEVER_GREETS);
    struct decide_reply *reply = NULL;
    struct decide_request request = {.user = "u1", .timeout_us = 600000};
    assert_int_not_equal(decide_submit(client, "recommend", &request, on_reply, &reply), 0);
    struct pollfd pollfd = {.fd = decide_fd(client), .events = POLLIN};
    while (atomic_load(&two_peers[home].silent_count) == 0)
        decide_process(client);
    atomic_store(&two_peers[home].behaviour, FAKE_ANSWERS);
    for (int i = 0; i < 2; i++) {
        atomic_store(&two_peers[i].answers_users, false);
        fake_peer_set_pause(&two_peers[i], "draining", 900);
    }
    struct decide_reply *refused = two_peers_ask(client, "u1", LONG_US / 1000);
    assert_int_not_equal(refused->status, DECIDE_OK);
    decide_reply_free(refused);
    while (reply == NULL) {
        assert_int_equal(poll(&pollfd, 1, 30000), 1);
        decide_process(client);
    }
    assert_int_not_equal(reply->status, DECIDE_OK);
    if (reply->status == DECIDE_TIMEOUT)
        assert_true(reply->waited_us >= request.timeout_us);
    decide_reply_free(reply);
    two_peers_close(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hedge_beats_a_silent_address),
        cmocka_unit_test(a_submitted_call_is_hedged_as_well),
        cmocka_unit_test(by_default_a_silent_address_costs_a_quarter_of_the_time),
        cmocka_unit_test(hedges_wait_for_the_95th_percentile),
        cmocka_unit_test(what_changes_the_daemon_is_not_hedged),
        cmocka_unit_test(no_budget_no_hedge_and_no_repeat),
        cmocka_unit_test(further_tries_stay_within_the_budget),
        cmocka_unit_test(a_probe_costs_its_call_no_time),
        cmocka_unit_test(who_gives_up_early_does_not_blame_the_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
