/* SPDX-License-Identifier: Apache-2.0 */
/* What a call makes of refusals that another address may not give, and how it tells those of which
 * nobody was asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "client/decide.h"
#include "tests/support/fake_peer.h"

#define LONG_US  UINT64_C(30000000) /* a time that no working call comes near to */
#define SHORT_US UINT64_C(900000)   /* shorter than the pause below */

enum { PAUSE_MS = 1000, CALLS = 40 };

static struct fake_peer peers[2];

static struct decide_client *open_client(uint32_t peer_count)
{
    static const char *const fallback[] = {"f1"};
    char urls[400], error[DECIDE_ERROR_BYTES];
    struct decide_client *client = NULL;
    struct decide_options options = decide_options_default();
    for (uint32_t i = 0; i < peer_count; i++)
        fake_peer_start(&peers[i], 0, FAKE_ANSWERS);
    snprintf(urls, sizeof urls, "%s%s%s", peers[0].url, peer_count > 1 ? "," : "",
             peer_count > 1 ? peers[1].url : "");
    options.urls = urls;
    options.fallback_items = fallback;
    options.fallback_count = 1;
    assert_int_equal(decide_client_create(&options, &client, error), DECIDE_OK);
    return client;
}

static void close_client(struct decide_client **client, uint32_t peer_count)
{
    decide_client_destroy(client);
    for (uint32_t i = 0; i < peer_count; i++)
        fake_peer_stop(&peers[i]);
}

static struct decide_counters counters_of(struct decide_client *client)
{
    struct decide_counters counters;
    decide_client_counters(client, &counters);
    return counters;
}

static void expect(struct decide_client *client, const char *op, enum decide_status status,
                   const char *code)
{
    struct decide_reply *reply = decide_call(client, op, NULL, 0, LONG_US);
    assert_int_equal(reply->status, status);
    if (code != NULL)
        assert_string_equal(reply->error_code, code);
    decide_reply_free(reply);
}

static void a_broken_daemon_costs_nobody_an_answer(void **state)
{
    (void)state;
    struct decide_client *client = open_client(2);
    struct decide_endpoint endpoints[2];
    fake_peer_set_refusal(&peers[0], "internal");
    for (int i = 0; i < CALLS; i++)
        expect(client, "ping", DECIDE_OK, NULL);
    assert_int_equal(counters_of(client).ok, CALLS);
    /* Left alone, twice as long each time. */
    assert_in_range(atomic_load(&peers[0].request_count), 1, CALLS / 2 - 1);
    assert_int_equal(decide_client_endpoints(client, endpoints, 2), 2);
    assert_true(endpoints[0].failures >= 1);
    assert_int_equal(endpoints[1].failures, 0);
    close_client(&client, 2);
}

static void what_broke_on_the_way_is_not_done_twice(void **state)
{
    (void)state;
    struct decide_client *client = open_client(2);
    fake_peer_set_refusal(&peers[0], "internal");
    fake_peer_set_refusal(&peers[1], "internal");
    expect(client, "reload", DECIDE_REFUSED, "internal");
    assert_int_equal(atomic_load(&peers[0].request_count) + atomic_load(&peers[1].request_count),
                     1);
    close_client(&client, 2);
}

static void who_is_alone_and_broken_says_so(void **state)
{
    (void)state;
    struct decide_client *client = open_client(1);
    fake_peer_set_refusal(&peers[0], "internal");
    struct decide_reply *reply = decide_call(client, "ping", NULL, 0, SHORT_US);
    assert_int_equal(reply->status, DECIDE_REFUSED);
    assert_string_equal(reply->error_code, "internal");
    decide_reply_free(reply);
    close_client(&client, 1);
}

static void nobody_is_asked_while_all_are_overloaded_and_that_is_told(void **state)
{
    (void)state;
    struct decide_client *client = open_client(1);
    fake_peer_set_pause(&peers[0], "overloaded", PAUSE_MS);
    struct decide_reply *reply = decide_call(client, "ping", NULL, 0, SHORT_US);
    assert_int_equal(reply->status, DECIDE_REFUSED);
    assert_int_equal(reply->retry_after_ms, PAUSE_MS);
    decide_reply_free(reply);
    uint32_t asked = atomic_load(&peers[0].request_count);
    reply = decide_call(client, "ping", NULL, 0, SHORT_US);
    assert_int_equal(reply->status, DECIDE_REFUSED);
    assert_string_equal(reply->error_code, "overloaded");
    assert_string_equal(reply->error_message,
                        "every address asked to be left alone for longer than this call has");
    assert_in_range(reply->retry_after_ms, 1, PAUSE_MS + 1);
    decide_reply_free(reply);
    /* And why a list stands in. */
    reply = decide_recommend(client, &(struct decide_request){.timeout_us = SHORT_US});
    assert_int_equal(reply->status, DECIDE_OK);
    assert_string_equal(reply->level, "fallback");
    assert_string_equal(reply->reason, "overloaded");
    decide_reply_free(reply);
    assert_int_equal(atomic_load(&peers[0].request_count), asked);
    struct decide_counters counters = counters_of(client);
    assert_int_equal(counters.refused, 3);
    assert_int_equal(counters.unreachable, 0);
    close_client(&client, 1);
}

