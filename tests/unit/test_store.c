/* SPDX-License-Identifier: Apache-2.0 */
/* What events do to the store, one batch at a time on the test's own thread: it is the writer,
 * so nothing is freed while it reads, and it needs no rcu_read_begin. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "featurestore/store_internal.h"
#include "tests/support/store_rig.h"

#define NOW_MS INT64_C(1700000000000) /* 2023-11-14T22:13:20Z */
#define DAY_MS INT64_C(86400000)

static struct store_rig rig;

static const struct store_limits limits = {.items_max = 1000,
                                           .people_max = 1000,
                                           .history_items_max = 4,
                                           .queue_events_max = 2000,
                                           .dedup_events_max = 100,
                                           .prices_max = 4};

static int set_up(void **state)
{
    (void)state;
    store_rig_create(&rig, &limits);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    store_rig_destroy(&rig);
    return 0;
}

static uint32_t number_of_events(const char *id, enum event_class class, enum store_window window)
{
    return store_item_events(rig.store, store_rig_item(&rig, id), class, window);
}

static struct history history_of(const char *user)
{
    struct history history;
    assert_true(store_history(rig.store, text_of(user), (struct text){0}, &history));
    return history;
}

static void assert_history(const char *user, const char *expected)
{
    struct history history = history_of(user);
    char text[512] = "";
    for (uint32_t i = 0; i < history.count; i++) {
        struct text id = store_item_id(rig.store, history.item[i]);
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s%.*s", i == 0 ? "" : " ", (int)id.len, id.ptr);
    }
    assert_string_equal(text, expected);
}

static void test_an_empty_store_answers(void **state)
{
    (void)state;
    struct history history;
    struct top_list list;
    struct store_stats stats;
    assert_int_equal(store_item_count(rig.store), 0);
    assert_int_equal(store_item_find(rig.store, TEXT_LITERAL("i")), IDMAP_NONE);
    assert_false(store_history(rig.store, TEXT_LITERAL("u"), TEXT_LITERAL("a"), &history));
    assert_false(store_history(rig.store, (struct text){0}, (struct text){0}, &history));
    assert_int_equal(history.count, 0);
    store_top(rig.store, STORE_WINDOW_7D, IDMAP_NONE, &list);
    assert_int_equal(list.count, 0);
    store_top(rig.store, STORE_WINDOW_7D, 3, &list);
    assert_int_equal(list.count, 0);
    assert_int_equal(store_watermark_ms(rig.store), 0);
    store_stats(rig.store, &stats);
    assert_int_equal(stats.items + stats.users + stats.anons + stats.events_accepted, 0);
}

static void test_a_history_is_newest_first_with_one_entry_per_item(void **state)
{
    (void)state;
    events_add(&rig.events, "view", "u", "a", NOW_MS - 5000);
    events_add(&rig.events, "view", "u", "b", NOW_MS - 4000);
    events_add(&rig.events, "cart_add", "u", "a", NOW_MS - 3000);
    events_add(&rig.events, "purchase", "u", "c", NOW_MS - 9000); /* late */
    events_add(&rig.events, "dislike", "u", "b", NOW_MS - 8000);  /* late, for a known item */
    assert_int_equal(store_rig_apply(&rig)->accepted, 5);
    assert_history("u", "a b c");
    struct history history = history_of("u");
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
        events_add(&rig.events, "view", "u", item, NOW_MS - 100000 + i * 1000);
    }
    events_add(&rig.events, "view", "u", "old", NOW_MS - DAY_MS); /* older than all that is kept */
    store_rig_apply(&rig);
    assert_history("u", "i5 i4 i3 i2");
    assert_int_equal(history_of("u").events, 7);
}

