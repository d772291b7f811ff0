/* SPDX-License-Identifier: Apache-2.0 */
/* What a call does when its surroundings misbehave: its fallback, signals, closed pipes, a fork, no
 * memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/decide.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/fake_peer.h"
#include "tests/support/pinged.h"

static void expect_fallback(struct decide_reply *reply, const char *reason, const char *ids)
{
    char got[64] = "";
    size_t used = 0;
    for (size_t i = 0; i < reply->item_count; i++)
        used += (size_t)snprintf(got + used, sizeof got - used, "%s ", reply->items[i].id);
    assert_int_equal(reply->status, DECIDE_OK);
    assert_true(reply->fallback);
    assert_string_equal(reply->level, "fallback");
    assert_string_equal(reply->reason, reason);
    assert_non_null(reply->error_message);
    assert_null(reply->decision);
    assert_string_equal(got, ids);
    decide_reply_free(reply);
}

static void the_fallback_is_flagged_and_leaves_out_what_is_excluded(void **state)
{
    (void)state;
    static const char *const f2[] = {"x", "f2"};
    static const char *const f3[] = {"f3"};
    struct fake_peer peer;
    fake_peer_start(&peer, 0, FAKE_NEVER_ANSWERS);
    struct decide_client *client = pinged_client(peer.url);
    struct decide_request request = {.user = "u", .timeout_us = 20000};
    expect_fallback(decide_recommend(client, &request), "timeout", "f1 f2 f3 f4 ");
    request.n = 2;
    request.exclude = f2;
    request.exclude_count = 2;
    expect_fallback(decide_recommend(client, &request), "timeout", "f1 f3 ");
    request.seeds = f3;
    request.seed_count = 1;
    expect_fallback(decide_recommend(client, &request), "timeout", "f1 f4 ");
    expect_fallback(decide_similar(client, &request), "timeout", "f1 f4 ");
    /* The generic call reads the same keys: {"n": 1, "exclude": ["f1"]}. */
    static const char body[] = "\x82\xa1n\x01\xa7"
                               "exclude\x91\xa2"
                               "f1";
    expect_fallback(decide_call(client, "recommend", body, sizeof body - 1, 20000), "timeout",
                    "f2 ");
    /* No list can stand in for these. */
    struct decide_query_item item = {.id = "a"};
    request = (struct decide_request){.items = &item, .item_count = 1, .timeout_us = 20000};
    struct decide_reply *reply = decide_price(client, &request);
    assert_int_equal(reply->status, DECIDE_TIMEOUT);
    assert_false(reply->fallback);
    decide_reply_free(reply);

    atomic_store(&peer.behaviour, FAKE_ANSWERS);
    request = (struct decide_request){.user = "u", .timeout_us = 20000};
    fake_peer_set_refusal(&peer, "overloaded");
    expect_fallback(decide_recommend(client, &request), "overloaded", "f1 f2 f3 f4 ");
    /* The caller's own mistake is not covered up. */
    fake_peer_set_refusal(&peer, "bad_request");
    request.timeout_us = LONG_US;
    reply = decide_recommend(client, &request);
    assert_int_equal(reply->status, DECIDE_REFUSED);
    assert_false(reply->fallback);
    decide_reply_free(reply);
    struct decide_counters counters;
    decide_client_counters(client, &counters);
    assert_int_equal(counters.fallbacks, 6);
    decide_client_destroy(&client);
    fake_peer_stop(&peer);
}

static _Atomic uint32_t signal_count;

static void on_alarm(int number)
{
    (void)number;
    atomic_fetch_add(&signal_count, 1);
}

