/* SPDX-License-Identifier: Apache-2.0 */
/* What a hostile or broken client may send to the native request socket, and how slowly it may
 * read; after each attack another client is served. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/metrics.h"
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

static long virtual_pages(void)
{
    char line[64] = {0};
    FILE *file = fopen("/proc/self/statm", "re");
    assert_non_null(file);
    assert_non_null(fgets(line, sizeof line, file));
    fclose(file);
    return strtol(line, NULL, 10);
}

static void test_announcing_four_gigabytes(void **state)
{
    struct sp_target *target = *state;
    struct sp_client clients[32];
    long before = virtual_pages();
    for (uint32_t i = 0; i < 32; i++) {
        assert_true(sp_open(&clients[i], target->url[i % 2]));
        assert_true(sp_announce(&clients[i], i % 4 < 2 ? UINT64_C(1) << 32 : UINT64_MAX));
    }
    for (uint32_t i = 0; i < 32; i++) {
        assert_true(sp_is_closed_by_peer(&clients[i]));
        sp_close(&clients[i]);
    }
    assert_true(virtual_pages() - before < (1L << 30) / sysconf(_SC_PAGESIZE));
    assert_true(sp_fixture_metric_becomes(&target->fixture, M_MESSAGES_REFUSED, TRANSPORT_SP, 32));
    assert_true(
        sp_fixture_metric_becomes(&target->fixture, M_CONNECTIONS_CLOSED, CLOSE_TOO_LARGE, 32));
}

static void test_half_messages_from_many_do_not_stop_others(void **state)
{
    struct sp_target *target = *state;
    struct sp_client clients[64];
    for (uint32_t i = 0; i < 64; i++) {
        assert_true(sp_open(&clients[i], target->url[i % 2]));
        assert_true(i % 3 == 0 ? sp_send_raw(&clients[i], "\1", 1)
                               : sp_announce(&clients[i], 60000) &&
                                     sp_send_raw(&clients[i], "half a message", 14));
    }
    assert_true(sp_serves(target->url[0]));
    assert_true(sp_serves(target->url[1]));
    for (uint32_t i = 0; i < 64; i++)
        sp_close(&clients[i]);
}

/* Many more requests than fit into its socket, large replies, and nothing read. */
static void test_a_slow_reader_is_closed_and_others_are_served(void **state)
{
    struct sp_target *target = *state;
    for (uint32_t round = 0; round < 2; round++) {
        struct sp_client slow;
        struct sp_client other;
        assert_true(sp_open(&slow, target->url[round]));
        assert_true(sp_open(&other, target->url[round]));
        int small = 4096;
        setsockopt(slow.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
        uint32_t sent_count = 0;
        while (sent_count < 2000 && sp_send(&slow, sent_count, "big:200000", 10))
            sent_count++;
        for (int i = 0; i < 5; i++) {
            uint64_t asked_ns = clock_now_ns(clock_system());
            assert_int_equal(sp_ask(&other, "hello", reply, sizeof reply), 5);
            assert_true(clock_now_ns(clock_system()) - asked_ns < UINT64_C(2000000000));
        }
        assert_true(
            sp_fixture_metric_becomes(&target->fixture, M_SLOW_READERS_CLOSED, 0, round + 1));
        sp_close(&slow);
        sp_close(&other);
    }
}

static void test_a_message_of_too_many_hops_is_dropped_alone(void **state)
{
    struct sp_target *target = *state;
    struct sp_client client;
    uint8_t hops[4 * 20] = {0}; /* no top bit: only hops, and no id within the limit */
    uint32_t id = 0;
    assert_true(sp_open(&client, target->url[0]));
    for (int i = 0; i < 50; i++) {
        assert_true(sp_announce(&client, sizeof hops));
        assert_true(sp_send_raw(&client, hops, sizeof hops));
    }
    hops[4 * 7] = 0x80; /* seven hops and an id come through, and come back */
    assert_true(sp_announce(&client, sizeof hops));
    assert_true(sp_send_raw(&client, hops, sizeof hops));
    assert_int_equal(sp_receive(&client, &id, reply, sizeof reply), sizeof hops - 4);
    assert_memory_equal(reply, hops + 4, sizeof hops - 4);
    sp_close(&client);
}

static void test_an_empty_body_is_a_request_and_three_bytes_are_not(void **state)
{
    struct sp_target *target = *state;
    for (uint32_t i = 0; i < 2; i++) {
        struct sp_client client;
        uint32_t id = 0;
        assert_true(sp_open(&client, target->url[i]));
        assert_true(sp_send(&client, 77, "", 0));
        assert_int_equal(sp_receive(&client, &id, reply, sizeof reply), 0);
        assert_int_equal(id, 77);
        assert_true(sp_announce(&client, 3));
        sp_send_raw(&client, "\200\0\0", 3); /* it may be closed by now */
        assert_true(sp_is_closed_by_peer(&client));
        sp_close(&client);
    }
}

/* As nanomsg's raw sockets may: any ids, many at once, one connection. */
static void test_pipelined_ids_come_back_with_their_own_replies(void **state)
{
    enum { PIPELINED = 100 }; /* unread replies must fit into the socket */
    struct sp_target *target = *state;
    for (uint32_t round = 0; round < 2; round++) {
        struct sp_client client;
        bool seen[PIPELINED] = {false};
        assert_true(sp_open(&client, target->url[round]));
        for (uint32_t i = 0; i < PIPELINED; i++) {
            uint32_t body[2] = {i, ~i};
            assert_true(sp_send(&client, i * 7919, body, sizeof body));
        }
        for (uint32_t i = 0; i < PIPELINED; i++) {
            uint32_t id = 0;
            uint32_t body[2];
            assert_int_equal(sp_receive(&client, &id, body, sizeof body), sizeof body);
            assert_true(body[0] < PIPELINED && !seen[body[0]]);
            assert_int_equal(id, body[0] * 7919);
            assert_int_equal(body[1], ~body[0]);
            seen[body[0]] = true;
        }
        sp_close(&client);
    }
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
