/* SPDX-License-Identifier: Apache-2.0 */
/* Histories, one batch at a time on the test's own thread: it is the writer, so nothing is freed
 * while it reads, and it needs no rcu_read_begin. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "featurestore/store_internal.h"
#include "tests/support/small_store.h"
#include "tests/support/store_rig.h"

#define NOW_MS INT64_C(1700000000000) /* 2023-11-14T22:13:20Z */
#define DAY_MS INT64_C(86400000)

static uint32_t number_of_events(const char *id, enum event_class class, enum store_window window)
{
    return store_item_events(small_store.store, store_rig_item(&small_store, id), class, window);
}

static void assert_history(const char *user, const char *expected)
{
    struct history history = small_store_history(user);
    char text[512] = "";
    for (uint32_t i = 0; i < history.count; i++) {
        struct text id = store_item_id(small_store.store, history.item[i]);
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s%.*s", i == 0 ? "" : " ", (int)id.len, id.ptr);
    }
    assert_string_equal(text, expected);
}

static void test_a_history_is_newest_first_with_one_entry_per_item(void **state)
{
    (void)state;
    events_add(&small_store.events, "view", "u", "a", NOW_MS - 5000);
    events_add(&small_store.events, "view", "u", "b", NOW_MS - 4000);
    events_add(&small_store.events, "cart_add", "u", "a", NOW_MS - 3000);
    events_add(&small_store.events, "purchase", "u", "c", NOW_MS - 9000); /* late */
    events_add(&small_store.events, "dislike", "u", "b",
               NOW_MS - 8000); /* late, for a known item */
    assert_int_equal(store_rig_apply(&small_store)->accepted, 5);
    assert_history("u", "a b c");
    struct history history = small_store_history("u");
    assert_int_equal(history.events, 5);
    assert_int_equal(history.purchases, 1);
    assert_int_equal(history.last_s[0], (NOW_MS - 3000) / 1000);
    assert_int_equal(history.last_s[1], (NOW_MS - 4000) / 1000);
    assert_int_equal(history.classes[0] & 15, 1 << EVENT_CLASS_VIEW | 1 << EVENT_CLASS_CART);
    assert_int_equal(history.classes[1] & 15, 1 << EVENT_CLASS_VIEW | 1 << EVENT_CLASS_DISLIKE);
    assert_int_equal(history.classes[2] & 15, 1 << EVENT_CLASS_PURCHASE);
    assert_int_equal(history.days[0], 0);
    assert_int_equal(history.days[2], 1);
}

static void test_a_full_history_drops_its_oldest_entry(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++) {
        char item[16];
        snprintf(item, sizeof item, "i%d", i);
        events_add(&small_store.events, "view", "u", item, NOW_MS - 100000 + i * 1000);
    }
    events_add(&small_store.events, "view", "u", "old",
               NOW_MS - DAY_MS); /* older than all that is kept */
    store_rig_apply(&small_store);
    assert_history("u", "i5 i4 i3 i2");
    assert_int_equal(small_store_history("u").events, 7);
}

static void test_a_user_is_looked_up_before_the_anonymous_id(void **state)
{
    (void)state;
    struct history history;
    store_rig_apply_json(&small_store,
                         "{\"type\":\"view\",\"anon\":\"a\",\"items\":[{\"id\":\"x\"}]}");
    store_rig_apply_json(
        &small_store,
        "{\"type\":\"view\",\"user\":\"u\",\"anon\":\"a\",\"items\":[{\"id\":\"y\"}]}");
    assert_true(store_history(small_store.store, TEXT_LITERAL("u"), TEXT_LITERAL("a"), &history));
    assert_int_equal(history.item[0], store_rig_item(&small_store, "y"));
    assert_true(
        store_history(small_store.store, TEXT_LITERAL("nobody"), TEXT_LITERAL("a"), &history));
    assert_int_equal(history.item[0], store_rig_item(&small_store, "x"));
    assert_false(store_history(small_store.store, TEXT_LITERAL("a"), TEXT_LITERAL("u"), &history));
}

static void test_days_are_distinct_days_with_a_purchase(void **state)
{
    (void)state;
    const int64_t noon = NOW_MS / DAY_MS * DAY_MS - 30 * DAY_MS + DAY_MS / 2;
    static const struct {
        const char *type;
        int day, hour;
        uint8_t days; /* after it */
    } step[] = {
        {"view", 0, 0, 0},
        {"purchase", 0, 1, 1},
        {"purchase", 0, 5, 1},
        {"purchase", 1, -12, 2}, /* midnight begins a day */
        {"view", 8, 0, 2},
        {"purchase", 1, 3, 2}, /* late, on a day that was counted */
        {"purchase", 5, 0, 3}, /* late, on a new day */
        {"purchase", 5, 1, 3},
        {"purchase", 8, 1, 4},
        {"view", 25, 0, 4},
        {"purchase", 25, 1, 5},
        {"purchase", 25, 2, 5},
        {"purchase", 3, 0, 6}, /* later than one of a later day: a day of its own */
        {"purchase", 25, 3, 6},
    };
    for (size_t i = 0; i < sizeof step / sizeof step[0]; i++) {
        events_add(&small_store.events, step[i].type, "u", "x",
                   noon + step[i].day * DAY_MS + step[i].hour * INT64_C(3600000));
        store_rig_apply(&small_store);
        if (small_store_history("u").days[0] != step[i].days)
            fail_msg("step %zu: %u days, expected %u", i, small_store_history("u").days[0],
                     step[i].days);
    }
}