static void test_a_user_is_looked_up_before_the_anonymous_id(void **state)
{
    (void)state;
    struct history history;
    store_rig_apply_json(&rig, "{\"type\":\"view\",\"anon\":\"a\",\"items\":[{\"id\":\"x\"}]}");
    store_rig_apply_json(
        &rig, "{\"type\":\"view\",\"user\":\"u\",\"anon\":\"a\",\"items\":[{\"id\":\"y\"}]}");
    assert_true(store_history(rig.store, TEXT_LITERAL("u"), TEXT_LITERAL("a"), &history));
    assert_int_equal(history.item[0], store_rig_item(&rig, "y"));
    assert_true(store_history(rig.store, TEXT_LITERAL("nobody"), TEXT_LITERAL("a"), &history));
    assert_int_equal(history.item[0], store_rig_item(&rig, "x"));
    assert_false(store_history(rig.store, TEXT_LITERAL("a"), TEXT_LITERAL("u"), &history));
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
        events_add(&rig.events, step[i].type, "u", "x",
                   noon + step[i].day * DAY_MS + step[i].hour * INT64_C(3600000));
        store_rig_apply(&rig);
        if (history_of("u").days[0] != step[i].days)
            fail_msg("step %zu: %u days, expected %u", i, history_of("u").days[0], step[i].days);
    }
}

static void test_windows_end_with_the_newest_event_never_after_the_clock(void **state)
{
    (void)state;
    int64_t long_ago = NOW_MS - 4000 * DAY_MS;
    events_add(&rig.events, "view", "u", "x", long_ago);
    events_add(&rig.events, "view", "u", "x", long_ago - 10 * DAY_MS);
    store_rig_apply(&rig);
    assert_int_equal(store_watermark_ms(rig.store), long_ago);
    assert_int_equal(number_of_events("x", EVENT_CLASS_VIEW, STORE_WINDOW_1H), 1);
    assert_int_equal(number_of_events("x", EVENT_CLASS_VIEW, STORE_WINDOW_7D), 1);
    assert_int_equal(number_of_events("x", EVENT_CLASS_VIEW, STORE_WINDOW_14D), 2);
    /* A catalogue that is loaded today does not move the end of the windows. */
    store_rig_apply_json(&rig, "{\"type\":\"item_upsert\",\"items\":[{\"id\":\"x\",\"price\":5}]}");
    assert_int_equal(store_watermark_ms(rig.store), long_ago);
    /* A caller's clock that is ahead of ours: it happens now. */
    events_add(&rig.events, "view", "u", "y", NOW_MS + 60000);
    store_rig_apply(&rig);
    assert_int_equal(store_watermark_ms(rig.store), NOW_MS);
    assert_int_equal(history_of("u").last_s[0], NOW_MS / 1000);
    assert_int_equal(number_of_events("y", EVENT_CLASS_VIEW, STORE_WINDOW_1H), 1);
    assert_int_equal(number_of_events("x", EVENT_CLASS_VIEW, STORE_WINDOW_30D), 0);
    /* An event that no class counts moves the watermark too. */
    clock_manual_advance_ns(&rig.clock, UINT64_C(86400000000000));
    store_rig_apply_json(&rig, "{\"type\":\"search\",\"user\":\"nobody\",\"query\":\"q\"}");
    assert_int_equal(store_watermark_ms(rig.store), NOW_MS + DAY_MS);
    assert_int_equal(number_of_events("y", EVENT_CLASS_VIEW, STORE_WINDOW_1H), 0);
    struct history history;
    assert_false(store_history(rig.store, TEXT_LITERAL("nobody"), (struct text){0}, &history));
}

static void test_an_id_that_was_seen_is_a_duplicate_until_it_is_forgotten(void **state)
{
    (void)state;
    const char *json =
        "{\"id\":\"same\",\"type\":\"view\",\"user\":\"u\",\"items\":[{\"id\":\"x\"}]}";
    events_add_json(&rig.events, json);
    events_add_json(&rig.events, json);
    const struct store_batch_result *result = store_rig_apply(&rig);
    assert_int_equal(result->accepted, 1);
    assert_int_equal(result->duplicate, 1);
    assert_int_equal(history_of("u").events, 1);
    for (uint32_t i = 0; i < limits.dedup_events_max - 1; i++)
        events_add(&rig.events, "view", "v", "y", NOW_MS);
    events_add_json(&rig.events, json);
    assert_int_equal(store_rig_apply(&rig)->duplicate, 1);
    events_add(&rig.events, "view", "v", "y", NOW_MS);
    events_add_json(&rig.events, json);
    assert_int_equal(store_rig_apply(&rig)->duplicate, 0);
    assert_int_equal(history_of("u").events, 2);
}

