/* SPDX-License-Identifier: Apache-2.0 */
/* Events go in, features come out: by key, by condition, over a reload.  The test's thread is the
 * writer, so nothing is freed while it reads, and it needs no rcu_read_begin. */
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
#include "featurestore/feature_reader.h"
#include "featurestore/store_internal.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/feature_rig.h"

#define NOW_MS STORE_RIG_NOW_MS
#define DAY_MS INT64_C(86400000)

static struct store_rig rig;

static int set_up(void **state)
{
    (void)state;
    feature_rig_create(&rig);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    store_rig_destroy(&rig);
    return 0;
}

static const char views_of_every_key[] = VIEWS("user") COMMA VIEWS("item") COMMA VIEWS("category")
    COMMA VIEWS("brand") COMMA VIEWS("query") COMMA VIEWS("slot") COMMA VIEWS("user_item")
        COMMA VIEWS("user_category") COMMA VIEWS("user_brand") COMMA VIEWS("query_item")
            COMMA VIEWS("query_category") COMMA VIEWS("query_brand") COMMA VIEWS("slot_item")
                COMMA VIEWS("slot_category") COMMA VIEWS("slot_brand");

static void test_an_event_counts_for_every_key_that_it_names(void **state)
{
    (void)state;
    feature_rig_define(&rig, views_of_every_key);
    feature_rig_load_catalogue(&rig);
    store_rig_apply_json(
        &rig, "{\"type\": \"view\", \"user\": \"u\", \"query\": \" Red  SHOES \", \"list\": "
              "\"home\", \"items\": [{\"id\": \"shoe\"}, {\"id\": \"boot\"}]}");
    store_rig_apply_json(&rig,
                         "{\"type\": \"view\", \"user\": \"u\", \"items\": [{\"id\": \"hat\"}]}");
    store_rig_apply_json(&rig,
                         "{\"type\": \"click\", \"user\": \"u\", \"items\": [{\"id\": \"hat\"}]}");
    store_rig_apply_json(&rig,
                         "{\"type\": \"view\", \"anon\": \"u\", \"items\": [{\"id\": \"shoe\"}]}");
    assert_value("user.views", 2, .user = "u");
    assert_value("user.views", 1, .anon = "u");
    assert_value("user.views", 1, .user = "nobody", .anon = "u");
    assert_value("item.views", 2, .item = "shoe");
    assert_value("category.views", 3, .item = "shoe");
    assert_value("brand.views", 3, .item = "shoe");
    assert_value("query.views", 1, .query = "red shoes");
    assert_value("slot.views", 1, .slot = "home");
    assert_value("user_item.views", 1, .user = "u", .item = "shoe");
    assert_value("user_item.views", 1, .anon = "u", .item = "shoe");
    assert_value("user_category.views", 2, .user = "u", .item = "boot");
    assert_value("user_category.views", 1, .user = "u", .item = "hat");
    assert_value("user_brand.views", 2, .user = "u", .item = "shoe");
    assert_value("query_item.views", 1, .query = "RED shoes", .item = "shoe");
    assert_value("query_category.views", 2, .query = "red shoes", .item = "shoe");
    assert_value("query_brand.views", 1, .query = "red shoes", .item = "boot");
    assert_value("slot_item.views", 1, .slot = "home", .item = "boot");
    assert_value("slot_category.views", 2, .slot = "home", .item = "boot");
    assert_value("slot_brand.views", 1, .slot = "home", .item = "boot");
    assert_true(isnan(feature_rig_value(&rig, "query_item.views",
                                        (struct feature_rig_of){.query = "blue", .item = "shoe"})));
    assert_true(
        isnan(feature_rig_value(&rig, "user_item.views", (struct feature_rig_of){.item = "shoe"})));
    assert_true(
        isnan(feature_rig_value(&rig, "user_item.views", (struct feature_rig_of){.user = "u"})));
}

