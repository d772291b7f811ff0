/* SPDX-License-Identifier: Apache-2.0 */
/* What a call does when its peer misbehaves: it ends in time and says what happened. */
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

#include "base/clock.h"
#include "client/decide.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/fake_peer.h"
#include "tests/support/temp_dir.h"

#define LONG_US  UINT64_C(30000000) /* a time that no working call comes near to */
#define SHORT_US UINT64_C(60000)    /* a time that runs out */
/* A time for calls that fail again and again: the pauses between tries double, and the last one
 * that fits, after 511 ms, still has plenty of time to fail by itself. */
#define RETRY_US UINT64_C(900000)

enum { EXCUSES = 10 };

static struct decide_client *client_of(const char *urls)
{
    static const char *const fallback[] = {"f1", "f2", "f1", "f3", "f4"};
    struct decide_options options = decide_options_default();
    struct decide_client *client = NULL;
    char error[DECIDE_ERROR_BYTES];
    options.urls = urls;
    options.fallback_items = fallback;
    options.fallback_count = 5;
    assert_int_equal(decide_client_create(&options, &client, error), DECIDE_OK);
    assert_string_equal(error, "");
    return client;
}

static struct decide_reply *ping(struct decide_client *client, uint64_t timeout_us)
{
    uint64_t before_ns = clock_now_ns(clock_system());
    struct decide_reply *reply = decide_call(client, "ping", NULL, 0, timeout_us);
    uint64_t waited_us = (clock_now_ns(clock_system()) - before_ns) / 1000;
    assert_non_null(reply);
    assert_true(waited_us < LONG_US); /* it came back */
    assert_true(reply->waited_us <= waited_us);
    assert_true(reply->status != DECIDE_TIMEOUT || reply->waited_us >= timeout_us);
    assert_true((reply->status == DECIDE_OK) == (reply->error_message == NULL));
    return reply;
}

/* On a machine that is busy with others the time of a call may run out before what is to be seen.
 */
static void expect(struct decide_client *client, uint64_t timeout_us, enum decide_status status)
{
    struct decide_reply *reply = ping(client, timeout_us);
    for (int i = 0; i < EXCUSES && reply->status == DECIDE_TIMEOUT && status != DECIDE_TIMEOUT;
         i++) {
        decide_reply_free(reply);
        reply = ping(client, timeout_us);
    }
    if (reply->status != status)
        print_error("got %s: %s\n", decide_status_name(reply->status), reply->error_message);
    assert_int_equal(reply->status, status);
    decide_reply_free(reply);
}

static void each_misbehaviour_has_its_status(void **state)
{
    (void)state;
    static const struct {
        enum fake_behaviour behaviour;
        enum decide_status status;
    } cases[] = {
        {FAKE_ANSWERS, DECIDE_OK},
        {FAKE_ANSWERS_BYTEWISE, DECIDE_OK},
        {FAKE_NEVER_GREETS, DECIDE_TIMEOUT},
        {FAKE_NEVER_ANSWERS, DECIDE_TIMEOUT},
        {FAKE_ANSWERS_HALF, DECIDE_TIMEOUT},
        {FAKE_GREETS_WRONG, DECIDE_PROTOCOL},
        {FAKE_ANSWERS_GIANT, DECIDE_PROTOCOL},
        {FAKE_ANSWERS_GARBAGE, DECIDE_PROTOCOL},
        {FAKE_ANSWERS_WRONG_ID, DECIDE_PROTOCOL},
        {FAKE_ANSWERS_HALF_AND_CLOSES, DECIDE_UNREACHABLE},
        {FAKE_RESETS, DECIDE_UNREACHABLE},
        {FAKE_CLOSES, DECIDE_UNREACHABLE},
    };
    for (size_t ipc = 0; ipc < 2; ipc++) {
        struct temp_dir dir;
        temp_dir_create(&dir);
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            struct fake_peer peer;
            char path[2 * TEMP_DIR_BYTES];
            char name[16];
            snprintf(name, sizeof name, "s%zu", i);
            if (ipc == 1)
                fake_peer_start_ipc(&peer, temp_dir_path(&dir, name, path), cases[i].behaviour);
            else
                fake_peer_start(&peer, 0, cases[i].behaviour);
            struct decide_client *client = client_of(peer.url);
            expect(client,
                   cases[i].status == DECIDE_OK        ? LONG_US
                   : cases[i].status == DECIDE_TIMEOUT ? SHORT_US
                                                       : RETRY_US,
                   cases[i].status);
            /* Whatever happened, the next answer is the right one. */
            atomic_store(&peer.behaviour, FAKE_ANSWERS);
            if (cases[i].behaviour != FAKE_NEVER_GREETS && cases[i].behaviour != FAKE_ANSWERS_HALF)
                expect(client, LONG_US, DECIDE_OK);
            decide_client_destroy(&client);
            fake_peer_stop(&peer);
        }
        temp_dir_remove(&dir);
    }
}