static void test_attributes_of_a_user_are_replaced(void **state)
{
    (void)state;
    struct text user = TEXT_LITERAL("u");
    assert_null(store_user_attributes(rig.store, user).ptr);
    store_rig_apply_json(
        &rig, "{\"type\":\"user_upsert\",\"user\":\"u\",\"attributes\":{\"tier\":\"gold\"}}");
    struct text gold = store_user_attributes(rig.store, user);
    assert_memory_equal(gold.ptr + gold.len - 10, "\xa4tier\xa4gold", 10);
    uint64_t sequence, hash = store_state_hash(rig.store, &sequence);
    store_rig_apply_json(&rig,
                         "{\"type\":\"user_upsert\",\"user\":\"u\",\"attributes\":{\"a\":1}}");
    assert_int_equal(store_user_attributes(rig.store, user).len, gold.len - 7);
    assert_true(store_state_hash(rig.store, &sequence) != hash);
    /* They make no history, move no time, and belong to the user alone. */
    struct history history;
    assert_false(store_history(rig.store, user, (struct text){0}, &history));
    assert_int_equal(store_watermark_ms(rig.store), 0);
    assert_null(store_user_attributes(rig.store, TEXT_LITERAL("v")).ptr);
    events_add(&rig.events, "view", "u", "x", NOW_MS);
    store_rig_apply(&rig);
    assert_history("u", "x");
    assert_int_equal(store_user_attributes(rig.store, user).len, gold.len - 7);
}

static void test_ids_are_remembered_for_a_time(void **state)
{
    (void)state;
    struct store_stats stats;
    struct store_limits day = limits;
    day.dedup_window_s = 86400;
    store_destroy(&rig.store);
    assert_int_equal(store_create(&day, &rig.clock.clock, &rig.store, &rig.err), ERR_OK);
    const char *json = "{\"id\":\"same\",\"type\":\"search\",\"user\":\"u\",\"odd\":1}";
    store_rig_apply_json(&rig, json);
    store_stats(rig.store, &stats);
    assert_int_equal(stats.dedup_oldest_ms, NOW_MS);
    assert_int_equal(stats.fields_dropped, 1);
    clock_manual_advance_ns(&rig.clock, UINT64_C(86400000000000));
    events_add_json(&rig.events, json);
    assert_int_equal(store_rig_apply(&rig)->duplicate, 1);
    clock_manual_advance_ns(&rig.clock, UINT64_C(1000000000));
    store_rig_apply_json(&rig, json);
    store_stats(rig.store, &stats);
    assert_int_equal(stats.dedup_oldest_ms, NOW_MS + DAY_MS + 1000);
}

static void test_a_rejected_event_touches_nothing_else(void **state)
{
    (void)state;
    events_add(&rig.events, "view", "u", "a", NOW_MS);
    events_add_json(&rig.events, "{\"id\":\"bad\",\"type\":\"view\",\"items\":[{\"id\":\"b\"}]}");
    events_add_json(&rig.events, "{\"type\":\"forget\"}");
    events_add(&rig.events, "view", "u", "c", NOW_MS);
    const struct store_batch_result *result = store_rig_apply(&rig);
    assert_int_equal(result->accepted, 2);
    assert_int_equal(result->rejected, 2);
    assert_int_equal(result->described, 2);
    assert_int_equal(result->rejection[0].index, 1);
    assert_int_equal(result->rejection[0].code, ERR_BAD_INPUT);
    assert_string_equal(result->rejection[0].message, "user: view needs user or anon");
    assert_string_equal(result->rejection[1].message, "user or anon: needed by forget");
    assert_history("u", "c a");
    assert_int_equal(store_item_find(rig.store, TEXT_LITERAL("b")), IDMAP_NONE);
    /* What was rejected may be sent again under the same id. */
    store_rig_apply_json(
        &rig, "{\"id\":\"bad\",\"type\":\"view\",\"user\":\"u\",\"items\":[{\"id\":\"b\"}]}");
    for (int i = 0; i < STORE_REJECTED_MAX + 5; i++)
        events_add_json(&rig.events, "{\"type\":\"view\"}");
    result = store_rig_apply(&rig);
    assert_int_equal(result->rejected, STORE_REJECTED_MAX + 5);
    assert_int_equal(result->described, STORE_REJECTED_MAX);
}