static void test_values_come_from_items_events_and_properties(void **state)
{
    (void)state;
    feature_rig_define(
        &rig,
        "\"user.spent\": {\"kind\": \"sum\", \"events\": [\"purchase\"], \"value\": \"amount\"},"
        "\"user.paid\": {\"kind\": \"last\", \"events\": [\"purchase\"], \"value\": \"price\", "
        "  \"n\": 3},"
        "\"user.bought\": {\"kind\": \"last\", \"events\": [\"purchase\"], \"value\": \"item\","
        "  \"n\": 3},"
        "\"user.totals\": {\"kind\": \"max\", \"events\": [\"purchase\"], \"value\": \"total\"},"
        "\"user.stars\": {\"kind\": \"mean\", \"events\": [\"rate\"], \"value\": "
        "  \"props.stars\"},"
        "\"item.units\": {\"kind\": \"sum\", \"events\": [\"purchase\"], \"value\": \"qty\"},"
        "\"item.people\": {\"kind\": \"distinct\", \"events\": [\"purchase\", \"rate\"], "
        "  \"value\": \"user\"},"
        "\"category.brands\": {\"kind\": \"distinct\", \"events\": [\"purchase\"], "
        "  \"value\": \"brand\"}");
    feature_rig_load_catalogue(&rig);
    store_rig_apply_json(
        &rig, "{\"type\": \"purchase\", \"user\": \"u\", \"total\": 2500, \"currency\": \"EUR\", "
              "\"items\": [{\"id\": \"shoe\", \"qty\": 2, \"price\": 850}, "
              "{\"id\": \"hat\", \"price\": 250}, {\"id\": \"boot\"}]}");
    store_rig_apply_json(&rig, "{\"type\": \"rate\", \"user\": \"u\", \"props\": {\"stars\": 4}}");
    store_rig_apply_json(&rig, "{\"type\": \"rate\", \"user\": \"u\", \"props\": {\"stars\": 5}}");
    store_rig_apply_json(&rig,
                         "{\"type\": \"rate\", \"user\": \"u\", \"props\": {\"stars\": \"many\"}}");
    store_rig_apply_json(&rig, "{\"type\": \"rate\", \"user\": \"u\"}");
    assert_value("user.spent", 1950, .user = "u");
    assert_value("user.paid", 250, .user = "u");
    assert_value("user.totals", 2500, .user = "u");
    assert_value("user.stars", 4.5, .user = "u");
    assert_value("item.units", 2, .item = "shoe");
    assert_value("item.units", 1, .item = "boot");
    double people = feature_rig_value(&rig, "item.people", (struct feature_rig_of){.item = "shoe"});
    assert_true(fabs(people - 1.0) < 0.1);
    double brands =
        feature_rig_value(&rig, "category.brands", (struct feature_rig_of){.item = "shoe"});
    assert_true(fabs(brands - 2.0) < 0.1);
    struct feature_detail bought =
        feature_rig_detail(&rig, "user.bought", (struct feature_rig_of){.user = "u"});
    assert_int_equal(bought.status, FEATURE_PRESENT);
    assert_non_null(bought.list);
    assert_int_equal(aggregate_list_count(bought.list), 3);
    assert_int_equal(aggregate_list_id(bought.list, 0),
                     store_item_find(rig.store, TEXT_LITERAL("boot")));
    struct feature_detail paid =
        feature_rig_detail(&rig, "user.paid", (struct feature_rig_of){.user = "u"});
    assert_int_equal(aggregate_list_count(paid.list), 2);
    assert_true(aggregate_list_number(paid.list, 1) == 850.0);
}

