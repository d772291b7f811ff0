/* SPDX-License-Identifier: Apache-2.0 */
/* What events leave in the store beside histories: features by name, ids that are remembered, items
 * without a record, limits; see test_store_histories.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>

#include "featurestore/features.h"
#include "featurestore/store_internal.h"
#include "tests/support/small_store.h"
#include "tests/support/store_rig.h"

#define NOW_MS INT64_C(1700000000000) /* 2023-11-14T22:13:20Z */
#define DAY_MS INT64_C(86400000)

static void test_an_empty_store_answers(void **state)
{
    (void)state;
    struct history history;
    struct top_list list;
    struct store_stats stats;
    assert_int_equal(store_item_count(small_store.store), 0);
    assert_int_equal(store_item_find(small_store.store, TEXT_LITERAL("i")), IDMAP_NONE);
    assert_false(store_history(small_store.store, TEXT_LITERAL("u"), TEXT_LITERAL("a"), &history));
    assert_false(store_history(small_store.store, (struct text){0}, (struct text){0}, &history));
    assert_int_equal(history.count, 0);
    store_top(small_store.store, STORE_WINDOW_7D, IDMAP_NONE, &list);
    assert_int_equal(list.count, 0);
    store_top(small_store.store, STORE_WINDOW_7D, 3, &list);
    assert_int_equal(list.count, 0);
    assert_int_equal(store_watermark_ms(small_store.store), 0);
    store_stats(small_store.store, &stats);
    assert_int_equal(stats.items + stats.users + stats.anons + stats.events_accepted, 0);
}

static void test_ids_are_remembered_for_a_time(void **state)
{
    (void)state;
    struct store_stats stats;
    struct store_limits day = small_store_limits;
    day.dedup_window_s = 86400;
    store_destroy(&small_store.store);
    assert_int_equal(
        store_create(&day, &small_store.clock.clock, &small_store.store, &small_store.err), ERR_OK);
    const char *json = "{\"id\":\"same\",\"type\":\"search\",\"user\":\"u\",\"odd\":1}";
    store_rig_apply_json(&small_store, json);
    store_stats(small_store.store, &stats);
    assert_int_equal(stats.dedup_oldest_ms, NOW_MS);
    assert_int_equal(stats.fields_dropped, 1);
    clock_manual_advance_ns(&small_store.clock, UINT64_C(86400000000000));
    events_add_json(&small_store.events, json);
    assert_int_equal(store_rig_apply(&small_store)->duplicate, 1);
    clock_manual_advance_ns(&small_store.clock, UINT64_C(1000000000));
    store_rig_apply_json(&small_store, json);
    store_stats(small_store.store, &stats);
    assert_int_equal(stats.dedup_oldest_ms, NOW_MS + DAY_MS + 1000);
}

static void test_an_item_that_only_events_named_has_no_record(void **state)
{
    (void)state;
    events_add(&small_store.events, "view", "u", "x", NOW_MS);
    store_rig_apply(&small_store);
    assert_null(store_item(small_store.store, store_rig_item(&small_store, "x")));
    assert_int_equal(store_category_count(small_store.store), 0);
    /* A model named it and nothing else did: there is not even a page for it. */
    uint32_t number = 0;
    struct text id = TEXT_LITERAL("bound");
    assert_int_equal(store_bind_items(small_store.store, &id, 1, &number, &small_store.err),
                     ERR_OK);
    assert_int_equal(number, store_rig_item(&small_store, "bound"));
    assert_null(store_item(small_store.store, number));
    assert_int_equal(
        store_item_events(small_store.store, number, EVENT_CLASS_VIEW, STORE_WINDOW_30D), 0);
    /* Deleting it gives it a record, so that it is not shown. */
    store_rig_apply_json(&small_store, "{\"type\":\"item_delete\",\"items\":[{\"id\":\"x\"}]}");
    assert_true(store_item(small_store.store, store_rig_item(&small_store, "x"))->deleted);
}

