/* SPDX-License-Identifier: Apache-2.0 */
/* When a call asks a second address, what it says is left of its time, what may be repeated, and
 * what stands in for an answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/cursor.h"
#include "client/decide.h"
#include "tests/support/fake_peer.h"
#include "tools/cli/value.h"

#define LONG_US UINT64_C(30000000) /* a time that no working call comes near to */

static struct fake_peer peers[2];

/* Both running, and a client of both. */
static struct decide_client *open_two(const struct decide_options *wanted)
{
    static char urls[400];
    struct decide_options options = *wanted;
    struct decide_client *client = NULL;
    char error[DECIDE_ERROR_BYTES];
    for (int i = 0; i < 2; i++) {
        fake_peer_start(&peers[i], 0, FAKE_ANSWERS);
        atomic_store(&peers[i].answers_users, true);
    }
    snprintf(urls, sizeof urls, "%s,%s", peers[0].url, peers[1].url);
    options.urls = urls;
    if (decide_client_create(&options, &client, error) != DECIDE_OK)
        fail_msg("%s", error);
    return client;
}

static void close_two(struct decide_client **client)
{
    decide_client_destroy(client);
    for (int i = 0; i < 2; i++)
        fake_peer_stop(&peers[i]);
}

static struct decide_reply *ask(struct decide_client *client, const char *user, uint64_t timeout_us)
{
    return decide_recommend(client,
                            &(struct decide_request){.user = user, .timeout_us = timeout_us});
}

static void expect_answer(struct decide_client *client, const char *user)
{
    struct decide_reply *reply = ask(client, user, LONG_US);
    if (reply->status != DECIDE_OK || reply->fallback)
        print_error("%s\n", reply->error_message);
    assert_int_equal(reply->status, DECIDE_OK);
    assert_false(reply->fallback);
    assert_string_equal(reply->items[0].id, user);
    decide_reply_free(reply);
}

/* The peer that `user` goes to, in every client. */
static int home_of(const char *user)
{
    char urls[400];
    char error[DECIDE_ERROR_BYTES];
    struct decide_options options = decide_options_default();
    struct decide_client *client = NULL;
    snprintf(urls, sizeof urls, "%s,%s", peers[0].url, peers[1].url);
    options.urls = urls;
    assert_int_equal(decide_client_create(&options, &client, error), DECIDE_OK);
    uint32_t before = atomic_load(&peers[0].request_count);
    expect_answer(client, user);
    decide_client_destroy(&client);
    return atomic_load(&peers[0].request_count) > before ? 0 : 1;
}

static struct decide_counters counters_of(const struct decide_client *client)
{
    struct decide_counters counters;
    decide_client_counters(client, &counters);
    return counters;
}

static int64_t budget_seen(struct fake_peer *peer)
{
    static uint8_t request[FAKE_BYTES_MAX];
    size_t len = fake_peer_request(peer, request);
    return value_int(cursor_of(request, len), "budget_us", -1);
}

static void a_hedge_beats_a_silent_address(void **state)
{
    (void)state;
    struct decide_options options = decide_options_default();
    options.hedge_after_us = 2000;
    struct decide_client *client = open_two(&options);
    int home = home_of("u1");
    atomic_store(&peers[home].behaviour, FAKE_NEVER_ANSWERS);
    for (int i = 0; i < 3; i++)
        expect_answer(client, "u1");
    struct decide_counters counters = counters_of(client);
    assert_int_equal(counters.ok, 3);
    /* One at least; after it the silent address is avoided for a while. */
    assert_in_range(counters.hedge_wins, 1, 3);
    assert_true(counters.hedges >= counters.hedge_wins);
    assert_int_equal(counters.retries, 0);
    close_two(&client);
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
    struct decide_client *client = open_two(&options);
    int home = home_of("u1");
    atomic_store(&peers[home].behaviour, FAKE_NEVER_ANSWERS);
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
    assert_int_equal(counters_of(client).hedge_wins, 1);
    close_two(&client);
}

