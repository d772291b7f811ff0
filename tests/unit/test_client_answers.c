/* SPDX-License-Identifier: Apache-2.0 */
/* What a daemon is told and what a client makes of its answers: time that is left, overload, the
 * last good answer, levels; and which options are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/clock.h"
#include "base/cursor.h"
#include "client/decide.h"
#include "tests/support/fake_peer.h"
#include "tests/support/two_peers.h"
#include "tools/cli/value.h"

static int64_t budget_seen(struct fake_peer *peer)
{
    static uint8_t request[FAKE_BYTES_MAX];
    size_t len = fake_peer_request(peer, request);
    return value_int(cursor_of(request, len), "budget_us", -1);
}

static void an_overloaded_daemon_is_left_alone_for_as_long_as_it_asks(void **state)
{
    (void)state;
    struct decide_options options = decide_options_default();
    struct decide_client *client = two_peers_open(&options);
    int home = two_peers_home("u1");
    struct decide_endpoint endpoints[2];
    atomic_store(&two_peers[home].answers_users, false);
    fake_peer_set_pause(&two_peers[home], "overloaded", 900);
    uint32_t before = atomic_load(&two_peers[home].request_count);
    for (int i = 0; i < 20; i++)
        two_peers_expect(client, "u1");
    /* Without the hint it would have been asked again after 1 ms, 2 ms and so on. */
    assert_in_range(atomic_load(&two_peers[home].request_count) - before, 1, 3);
    assert_int_equal(decide_client_endpoints(client, endpoints, 2), 2);
    assert_string_equal(endpoints[home].url, two_peers[home].url);
    assert_true(endpoints[home].failures >= 1);
    assert_int_equal(endpoints[1 - home].state, DECIDE_ENDPOINT_FINE);
    two_peers_close(&client);
}

static void the_daemon_is_told_what_is_left(void **state)
{
    (void)state;
    struct decide_options options = decide_options_default();
    options.hedge_after_us = DECIDE_HEDGE_NEVER;
    struct decide_client *client = two_peers_open(&options);
    int home = two_peers_home("u1");
    assert_in_range(budget_seen(&two_peers[home]), 1, LONG_US);
    decide_client_destroy(&client);
    /* Half of the time is gone when the home address is given up, which does not even greet. */
    atomic_store(&two_peers[home].behaviour, FAKE_NEVER_GREETS);
    char urls[400];
    char error[DECIDE_ERROR_BYTES];
    snprintf(urls, sizeof urls, "%s,%s", two_peers[0].url, two_peers[1].url);
    options.urls = urls;
    assert_int_equal(decide_client_create(&options, &client, error), DECIDE_OK);
    struct decide_reply *reply = two_peers_ask(client, "u1", 2000000);
    assert_int_equal(reply->status, DECIDE_OK);
    assert_true(reply->waited_us >= 1000000);
    assert_in_range(budget_seen(&two_peers[1 - home]), 1, 1000000);
    decide_reply_free(reply);
    two_peers_close(&client);
}

static void a_last_good_answer_comes_before_the_fallback(void **state)
{
    (void)state;
    static const char *const fallback[] = {"f1", "f2"};
    struct decide_options options = decide_options_default();
    options.fallback_items = fallback;
    options.fallback_count = 2;
    options.last_good_bytes = 65536;
    struct decide_client *client = two_peers_open(&options);
    two_peers_expect(client, "u1");
    for (int i = 0; i < 2; i++)
        atomic_store(&two_peers[i].behaviour, FAKE_NEVER_ANSWERS);
    struct decide_reply *reply = two_peers_ask(client, "u1", 10000);
    assert_int_equal(reply->status, DECIDE_OK);
    assert_true(reply->fallback);
    assert_string_equal(reply->level, "last_good");
    assert_string_equal(reply->reason, "timeout");
    assert_int_equal(reply->item_count, 1);
    assert_string_equal(reply->items[0].id, "u1");
    assert_true(reply->age_us > 0 && reply->age_us < LONG_US);
    decide_reply_free(reply);
    reply = two_peers_ask(client, "u2", 10000);
    assert_string_equal(reply->level, "fallback");
    assert_int_equal(reply->item_count, 2);
    assert_int_equal(reply->age_us, 0);
    decide_reply_free(reply);
    struct decide_counters counters = two_peers_counters(client);
    assert_int_equal(counters.last_good, 1);
    assert_int_equal(counters.fallbacks, 1);
    assert_int_equal(counters.timeouts, 2);
    two_peers_close(&client);
}

static void levels_below_full_are_counted(void **state)
{
    (void)state;
    static const uint8_t generic[] = "\x83\xa2ok\xc3\xa5items\x90\xa5level\xa7generic";
    struct decide_options options = decide_options_default();
    struct decide_client *client = two_peers_open(&options);
    two_peers_expect(client, "u1");
    for (int i = 0; i < 2; i++) {
        atomic_store(&two_peers[i].answers_users, false);
        fake_peer_set_reply(&two_peers[i], generic, sizeof generic - 1);
    }
    decide_reply_free(two_peers_ask(client, "u1", LONG_US));
    assert_int_equal(two_peers_counters(client).ok, 2);
    assert_int_equal(two_peers_counters(client).degraded, 1);
    two_peers_close(&client);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_overloaded_daemon_is_left_alone_for_as_long_as_it_asks),
        cmocka_unit_test(the_daemon_is_told_what_is_left),
        cmocka_unit_test(a_last_good_answer_comes_before_the_fallback),
        cmocka_unit_test(levels_below_full_are_counted),
        cmocka_unit_test(options_out_of_range_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