static void test_an_item_that_only_events_named_has_no_record(void **state)
{
    (void)state;
    events_add(&rig.events, "view", "u", "x", NOW_MS);
    store_rig_apply(&rig);
    assert_null(store_item(rig.store, store_rig_item(&rig, "x")));
    assert_int_equal(store_category_count(rig.store), 0);
    /* A model named it and nothing else did: there is not even a page for it. */
    uint32_t number = 0;
    struct text id = TEXT_LITERAL("bound");
    assert_int_equal(store_bind_items(rig.store, &id, 1, &number, &rig.err), ERR_OK);
    assert_int_equal(number, store_rig_item(&rig, "bound"));
    assert_null(store_item(rig.store, number));
    assert_int_equal(store_item_events(rig.store, number, EVENT_CLASS_VIEW, STORE_WINDOW_30D), 0);
    /* Deleting it gives it a record, so that it is not shown. */
    store_rig_apply_json(&rig, "{\"type\":\"item_delete\",\"items\":[{\"id\":\"x\"}]}");
    assert_true(store_item(rig.store, store_rig_item(&rig, "x"))->deleted);
}

static void test_binding_adds_all_or_nothing(void **state)
{
    (void)state;
    static char name[1001][16];
    static struct text ids[1001];
    static uint32_t numbers[1001];
    events_add(&rig.events, "view", "u", "n5", NOW_MS);
    store_rig_apply(&rig);
    for (int i = 0; i < 1001; i++) {
        snprintf(name[i], sizeof name[i], "n%d", i);
        ids[i] = text_of(name[i]);
    }
    assert_int_equal(store_bind_items(rig.store, ids, 1001, numbers, &rig.err), ERR_LIMIT);
    assert_string_equal(rig.err.text,
                        "1 items are known, 1000 new ones do not fit into items_max = 1000");
    assert_int_equal(store_item_count(rig.store), 1);
    struct text bad[2] = {TEXT_LITERAL("good"), TEXT_LITERAL("")};
    assert_int_equal(store_bind_items(rig.store, bad, 2, numbers, &rig.err), ERR_BAD_INPUT);
    assert_int_equal(store_item_count(rig.store), 1);
    assert_int_equal(store_bind_items(rig.store, ids, 1000, numbers, &rig.err), ERR_OK);
    assert_int_equal(numbers[5], 0);
    assert_int_equal(numbers[999], 999);
    /* The table is full: an event that names a new item is refused, others go on. */
    events_add(&rig.events, "view", "u", "one too many", NOW_MS);
    events_add(&rig.events, "view", "u", "n7", NOW_MS);
    const struct store_batch_result *result = store_rig_apply(&rig);
    assert_int_equal(result->rejection[0].code, ERR_LIMIT);
    assert_string_equal(result->rejection[0].message,
                        "items_max is reached: there is no room for 'one too many'");
    assert_int_equal(result->accepted, 1);
    assert_history("u", "n7 n5");
    events_add_json(&rig.events, "{\"type\":\"item_upsert\",\"items\":[{\"id\":\"another\"}]}");
    assert_string_equal(store_rig_apply(&rig)->rejection[0].message,
                        "items_max is reached: there is no room for 'another'");
    for (int i = 0; i < 1000; i++) {
        events_add(&rig.events, "view", name[i], "n5", NOW_MS);
        result = store_rig_apply(&rig);
    }
    assert_string_equal(result->rejection[0].message,
                        "people_max is reached: there is no room for 'n999'");
}