static void test_conditions_look_at_properties(void **state)
{
    (void)state;
#define WHERE(name, where)                                                              \
    "\"user." name "\": {\"kind\": \"count\", \"events\": [\"view\"], \"default\": 0, " \
    "\"where\": {" where "}}"
    static const char features[] = WHERE("app", "\"device\": \"app\"")
        COMMA WHERE("mobile", "\"device\": [\"app\", \"tablet\"]")
            COMMA WHERE("human", "\"bot\": false")
                COMMA WHERE("late", "\"hour\": {\"at_least\": 18, \"below\": 24}")
                    COMMA WHERE("both", "\"device\": \"app\", \"hour\": {\"above\": 18}")
                        COMMA WHERE("two", "\"n\": 2");
#undef WHERE
    feature_rig_define(&rig, features);
    static const char *const props[] = {
        "{\"device\": \"app\", \"bot\": false, \"hour\": 18}",
        "{\"device\": \"tablet\", \"bot\": true, \"hour\": 23.5}",
        "{\"device\": \"app\", \"hour\": 24}",
        "{\"device\": [\"app\"], \"hour\": \"19\", \"n\": \"2\", \"bot\": null}",
        "{\"n\": 2.0}",
    };
    for (uint32_t i = 0; i < sizeof props / sizeof props[0]; i++) {
        char json[256];
        snprintf(json, sizeof json, "{\"type\": \"view\", \"user\": \"u\", \"props\": %s}",
                 props[i]);
        store_rig_apply_json(&rig, json);
    }
    store_rig_apply_json(&rig, "{\"type\": \"view\", \"user\": \"u\"}");
    assert_value("user.app", 2, .user = "u");
    assert_value("user.mobile", 3, .user = "u");
    assert_value("user.human", 1, .user = "u");
    assert_value("user.late", 2, .user = "u");
    assert_value("user.both", 1, .user = "u");
    assert_value("user.two", 1, .user = "u");
}

static void test_attributes_of_items_are_numbers(void **state)
{
    (void)state;
    feature_rig_define(
        &rig, "\"item.size\": {\"kind\": \"attribute\", \"attribute\": \"size\", \"default\": -1},"
              "\"item.season\": {\"kind\": \"attribute\", \"attribute\": \"season\", \"values\": "
              "  {\"summer\": 1, \"winter\": 2}},"
              "\"item.acme\": {\"kind\": \"attribute\", \"column\": \"brand\", \"values\": "
              "  {\"acme\": 1, \"bolt\": 0}},"
              "\"item.in_stock\": {\"kind\": \"attribute\", \"column\": \"stock\", \"max_age\": "
              "  \"1d\"}");
    feature_rig_load_catalogue(&rig);
    assert_value("item.size", 42, .item = "shoe");
    assert_value("item.season", 1, .item = "shoe");
    assert_value("item.acme", 1, .item = "hat");
    assert_value("item.acme", 0, .item = "boot");
    assert_value("item.in_stock", 4, .item = "shoe");
    assert_value("item.size", -1, .item = "hat");
    /* Attributes are replaced as a whole; what is not given stays. */
    store_rig_apply_json(
        &rig, "{\"type\": \"item_upsert\", \"items\": [{\"id\": \"shoe\", \"attributes\": "
              "{\"size\": \"large\"}}]}");
    assert_value("item.size", -1, .item = "shoe");
    assert_true(
        isnan(feature_rig_value(&rig, "item.season", (struct feature_rig_of){.item = "shoe"})));
    assert_value("item.acme", 1, .item = "shoe");
}

static void test_attributes_of_users_and_types_of_ones_own(void **state)
{
    (void)state;
    feature_rig_define(
        &rig, "\"user.tier\": {\"kind\": \"attribute\", \"attribute\": \"tier\", \"values\": "
              "  {\"gold\": 2}},"
              "\"user.peeks\": {\"kind\": \"count\", \"events\": [\"custom:peek\"]}");
    store_rig_apply_json(
        &rig, "{\"type\": \"user_upsert\", \"user\": \"u\", \"attributes\": {\"tier\": \"gold\"}}");
    store_rig_apply_json(&rig, "{\"type\": \"custom:peek\", \"user\": \"u\"}");
    store_rig_apply_json(&rig, "{\"type\": \"custom:poke\", \"user\": \"u\"}");
    store_rig_apply_json(&rig, "{\"type\": \"view\", \"user\": \"u\"}");
    assert_value("user.tier", 2, .user = "u");
    assert_value("user.peeks", 1, .user = "u");
    store_rig_apply_json(
        &rig, "{\"type\": \"user_upsert\", \"user\": \"u\", \"attributes\": {\"age\": 30}}");
    assert_true(isnan(feature_rig_value(&rig, "user.tier", (struct feature_rig_of){.user = "u"})));
}

