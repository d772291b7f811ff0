/* SPDX-License-Identifier: Apache-2.0 */
/* Event ids outlive their records: the log is pruned by age and by size whatever is remembered,
 * and a start from a checkpoint knows the same ids as before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/durable_rig.h"

#define DAY_MS  INT64_C(86400000)
#define DAY_NS  (UINT64_C(86400000) * 1000000)
#define WAIT_NS UINT64_C(60000000000)

static struct durable_rig rig;

static int set_up(void **state)
{
    (void)state;
    const struct store_limits limits = {.items_max = 1000,
                                        .people_max = 1000,
                                        .history_items_max = 8,
                                        .queue_events_max = 100000,
                                        .dedup_events_max = 5000,
                                        .prices_max = 8,
                                        .feature_rows_max = 1000};
    durable_rig_create(&rig, &limits);
    rig.log.retain_ms = 10 * DAY_MS;
    durable_rig_open(&rig, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    durable_rig_destroy(&rig);
    return 0;
}

static void send(uint32_t first, uint32_t count, uint32_t pad)
{
    char json[1024];
    for (uint32_t i = first; i < first + count; i++) {
        snprintf(json, sizeof json,
                 "{\"id\":\"e%u\",\"type\":\"view\",\"user\":\"u%u\",\"items\":[{\"id\":\"i\"}],"
                 "\"props\":{\"p\":\"%0*u\"}}",
                 i, i % 50, (int)pad + 1, 0u);
        events_add_json(&rig.events, json);
    }
    durable_rig_submit(&rig);
}

static struct event_log_stats settled(void)
{
    struct event_log_stats stats;
    (void)durable_rig_hash(&rig);
    do {
        sched_yield();
        event_log_stats(store_log(rig.store), &stats);
    } while (stats.gathered > 0);
    return stats;
}

static struct store_checkpoint_stats wait_for_checkpoint(uint64_t written)
{
    struct store_checkpoint_stats stats;
    uint64_t end_ns = clock_now_ns(clock_system()) + WAIT_NS;
    do {
        sched_yield();
        store_checkpoint_stats(rig.store, &stats);
    } while (stats.written < written && stats.failures == 0 &&
             clock_now_ns(clock_system()) < end_ns);
    assert_true(stats.written >= written);
    return stats;
}

/* The log may be pruned up to the older of two. */
static void checkpoint_twice(uint32_t first)
{
    struct store_checkpoint_stats stats;
    for (uint32_t i = 0; i < 2; i++) {
        send(first + i, 1, 0);
        (void)settled();
        store_checkpoint_stats(rig.store, &stats);
        assert_int_equal(store_checkpoint(rig.store, &rig.err), ERR_OK);
        (void)wait_for_checkpoint(stats.written + 1);
    }
}

static void restart(void)
{
    struct store_recovery recovery;
    durable_rig_close(&rig);
    durable_rig_open(&rig, NULL);
    durable_rig_recover(&rig, &recovery);
    if (recovery.state != STORE_RECOVERED)
        fail_msg("%s", rig.err.text);
}

static void check_restart(void)
{
    uint64_t before = durable_rig_hash(&rig);
    restart();
    assert_true(durable_rig_hash(&rig) == before);
}

/* How many of these events count now. */
static uint64_t count_again(uint32_t first, uint32_t count)
{
    struct store_stats before, after;
    (void)settled();
    store_stats(rig.store, &before);
    send(first, count, 0);
    (void)settled();
    store_stats(rig.store, &after);
    assert_int_equal(after.events_duplicate - before.events_duplicate +
                         (after.events_accepted - before.events_accepted),
                     count);
    return after.events_accepted - before.events_accepted;
}

