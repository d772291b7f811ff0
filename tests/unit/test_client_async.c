/* SPDX-License-Identifier: Apache-2.0 */
/* Submitted calls: each gets one callback, from decide_process, by its deadline. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "client/decide.h"
#include "tests/support/fake_peer.h"
#include "tests/support/lateness.h"
#include "tests/support/submitted.h"

enum { USERS = 300 };

static void wait_for_all(struct decide_client *client, struct submitted *results, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        submitted_process_until(client, &results[i].callback_count, 1);
}

static void expect_own_answers(const struct submitted *results, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        char user[16];
        snprintf(user, sizeof user, "u%u", i);
        if (results[i].status != DECIDE_OK)
            print_error("%s\n", results[i].message);
        assert_int_equal(results[i].status, DECIDE_OK);
        assert_int_equal(results[i].callback_count, 1);
        assert_string_equal(results[i].id, user);
    }
}

static void calls_share_a_connection_and_get_their_own_answers(void **state)
{
    (void)state;
    static const enum fake_behaviour behaviours[] = {FAKE_ANSWERS, FAKE_ANSWERS_IN_PAIRS,
                                                     FAKE_ANSWERS_BYTEWISE};
    for (size_t i = 0; i < sizeof behaviours / sizeof behaviours[0]; i++) {
        static struct fake_peer peer;
        static struct submitted results[USERS];
        memset(results, 0, sizeof results);
        fake_peer_start(&peer, 0, behaviours[i]);
        atomic_store(&peer.answers_users, true);
        struct decide_client *client = submitted_client(peer.url);
        submitted_many(client, results, 8);
        for (uint32_t k = 0; k < 8; k++)
            assert_int_equal(results[k].callback_count, 0); /* not before decide_process */
        wait_for_all(client, results, 8);
        expect_own_answers(results, 8);
        assert_int_equal(atomic_load(&peer.connection_count), 1);

        /* More than one connection is loaded with. */
        uint32_t count = behaviours[i] == FAKE_ANSWERS_IN_PAIRS ? 16 : USERS;
        memset(results, 0, sizeof results);
        submitted_many(client, results, count);
        wait_for_all(client, results, count);
        expect_own_answers(results, count);
        assert_in_range(atomic_load(&peer.connection_count), 2, DECIDE_CONNECTIONS);
        struct decide_counters counters;
        decide_client_counters(client, &counters);
        assert_int_equal(counters.ok, 8 + count);
        assert_int_equal(counters.calls, 8 + count);
        assert_int_equal(counters.degraded, 0);
        decide_client_destroy(&client);
        fake_peer_stop(&peer);
    }
}

static int by_size(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

static void deadlines_hold_against_peers_that_are_silent_or_trickle(void **state)
{
    (void)state;
    static const enum fake_behaviour behaviours[] = {FAKE_NEVER_GREETS, FAKE_NEVER_ANSWERS,
                                                     FAKE_TRICKLES};
    for (size_t i = 0; i < sizeof behaviours / sizeof behaviours[0]; i++) {
        static struct fake_peer peer;
        static struct submitted results[60];
        static struct lateness machine;
        uint64_t late_us[60];
        memset(results, 0, sizeof results);
        fake_peer_start(&peer, 0, behaviours[i]);
        struct decide_client *client = submitted_client(peer.url);
        lateness_start(&machine);
        /* The shortest comes last. */
        for (uint32_t k = 0; k < 60; k++)
            assert_int_not_equal(
                submitted_user(client, "u", SHORT_US + (60 - k) * UINT64_C(1500), &results[k]), 0);
        wait_for_all(client, results, 60);
        for (uint32_t k = 0; k < 60; k++) {
            assert_int_equal(results[k].status, DECIDE_TIMEOUT);
            assert_true(results[k].waited_us >= results[k].timeout_us);
            late_us[k] = results[k].waited_us - results[k].timeout_us;
        }
        qsort(late_us, 60, sizeof late_us[0], by_size);
        lateness_stop(&machine);
        assert_true(late_us[30] <
                    2000 + hist_quantile(&machine.late_ns, 0.9) / 100); /* in us: ten times */
        decide_client_destroy(&client);
        fake_peer_stop(&peer);
    }
}

static void what_is_lost_goes_to_the_other_address(void **state)
{
    (void)state;
    static const enum fake_behaviour behaviours[] = {FAKE_HALF_CLOSES,
                                                     FAKE_RESETS,
                                                     FAKE_CLOSES,
                                                     FAKE_ANSWERS_GARBAGE,
                                                     FAKE_GREETS_WRONG,
                                                     FAKE_ANSWERS_WRONG_ID,
                                                     FAKE_ANSWERS_HALF_AND_CLOSES};
    for (size_t i = 0; i < sizeof behaviours / sizeof behaviours[0]; i++) {
        static struct fake_peer sick;
        static struct fake_peer sound;
        static struct submitted results[40];
        char urls[400];
        memset(results, 0, sizeof results);
        fake_peer_start(&sick, 0, behaviours[i]);
        fake_peer_start(&sound, 0, FAKE_ANSWERS);
        atomic_store(&sound.answers_users, true);
        atomic_store(&sick.answers_users, true);
        snprintf(urls, sizeof urls, "%s,%s", sick.url, sound.url);
        struct decide_client *client = submitted_client(urls);
        submitted_many(client, results, 40);
        wait_for_all(client, results, 40);
        expect_own_answers(results, 40);
        struct decide_counters counters;
        decide_client_counters(client, &counters);
        assert_true(counters.retries > 0);
        decide_client_destroy(&client);
        fake_peer_stop(&sick);
        fake_peer_stop(&sound);
    }
}

static void a_cancelled_call_ends_flagged_and_its_late_reply_is_skipped(void **state)
{
    (void)state;
    static struct fake_peer peer;
    static struct submitted results[3];
    memset(results, 0, sizeof results);
    fake_peer_start(&peer, 0, FAKE_ANSWERS);
    atomic_store(&peer.answers_users, true);
    fake_peer_hold(&peer, true);
    struct decide_client *client = submitted_client(peer.url);
    uint64_t ticket = submitted_user(client, "u0", LONG_US, &results[0]);
    assert_int_not_equal(submitted_user(client, "u1", LONG_US, &results[1]), ticket);
    struct pollfd pollfd = {.fd = decide_fd(client), .events = POLLIN};
    while (atomic_load(&peer.request_count) == 0) { /* until it was sent */
        assert_int_equal(poll(&pollfd, 1, 10) < 0, 0);
        decide_process(client);
    }
    assert_false(decide_cancel(client, ticket + 100));
    assert_true(decide_cancel(client, ticket));
    assert_false(decide_cancel(client, ticket));
    assert_int_equal(results[0].callback_count, 0); /* by decide_process, as every callback */
    assert_int_equal(poll(&pollfd, 1, 30000), 1);
    assert_int_equal(decide_process(client), 1);
    assert_int_equal(results[0].status, DECIDE_CANCELLED);
    assert_string_equal(decide_status_name(results[0].status), "cancelled");
    fake_peer_hold(&peer, false);
    submitted_process_until(client, &results[1].callback_count, 1);
    assert_string_equal(results[1].id, "u1");
    assert_int_equal(results[0].callback_count, 1);
    assert_false(decide_cancel(client, ticket));
    struct decide_counters counters;
    decide_client_counters(client, &counters);
    assert_int_equal(counters.cancelled, 1);
    assert_int_equal(counters.ok, 1);
    assert_int_equal(counters.connects, 1);
    decide_client_destroy(&client);
    fake_peer_stop(&peer);
}

static void destroying_completes_what_is_pending(void **state)
{
    (void)state;
    static struct fake_peer peer;
    static struct submitted results[50];
    memset(results, 0, sizeof results);
    fake_peer_start(&peer, 0, FAKE_NEVER_ANSWERS);
    struct decide_client *client = submitted_client(peer.url);
    submitted_many(client, results, 50);
    decide_process(client);
    decide_client_destroy(&client);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(results[i].callback_count, 1);
        assert_int_equal(results[i].status, DECIDE_CANCELLED);
    }
    fake_peer_stop(&peer);
}