static void by_default_a_silent_address_costs_a_quarter_of_the_time(void **state)
{
    (void)state;
    enum { TIME_US = 4000000 };
    struct decide_options options = decide_options_default();
    struct decide_client *client = open_two(&options);
    atomic_store(&peers[home_of("u1")].behaviour, FAKE_NEVER_ANSWERS);
    struct decide_reply *reply = ask(client, "u1", TIME_US);
    assert_int_equal(reply->status, DECIDE_OK);
    assert_true(reply->waited_us >= TIME_US / 4);
    decide_reply_free(reply);
    assert_int_equal(counters_of(client).hedge_wins, 1);
    close_two(&client);

    options.hedge_after_us = DECIDE_HEDGE_NEVER;
    client = open_two(&options);
    atomic_store(&peers[home_of("u1")].behaviour, FAKE_NEVER_ANSWERS);
    reply = ask(client, "u1", 100000);
    assert_int_equal(reply->status, DECIDE_TIMEOUT);
    decide_reply_free(reply);
    assert_int_equal(counters_of(client).hedges, 0);
    close_two(&client);
}

static void hedges_wait_for_the_95th_percentile(void **state)
{
    (void)state;
    struct decide_options options = decide_options_default();
    options.hedge_after_us = DECIDE_HEDGE_P95;
    struct decide_client *client = open_two(&options);
    int home = home_of("u1");
    /* It is known after twenty answers. */
    for (int i = 0; i < 30; i++)
        expect_answer(client, "u1");
    atomic_store(&peers[home].behaviour, FAKE_NEVER_ANSWERS);
    expect_answer(client, "u1");
    assert_in_range(counters_of(client).hedge_wins, 1, 31);
    close_two(&client);
}

static void what_changes_the_daemon_is_not_hedged(void **state)
{
    (void)state;
    struct decide_options options = decide_options_default();
    options.hedge_after_us = 1;
    struct decide_client *client = open_two(&options);
    for (int i = 0; i < 2; i++)
        atomic_store(&peers[i].delay_us, 20000);
    for (int i = 0; i < 3; i++)
        decide_reply_free(decide_call(client, "drain", NULL, 0, LONG_US));
    assert_int_equal(atomic_load(&peers[0].request_count) + atomic_load(&peers[1].request_count),
                     3);
    assert_int_equal(counters_of(client).hedges, 0);
    close_two(&client);
}

static void no_budget_no_hedge_and_no_repeat(void **state)
{
    (void)state;
    struct decide_options options = decide_options_default();
    options.hedge_after_us = 1;
    options.retry_percent = DECIDE_RETRY_NEVER;
    struct decide_client *client = open_two(&options);
    for (int i = 0; i < 2; i++)
        atomic_store(&peers[i].delay_us, 5000);
    for (int i = 0; i < 5; i++)
        expect_answer(client, "u1");
    assert_int_equal(counters_of(client).hedges, 0);
    for (int i = 0; i < 2; i++) {
        atomic_store(&peers[i].delay_us, 0);
        atomic_store(&peers[i].behaviour, FAKE_RESETS);
    }
    struct decide_reply *reply = ask(client, "u1", LONG_US); /* it was sent, and is not repeated */
    assert_int_equal(reply->status, DECIDE_UNREACHABLE);
    decide_reply_free(reply);
    assert_int_equal(counters_of(client).retries, 0);
    /* What was certainly not received may go elsewhere. */
    atomic_store(&peers[0].behaviour, FAKE_CLOSES);
    atomic_store(&peers[1].behaviour, FAKE_CLOSES);
    uint64_t end_ns = clock_now_ns(clock_system()) + LONG_US * 1000;
    enum decide_status status = DECIDE_TIMEOUT;
    while (status == DECIDE_TIMEOUT || counters_of(client).retries == 0) {
        assert_true(clock_now_ns(clock_system()) < end_ns); /* the machine may be busy */
        reply = ask(client, "u1", 100000);
        status = reply->status;
        assert_true(status == DECIDE_UNREACHABLE || status == DECIDE_TIMEOUT);
        decide_reply_free(reply);
    }
    close_two(&client);
}

static void further_tries_stay_within_the_budget(void **state)
{
    (void)state;
    enum { CALLS = 600, PERCENT = 5, FULL = 100 };
    struct decide_options options = decide_options_default();
    options.hedge_after_us = 1; /* every call would like one */
    options.retry_percent = PERCENT;
    struct decide_client *client = open_two(&options);
    for (int i = 0; i < 2; i++)
        atomic_store(&peers[i].delay_us, 500);
    uint64_t waited_us = 0;
    for (int i = 0; i < CALLS; i++) {
        struct decide_reply *reply = ask(client, "u1", LONG_US);
        assert_int_equal(reply->status, DECIDE_OK);
        waited_us += reply->waited_us;
        decide_reply_free(reply);
    }
    uint64_t allowed = FULL + CALLS * PERCENT / 100 + waited_us / 1000000 + 1;
    assert_in_range(counters_of(client).hedges, 10, allowed);
    assert_int_equal(counters_of(client).retries, 0);
    close_two(&client);
}

