/* SPDX-License-Identifier: Apache-2.0 */
/* Retention by type: what is emptied and when, that the state stays what it is, and what a replay
 * of the whole log gives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/rcu.h"
#include "tests/support/disk_fault.h"
#include "tests/support/durable_rig.h"

#define DAY_MS  INT64_C(86400000)
#define DAY_NS  (UINT64_C(86400000) * 1000000)
#define WAIT_NS UINT64_C(30000000000)

enum { PEOPLE = 20 };

static struct durable_rig rig;

static const struct store_limits limits = {.items_max = 1000,
                                           .people_max = 1000,
                                           .history_items_max = 100,
                                           .queue_events_max = 10000,
                                           .dedup_events_max = 100,
                                           .prices_max = 8,
                                           .feature_rows_max = 1000};

static int set_up(void **state)
{
    (void)state;
    durable_rig_create(&rig, &limits);
    rig.log.type_retain_ms[EVENT_view] = 30 * DAY_MS;
    rig.log.type_retain_ms[EVENT_search] = 7 * DAY_MS;
    durable_rig_open(&rig, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    disk_fault_off();
    durable_rig_destroy(&rig);
    return 0;
}

static void recover(void)
{
    struct store_recovery recovery;
    durable_rig_recover(&rig, &recovery);
    assert_int_equal(recovery.state, STORE_RECOVERED);
}

static void reopen(void)
{
    durable_rig_close(&rig);
    durable_rig_open(&rig, NULL);
    recover();
}

/* All that was submitted is applied, and on disk. */
static void settle(void)
{
    struct event_log_stats stats;
    uint64_t end_ns = clock_now_ns(clock_system()) + WAIT_NS;
    do {
        (void)durable_rig_hash(&rig);
        event_log_stats(store_log(rig.store), &stats);
    } while (stats.gathered > 0 && clock_now_ns(clock_system()) < end_ns);
    assert_int_equal(stats.gathered, 0);
}

/* Everybody looks at something, looks for something, and buys something else. */
static void add_day(uint32_t day)
{
    for (uint32_t i = 0; i < PEOPLE; i++) {
        char json[256];
        static const char *const types[] = {"view", "search", "purchase"};
        for (uint32_t t = 0; t < 3; t++) {
            snprintf(json, sizeof json,
                     "{\"id\":\"%s-%u-%u\",\"type\":\"%s\",\"user\":\"u%u\","
                     "\"items\":[{\"id\":\"%s-%u\"}]}",
                     types[t], day, i, types[t], i, types[t], i);
            events_add_json(&rig.events, json);
        }
    }
    durable_rig_submit(&rig);
    settle();
}

/* Two, so that what is before the first may go. */
static void checkpoint_twice(void)
{
    struct store_checkpoint_stats stats;
    for (int i = 0; i < 2; i++) {
        store_checkpoint_stats(rig.store, &stats);
        uint64_t written = stats.written, end_ns = clock_now_ns(clock_system()) + WAIT_NS;
        events_add_json(&rig.events, i == 0 ? "{\"id\":\"c0\",\"type\":\"rate\",\"user\":\"u0\"}"
                                            : "{\"id\":\"c1\",\"type\":\"rate\",\"user\":\"u0\"}");
        durable_rig_submit(&rig);
        settle();
        assert_int_equal(store_checkpoint(rig.store, &rig.err), ERR_OK);
        do
            store_checkpoint_stats(rig.store, &stats);
        while (stats.written == written && clock_now_ns(clock_system()) < end_ns);
        assert_int_equal(stats.written, written + 1);
    }
}

static void submit_something(const char *id)
{
    char json[128];
    snprintf(json, sizeof json, "{\"id\":\"%s\",\"type\":\"rate\",\"user\":\"u0\"}", id);
    events_add_json(&rig.events, json);
    durable_rig_submit(&rig);
    (void)durable_rig_hash(&rig);
}

static void commit_something(const char *id)
{
    submit_something(id);
    settle();
}

struct counted {
    uint32_t views, searches, purchases, expired;
    bool names_expired; /* something of an emptied record but its id and time is left */
};

static struct counted count_records(void)
{
    struct counted counted = {0};
    struct event_log_reader reader;
    struct event_record record;
    struct err err;
    uint64_t next = 1;
    assert_int_equal(event_log_read_begin(store_log(rig.store), 1, &reader, &err), ERR_OK);
    for (; event_log_read_next(&reader, &record, &err) == ERR_OK; next++) {
        assert_int_equal(record.sequence, next); /* no gap */
        counted.views += record.type == EVENT_view;
        counted.searches += record.type == EVENT_search;
        counted.purchases += record.type == EVENT_purchase;
        if (!event_record_is_expired(&record))
            continue;
        counted.expired++;
        counted.names_expired |= memmem(record.event.ptr, record.event.len, "user", 4) != NULL;
    }
    assert_int_equal(err.code, ERR_NOT_FOUND);
    event_log_read_end(&reader);
    return counted;
}