static void test_windows_end_with_the_newest_event_never_after_the_clock(void **state)
{
    (void)state;
    int64_t long_ago = NOW_MS - 4000 * DAY_MS;
    events_add(&small_store.events, "view", "u", "x", long_ago);
    events_add(&small_store.events, "view", "u", "x", long_ago - 10 * DAY_MS);
    store_rig_apply(&small_store);
    assert_int_equal(store_watermark_ms(small_store.store), long_ago);
    assert_int_equal(number_of_events("x", EVENT_CLASS_VIEW, STORE_WINDOW_1H), 1);
    assert_int_equal(number_of_events("x", EVENT_CLASS_VIEW, STORE_WINDOW_7D), 1);
    assert_int_equal(number_of_events("x", EVENT_CLASS_VIEW, STORE_WINDOW_14D), 2);
    /* A catalogue that is loaded today does not move the end of the windows. */
    store_rig_apply_json(&small_store,
                         "{\"type\":\"item_upsert\",\"items\":[{\"id\":\"x\",\"price\":5}]}");
    assert_int_equal(store_watermark_ms(small_store.store), long_ago);
    /* A caller's clock that is ahead of ours: it happens now. */
    events_add(&small_store.events, "view", "u", "y", NOW_MS + 60000);
    store_rig_apply(&small_store);
    assert_int_equal(store_watermark_ms(small_store.store), NOW_MS);
    assert_int_equal(small_store_history("u").last_s[0], NOW_MS / 1000);
    assert_int_equal(number_of_events("y", EVENT_CLASS_VIEW, STORE_WINDOW_1H), 1);
    assert_int_equal(number_of_events("x", EVENT_CLASS_VIEW, STORE_WINDOW_30D), 0);
    /* An event that no class counts moves the watermark too. */
    clock_manual_advance_ns(&small_store.clock, UINT64_C(86400000000000));
    store_rig_apply_json(&small_store, "{\"type\":\"search\",\"user\":\"nobody\",\"query\":\"q\"}");
    assert_int_equal(store_watermark_ms(small_store.store), NOW_MS + DAY_MS);
    assert_int_equal(number_of_events("y", EVENT_CLASS_VIEW, STORE_WINDOW_1H), 0);
    struct history history;
    assert_false(
        store_history(small_store.store, TEXT_LITERAL("nobody"), (struct text){0}, &history));
}

static void test_an_id_that_was_seen_is_a_duplicate_until_it_is_forgotten(void **state)
{
    (void)state;
    const char *json =
        "{\"id\":\"same\",\"type\":\"view\",\"user\":\"u\",\"items\":[{\"id\":\"x\"}]}";
    events_add_json(&small_store.events, json);
    events_add_json(&small_store.events, json);
    const struct store_batch_result *result = store_rig_apply(&small_store);
    assert_int_equal(result->accepted, 1);
    assert_int_equal(result->duplicate, 1);
    assert_int_equal(small_store_history("u").events, 1);
    for (uint32_t i = 0; i < small_store_limits.dedup_events_max - 1; i++)
        events_add(&small_store.events, "view", "v", "y", NOW_MS);
    events_add_json(&small_store.events, json);
    assert_int_equal(store_rig_apply(&small_store)->duplicate, 1);
    events_add(&small_store.events, "view", "v", "y", NOW_MS);
    events_add_json(&small_store.events, json);
    assert_int_equal(store_rig_apply(&small_store)->duplicate, 0);
    assert_int_equal(small_store_history("u").events, 2);
}

static void test_attributes_of_a_user_are_replaced(void **state)
{
    (void)state;
    struct text user = TEXT_LITERAL("u");
    assert_null(store_user_attributes(small_store.store, user).ptr);
    store_rig_apply_json(
        &small_store,
        "{\"type\":\"user_upsert\",\"user\":\"u\",\"attributes\":{\"tier\":\"gold\"}}");
    struct text gold = store_user_attributes(small_store.store, user);
    assert_memory_equal(gold.ptr + gold.len - 10, "\xa4tier\xa4gold", 10);
    uint64_t sequence, hash = store_state_hash(small_store.store, &sequence);
    store_rig_apply_json(&small_store,
                         "{\"type\":\"user_upsert\",\"user\":\"u\",\"attributes\":{\"a\":1}}");
    assert_int_equal(store_user_attributes(small_store.store, user).len, gold.len - 7);
    assert_true(store_state_hash(small_store.store, &sequence) != hash);
    /* They make no history, move no time, and belong to the user alone. */
    struct history history;
    assert_false(store_history(small_store.store, user, (struct text){0}, &history));
    assert_int_equal(store_watermark_ms(small_store.store), 0);
    assert_null(store_user_attributes(small_store.store, TEXT_LITERAL("v")).ptr);
    events_add(&small_store.events, "view", "u", "x", NOW_MS);
    store_rig_apply(&small_store);
    assert_history("u", "x");
    assert_int_equal(store_user_attributes(small_store.store, user).len, gold.len - 7);
}

