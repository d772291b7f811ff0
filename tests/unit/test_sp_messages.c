/* SPDX-License-Identifier: Apache-2.0 */
/* What a hostile or broken client may send to the native request socket, and how slowly it may
 * read; after each attack another client is served. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "server/metrics.h"
#include "tests/support/sp_attack.h"
#include "tests/support/sp_client.h"
#include "tests/support/sp_fixture.h"
#include "tests/support/sp_target.h"

static char reply[CALL_REPLY_BYTES];

static int set_up_half_a_second(void **state)
{
    return sp_target_set_up_with(state, 500);
}

/* For readers who wait for others, on a machine that may be slow. */
static int set_up_patient(void **state)
{
    return sp_target_set_up_with(state, 30000);
}

static void test_announcing_four_gigabytes(void **state)
{
    struct sp_target *target = *state;
    sp_attack_four_gigabytes(target->url);
    assert_true(sp_fixture_metric_becomes(&target->fixture, M_MESSAGES_REFUSED, TRANSPORT_SP, 32));
    assert_true(
        sp_fixture_metric_becomes(&target->fixture, M_CONNECTIONS_CLOSED, CLOSE_TOO_LARGE, 32));
}

static void test_half_messages_from_many_do_not_stop_others(void **state)
{
    struct sp_target *target = *state;
    sp_attack_half_messages(target->url);
}

/* Many more requests than fit into its socket, large replies, and nothing read. */
static void test_a_slow_reader_is_closed_and_others_are_served(void **state)
{
    struct sp_target *target = *state;
    for (uint32_t round = 0; round < 2; round++) {
        struct sp_client slow;
        sp_attack_read_nothing(target->url[round], &slow);
        assert_true(
            sp_fixture_metric_becomes(&target->fixture, M_SLOW_READERS_CLOSED, 0, round + 1));
        sp_close(&slow);
    }
}

static void test_a_message_of_too_many_hops_is_dropped_alone(void **state)
{
    struct sp_target *target = *state;
    sp_attack_too_many_hops(target->url[0]);
}

static void test_an_empty_body_is_a_request_and_three_bytes_are_not(void **state)
{
    struct sp_target *target = *state;
    sp_attack_short_messages(target->url);
}

static void test_pipelined_ids_come_back_with_their_own_replies(void **state)
{
    struct sp_target *target = *state;
    sp_attack_pipeline(target->url);
}

/* One that takes a few bytes now and then makes progress; it may be slow for as long as it likes.
 */
static void test_a_trickling_reader_is_not_closed(void **state)
{
    struct sp_target *target = *state;
    struct sp_client slow;
    int small = 4096;
    size_t got = 0;
    assert_true(sp_open(&slow, target->url[1]));
    setsockopt(slow.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    for (uint32_t i = 0; i < 8; i++)
        assert_true(sp_send(&slow, i, "big:200000", 10));
    while (got < 8 * (9 + 4 + 200000)) {
        ssize_t n = recv(slow.fd, reply, 40000, 0);
        assert_true(n > 0);
        got += (size_t)n;
        poll(NULL, 0, 15); /* the pace of this reader: longer for all than it may be stuck */
    }
    assert_int_equal(metric_value(target->fixture.metrics, M_SLOW_READERS_CLOSED, 0, 0), 0);
    assert_int_equal(sp_ask(&slow, "hello", reply, sizeof reply), 5);
    sp_close(&slow);
}

/* Thousands of requests in one go; the others get their turns in between. */
static void test_a_flood_of_one_does_not_hold_up_others(void **state)
{
    enum { FLOOD = 5000, FRAME = 9 + 4 + 4 };
    struct sp_target *target = *state;
    static uint8_t flood[FLOOD * FRAME];
    for (uint32_t i = 0; i < FLOOD; i++) {
        uint8_t *frame = flood + i * FRAME;
        frame[0] = 1;
        frame[8] = 8;
        frame[9] = 0x80;
        memcpy(frame + 13, &i, sizeof i);
    }
    struct sp_client flooder;
    struct sp_client others[4];
    assert_true(sp_open(&flooder, target->url[1]));
    for (uint32_t i = 0; i < 4; i++)
        assert_true(sp_open(&others[i], target->url[1]));
    assert_true(sp_send_raw(&flooder, flood, sizeof flood));
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(sp_ask(&others[i], "hello", reply, sizeof reply), 5);
    for (uint32_t i = 0; i < FLOOD; i++) { /* in order, since none of them is deferred */
        uint32_t id = 0, number = 0;
        assert_int_equal(sp_receive(&flooder, &id, &number, sizeof number), sizeof number);
        assert_int_equal(number, i);
    }
    for (uint32_t i = 0; i < 4; i++)
        sp_close(&others[i]);
    sp_close(&flooder);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, sp_target_set_up, sp_target_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_announcing_four_gigabytes),
        TEST(test_half_messages_from_many_do_not_stop_others),
        TEST(test_a_slow_reader_is_closed_and_others_are_served),
        TEST(test_a_message_of_too_many_hops_is_dropped_alone),
        TEST(test_an_empty_body_is_a_request_and_three_bytes_are_not),
        TEST(test_pipelined_ids_come_back_with_their_own_replies),
        cmocka_unit_test_setup_teardown(test_a_trickling_reader_is_not_closed, set_up_half_a_second,
                                        sp_target_tear_down),
        cmocka_unit_test_setup_teardown(test_a_flood_of_one_does_not_hold_up_others, set_up_patient,
                                        sp_target_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