static void test_each_type_goes_in_its_time_and_no_other(void **state)
{
    (void)state;
    add_day(0);
    checkpoint_twice();
    clock_manual_advance_ns(&rig.clock, 8 * DAY_NS);
    add_day(8);
    struct counted counted = count_records();
    assert_int_equal(counted.views, 2 * PEOPLE);
    assert_int_equal(counted.searches, PEOPLE); /* those of today */
    assert_int_equal(counted.expired, PEOPLE);
    clock_manual_advance_ns(&rig.clock, 23 * DAY_NS);
    commit_something("later");
    counted = count_records();
    assert_int_equal(counted.views, PEOPLE);
    assert_int_equal(counted.searches, PEOPLE); /* of day 8: old, and after the checkpoints */
    assert_int_equal(counted.purchases, 2 * PEOPLE);
    assert_int_equal(counted.expired, 2 * PEOPLE);
    assert_false(counted.names_expired);
    struct event_log_stats stats;
    event_log_stats(store_log(rig.store), &stats);
    assert_int_equal(stats.expired, 2 * PEOPLE);
}

static void test_nothing_goes_that_no_checkpoint_covers(void **state)
{
    (void)state;
    add_day(0);
    clock_manual_advance_ns(&rig.clock, 60 * DAY_NS);
    commit_something("later");
    assert_int_equal(count_records().expired, 0);
    checkpoint_twice();
    commit_something("covered");
    assert_int_equal(count_records().expired, 2 * PEOPLE);
}

static void test_the_state_is_the_same_after_a_restart(void **state)
{
    (void)state;
    add_day(0);
    checkpoint_twice();
    clock_manual_advance_ns(&rig.clock, 60 * DAY_NS);
    add_day(60);
    assert_int_equal(count_records().expired, 2 * PEOPLE);
    uint64_t before = durable_rig_hash(&rig);
    reopen();
    assert_true(durable_rig_hash(&rig) == before);
    /* Ids are known as long as ever. */
    events_add_json(&rig.events, "{\"id\":\"view-60-1\",\"type\":\"view\",\"user\":\"u1\","
                                 "\"items\":[{\"id\":\"x\"}]}");
    durable_rig_submit(&rig);
    assert_true(durable_rig_hash(&rig) == before);
}

static void test_a_replay_of_the_whole_log_is_without_them(void **state)
{
    (void)state;
    struct history history;
    add_day(0);
    checkpoint_twice();
    clock_manual_advance_ns(&rig.clock, 60 * DAY_NS);
    commit_something("later");
    durable_rig_close(&rig);
    rig.checkpoints.dir = NULL; /* all of the log is replayed */
    durable_rig_open(&rig, NULL);
    recover();
    rcu_read_begin();
    assert_true(store_history(rig.store, TEXT_LITERAL("u1"), (struct text){0}, &history));
    assert_int_equal(history.count, 1);
    assert_true(text_is(store_item_id(rig.store, history.item[0]), "purchase-1"));
    assert_int_equal(history.events, 1);
    rcu_read_end();
    rig.checkpoints.dir = rig.checkpoint_dir;
}

static void test_it_goes_on_where_it_was_and_survives_a_full_disk(void **state)
{
    (void)state;
    struct event_log_stats stats;
    add_day(0);
    checkpoint_twice();
    clock_manual_advance_ns(&rig.clock, 60 * DAY_NS);
    disk_fault_after(DISK_FAULT_WRITE, 0, ENOSPC);
    submit_something("refused");
    assert_int_equal(count_records().expired, 0); /* the transaction failed as a whole */
    disk_fault_off();
    settle(); /* by itself */
    assert_int_equal(count_records().expired, 2 * PEOPLE);
    uint64_t before = durable_rig_hash(&rig);
    reopen();
    commit_something("again");
    event_log_stats(store_log(rig.store), &stats);
    assert_int_equal(stats.expired, 0); /* since it was opened */
    assert_int_equal(count_records().expired, 2 * PEOPLE);
    assert_true(durable_rig_hash(&rig) != before);
}

#define WITH_RIG(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_RIG(test_each_type_goes_in_its_time_and_no_other),
        WITH_RIG(test_nothing_goes_that_no_checkpoint_covers),
        WITH_RIG(test_the_state_is_the_same_after_a_restart),
        WITH_RIG(test_a_replay_of_the_whole_log_is_without_them),
        WITH_RIG(test_it_goes_on_where_it_was_and_survives_a_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
