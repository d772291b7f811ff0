/* SPDX-License-Identifier: Apache-2.0 */
/* What a call does when its peer misbehaves: it ends in time and says what happened. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "client/decide.h"
#include "tests/support/fake_peer.h"
#include "tests/support/pinged.h"
#include "tests/support/temp_dir.h"

/* A time for calls that fail again and again: the pauses between tries double, and the last one
 * that fits, after 511 ms, still has plenty of time to fail by itself. */
#define RETRY_US UINT64_C(900000)

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
            struct decide_client *client = pinged_client(peer.url);
            pinged_expect(client,
                          cases[i].status == DECIDE_OK        ? LONG_US
                          : cases[i].status == DECIDE_TIMEOUT ? SHORT_US
                                                              : RETRY_US,
                          cases[i].status);
            /* Whatever happened, the next answer is the right one. */
            atomic_store(&peer.behaviour, FAKE_ANSWERS);
            if (cases[i].behaviour != FAKE_NEVER_GREETS && cases[i].behaviour != FAKE_ANSWERS_HALF)
                pinged_expect(client, LONG_US, DECIDE_OK);
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
    struct decide_client *client = pinged_client(peer.url);
    for (int i = 0; i < 12; i++) {
        struct decide_reply *reply = pinged(client, SHORT_US);
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
    pinged_expect(client, LONG_US, DECIDE_OK);
    decide_client_destroy(&client);
    fake_peer_stop(&peer);
}

static void a_restart_loses_no_call(void **state)
{
    (void)state;
    struct fake_peer peer;
    fake_peer_start(&peer, 0, FAKE_ANSWERS);
    struct decide_client *client = pinged_client(peer.url);
    for (int i = 0; i < 20; i++) {
        pinged_expect(client, LONG_US, DECIDE_OK);
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
    struct decide_client *client = pinged_client(peer.url);
    pinged_expect(client, LONG_US, DECIDE_OK);
    fake_peer_hold(&peer, true);
    fake_peer_set_refusal(&peer, "internal");
    pinged_expect(client, 20000, DECIDE_TIMEOUT);
    fake_peer_wait_requests(&peer, 2);
    fake_peer_hold(&peer, false); /* the late reply goes out, a refusal */
    struct decide_reply *reply = pinged(client, LONG_US);
    assert_int_equal(reply->status, DECIDE_REFUSED);
    decide_reply_free(reply);
    uint8_t fine[] = {0x81, 0xa2, 'o', 'k', 0xc3};
    fake_peer_set_reply(&peer, fine, sizeof fine);
    pinged_expect(client, LONG_US,
                  DECIDE_OK); /* this one's own, not a refusal that was left over */
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
    struct decide_client *client = pinged_client(peer.url);
    for (int i = 0; i < 20; i++)
        pinged_expect(client, LONG_US, DECIDE_OK);
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
        struct decide_client *client = pinged_client(urls);
        for (int k = 0; k < 4; k++)
            pinged_expect(client, bad[i] == FAKE_NEVER_GREETS ? 2000000 : LONG_US, DECIDE_OK);
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
        struct decide_client *client = pinged_client(urls);
        for (int k = 0; k < 6; k++)
            pinged_expect(client, LONG_US, DECIDE_OK);
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
    struct decide_client *client = pinged_client(peer.url);
    struct decide_reply *reply = pinged(client, RETRY_US);
    assert_int_equal(reply->status, DECIDE_REFUSED);
    assert_string_equal(reply->error_code, "overloaded");
    assert_string_equal(reply->error_message, "told to");
    decide_reply_free(reply);
    /* A plain refusal is final: asked once. */
    fake_peer_set_refusal(&peer, "bad_request");
    uint32_t before = atomic_load(&peer.request_count);
    reply = pinged(client, LONG_US);
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
    struct decide_client *client = pinged_client(urls);
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
