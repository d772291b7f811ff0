/* SPDX-License-Identifier: Apache-2.0 */
/* Records of a log, read ahead by a thread or not: all of them, in order, up to the first fault. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "featurestore/store_replay.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/durable_rig.h"
#include "tests/support/events.h"

enum { EVENTS = 8000, BATCH = 500, ITEMS_OF_LARGE = 400 };

static struct durable_rig rig;
static struct event_log *event_log;

static int tear_down(void **state)
{
    (void)state;
    event_log_close(&event_log);
    durable_rig_destroy(&rig);
    return 0;
}

static void add_event(uint32_t number)
{
    static char json[32768];
    int len = snprintf(json, sizeof json,
                       "{\"id\": \"e%u\", \"type\": \"view\", \"user\": \"u%u\", \"items\": [",
                       number, number % 700);
    /* Some are so long that they fill a group by themselves. */
    uint32_t items = number % 97 == 0 ? ITEMS_OF_LARGE : 1;
    for (uint32_t i = 0; i < items; i++)
        len += snprintf(json + len, sizeof json - (size_t)len, "%s{\"id\": \"item-%u\"}",
                        i == 0 ? "" : ", ", (number * 7 + i) % 900);
    snprintf(json + len, sizeof json - (size_t)len, "]}");
    events_add_json(&rig.events, json);
}

static void fill_log(uint32_t count)
{
    const struct store_limits limits = {.items_max = 1000,
                                        .people_max = 1000,
                                        .history_items_max = 50,
                                        .queue_events_max = 100000,
                                        .dedup_events_max = 5000};
    durable_rig_create(&rig, &limits);
    durable_rig_open(&rig, NULL);
    for (uint32_t i = 0; i < count; i++) {
        add_event(i);
        if (rig.events.count == BATCH || i + 1 == count)
            durable_rig_submit(&rig);
    }
}

static void open_log(void)
{
    struct event_log_options options = rig.log;
    options.read_only = true;
    if (event_log_open(&options, &event_log, &rig.err) != ERR_OK)
        fail_msg("%s", rig.err.text);
}

/* Reads on to the end; returns how many there were. */
static uint64_t read_all(struct replay *replay, uint64_t from)
{
    const struct replay_group *group;
    uint64_t next = from;
    do {
        group = replay_next(replay);
        for (uint32_t i = 0; i < group->count; i++, next++) {
            char id[16];
            snprintf(id, sizeof id, "e%" PRIu64, next - 1);
            assert_int_equal(group->record[i].sequence, next);
            assert_true(text_is(group->event[i].id, id));
            assert_int_equal(group->event[i].item_count, (next - 1) % 97 == 0 ? ITEMS_OF_LARGE : 1);
        }
        assert_true(group->count > 0 || group->rc != ERR_OK);
    } while (group->rc == ERR_OK);
    assert_int_equal(group->rc, ERR_NOT_FOUND);
    return next - from;
}

static void test_every_record_comes_once_and_in_order(void **state)
{
    (void)state;
    fill_log(EVENTS);
    durable_rig_close(&rig);
    open_log();
    for (uint32_t round = 0; round < 2; round++) {
        static const uint64_t from[] = {1, 2, EVENTS / 2, EVENTS, EVENTS + 1};
        for (uint32_t i = 0; i < sizeof from / sizeof from[0]; i++) {
            struct replay *replay = NULL;
            assert_int_equal(replay_create(event_log, from[i], &replay, &rig.err), ERR_OK);
            if (round == 1)
                replay_start(replay);
            assert_int_equal(read_all(replay, from[i]), EVENTS + 1 - from[i]);
            replay_destroy(&replay);
        }
    }
}

static void test_it_can_be_left_at_any_time(void **state)
{
    (void)state;
    fill_log(EVENTS / 4);
    durable_rig_close(&rig);
    open_log();
    for (uint32_t taken = 0; taken < 20; taken++) {
        struct replay *replay = NULL;
        assert_int_equal(replay_create(event_log, 1, &replay, &rig.err), ERR_OK);
        replay_start(replay);
        for (uint32_t i = 0; i < taken; i++)
            assert_int_equal(replay_next(replay)->rc, ERR_OK);
        replay_destroy(&replay);
        assert_null(replay);
    }
}

static void test_without_memory_it_is_not_made(void **state)
{
    (void)state;
    fill_log(10);
    durable_rig_close(&rig);
    open_log();
    for (uint32_t n = 0;; n++) {
        struct replay *replay = NULL;
        alloc_fail_after(n);
        enum err_code rc = replay_create(event_log, 1, &replay, &rig.err);
        bool failed = alloc_fail_off();
        if (!failed) {
            assert_int_equal(rc, ERR_OK);
            replay_destroy(&replay);
            break;
        }
        assert_int_equal(rc, ERR_NOMEM);
        assert_null(replay);
    }
}