static void test_features_are_read_by_name(void **state)
{
    (void)state;
    events_add(&rig.events, "view", "u", "x", NOW_MS - 7000);
    events_add(&rig.events, "purchase", "u", "x", NOW_MS - 2 * DAY_MS);
    events_add(&rig.events, "view", "v", "y", NOW_MS);
    store_rig_apply(&rig);
    store_rig_apply_json(
        &rig, "{\"type\":\"item_upsert\",\"items\":[{\"id\":\"x\",\"price\":1000,\"cost\":400,"
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
        double x = feature_of_item(rig.store, feature->id, store_rig_item(&rig, "x"));
        double y = feature_of_item(rig.store, feature->id, store_rig_item(&rig, "y"));
        if (x != item[i].of_x || (isnan(item[i].of_y) ? !isnan(y) : y != item[i].of_y))
            fail_msg("%s: %g, %g", item[i].name, x, y);
    }
    struct history history = history_of("u");
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
        assert_true(feature_of_user(rig.store, feature->id, &history) == user[i].of_u);
        double value = feature_of_user(rig.store, feature->id, &nobody);
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
    struct store_limits wrong = limits;
    wrong.history_items_max = 1001;
    assert_int_equal(store_create(&wrong, &rig.clock.clock, &other, &rig.err), ERR_LIMIT);
    assert_string_equal(rig.err.text, "history_items_max: expected 1..1000, got 1001");
    wrong = limits;
    wrong.items_max = 0;
    assert_int_equal(store_create(&wrong, &rig.clock.clock, &other, &rig.err), ERR_LIMIT);
    assert_null(other);
}

static void test_the_same_events_give_the_same_store(void **state)
{
    (void)state;
    for (int i = 0; i < 500; i++) {
        char user[16], item[16];
        snprintf(user, sizeof user, "u%d", i * 7 % 13);
        snprintf(item, sizeof item, "i%d", i * i % 37);
        events_add(&rig.events, i % 3 == 0 ? "purchase" : "view", user, item,
                   NOW_MS - i * 7919 % 90000 * INT64_C(1000));
    }
    size_t len = events_end(&rig.events);
    struct store *other = NULL;
    assert_int_equal(store_create(&limits, &rig.clock.clock, &other, &rig.err), ERR_OK);
    events_apply(rig.store, &rig.events, len, NOW_MS);
    events_apply(other, &rig.events, len, NOW_MS);
    store_refresh_all(rig.store);
    store_refresh_all(other);
    assert_int_equal(store_item_count(rig.store), store_item_count(other));
    for (int i = 0; i < 13; i++) {
        char user[16];
        snprintf(user, sizeof user, "u%d", i);
        struct history a = history_of(user), b;
        assert_true(store_history(other, text_of(user), (struct text){0}, &b));
        assert_int_equal(a.count, b.count);
        assert_memory_equal(a.item, b.item, a.count * sizeof *a.item);
        assert_memory_equal(a.last_s, b.last_s, a.count * sizeof *a.last_s);
        assert_memory_equal(a.classes, b.classes, a.count);
        assert_memory_equal(a.days, b.days, a.count);
    }
    struct top_list a, b;
    store_top(rig.store, STORE_WINDOW_1D, IDMAP_NONE, &a);
    store_top(other, STORE_WINDOW_1D, IDMAP_NONE, &b);
    assert_int_equal(a.count, b.count);
    assert_true(a.count > 0);
    assert_memory_equal(a.entry, b.entry, a.count * sizeof *a.entry);
    store_destroy(&other);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_an_empty_store_answers),
        TEST(test_a_history_is_newest_first_with_one_entry_per_item),
        TEST(test_a_full_history_drops_its_oldest_entry),
        TEST(test_a_user_is_looked_up_before_the_anonymous_id),
        TEST(test_days_are_distinct_days_with_a_purchase),
        TEST(test_windows_end_with_the_newest_event_never_after_the_clock),
        TEST(test_an_id_that_was_seen_is_a_duplicate_until_it_is_forgotten),
        TEST(test_attributes_of_a_user_are_replaced),
        TEST(test_ids_are_remembered_for_a_time),
        TEST(test_a_rejected_event_touches_nothing_else),
        TEST(test_an_item_that_only_events_named_has_no_record),
        TEST(test_binding_adds_all_or_nothing),
        TEST(test_features_are_read_by_name),
        TEST(test_limits_out_of_range_are_refused_by_name),
        TEST(test_the_same_events_give_the_same_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