static void an_overloaded_daemon_is_left_alone_for_as_long_as_it_asks(void **state)
{
    (void)state;
    struct decide_options options = decide_options_default();
    struct decide_client *client = open_two(&options);
    int home = home_of("u1");
    struct decide_endpoint endpoints[2];
    atomic_store(&peers[home].answers_users, false);
    fake_peer_set_pause(&peers[home], "overloaded", 900);
    uint32_t before = atomic_load(&peers[home].request_count);
    for (int i = 0; i < 20; i++)
        expect_answer(client, "u1");
    /* Without the hint it would have been asked again after 1 ms, 2 ms and so on. */
    assert_in_range(atomic_load(&peers[home].request_count) - before, 1, 3);
    assert_int_equal(decide_client_endpoints(client, endpoints, 2), 2);
    assert_string_equal(endpoints[home].url, peers[home].url);
    assert_true(endpoints[home].failures >= 1);
    assert_int_equal(endpoints[1 - home].state, DECIDE_ENDPOINT_FINE);
    close_two(&client);
}

static void the_daemon_is_told_what_is_left(void **state)
{
    (void)state;
    struct decide_options options = decide_options_default();
    options.hedge_after_us = DECIDE_HEDGE_NEVER;
    struct decide_client *client = open_two(&options);
    int home = home_of("u1");
    assert_in_range(budget_seen(&peers[home]), 1, LONG_US);
    decide_client_destroy(&client);
    /* Half of the time is gone when the home address is given up, which does not even greet. */
    atomic_store(&peers[home].behaviour, FAKE_NEVER_GREETS);
    char urls[400];
    char error[DECIDE_ERROR_BYTES];
    snprintf(urls, sizeof urls, "%s,%s", peers[0].url, peers[1].url);
    options.urls = urls;
    assert_int_equal(decide_client_create(&options, &client, error), DECIDE_OK);
    struct decide_reply *reply = ask(client, "u1", 2000000);
    assert_int_equal(reply->status, DECIDE_OK);
    assert_true(reply->waited_us >= 1000000);
    assert_in_range(budget_seen(&peers[1 - home]), 1, 1000000);
    decide_reply_free(reply);
    close_two(&client);
}

static void a_probe_costs_its_call_no_time(void **state)
{
    (void)state;
    struct decide_options options = decide_options_default();
    options.hedge_after_us = DECIDE_HEDGE_NEVER; /* but for probes */
    struct decide_client *client = open_two(&options);
    int home = home_of("u1");
    for (int i = 0; i < 25; i++)
        expect_answer(client, "u1");
    atomic_store(&peers[home].behaviour, FAKE_NEVER_ANSWERS);
    /* Found out by a call that runs out of time; from then on each probe is hedged. */
    struct decide_reply *reply = ask(client, "u1", 20000);
    assert_int_equal(reply->status, DECIDE_TIMEOUT);
    decide_reply_free(reply);
    for (int i = 0; i < 2000 && counters_of(client).hedge_wins < 5; i++)
        expect_answer(client, "u1");
    assert_true(counters_of(client).hedge_wins >= 5);
    struct decide_endpoint endpoints[2];
    decide_client_endpoints(client, endpoints, 2);
    assert_true(endpoints[home].failures_in_a_row >= 5);
    assert_true(counters_of(client).ejections >= 1);
    /* And it is taken back. */
    atomic_store(&peers[home].behaviour, FAKE_ANSWERS);
    uint32_t before = atomic_load(&peers[home].request_count);
    for (int i = 0; i < 200000 && endpoints[home].failures_in_a_row > 0; i++) {
        expect_answer(client, "u1");
        decide_client_endpoints(client, endpoints, 2);
    }
    assert_int_equal(endpoints[home].state, DECIDE_ENDPOINT_FINE);
    expect_answer(client, "u1");
    assert_true(atomic_load(&peers[home].request_count) >= before + 2);
    close_two(&client);
}