static void test_ratios_are_smoothed_by_their_prior(void **state)
{
    (void)state;
#define COUNT(name, type) \
    "\"item." name "\": {\"kind\": \"count\", \"events\": [\"" type "\"], \"window\": \"7d\"}"
    feature_rig_define(
        &rig, COUNT("shown", "impression") "," COUNT(
                  "clicked",
                  "click") ","
                           "\"item.ctr\": {\"kind\": \"ratio\", \"of\": \"item.clicked\", \"per\": "
                           "\"item.shown\", "
                           "  \"prior\": [1, 9]},"
                           "\"item.raw\": {\"kind\": \"ratio\", \"of\": \"item.clicked\", \"per\": "
                           "\"item.shown\"},"
                           "\"item.sell_through\": {\"kind\": \"ratio\", \"of\": \"item.clicked\", "
                           "\"per\": "
                           "  [\"item.clicked\", \"item.stock\"]}");
#undef COUNT
    feature_rig_load_catalogue(&rig);
    struct feature_detail nothing =
        feature_rig_detail(&rig, "item.ctr", (struct feature_rig_of){.item = "hat"});
    assert_true(fabs(nothing.value - 0.1) < 1e-12);
    assert_int_equal(nothing.status, FEATURE_DEFAULT);
    assert_int_equal(
        feature_rig_detail(&rig, "item.raw", (struct feature_rig_of){.item = "hat"}).status,
        FEATURE_MISSING);
    for (int i = 0; i < 10; i++)
        feature_rig_act(&rig, "impression", "u", "shoe", 10);
    feature_rig_act(&rig, "click", "u", "shoe", 5);
    feature_rig_act(&rig, "click", "u", "shoe", 5);
    assert_value("item.ctr", (2.0 + 1.0) / (10.0 + 10.0), .item = "shoe");
    assert_value("item.raw", 0.2, .item = "shoe");
    assert_value("item.sell_through", 2.0 / (2.0 + 4.0), .item = "shoe");
    assert_int_equal(
        feature_rig_detail(&rig, "item.ctr", (struct feature_rig_of){.item = "shoe"}).as_of_ms,
        NOW_MS - 5000);
}

static void test_an_old_value_becomes_the_default(void **state)
{
    (void)state;
    feature_rig_define(
        &rig, "\"user.a\": {\"kind\": \"since\", \"events\": [\"view\"], \"max_age\": \"1h\", "
              "  \"default\": 7},"
              "\"user.b\": {\"kind\": \"since\", \"events\": [\"view\"], \"max_age\": \"1h\"},"
              "\"user.c\": {\"kind\": \"since\", \"events\": [\"view\"]},"
              "\"user.d\": {\"kind\": \"since\", \"events\": [\"search\"], \"default\": 3}");
    feature_rig_act(&rig, "view", "u", "x", 3600 + 100);
    feature_rig_act(&rig, "view", "other", "x", 100);
    struct feature_rig_of u = {.user = "u"};
    assert_int_equal(feature_rig_detail(&rig, "user.a", u).status,
                     FEATURE_PRESENT); /* exactly an hour */
    feature_rig_act(&rig, "view", "other", "x", 99);
    assert_int_equal(feature_rig_detail(&rig, "user.a", u).status, FEATURE_STALE);
    assert_value("user.a", 7, .user = "u");
    assert_int_equal(feature_rig_detail(&rig, "user.b", u).status, FEATURE_STALE);
    assert_true(isnan(feature_rig_value(&rig, "user.b", u)));
    assert_value("user.c", 3601, .user = "u");
    assert_int_equal(feature_rig_detail(&rig, "user.c", u).as_of_ms, NOW_MS - 3700000);
    assert_int_equal(feature_rig_detail(&rig, "user.d", u).status, FEATURE_DEFAULT);
    assert_int_equal(feature_rig_detail(&rig, "user.d", u).as_of_ms, 0);
    assert_value("user.d", 3, .user = "u");
    assert_int_equal(
        feature_rig_detail(&rig, "user.b", (struct feature_rig_of){.user = "nobody"}).status,
        FEATURE_MISSING);
}

