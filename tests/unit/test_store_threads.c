/* SPDX-License-Identifier: Apache-2.0 */
/* The queue and the store thread, and readers that run against it: under ThreadSanitizer this is
 * the proof that they may. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/rcu.h"
#include "featurestore/store.h"
#include "featurestore/store_items.h"
#include "featurestore/store_people.h"
#include "tests/support/events.h"

#define NOW_MS INT64_C(1700000000000)

enum { DEADLINE_MS = 30000, USERS = 20, ITEMS = 200, ROUNDS = 150, READERS = 2 };

static struct clock_manual clock_now;
static struct store *store;
static struct events events;
static struct err err;
static int done_pipe[2];

static const struct store_limits limits = {.items_max = 5000,
                                           .people_max = 1000,
                                           .history_items_max = 20,
                                           .queue_events_max = 100,
                                           .dedup_events_max = 1000};

static int set_up(void **state)
{
    (void)state;
    clock_manual_init(&clock_now, 1, NOW_MS);
    return pipe(done_pipe) == 0 && store_create(&limits, &clock_now.clock, &store, &err) == ERR_OK
               ? 0
               : -1;
}

static int tear_down(void **state)
{
    (void)state;
    store_stop(store);
    store_destroy(&store);
    close(done_pipe[0]);
    close(done_pipe[1]);
    return 0;
}

/* On the store thread. */
static void on_done(void *ctx, const struct store_batch_result *result)
{
    if (ctx != NULL)
        *(struct store_batch_result *)ctx = *result;
    (void)!write(done_pipe[1], "d", 1);
}

static void wait_done(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct pollfd fd = {.fd = done_pipe[0], .events = POLLIN};
        char byte;
        assert_int_equal(poll(&fd, 1, DEADLINE_MS), 1);
        assert_int_equal(read(done_pipe[0], &byte, 1), 1);
    }
}

static bool nothing_done(void)
{
    struct pollfd fd = {.fd = done_pipe[0], .events = POLLIN};
    return poll(&fd, 1, 0) == 0;
}

static enum err_code submit(void *ctx)
{
    size_t len = events_end(&events);
    enum err_code rc = store_submit(
        store,
        &(struct store_batch){.bytes = events.bytes, .len = len, .done = on_done, .ctx = ctx},
        &err);
    events_begin(&events);
    return rc;
}

static void add_views(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        events_add(&events, "view", "u", "x", NOW_MS);
}

static void test_a_full_queue_refuses_a_batch_whole(void **state)
{
    (void)state;
    static struct store_batch_result result[3];
    struct store_stats stats;
    events_begin(&events);
    add_views(101);
    assert_int_equal(submit(NULL), ERR_LIMIT);
    add_views(60);
    assert_int_equal(submit(&result[0]), ERR_OK);
    add_views(41);
    assert_int_equal(submit(NULL), ERR_BUSY);
    add_views(40);
    assert_int_equal(submit(&result[1]), ERR_OK);
    store_stats(store, &stats);
    assert_int_equal(stats.queue_events, 100);
    assert_int_equal(stats.events_accepted, 0);
    assert_true(nothing_done());

    assert_int_equal(store_start(store, &err), ERR_OK);
    wait_done(2);
    assert_int_equal(result[0].accepted, 60);
    assert_int_equal(result[1].accepted, 40);
    /* Room again, seen by whoever was told that a batch is done. */
    add_views(100);
    assert_int_equal(submit(&result[2]), ERR_OK);
    wait_done(1);
    store_stats(store, &stats);
    assert_int_equal(stats.queue_events, 0);
    assert_int_equal(stats.events_accepted, 200);
    assert_int_equal(stats.batches, 3);
    assert_true(nothing_done());
}

static void test_what_is_no_batch_is_refused_at_once(void **state)
{
    (void)state;
    static uint8_t bytes[EVENT_BATCH_BYTES_MAX + 1];
    bytes[0] = 0x80;
    assert_int_equal(
        store_submit(store, &(struct store_batch){.bytes = bytes, .len = 1, .done = on_done}, &err),
        ERR_BAD_INPUT);
    assert_string_equal(err.text, "events: expected an array, got a map");
    assert_int_equal(
        store_submit(store,
                     &(struct store_batch){.bytes = bytes, .len = sizeof bytes, .done = on_done},
                     &err),
        ERR_LIMIT);
    const uint32_t over = EVENT_BATCH_MAX + 1;
    bytes[0] = 0xDC;
    bytes[1] = (uint8_t)(over >> 8);
    bytes[2] = (uint8_t)over;
    memset(bytes + 3, 0xC0, over);
    assert_int_equal(
        store_submit(store, &(struct store_batch){.bytes = bytes, .len = 3 + over, .done = on_done},
                     &err),
        ERR_LIMIT);
    assert_string_equal(err.text, "events: 2001 of at most 2000");
    assert_true(nothing_done());
}