static void signals_and_closed_pipes_disturb_nothing(void **state)
{
    (void)state;
    struct sigaction action = {.sa_handler = on_alarm};
    struct itimerval often = {{0, 500}, {0, 500}};
    struct itimerval never = {{0, 0}, {0, 0}};
    struct fake_peer peer;
    fake_peer_start(&peer, 0, FAKE_NEVER_ANSWERS);
    struct decide_client *client = pinged_client(peer.url);
    sigaction(SIGALRM, &action, NULL); /* without SA_RESTART: system calls are interrupted */
    signal(SIGPIPE, SIG_DFL);          /* would end this process */
    setitimer(ITIMER_REAL, &often, NULL);
    pinged_expect(client, SHORT_US, DECIDE_TIMEOUT);
    atomic_store(&peer.behaviour, FAKE_ANSWERS);
    for (int i = 0; i < 200; i++)
        pinged_expect(client, LONG_US, DECIDE_OK);
    atomic_store(&peer.behaviour, FAKE_RESETS);
    for (int i = 0; i < 10; i++) {
        struct decide_reply *reply = pinged(client, 5000);
        assert_int_not_equal(reply->status, DECIDE_OK);
        decide_reply_free(reply);
    }
    setitimer(ITIMER_REAL, &never, NULL);
    signal(SIGALRM, SIG_IGN);
    assert_true(atomic_load(&signal_count) > 0);
    decide_client_destroy(&client);
    fake_peer_stop(&peer);
}

static void a_child_opens_connections_of_its_own(void **state)
{
    (void)state;
    struct fake_peer peer;
    fake_peer_start(&peer, 0, FAKE_ANSWERS);
    struct decide_client *client = pinged_client(peer.url);
    pinged_expect(client, LONG_US, DECIDE_OK);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int failed = 0;
        for (int i = 0; i < 5; i++) {
            struct decide_reply *reply = decide_call(client, "ping", NULL, 0, LONG_US);
            failed |= reply->status != DECIDE_OK;
            decide_reply_free(reply);
        }
        decide_client_destroy(&client);
        _exit(failed);
    }
    for (int i = 0; i < 5; i++)
        pinged_expect(client, LONG_US, DECIDE_OK);
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    pinged_expect(client, LONG_US, DECIDE_OK); /* the child closed nothing of the parent's */
    assert_int_equal(atomic_load(&peer.connection_count), 2);
    decide_client_destroy(&client);
    fake_peer_stop(&peer);
}

static void a_lack_of_memory_is_a_status(void **state)
{
    (void)state;
    static uint8_t large[40000]; /* makes the connection's buffer grow */
    struct fake_peer peer;
    fake_peer_start(&peer, 0, FAKE_ANSWERS);
    memcpy(large, "\x82\xa2ok\xc3\xa3pad\xda", 10);
    large[10] = (uint8_t)((sizeof large - 12) >> 8);
    large[11] = (uint8_t)(sizeof large - 12);
    memset(large + 12, 'x', sizeof large - 12);
    fake_peer_set_reply(&peer, large, sizeof large);
    struct decide_options options = decide_options_default();
    options.urls = peer.url;
    options.token = "t";
    bool failed = true;
    for (uint32_t n = 0; failed; n++) {
        struct decide_client *client = NULL;
        alloc_fail_after(n);
        enum decide_status status = decide_client_create(&options, &client, NULL);
        failed = alloc_fail_off();
        assert_int_equal(status, failed ? DECIDE_NOMEM : DECIDE_OK);
        assert_true((client == NULL) == failed);
        decide_client_destroy(&client);
    }
    failed = true;
    for (uint32_t n = 0; failed; n++) {
        struct decide_client *client = pinged_client(peer.url);
        alloc_fail_after(n);
        struct decide_reply *reply = decide_call(client, "ping", NULL, 0, LONG_US);
        failed = alloc_fail_off();
        assert_int_equal(reply->status, failed ? DECIDE_NOMEM : DECIDE_OK);
        decide_reply_free(reply);
        pinged_expect(client, LONG_US, DECIDE_OK); /* and the client goes on working */
        decide_client_destroy(&client);
    }
    fake_peer_stop(&peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_fallback_is_flagged_and_leaves_out_what_is_excluded),
        cmocka_unit_test(signals_and_closed_pipes_disturb_nothing),
        cmocka_unit_test(a_child_opens_connections_of_its_own),
        cmocka_unit_test(a_lack_of_memory_is_a_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