static void test_old_records_go_though_their_ids_are_known(void **state)
{
    (void)state;
    send(0, 1000, 0);
    checkpoint_twice(2000);
    clock_manual_advance_ns(&rig.clock, 11 * DAY_NS);
    for (uint32_t i = 0; i < 20; i++) {
        send(3000 + i * 50, 50, 0);
        (void)settled();
    }
    struct event_log_stats stats = settled();
    assert_int_equal(stats.first_sequence, 1002); /* the newest checkpoint but one is of 1001 */
    check_restart();
    assert_int_equal(count_again(0, 1000), 0);
    assert_int_equal(count_again(2000, 2), 0);
    assert_int_equal(count_again(5000, 7), 7);
    check_restart();
}

/* The state is that of before, at whatever record the ring of ids has come round. */
static void test_ids_change_while_they_are_written(void **state)
{
    (void)state;
    uint32_t sent = 0;
    for (uint64_t round = 1; round <= 6; round++) {
        for (uint32_t i = 0; i < 3; i++, sent += 700)
            send(sent, 700, 0);
        (void)settled();
        assert_int_equal(store_checkpoint(rig.store, &rig.err), ERR_OK);
        for (uint32_t i = 0; i < 6; i++, sent += 300)
            send(sent, 300, 0);
        (void)wait_for_checkpoint(round);
        clock_manual_advance_ns(&rig.clock, 11 * DAY_NS);
    }
    for (uint64_t written = 7; written <= 8; written++) {
        send(sent++, 1, 0);
        (void)settled();
        assert_int_equal(store_checkpoint(rig.store, &rig.err), ERR_OK);
        for (uint32_t i = 0; i < 6 && written == 8; i++, sent += 300)
            send(sent, 300, 0);
        (void)wait_for_checkpoint(written);
    }
    clock_manual_advance_ns(&rig.clock, 11 * DAY_NS);
    for (uint32_t i = 0; i < 300; i++) {
        send(sent++, 1, 0);
        (void)settled();
    }
    assert_int_equal(settled().last_sequence - settled().first_sequence, 2100);
    check_restart();
    assert_int_equal(count_again(sent - 5000, 2000), 0);
    assert_int_equal(count_again(sent - 2000, 2000), 0);
    assert_int_equal(count_again(sent - 5001, 1), 1);
}

static void test_a_log_that_is_full(void **state)
{
    (void)state;
    durable_rig_close(&rig);
    rig.log.bytes_max = 16u << 20;
    rig.limits.dedup_events_max = 100000;
    rig.log.retain_ms = 0;
    durable_rig_open(&rig, NULL);
    uint32_t sent = 0;
    do {
        send(sent, 500, 800);
        sent += 500;
    } while (settled().first_sequence < 1000 && sent < 50000);
    assert_true(settled().first_sequence >= 1000);
    check_restart();
    assert_int_equal(count_again(0, 1000), 0);
}

static void test_other_limits_after_a_start(void **state)
{
    (void)state;
    send(0, 2000, 0);
    checkpoint_twice(2000);
    clock_manual_advance_ns(&rig.clock, 11 * DAY_NS);
    for (uint32_t i = 0; i < 40; i++) {
        send(3000 + i * 10, 10, 0);
        (void)settled();
    }
    assert_int_equal(settled().first_sequence, 2002);
    rig.limits.dedup_events_max = 1000; /* 401 are in the log */
    restart();
    assert_int_equal(count_again(1500, 500), 0);
    assert_int_equal(count_again(1000, 1), 1);
    rig.limits.dedup_events_max = 0;
    restart();
    assert_int_equal(count_again(3000, 1), 1);
    rig.limits.dedup_events_max = 5000;
    rig.limits.dedup_window_s = 86400;
    restart();
    assert_int_equal(count_again(1500, 1), 1); /* too long ago */
    assert_int_equal(count_again(3050, 1), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(test_old_records_go_though_their_ids_are_known),
        T(test_ids_change_while_they_are_written),
        T(test_a_log_that_is_full),
        T(test_other_limits_after_a_start),
    };
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