/* One who asks again whatever the answer was. */
struct insistent {
    struct decide_client *client;
    uint32_t callback_count, taken_count;
};

static void on_insistent(struct decide_reply *reply, void *argument)
{
    struct insistent *one = argument;
    struct decide_request request = {.user = "u", .timeout_us = LONG_US};
    one->callback_count++;
    decide_reply_free(reply);
    one->taken_count +=
        decide_submit(one->client, "recommend", &request, on_insistent, argument) != 0;
}

static void what_is_submitted_while_destroying_is_not_taken(void **state)
{
    (void)state;
    static struct fake_peer peer;
    fake_peer_start(&peer, 0, FAKE_NEVER_ANSWERS);
    struct insistent one = {.client = submitted_client(peer.url)};
    for (int i = 0; i < 10; i++)
        assert_int_not_equal(
            decide_submit_call(one.client, "ping", NULL, 0, LONG_US, on_insistent, &one), 0);
    decide_process(one.client);
    decide_client_destroy(&one.client);
    assert_int_equal(one.callback_count, 10);
    assert_int_equal(one.taken_count, 0);
    fake_peer_stop(&peer);
}

/* Each callback submits the next call and cancels one that it has submitted before. */
struct chain {
    struct decide_client *client;
    uint32_t left, callback_count, cancelled_count;
};

static void on_chain(struct decide_reply *reply, void *argument)
{
    struct chain *chain = argument;
    struct decide_request request = {.user = "u", .timeout_us = LONG_US};
    chain->callback_count++;
    chain->cancelled_count += reply->status == DECIDE_CANCELLED;
    decide_reply_free(reply);
    if (chain->left == 0)
        return;
    chain->left--;
    assert_int_not_equal(decide_submit(chain->client, "rank", NULL, on_chain, chain), 0);
    uint64_t ticket = decide_submit(chain->client, "recommend", &request, on_chain, chain);
    if (chain->left % 2 == 0)
        assert_true(decide_cancel(chain->client, ticket));
}

static void callbacks_submit_and_cancel(void **state)
{
    (void)state;
    static struct fake_peer peer;
    fake_peer_start(&peer, 0, FAKE_ANSWERS);
    struct chain chain = {.client = submitted_client(peer.url), .left = 20};
    assert_int_not_equal(
        decide_submit_call(chain.client, "ping", NULL, 0, LONG_US, on_chain, &chain), 0);
    submitted_process_until(chain.client, &chain.callback_count, 41);
    assert_int_equal(chain.callback_count, 41);
    assert_int_equal(chain.cancelled_count, 10);
    decide_client_destroy(&chain.client);
    fake_peer_stop(&peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_share_a_connection_and_get_their_own_answers),
        cmocka_unit_test(deadlines_hold_against_peers_that_are_silent_or_trickle),
        cmocka_unit_test(what_is_lost_goes_to_the_other_address),
        cmocka_unit_test(a_cancelled_call_ends_flagged_and_its_late_reply_is_skipped),
        cmocka_unit_test(destroying_completes_what_is_pending),
        cmocka_unit_test(what_is_submitted_while_destroying_is_not_taken),
        cmocka_unit_test(callbacks_submit_and_cancel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