static void nobody_there_is_told_at_once_when_another_try_does_not_fit(void **state)
{
    (void)state;
    struct fake_peer peer;
    fake_peer_start(&peer, 0, FAKE_ANSWERS);
    uint16_t port = peer.port;
    fake_peer_stop(&peer); /* the port is free now */
    struct decide_client *client = client_of(peer.url);
    for (int i = 0; i < 12; i++) {
        struct decide_reply *reply = ping(client, SHORT_US);
        /* On a busy machine the time may run out between two tries. */
        assert_true(reply->status == DECIDE_UNREACHABLE || reply->status == DECIDE_TIMEOUT);
        decide_reply_free(reply);
    }
    struct decide_counters counters;
    decide_client_counters(client, &counters);
    assert_int_equal(counters.calls, 12);
    assert_int_equal(counters.unreachable + counters.timeouts, 12);
    assert_true(counters.unreachable > 6);
    assert_true(counters.retries > 0);                      /* the first call went on trying */
    assert_true(counters.connects < 12 + counters.retries); /* later ones were told at once */

    /* When it is back, a call with time waits for its turn and is answered. */
    fake_peer_start(&peer, port, FAKE_ANSWERS);
    expect(client, LONG_US, DECIDE_OK);
    decide_client_destroy(&client);
    fake_peer_stop(&peer);
}

static void a_restart_loses_no_call(void **state)
{
    (void)state;
    struct fake_peer peer;
    fake_peer_start(&peer, 0, FAKE_ANSWERS);
    struct decide_client *client = client_of(peer.url);
    for (int i = 0; i < 20; i++) {
        expect(client, LONG_US, DECIDE_OK);
        uint16_t port = peer.port;
        fake_peer_stop(&peer); /* the pooled connection is dead now */
        fake_peer_start(&peer, port, FAKE_ANSWERS);
    }
    decide_client_destroy(&client);
    fake_peer_stop(&peer);
}

static void a_reply_that_is_late_is_skipped_and_its_connection_kept(void **state)
{
    (void)state;
    struct fake_peer peer;
    fake_peer_start(&peer, 0, FAKE_ANSWERS);
    struct decide_client *client = client_of(peer.url);
    expect(client, LONG_US, DECIDE_OK);
    fake_peer_hold(&peer, true);
    fake_peer_set_refusal(&peer, "internal");
    expect(client, 20000, DECIDE_TIMEOUT);
    fake_peer_wait_requests(&peer, 2);
    fake_peer_hold(&peer, false); /* the late reply goes out, a refusal */
    struct decide_reply *reply = ping(client, LONG_US);
    assert_int_equal(reply->status, DECIDE_REFUSED);
    decide_reply_free(reply);
    uint8_t fine[] = {0x81, 0xa2, 'o', 'k', 0xc3};
    fake_peer_set_reply(&peer, fine, sizeof fine);
    expect(client, LONG_US, DECIDE_OK); /* this one's own, not a refusal that was left over */
    struct decide_counters counters;
    decide_client_counters(client, &counters);
    /* One connection, unless this machine paused for longer than the client's patience. */
    assert_true(counters.connects <= 2);
    decide_client_destroy(&client);
    fake_peer_stop(&peer);
}

static void an_answer_that_nobody_asked_for_closes_the_connection(void **state)
{
    (void)state;
    struct fake_peer peer;
    fake_peer_start(&peer, 0, FAKE_ANSWERS_TWICE);
    struct decide_client *client = client_of(peer.url);
    for (int i = 0; i < 20; i++)
        expect(client, LONG_US, DECIDE_OK);
    decide_client_destroy(&client);
    fake_peer_stop(&peer);
}

static void the_next_address_takes_over(void **state)
{
    (void)state;
    static const enum fake_behaviour bad[] = {FAKE_GREETS_WRONG, FAKE_RESETS, FAKE_CLOSES,
                                              FAKE_NEVER_GREETS, FAKE_ANSWERS_GARBAGE};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct fake_peer sick;
        struct fake_peer sound;
        fake_peer_start(&sick, 0, bad[i]);
        fake_peer_start(&sound, 0, FAKE_ANSWERS);
        char urls[400];
        snprintf(urls, sizeof urls, " %s , %s", sick.url, sound.url);
        struct decide_client *client = client_of(urls);
        for (int k = 0; k < 4; k++)
            expect(client, bad[i] == FAKE_NEVER_GREETS ? 2000000 : LONG_US, DECIDE_OK);
        assert_int_equal(atomic_load(&sound.request_count), 4);
        decide_client_destroy(&client);
        fake_peer_stop(&sick);
        fake_peer_stop(&sound);
    }
}

static void draining_and_overloaded_go_to_the_next_address(void **state)
{
    (void)state;
    static const char *const codes[] = {"draining", "overloaded"};
    for (size_t i = 0; i < 2; i++) {
        struct fake_peer busy;
        struct fake_peer idle;
        fake_peer_start(&busy, 0, FAKE_ANSWERS);
        fake_peer_start(&idle, 0, FAKE_ANSWERS);
        fake_peer_set_refusal(&busy, codes[i]);
        char urls[400];
        snprintf(urls, sizeof urls, "%s,%s", busy.url, idle.url);
        struct decide_client *client = client_of(urls);
        for (int k = 0; k < 6; k++)
            expect(client, LONG_US, DECIDE_OK);
        assert_int_equal(atomic_load(&idle.request_count), 6);
        decide_client_destroy(&client);
        fake_peer_stop(&busy);
        fake_peer_stop(&idle);
    }
}

