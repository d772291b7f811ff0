/* SPDX-License-Identifier: Apache-2.0 */
/* Windows, top lists and histories against plain references, over random events. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "featurestore/store_internal.h"
#include "tests/support/events.h"

#define DAY_MS   INT64_C(86400000)
#define START_MS (INT64_C(16000) * DAY_MS)

enum { ITEMS = 40, CATEGORIES = 5, USERS = 12, EVENTS = 20000, BATCH = 100, HISTORY = 10 };

struct reference_event {
    uint32_t item;
    uint32_t user;
    enum event_class class;
    int64_t ts_ms;
};

static const char *const class_type[] = {"view", "cart_add", "purchase", "dislike"};
static struct reference_event seen[EVENTS];
static struct clock_manual clock_now;
static struct store *store;
static struct events events;
static struct err err;

static void name_of(char kind, uint32_t number, char name[16])
{
    snprintf(name, 16, "%c%u", kind, number);
}

static int set_up(void **state)
{
    (void)state;
    const struct store_limits limits = {.items_max = 2000,
                                        .people_max = 100,
                                        .history_items_max = HISTORY,
                                        .queue_events_max = 1,
                                        .dedup_events_max = 0};
    clock_manual_init(&clock_now, 1, START_MS + 10000 * DAY_MS);
    return store_create(&limits, &clock_now.clock, &store, &err) == ERR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    store_destroy(&store);
    return 0;
}

static void apply(void)
{
    size_t len = events_end(&events);
    events_apply(store, &events, len, clock_wall_ms(&clock_now.clock));
    if (store->result.rejected > 0)
        fail_msg("%s", store->result.rejection[0].message);
    store_refresh_all(store);
    retire_flush(&store->retire);
    events_begin(&events);
}

/* How the header describes a window: its newest tiles, up to the one that the watermark is in. */
static uint32_t reference_count(const struct reference_event *event, uint32_t count, uint32_t item,
                                enum event_class class, enum store_window window,
                                int64_t watermark_ms)
{
    static const int64_t tile_ms[] = {300000, 3600000, DAY_MS, DAY_MS, DAY_MS};
    static const int64_t tiles[] = {12, 24, 7, 14, 30};
    uint32_t sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        int64_t age = watermark_ms / tile_ms[window] - event[i].ts_ms / tile_ms[window];
        sum += event[i].item == item && event[i].class == class && age < tiles[window];
    }
    return sum;
}

static void check_windows(uint32_t count, int64_t watermark_ms)
{
    assert_int_equal(store_watermark_ms(store), watermark_ms);
    for (uint32_t item = 0; item < ITEMS; item++) {
        char name[16];
        name_of('i', item, name);
        uint32_t number = store_item_find(store, text_of(name));
        for (uint32_t at = 0;
             number != IDMAP_NONE && at < EVENT_COUNTED_CLASSES * STORE_WINDOW_COUNT; at++) {
            enum event_class class = (enum event_class)(at / STORE_WINDOW_COUNT);
            enum store_window window = (enum store_window)(at % STORE_WINDOW_COUNT);
            uint32_t expected = reference_count(seen, count, item, class, window, watermark_ms);
            uint32_t got = store_item_events(store, number, class, window);
            if (got != expected)
                fail_msg("after %u events: item %u class %u window %u: %u, expected %u", count,
                         item, class, window, got, expected);
        }
    }
}

static int compare_entries(const void *a, const void *b)
{
    const struct top_entry *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return x->item < y->item ? -1 : x->item > y->item;
}