static void test_a_rejected_event_touches_nothing_else(void **state)
{
    (void)state;
    events_add(&small_store.events, "view", "u", "a", NOW_MS);
    events_add_json(&small_store.events,
                    "{\"id\":\"bad\",\"type\":\"view\",\"items\":[{\"id\":\"b\"}]}");
    events_add_json(&small_store.events, "{\"type\":\"forget\"}");
    events_add(&small_store.events, "view", "u", "c", NOW_MS);
    const struct store_batch_result *result = store_rig_apply(&small_store);
    assert_int_equal(result->accepted, 2);
    assert_int_equal(result->rejected, 2);
    assert_int_equal(result->described, 2);
    assert_int_equal(result->rejection[0].index, 1);
    assert_int_equal(result->rejection[0].code, ERR_BAD_INPUT);
    assert_string_equal(result->rejection[0].message, "user: view needs user or anon");
    assert_string_equal(result->rejection[1].message, "user or anon: needed by forget");
    assert_history("u", "c a");
    assert_int_equal(store_item_find(small_store.store, TEXT_LITERAL("b")), IDMAP_NONE);
    /* What was rejected may be sent again under the same id. */
    store_rig_apply_json(
        &small_store,
        "{\"id\":\"bad\",\"type\":\"view\",\"user\":\"u\",\"items\":[{\"id\":\"b\"}]}");
    for (int i = 0; i < STORE_REJECTED_MAX + 5; i++)
        events_add_json(&small_store.events, "{\"type\":\"view\"}");
    result = store_rig_apply(&small_store);
    assert_int_equal(result->rejected, STORE_REJECTED_MAX + 5);
    assert_int_equal(result->described, STORE_REJECTED_MAX);
}

static void test_binding_adds_all_or_nothing(void **state)
{
    (void)state;
    static char name[1001][16];
    static struct text ids[1001];
    static uint32_t numbers[1001];
    events_add(&small_store.events, "view", "u", "n5", NOW_MS);
    store_rig_apply(&small_store);
    for (int i = 0; i < 1001; i++) {
        snprintf(name[i], sizeof name[i], "n%d", i);
        ids[i] = text_of(name[i]);
    }
    assert_int_equal(store_bind_items(small_store.store, ids, 1001, numbers, &small_store.err),
                     ERR_LIMIT);
    assert_string_equal(small_store.err.text,
                        "1 items are known, 1000 new ones do not fit into items_max = 1000");
    assert_int_equal(store_item_count(small_store.store), 1);
    struct text bad[2] = {TEXT_LITERAL("good"), TEXT_LITERAL("")};
    assert_int_equal(store_bind_items(small_store.store, bad, 2, numbers, &small_store.err),
                     ERR_BAD_INPUT);
    assert_int_equal(store_item_count(small_store.store), 1);
    assert_int_equal(store_bind_items(small_store.store, ids, 1000, numbers, &small_store.err),
                     ERR_OK);
    assert_int_equal(numbers[5], 0);
    assert_int_equal(numbers[999], 999);
    /* The table is full: an event that names a new item is refused, others go on. */
    events_add(&small_store.events, "view", "u", "one too many", NOW_MS);
    events_add(&small_store.events, "view", "u", "n7", NOW_MS);
    const struct store_batch_result *result = store_rig_apply(&small_store);
    assert_int_equal(result->rejection[0].code, ERR_LIMIT);
    assert_string_equal(result->rejection[0].message,
                        "items_max is reached: there is no room for 'one too many'");
    assert_int_equal(result->accepted, 1);
    assert_history("u", "n7 n5");
    events_add_json(&small_store.events,
                    "{\"type\":\"item_upsert\",\"items\":[{\"id\":\"another\"}]}");
    assert_string_equal(store_rig_apply(&small_store)->rejection[0].message,
                        "items_max is reached: there is no room for 'another'");
    for (int i = 0; i < 1000; i++) {
        events_add(&small_store.events, "view", name[i], "n5", NOW_MS);
        result = store_rig_apply(&small_store);
    }
    assert_string_equal(result->rejection[0].message,
                        "people_max is reached: there is no room for 'n999'");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, small_store_set_up, small_store_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_a_history_is_newest_first_with_one_entry_per_item),
        TEST(test_a_full_history_drops_its_oldest_entry),
        TEST(test_a_user_is_looked_up_before_the_anonymous_id),
        TEST(test_days_are_distinct_days_with_a_purchase),
        TEST(test_windows_end_with_the_newest_event_never_after_the_clock),
        TEST(test_an_id_that_was_seen_is_a_duplicate_until_it_is_forgotten),
        TEST(test_attributes_of_a_user_are_replaced),
        TEST(test_a_rejected_event_touches_nothing_else),
        TEST(test_binding_adds_all_or_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