/* The time is enough for the pause, and not for as long again. */
static void an_overloaded_one_is_not_asked_again_when_little_time_is_left(void **state)
{
    (void)state;
    struct decide_client *client = open_client(1);
    fake_peer_set_pause(&peers[0], "overloaded", PAUSE_MS / 2);
    struct decide_reply *reply = decide_call(client, "ping", NULL, 0, SHORT_US);
    assert_int_equal(reply->status, DECIDE_REFUSED);
    assert_string_equal(reply->error_code, "overloaded");
    assert_int_equal(reply->retry_after_ms, PAUSE_MS / 2);
    assert_int_equal(atomic_load(&peers[0].request_count), 1);
    decide_reply_free(reply);
    close_client(&client, 1);
}

static void a_short_pause_is_waited_for_and_the_call_ends_as_refused(void **state)
{
    (void)state;
    struct decide_client *client = open_client(2);
    fake_peer_set_pause(&peers[0], "overloaded", PAUSE_MS / 10);
    fake_peer_set_pause(&peers[1], "overloaded", PAUSE_MS / 10);
    struct decide_reply *reply = decide_call(client, "ping", NULL, 0, 2 * SHORT_US);
    assert_int_equal(reply->status, DECIDE_REFUSED);
    assert_string_equal(reply->error_code, "overloaded");
    decide_reply_free(reply);
    assert_in_range(atomic_load(&peers[0].request_count) + atomic_load(&peers[1].request_count), 3,
                    2 * 2 * SHORT_US / 1000 / (PAUSE_MS / 10));
    close_client(&client, 2);
}

/* The other one may have time. */
static void another_is_asked_when_one_is_overloaded_for_too_long(void **state)
{
    (void)state;
    struct decide_client *client = open_client(2);
    fake_peer_set_pause(&peers[0], "overloaded", UINT32_MAX);
    for (int i = 0; i < CALLS; i++)
        expect(client, "ping", DECIDE_OK, NULL);
    assert_in_range(atomic_load(&peers[0].request_count), 1, CALLS - 1);
    close_client(&client, 2);
}

static void one_that_cannot_be_reached_is_not_overloaded(void **state)
{
    (void)state;
    struct decide_client *client = open_client(1);
    atomic_store(&peers[0].behaviour, FAKE_CLOSES);
    struct decide_reply *reply = NULL;
    do { /* until the pause is longer than a call */
        decide_reply_free(reply);
        reply = decide_call(client, "ping", NULL, 0, 20000);
    } while (strstr(reply->error_message, "not tried again yet") == NULL);
    assert_int_equal(reply->status, DECIDE_UNREACHABLE);
    assert_int_equal(reply->retry_after_ms, 0);
    decide_reply_free(reply);
    close_client(&client, 1);
}

static void ignore(struct decide_reply *reply, void *argument)
{
    *(bool *)argument = reply->status == DECIDE_INVALID;
    decide_reply_free(reply);
}

static void without_an_operation_or_a_callback_nothing_is_sent(void **state)
{
    (void)state;
    bool was_invalid = false;
    struct decide_client *client = open_client(1);
    static const char *const ops[] = {NULL, ""};
    for (size_t i = 0; i < 2; i++) {
        struct decide_reply *reply = decide_call(client, ops[i], NULL, 0, LONG_US);
        assert_int_equal(reply->status, DECIDE_INVALID);
        assert_string_equal(reply->error_message, "op: expected the name of an operation");
        decide_reply_free(reply);
    }
    assert_int_equal(decide_submit(client, "recommend", NULL, NULL, NULL), 0);
    assert_int_equal(decide_submit_call(client, "ping", NULL, 0, LONG_US, NULL, NULL), 0);
    assert_int_equal(decide_submit_events(client, "\x90", 1, LONG_US, NULL, NULL), 0);
    assert_int_not_equal(decide_submit(client, NULL, NULL, ignore, &was_invalid), 0);
    assert_int_equal(decide_process(client), 1);
    assert_true(was_invalid);
    assert_int_equal(atomic_load(&peers[0].request_count), 0);
    close_client(&client, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_broken_daemon_costs_nobody_an_answer),
        cmocka_unit_test(what_broke_on_the_way_is_not_done_twice),
        cmocka_unit_test(who_is_alone_and_broken_says_so),
        cmocka_unit_test(nobody_is_asked_while_all_are_overloaded_and_that_is_told),
        cmocka_unit_test(an_overloaded_one_is_not_asked_again_when_little_time_is_left),
        cmocka_unit_test(a_short_pause_is_waited_for_and_the_call_ends_as_refused),
        cmocka_unit_test(another_is_asked_when_one_is_overloaded_for_too_long),
        cmocka_unit_test(one_that_cannot_be_reached_is_not_overloaded),
        cmocka_unit_test(without_an_operation_or_a_callback_nothing_is_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