/* The list from the counts, which were checked; deleted items are those of category 4. */
static void check_top(enum store_window window, uint32_t category)
{
    struct top_entry expected[ITEMS];
    uint32_t count = 0;
    for (uint32_t item = 0; item < store_item_count(store); item++) {
        const struct item *record = store_item(store, item);
        float score = (float)store_item_events(store, item, EVENT_CLASS_VIEW, window) +
                      3.0f * (float)store_item_events(store, item, EVENT_CLASS_CART, window) +
                      10.0f * (float)store_item_events(store, item, EVENT_CLASS_PURCHASE, window);
        bool in = category == IDMAP_NONE || (record != NULL && record->category == category);
        assert_true(store_item_score(store, item, window) == score);
        if (score > 0.0f && in && (record == NULL || !record->deleted))
            expected[count++] = (struct top_entry){.item = item, .score = score};
    }
    qsort(expected, count, sizeof expected[0], compare_entries);
    struct top_list list;
    store_top(store, window, category, &list);
    assert_int_equal(list.count, count);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(list.entry[i].item, expected[i].item);
        assert_true(list.entry[i].score == expected[i].score);
        float share = log1pf(expected[i].score) / log1pf(expected[0].score);
        assert_true(list.entry[i].share == share);
    }
}

static void check_all_tops(void)
{
    for (uint32_t w = 0; w < STORE_WINDOW_COUNT; w++) {
        check_top((enum store_window)w, IDMAP_NONE);
        for (uint32_t c = 0; c < store_category_count(store); c++)
            check_top((enum store_window)w, c);
    }
}

/* Half of the items have a record; one category is deleted. */
static void load_catalogue(void)
{
    for (uint32_t i = 0; i < ITEMS; i += 2) {
        char json[128];
        snprintf(json, sizeof json,
                 "{\"type\":\"item_upsert\",\"items\":[{\"id\":\"i%u\",\"category\":\"c%u\"}]}", i,
                 i / 2 % CATEGORIES);
        events_add_json(&events, json);
        snprintf(json, sizeof json, "{\"type\":\"item_delete\",\"items\":[{\"id\":\"i%u\"}]}", i);
        if (i / 2 % CATEGORIES == CATEGORIES - 1)
            events_add_json(&events, json);
    }
}

/* Of one entry too many: the oldest that was not bought, or the oldest purchase where no more than
 * three others would be left. */
static uint32_t entry_that_goes(const uint32_t classes[HISTORY + 1])
{
    uint32_t others = 0, at = HISTORY;
    for (uint32_t i = 0; i <= HISTORY; i++)
        others += (classes[i] & 1u << EVENT_CLASS_PURCHASE) == 0;
    while (((classes[at] & 1u << EVENT_CLASS_PURCHASE) == 0) != (others > 3))
        at--;
    return at;
}

/* Entries of one person's history, newest first; of equal times the later event first. */
static void check_history(uint32_t user, uint32_t count)
{
    uint32_t item[HISTORY + 1], last_s[HISTORY + 1], classes[HISTORY + 1];
    uint32_t used = 0, events_of_user = 0;
    for (uint32_t e = 0; e < count; e++) {
        if (seen[e].user != user)
            continue;
        events_of_user++;
        uint32_t time_s = (uint32_t)(seen[e].ts_ms / 1000);
        uint32_t bits = 1u << seen[e].class;
        uint32_t from = 0;
        while (from < used && item[from] != seen[e].item)
            from++;
        if (from < used && last_s[from] > time_s) {
            classes[from] |= bits; /* late: the entry stays where it is */
            continue;
        }
        if (from < used)
            bits |= classes[from];
        else
            used++;
        uint32_t to = from;
        for (; to > 0 && last_s[to - 1] <= time_s; to--) {
            item[to] = item[to - 1];
            last_s[to] = last_s[to - 1];
            classes[to] = classes[to - 1];
        }
        item[to] = seen[e].item;
        last_s[to] = time_s;
        classes[to] = bits;
        if (used <= HISTORY)
            continue;
        used = HISTORY;
        for (uint32_t i = entry_that_goes(classes); i < HISTORY; i++) {
            item[i] = item[i + 1];
            last_s[i] = last_s[i + 1];
            classes[i] = classes[i + 1];
        }
    }
    char name[16];
    struct history history;
    name_of('u', user, name);
    (void)store_history(store, text_of(name), (struct text){0}, &history);
    assert_int_equal(history.events, events_of_user);
    assert_int_equal(history.count, used);
    for (uint32_t i = 0; i < used; i++) {
        name_of('i', item[i], name);
        assert_true(text_is(store_item_id(store, history.item[i]), name));
        assert_int_equal(history.last_s[i], last_s[i]);
        assert_int_equal(history.classes[i] & 15, classes[i]);
    }
}