static void a_daemon_that_is_alone_and_overloaded_refuses(void **state)
{
    (void)state;
    struct fake_peer peer;
    fake_peer_start(&peer, 0, FAKE_ANSWERS);
    fake_peer_set_refusal(&peer, "overloaded");
    struct decide_client *client = client_of(peer.url);
    struct decide_reply *reply = ping(client, RETRY_US);
    assert_int_equal(reply->status, DECIDE_REFUSED);
    assert_string_equal(reply->error_code, "overloaded");
    assert_string_equal(reply->error_message, "told to");
    decide_reply_free(reply);
    /* A plain refusal is final: asked once. */
    fake_peer_set_refusal(&peer, "bad_request");
    uint32_t before = atomic_load(&peer.request_count);
    reply = ping(client, LONG_US);
    assert_string_equal(reply->error_code, "bad_request");
    assert_int_equal(atomic_load(&peer.request_count), before + 1);
    decide_reply_free(reply);
    decide_client_destroy(&client);
    fake_peer_stop(&peer);
}

static void what_changes_the_daemon_is_not_sent_twice(void **state)
{
    (void)state;
    struct fake_peer first;
    struct fake_peer second;
    fake_peer_start(&first, 0, FAKE_RESETS);
    fake_peer_start(&second, 0, FAKE_RESETS);
    char urls[400];
    snprintf(urls, sizeof urls, "%s,%s", first.url, second.url);
    struct decide_client *client = client_of(urls);
    struct decide_reply *reply = decide_call(client, "drain", NULL, 0, LONG_US);
    assert_int_equal(reply->status, DECIDE_UNREACHABLE);
    assert_int_equal(atomic_load(&first.request_count) + atomic_load(&second.request_count), 1);
    decide_reply_free(reply);
    /* An address that it did not reach is another matter. */
    atomic_store(&first.behaviour, FAKE_CLOSES);
    atomic_store(&second.behaviour, FAKE_ANSWERS);
    reply = decide_call(client, "drain", NULL, 0, LONG_US);
    assert_int_equal(reply->status, DECIDE_OK);
    decide_reply_free(reply);
    decide_client_destroy(&client);
    fake_peer_stop(&first);
    fake_peer_stop(&second);
}

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
    struct decide_client *client = client_of(peer.url);
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
    struct decide_client *client = client_of(peer.url);
    sigaction(SIGALRM, &action, NULL); /* without SA_RESTART: system calls are interrupted */
    signal(SIGPIPE, SIG_DFL);          /* would end this process */
    setitimer(ITIMER_REAL, &often, NULL);
    expect(client, SHORT_US, DECIDE_TIMEOUT);
    atomic_store(&peer.behaviour, FAKE_ANSWERS);
    for (int i = 0; i < 200; i++)
        expect(client, LONG_US, DECIDE_OK);
    atomic_store(&peer.behaviour, FAKE_RESETS);
    for (int i = 0; i < 10; i++) {
        struct decide_reply *reply = ping(client, 5000);
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
    struct decide_client *client = client_of(peer.url);
    expect(client, LONG_US, DECIDE_OK);
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
        expect(client, LONG_US, DECIDE_OK);
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    expect(client, LONG_US, DECIDE_OK); /* the child closed nothing of the parent's */
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
        struct decide_client *client = client_of(peer.url);
        alloc_fail_after(n);
        struct decide_reply *reply = decide_call(client, "ping", NULL, 0, LONG_US);
        failed = alloc_fail_off();
        assert_int_equal(reply->status, failed ? DECIDE_NOMEM : DECIDE_OK);
        decide_reply_free(reply);
        expect(client, LONG_US, DECIDE_OK); /* and the client goes on working */
        decide_client_destroy(&client);
    }
    fake_peer_stop(&peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_misbehaviour_has_its_status),
        cmocka_unit_test(nobody_there_is_told_at_once_when_another_try_does_not_fit),
        cmocka_unit_test(a_restart_loses_no_call),
        cmocka_unit_test(a_reply_that_is_late_is_skipped_and_its_connection_kept),
        cmocka_unit_test(an_answer_that_nobody_asked_for_closes_the_connection),
        cmocka_unit_test(the_next_address_takes_over),
        cmocka_unit_test(draining_and_overloaded_go_to_the_next_address),
        cmocka_unit_test(a_daemon_that_is_alone_and_overloaded_refuses),
        cmocka_unit_test(what_changes_the_daemon_is_not_sent_twice),
        cmocka_unit_test(the_fallback_is_flagged_and_leaves_out_what_is_excluded),
        cmocka_unit_test(signals_and_closed_pipes_disturb_nothing),
        cmocka_unit_test(a_child_opens_connections_of_its_own),
        cmocka_unit_test(a_lack_of_memory_is_a_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