static void a_last_good_answer_comes_before_the_fallback(void **state)
{
    (void)state;
    static const char *const fallback[] = {"f1", "f2"};
    struct decide_options options = decide_options_default();
    options.fallback_items = fallback;
    options.fallback_count = 2;
    options.last_good_bytes = 65536;
    struct decide_client *client = open_two(&options);
    expect_answer(client, "u1");
    for (int i = 0; i < 2; i++)
        atomic_store(&peers[i].behaviour, FAKE_NEVER_ANSWERS);
    struct decide_reply *reply = ask(client, "u1", 10000);
    assert_int_equal(reply->status, DECIDE_OK);
    assert_true(reply->fallback);
    assert_string_equal(reply->level, "last_good");
    assert_string_equal(reply->reason, "timeout");
    assert_int_equal(reply->item_count, 1);
    assert_string_equal(reply->items[0].id, "u1");
    assert_true(reply->age_us > 0 && reply->age_us < LONG_US);
    decide_reply_free(reply);
    reply = ask(client, "u2", 10000);
    assert_string_equal(reply->level, "fallback");
    assert_int_equal(reply->item_count, 2);
    assert_int_equal(reply->age_us, 0);
    decide_reply_free(reply);
    struct decide_counters counters = counters_of(client);
    assert_int_equal(counters.last_good, 1);
    assert_int_equal(counters.fallbacks, 1);
    assert_int_equal(counters.timeouts, 2);
    close_two(&client);
}

static void levels_below_full_are_counted(void **state)
{
    (void)state;
    static const uint8_t generic[] = "\x83\xa2ok\xc3\xa5items\x90\xa5level\xa7generic";
    struct decide_options options = decide_options_default();
    struct decide_client *client = open_two(&options);
    expect_answer(client, "u1");
    for (int i = 0; i < 2; i++) {
        atomic_store(&peers[i].answers_users, false);
        fake_peer_set_reply(&peers[i], generic, sizeof generic - 1);
    }
    decide_reply_free(ask(client, "u1", LONG_US));
    assert_int_equal(counters_of(client).ok, 2);
    assert_int_equal(counters_of(client).degraded, 1);
    close_two(&client);
}

static void options_out_of_range_are_refused(void **state)
{
    (void)state;
    struct decide_client *client = NULL;
    char error[DECIDE_ERROR_BYTES];
    struct decide_options options = decide_options_default();
    options.retry_percent = 101;
    assert_int_equal(decide_client_create(&options, &client, error), DECIDE_INVALID);
    assert_string_equal(error, "retry_percent: expected 1..100, got 101");
    options = decide_options_default();
    options.last_good_bytes = 4095;
    assert_int_equal(decide_client_create(&options, &client, error), DECIDE_INVALID);
    assert_string_equal(error, "last_good_bytes: expected 0 or at least 4096, got 4095");
    assert_null(client);
}

/* Half of a call's time goes to an address that does not greet; when the rest is left alone by
 * then, the call ends early, and does not say that its time was out. */
static void who_gives_up_early_does_not_blame_the_time(void **state)
{
    (void)state;
    struct decide_options options = decide_options_default();
    options.hedge_after_us = DECIDE_HEDGE_NEVER;
    struct decide_client *client = open_two(&options);
    int home = home_of("u1");
    atomic_store(&peers[home].behaviour, FAKE_NEVER_GREETS);
    struct decide_reply *reply = NULL;
    struct decide_request request = {.user = "u1", .timeout_us = 600000};
    assert_int_not_equal(decide_submit(client, "recommend", &request, on_reply, &reply), 0);
    struct pollfd pollfd = {.fd = decide_fd(client), .events = POLLIN};
    while (atomic_load(&peers[home].silent_count) == 0)
        decide_process(client);
    atomic_store(&peers[home].behaviour, FAKE_ANSWERS);
    for (int i = 0; i < 2; i++) {
        atomic_store(&peers[i].answers_users, false);
        fake_peer_set_pause(&peers[i], "draining", 900);
    }
    struct decide_reply *refused = ask(client, "u1", LONG_US / 1000);
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
    close_two(&client);
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
        cmocka_unit_test(an_overloaded_daemon_is_left_alone_for_as_long_as_it_asks),
        cmocka_unit_test(the_daemon_is_told_what_is_left),
        cmocka_unit_test(a_probe_costs_its_call_no_time),
        cmocka_unit_test(who_gives_up_early_does_not_blame_the_time),
        cmocka_unit_test(a_last_good_answer_comes_before_the_fallback),
        cmocka_unit_test(levels_below_full_are_counted),
        cmocka_unit_test(options_out_of_range_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