static void test_random_events_give_what_the_references_give(void **state)
{
    (void)state;
    struct rand rand;
    rand_init(&rand, 20231114);
    events_begin(&events);
    load_catalogue();
    int64_t now_ms = START_MS;
    int64_t watermark_ms = 0;
    for (uint32_t i = 0; i < EVENTS; i++) {
        /* Mostly seconds apart, now and then hours or weeks; a fifth arrives late. */
        uint64_t jump = rand_below(&rand, 1000);
        now_ms += (int64_t)rand_below(&rand, 60000);
        now_ms += jump < 5 ? (int64_t)rand_below(&rand, 36000000) : 0;
        now_ms += jump == 999 ? (int64_t)rand_below(&rand, 40 * (uint64_t)DAY_MS) : 0;
        int64_t late = rand_below(&rand, 5) != 0 ? 0
                       : rand_below(&rand, 2) == 0
                           ? (int64_t)rand_below(&rand, 7200000)
                           : (int64_t)rand_below(&rand, 35 * (uint64_t)DAY_MS);
        seen[i] = (struct reference_event){.item = (uint32_t)rand_below(&rand, ITEMS),
                                           .user = (uint32_t)rand_below(&rand, USERS),
                                           .class = (enum event_class)rand_below(&rand, 4),
                                           .ts_ms = now_ms - late};
        char user[16], item[16];
        name_of('u', seen[i].user, user);
        name_of('i', seen[i].item, item);
        events_add(&events, class_type[seen[i].class], user, item, seen[i].ts_ms);
        if (seen[i].ts_ms > watermark_ms)
            watermark_ms = seen[i].ts_ms;
        if (i % BATCH == BATCH - 1) {
            apply();
            if (i / BATCH % 5 == 0)
                check_windows(i + 1, watermark_ms);
            check_all_tops();
        }
    }
    for (uint32_t user = 0; user < USERS; user++)
        check_history(user, EVENTS);
}

static void test_a_top_list_ends_with_its_limit(void **state)
{
    (void)state;
    events_begin(&events);
    for (uint32_t i = 0; i < 1500; i++) {
        char item[16];
        name_of('i', i * 7 % 1500, item);
        events_add(&events, i % 3 == 0 ? "purchase" : "view", "u", item, START_MS);
    }
    apply();
    struct top_list list;
    store_top(store, STORE_WINDOW_1H, IDMAP_NONE, &list);
    assert_int_equal(list.count, STORE_TOP_MAX);
    for (uint32_t i = 0; i < STORE_TOP_MAX; i++) {
        assert_true(list.entry[i].score == 10.0f);
        assert_int_equal(list.entry[i].item, 3 * i); /* numbers were given in order of events */
    }
}

static void test_counts_that_ran_out_give_their_memory_back(void **state)
{
    (void)state;
    struct store_stats before, full, after;
    events_begin(&events);
    events_add(&events, "view", "u", "first", START_MS);
    apply();
    store_stats(store, &before);
    for (uint32_t i = 0; i < 1000; i++) {
        char item[16];
        name_of('i', i, item);
        events_add(&events, "view", "u", item, START_MS);
    }
    apply();
    store_stats(store, &full);
    events_add(&events, "view", "u", "first", START_MS + 30 * DAY_MS);
    apply();
    store_stats(store, &after);
    assert_int_equal(store->active_count, 1);
    assert_true(full.bytes_counts > before.bytes_counts + 1000 * sizeof(struct windows));
    assert_true(after.bytes_counts < full.bytes_counts - 1000 * sizeof(struct windows));
    struct top_list list;
    store_top(store, STORE_WINDOW_30D, IDMAP_NONE, &list);
    assert_int_equal(list.count, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_random_events_give_what_the_references_give),
        TEST(test_a_top_list_ends_with_its_limit),
        TEST(test_counts_that_ran_out_give_their_memory_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