static void test_keys_without_room_are_dropped_and_counted(void **state)
{
    (void)state;
    feature_rig_define(&rig, VIEWS("user_item") "," VIEWS("query") "," VIEWS("user"));
    for (int i = 0; i < 80; i++) {
        char json[256];
        snprintf(json, sizeof json,
                 "{\"type\": \"view\", \"user\": \"u%d\", \"query\": \"q%d\", \"items\": "
                 "[{\"id\": \"x\"}]}",
                 i, i);
        store_rig_apply_json(&rig, json);
    }
    struct store_stats stats;
    store_stats(rig.store, &stats);
    assert_int_equal(stats.features_dropped, 30 + 30);
    assert_int_equal(stats.feature_rows, 50 + 50 + 80);
    assert_value("user_item.views", 1, .user = "u49", .item = "x");
    assert_true(isnan(feature_rig_value(&rig, "user_item.views",
                                        (struct feature_rig_of){.user = "u50", .item = "x"})));
    assert_value("query.views", 1, .query = "q49");
    assert_true(
        isnan(feature_rig_value(&rig, "query.views", (struct feature_rig_of){.query = "q50"})));
    assert_value("user.views", 1, .user = "u79");
}

/* 6 attributes, 6 decayed counters, 4 windowed counts of 7 days, 2 ratios, 2 times since. */
static void test_twenty_features_of_a_person_fit_into_290_bytes(void **state)
{
    (void)state;
    static char features[4096];
    size_t used = 0;
    static const char *const types[] = {"view", "click", "cart_add", "purchase", "search", "share"};
#define PUT(...) used += (size_t)snprintf(features + used, sizeof features - used, __VA_ARGS__)
    for (int i = 0; i < 6; i++) {
        PUT("\"user.a%d\": {\"kind\": \"attribute\", \"attribute\": \"a%d\"},", i, i);
        PUT("\"user.d%d\": {\"kind\": \"decayed\", \"events\": [\"%s\"], \"half_life\": \"7d\"},",
            i, types[i]);
        if (i < 4)
            PUT("\"user.c%d\": {\"kind\": \"count\", \"events\": [\"%s\"], \"window\": \"7d\"},", i,
                types[i]);
        if (i < 2)
            PUT("\"user.s%d\": {\"kind\": \"since\", \"events\": [\"%s\"]},", i, types[i]);
    }
    PUT("\"user.r0\": {\"kind\": \"ratio\", \"of\": \"user.c1\", \"per\": \"user.c0\"},");
    PUT("\"user.r1\": {\"kind\": \"ratio\", \"of\": \"user.c3\", \"per\": \"user.c0\"}");
#undef PUT
    feature_rig_define(&rig, features);
    uint64_t block = feature_set_of(rig.store->features)->definitions->block_bytes[KEY_user];
    assert_int_equal(feature_set_of(rig.store->features)->definitions->count, 20);
    assert_in_range(slabs_block_bytes(block) + sizeof(void *), 1, 290);
    print_message("block %llu bytes, %llu in its slab and with the pointer\n",
                  (unsigned long long)block,
                  (unsigned long long)(slabs_block_bytes(block) + sizeof(void *)));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_an_event_counts_for_every_key_that_it_names),
        TEST(test_values_come_from_items_events_and_properties),
        TEST(test_conditions_look_at_properties),
        TEST(test_attributes_of_items_are_numbers),
        TEST(test_attributes_of_users_and_types_of_ones_own),
        TEST(test_ratios_are_smoothed_by_their_prior),
        TEST(test_an_old_value_becomes_the_default),
        TEST(test_keys_without_room_are_dropped_and_counted),
        TEST(test_twenty_features_of_a_person_fit_into_290_bytes),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