static void test_features_are_read_by_name(void **state)
{
    (void)state;
    events_add(&small_store.events, "view", "u", "x", NOW_MS - 7000);
    events_add(&small_store.events, "purchase", "u", "x", NOW_MS - 2 * DAY_MS);
    events_add(&small_store.events, "view", "v", "y", NOW_MS);
    store_rig_apply(&small_store);
    store_rig_apply_json(
        &small_store,
        "{\"type\":\"item_upsert\",\"items\":[{\"id\":\"x\",\"price\":1000,\"cost\":400,"
        "\"stock\":7}]}");
    static const struct {
        const char *name;
        double of_x, of_y;
    } item[] = {
        {"item.price", 1000, NAN},   {"item.cost", 400, NAN},     {"item.stock", 7, NAN},
        {"item.margin", 0.6, NAN},   {"item.views_1h", 1, 1},     {"item.views_30d", 1, 1},
        {"item.purchases_1d", 0, 0}, {"item.purchases_7d", 1, 0}, {"item.carts_14d", 0, 0},
    };
    for (size_t i = 0; i < sizeof item / sizeof item[0]; i++) {
        const struct feature *feature = feature_builtin(text_of(item[i].name));
        assert_non_null(feature);
        assert_int_equal(feature->subject, FEATURE_ITEM);
        double x =
            feature_of_item(small_store.store, feature->id, store_rig_item(&small_store, "x"));
        double y =
            feature_of_item(small_store.store, feature->id, store_rig_item(&small_store, "y"));
        if (x != item[i].of_x || (isnan(item[i].of_y) ? !isnan(y) : y != item[i].of_y))
            fail_msg("%s: %g, %g", item[i].name, x, y);
    }
    struct history history = small_store_history("u");
    struct history nobody = {0};
    static const struct {
        const char *name;
        double of_u, of_nobody;
    } user[] = {{"user.events", 2, 0},
                {"user.purchases", 1, 0},
                {"user.items", 1, 0},
                {"user.age_last_s", 7, NAN}};
    for (size_t i = 0; i < sizeof user / sizeof user[0]; i++) {
        const struct feature *feature = feature_builtin(text_of(user[i].name));
        assert_non_null(feature);
        assert_int_equal(feature->subject, FEATURE_USER);
        assert_true(feature_of_user(small_store.store, feature->id, &history) == user[i].of_u);
        double value = feature_of_user(small_store.store, feature->id, &nobody);
        assert_true(isnan(user[i].of_nobody) ? isnan(value) : value == user[i].of_nobody);
    }
    assert_null(feature_builtin(TEXT_LITERAL("item.views")));
    assert_null(feature_builtin(TEXT_LITERAL("")));
    uint32_t count = 0;
    for (; feature_builtin_at(count) != NULL; count++)
        assert_ptr_equal(feature_builtin(text_of(feature_builtin_at(count)->name)),
                         feature_builtin_at(count));
    assert_int_equal(count, 6 + 15 + 4);
}

static void test_limits_out_of_range_are_refused_by_name(void **state)
{
    (void)state;
    struct store *other = NULL;
    struct store_limits wrong = small_store_limits;
    wrong.history_items_max = 1001;
    assert_int_equal(store_create(&wrong, &small_store.clock.clock, &other, &small_store.err),
                     ERR_LIMIT);
    assert_string_equal(small_store.err.text, "history_items_max: expected 1..1000, got 1001");
    wrong = small_store_limits;
    wrong.items_max = 0;
    assert_int_equal(store_create(&wrong, &small_store.clock.clock, &other, &small_store.err),
                     ERR_LIMIT);
    assert_null(other);
}

static void test_the_same_events_give_the_same_store(void **state)
{
    (void)state;
    for (int i = 0; i < 500; i++) {
        char user[16], item[16];
        snprintf(user, sizeof user, "u%d", i * 7 % 13);
        snprintf(item, sizeof item, "i%d", i * i % 37);
        events_add(&small_store.events, i % 3 == 0 ? "purchase" : "view", user, item,
                   NOW_MS - i * 7919 % 90000 * INT64_C(1000));
    }
    size_t len = events_end(&small_store.events);
    struct store *other = NULL;
    assert_int_equal(
        store_create(&small_store_limits, &small_store.clock.clock, &other, &small_store.err),
        ERR_OK);
    events_apply(small_store.store, &small_store.events, len, NOW_MS);
    events_apply(other, &small_store.events, len, NOW_MS);
    store_refresh_all(small_store.store);
    store_refresh_all(other);
    assert_int_equal(store_item_count(small_store.store), store_item_count(other));
    for (int i = 0; i < 13; i++) {
        char user[16];
        snprintf(user, sizeof user, "u%d", i);
        struct history a = small_store_history(user), b;
        assert_true(store_history(other, text_of(user), (struct text){0}, &b));
        assert_int_equal(a.count, b.count);
        assert_memory_equal(a.item, b.item, a.count * sizeof *a.item);
        assert_memory_equal(a.last_s, b.last_s, a.count * sizeof *a.last_s);
        assert_memory_equal(a.classes, b.classes, a.count);
        assert_memory_equal(a.days, b.days, a.count);
    }
    struct top_list a, b;
    store_top(small_store.store, STORE_WINDOW_1D, IDMAP_NONE, &a);
    store_top(other, STORE_WINDOW_1D, IDMAP_NONE, &b);
    assert_int_equal(a.count, b.count);
    assert_true(a.count > 0);
    assert_memory_equal(a.entry, b.entry, a.count * sizeof *a.entry);
    store_destroy(&other);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, small_store_set_up, small_store_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_an_empty_store_answers),
        TEST(test_ids_are_remembered_for_a_time),
        TEST(test_an_item_that_only_events_named_has_no_record),
        TEST(test_features_are_read_by_name),
        TEST(test_limits_out_of_range_are_refused_by_name),
        TEST(test_the_same_events_give_the_same_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