static void test_stopping_applies_what_is_queued(void **state)
{
    (void)state;
    struct store_stats stats;
    events_begin(&events);
    add_views(50);
    assert_int_equal(submit(NULL), ERR_OK);
    add_views(50);
    assert_int_equal(submit(NULL), ERR_OK);
    assert_int_equal(store_start(store, &err), ERR_OK);
    store_stop(store);
    wait_done(2);
    store_stats(store, &stats);
    assert_int_equal(stats.events_accepted, 100);
    add_views(1);
    assert_int_equal(submit(NULL), ERR_BUSY);
    struct top_list list;
    store_top(store, STORE_WINDOW_1H, IDMAP_NONE, &list);
    assert_int_equal(list.count, 1);
    assert_true(list.entry[0].score == 100.0f);
    /* It can be started again. */
    assert_int_equal(store_start(store, &err), ERR_OK);
    add_views(1);
    assert_int_equal(submit(NULL), ERR_OK);
    wait_done(1);
}

static void test_batches_that_were_never_applied_are_freed(void **state)
{
    (void)state;
    events_begin(&events);
    add_views(10);
    assert_int_equal(submit(NULL), ERR_OK);
    store_stop(store); /* it never started */
    assert_true(nothing_done());
}

static void test_top_lists_are_there_when_the_last_batch_is_done(void **state)
{
    (void)state;
    struct top_list list;
    assert_int_equal(store_start(store, &err), ERR_OK);
    for (uint32_t i = 1; i <= 5; i++) { /* the clock stands still: no second passes */
        events_begin(&events);
        add_views(1);
        assert_int_equal(submit(NULL), ERR_OK);
        wait_done(1);
        rcu_read_begin();
        store_top(store, STORE_WINDOW_1H, IDMAP_NONE, &list);
        assert_int_equal(list.count, 1);
        assert_true(list.entry[0].score == (float)i);
        rcu_read_end();
    }
}

/* Events of 500 items each. */
static void add_items(uint32_t event_count)
{
    for (uint32_t e = 0; e < event_count; e++) {
        static char json[16384];
        size_t used = (size_t)snprintf(
            json, sizeof json, "{\"type\":\"view\",\"user\":\"u\",\"items\":[{\"id\":\"x\"}");
        for (uint32_t i = 1; i < EVENT_ITEMS_MAX; i++)
            used += (size_t)snprintf(json + used, sizeof json - used, ",{\"id\":\"i%u\"}",
                                     e * EVENT_ITEMS_MAX + i);
        snprintf(json + used, sizeof json - used, "]}");
        events_add_json(&events, json);
    }
}

static void test_a_large_store_makes_its_lists_anew_when_a_second_has_passed(void **state)
{
    (void)state;
    struct top_list list;
    assert_int_equal(store_start(store, &err), ERR_OK);
    for (uint32_t i = 1; i <= 3; i++) {
        clock_manual_advance_ns(&clock_now, UINT64_C(1000000000));
        events_begin(&events);
        add_items(8); /* more than are made anew after every batch */
        assert_int_equal(submit(NULL), ERR_OK);
        wait_done(1);
        rcu_read_begin();
        store_top(store, STORE_WINDOW_1H, IDMAP_NONE, &list);
        assert_int_equal(list.count, STORE_TOP_MAX);
        assert_int_equal(list.entry[0].item, store_item_find(store, TEXT_LITERAL("x")));
        assert_true(list.entry[0].score == 8.0f * (float)i);
        rcu_read_end();
    }
}

/* ---- readers against the writer -------------------------------------------------------------- */

static _Atomic bool readers_stop;

struct reader {
    pthread_t thread;
    uint64_t rounds;
    const char *fault; /* the first thing that was not as it must be */
};

static void expect(struct reader *reader, bool holds, const char *what)
{
    if (!holds && reader->fault == NULL)
        reader->fault = what;
}

static void read_history(struct reader *reader, const char *user)
{
    struct history history;
    if (!store_history(store, text_of(user), (struct text){NULL, 0}, &history))
        return;
    expect(reader, history.count <= limits.history_items_max, "a history within its limit");
    expect(reader, history.events >= history.count, "an event for each entry");
    for (uint32_t i = 0; i < history.count; i++) {
        expect(reader, i == 0 || history.last_s[i - 1] >= history.last_s[i], "newest first");
        expect(reader, history.classes[i] != 0, "a class for each entry");
        expect(reader, store_item_id(store, history.item[i]).len > 0, "items that are known");
    }
}