static void test_it_ends_with_the_first_fault(void **state)
{
    (void)state;
    struct event_record bad = {.type = EVENT_view, .event = TEXT_LITERAL("\xc1 no MessagePack")};
    fill_log(EVENTS / 4);
    durable_rig_close(&rig);
    assert_int_equal(event_log_open(&rig.log, &event_log, &rig.err), ERR_OK);
    assert_int_equal(event_log_reserve(event_log, bad.event.len, &rig.err), ERR_OK);
    event_log_add(event_log, &bad);
    assert_int_equal(event_log_commit(event_log, &rig.err), ERR_OK);
    event_log_close(&event_log);
    open_log();
    for (uint32_t round = 0; round < 2; round++) {
        struct replay *replay = NULL;
        const struct replay_group *group;
        uint64_t count = 0;
        assert_int_equal(replay_create(event_log, 1, &replay, &rig.err), ERR_OK);
        if (round == 1)
            replay_start(replay);
        do {
            group = replay_next(replay);
            count += group->count;
        } while (group->rc == ERR_OK);
        assert_int_equal(group->rc, ERR_CORRUPT);
        assert_non_null(strstr(group->err.text, "record 2001 is no event"));
        assert_int_equal(count, EVENTS / 4);
        replay_destroy(&replay);
    }
}

static void test_a_long_replay_leads_to_the_same_state(void **state)
{
    (void)state;
    fill_log(EVENTS);
    uint64_t hash = durable_rig_hash(&rig);
    durable_rig_close(&rig);
    durable_rig_open(&rig, NULL);
    struct store_recovery recovery;
    durable_rig_recover(&rig, &recovery);
    assert_int_equal(recovery.state, STORE_RECOVERED);
    assert_int_equal(recovery.at_sequence, EVENTS);
    assert_int_equal(durable_rig_hash(&rig), hash);
}

static void test_one_that_is_given_up_leaves_the_log_as_it_was(void **state)
{
    (void)state;
    struct store_recovery recovery;
    fill_log(EVENTS);
    uint64_t hash = durable_rig_hash(&rig);
    durable_rig_close(&rig);
    rig.gives_up = true;
    durable_rig_open(&rig, NULL);
    durable_rig_recover(&rig, &recovery);
    assert_int_equal(recovery.state, STORE_RECOVERY_FAILED);
    assert_true(recovery.at_sequence < EVENTS);
    assert_non_null(strstr(rig.err.text, "is stopped before it has read all"));
    durable_rig_close(&rig);
    rig.gives_up = false;
    durable_rig_open(&rig, NULL);
    durable_rig_recover(&rig, &recovery);
    assert_int_equal(recovery.state, STORE_RECOVERED);
    store_give_up_recovery(rig.store); /* too late */
    add_event(EVENTS);
    durable_rig_submit(&rig);
    assert_int_equal(durable_rig_sequence(&rig), EVENTS + 1);
    durable_rig_close(&rig);
    durable_rig_open(&rig, NULL);
    durable_rig_recover(&rig, &recovery);
    assert_int_equal(recovery.at_sequence, EVENTS + 1);
    assert_int_not_equal(durable_rig_hash(&rig), hash);
}

static void test_a_start_knows_that_there_is_no_room(void **state)
{
    (void)state;
    struct store_recovery recovery;
    struct err err = {.text = ""};
    fill_log(10);
    durable_rig_close(&rig);
    rig.log.disk_reserve_bytes = UINT64_MAX; /* more than any disk has */
    durable_rig_open(&rig, NULL);
    durable_rig_recover(&rig, &recovery);
    (void)durable_rig_sequence(&rig); /* what the store thread does first is done */
    assert_int_equal(store_durability(rig.store, &err), STORE_DISK_FULL);
    assert_non_null(strstr(err.text, "are kept in reserve"));
    durable_rig_close(&rig);
    rig.log.disk_reserve_bytes = 0;
    durable_rig_open(&rig, NULL);
    durable_rig_recover(&rig, &recovery);
    assert_int_equal(durable_rig_sequence(&rig), 10);
    assert_int_equal(store_durability(rig.store, NULL), STORE_ON_DISK);
}

int main(void)
{
#define T(name) cmocka_unit_test_teardown(name, tear_down)
    const struct CMUnitTest tests[] = {
        T(test_every_record_comes_once_and_in_order),
        T(test_it_can_be_left_at_any_time),
        T(test_it_ends_with_the_first_fault),
        T(test_without_memory_it_is_not_made),
        T(test_a_long_replay_leads_to_the_same_state),
        T(test_one_that_is_given_up_leaves_the_log_as_it_was),
        T(test_a_start_knows_that_there_is_no_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