/* A record is whole: its title is the price in words of the writer. */
static void read_item(struct reader *reader, uint32_t item)
{
    const struct item *record = store_item(store, item);
    (void)store_item_events(store, item, EVENT_CLASS_VIEW, STORE_WINDOW_7D);
    if (record == NULL || record->title.ptr == NULL)
        return;
    char title[32];
    snprintf(title, sizeof title, "price %lld", (long long)record->price_minor);
    expect(reader, text_is(record->title, title), "title and price of one record");
    expect(reader, record->category < store_category_count(store), "a category that is known");
}

static void read_top(struct reader *reader, uint32_t category)
{
    struct top_list list;
    store_top(store, STORE_WINDOW_1D, category, &list);
    for (uint32_t i = 0; i < list.count; i++) {
        expect(reader, list.entry[i].item < store_item_count(store), "items of top lists");
        expect(reader, i == 0 || list.entry[i - 1].score >= list.entry[i].score, "best first");
    }
}

static void *reader_main(void *arg)
{
    struct reader *reader = arg;
    while (!readers_stop || reader->rounds == 0) {
        rcu_read_begin();
        for (uint32_t u = 0; u < USERS; u++) {
            char user[16];
            snprintf(user, sizeof user, "u%u", u);
            read_history(reader, user);
        }
        uint32_t items = store_item_count(store);
        for (uint32_t i = 0; i < items; i++)
            read_item(reader, i);
        read_top(reader, IDMAP_NONE);
        for (uint32_t c = 0; c < store_category_count(store); c++)
            read_top(reader, c);
        struct store_stats stats;
        store_stats(store, &stats);
        expect(reader, stats.history_entries <= USERS * limits.history_items_max, "stats");
        rcu_read_end();
        reader->rounds++;
    }
    return NULL;
}

static void add_round(uint32_t round)
{
    char json[256];
    events_begin(&events);
    for (uint32_t i = 0; i < 40; i++) {
        char user[16], item[16];
        uint32_t mixed = (round * 40 + i) * 2654435761u >> 8;
        snprintf(user, sizeof user, "u%u", mixed % USERS);
        snprintf(item, sizeof item, "i%u", mixed / USERS % ITEMS);
        /* Days go by, so that windows run empty and come back. */
        events_add(&events, i % 5 == 0 ? "purchase" : "view", user, item,
                   NOW_MS - INT64_C(50000000) * (ROUNDS - round));
    }
    for (uint32_t i = 0; i < 10; i++) {
        uint32_t item = (round * 10 + i) % ITEMS;
        snprintf(json, sizeof json,
                 "{\"type\":\"item_upsert\",\"items\":[{\"id\":\"i%u\",\"title\":\"price %u\","
                 "\"price\":%u,\"category\":\"c%u\"}]}",
                 item, round * 100 + i, round * 100 + i, item % 7);
        events_add_json(&events, json);
    }
}

static void test_readers_run_while_the_store_thread_writes(void **state)
{
    (void)state;
    struct reader reader[READERS] = {{0}};
    readers_stop = false;
    assert_int_equal(store_start(store, &err), ERR_OK);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&reader[i].thread, NULL, reader_main, &reader[i]), 0);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        static struct store_batch_result result;
        add_round(round);
        assert_int_equal(submit(&result), ERR_OK);
        if (round % 10 == 0) {
            char name[16];
            uint32_t number = IDMAP_NONE;
            snprintf(name, sizeof name, "bound%u", round);
            struct text id = text_of(name);
            assert_int_equal(store_bind_items(store, &id, 1, &number, &err), ERR_OK);
            rcu_read_begin();
            assert_int_equal(store_item_find(store, id), number);
            rcu_read_end();
        }
        wait_done(1);
        assert_int_equal(result.accepted, 50);
    }
    readers_stop = true;
    for (int i = 0; i < READERS; i++) {
        assert_int_equal(pthread_join(reader[i].thread, NULL), 0);
        assert_true(reader[i].rounds > 0);
        if (reader[i].fault != NULL)
            fail_msg("a reader missed: %s", reader[i].fault);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_a_full_queue_refuses_a_batch_whole),
        TEST(test_what_is_no_batch_is_refused_at_once),
        TEST(test_stopping_applies_what_is_queued),
        TEST(test_batches_that_were_never_applied_are_freed),
        TEST(test_top_lists_are_there_when_the_last_batch_is_done),
        TEST(test_a_large_store_makes_its_lists_anew_when_a_second_has_passed),
        TEST(test_readers_run_while_the_store_thread_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
