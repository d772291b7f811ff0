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
#include "tests/support/events.h"

#define NOW_MS INT64_C(1700000000000) /* 2023-11-14T22:13:20Z */
#define DAY_MS INT64_C(86400000)

static struct clock_manual clock_now;
static struct store *store;
static struct events events;
static struct err err;

static const struct store_limits limits = {.items_max = 1000,
                                           .people_max = 1000,
                                           .history_items_max = 4,
                                           .queue_events_max = 2000,
                                           .dedup_events_max = 100,
                                           .feature_rows_max = 50};

static int set_up(void **state)
{
    (void)state;
    clock_manual_init(&clock_now, 1, NOW_MS);
    events_begin(&events);
    return store_create(&limits, &clock_now.clock, &store, &err) == ERR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    store_destroy(&store);
    return 0;
}

static struct definitions *parse(const char *features)
{
    static char file[8192];
    struct definitions *definitions = NULL;
    int len = snprintf(file, sizeof file, "{\"features\": {%s}}", features);
    assert_in_range(len, 1, sizeof file - 1);
    if (definitions_parse("features.json", file, (size_t)len, &definitions, &err) != ERR_OK)
        fail_msg("%s", err.text);
    return definitions;
}

/* Returns how many begin anew. */
static uint32_t define(const char *features)
{
    uint32_t new_count = 0;
    struct definitions *definitions = parse(features);
    if (store_redefine_features(store, &definitions, &new_count, &err) != ERR_OK)
        fail_msg("%s", err.text);
    assert_null(definitions);
    return new_count;
}

static void apply_bytes(size_t len)
{
    const struct event_rules rules = {.strictness = EVENT_LENIENT,
                                      .arrival_ms = clock_wall_ms(&clock_now.clock)};
    store_apply_batch(store, events.bytes, len, &rules);
}

static const struct store_batch_result *apply(void)
{
    size_t len = events_end(&events);
    assert_int_equal(cursor_check(events.bytes, len, CURSOR_VALUES_MAX, &err), ERR_OK);
    apply_bytes(len);
    retire_flush(&store->retire);
    events_begin(&events);
    return &store->result;
}

static void apply_json(const char *json)
{
    events_add_json(&events, json);
    const struct store_batch_result *result = apply();
    if (result->accepted != 1)
        fail_msg("%s: %s", json, result->described > 0 ? result->rejection[0].message : "?");
}

/* One event: "view u1 shoe", `ago_s` before now; the user "@a1" is an anonymous id. */
static void act(const char *type, const char *user, const char *item, int64_t ago_s)
{
    char json[512];
    bool is_anon = user[0] == '@';
    snprintf(json, sizeof json,
             "{\"type\": \"%s\", \"%s\": \"%s\", \"items\": [{\"id\": \"%s\", \"price\": 100}], "
             "\"ts\": %lld}",
             type, is_anon ? "anon" : "user", user + is_anon, item,
             (long long)(NOW_MS - ago_s * 1000));
    apply_json(json);
}

struct of {
    const char *user, *anon, *item, *query, *slot;
};

static struct feature_detail detail_of(const char *name, struct of of)
{
    struct feature feature;
    struct feature_reader reader;
    struct feature_detail detail;
    struct history history;
    if (!feature_find(store, text_of(name), &feature))
        fail_msg("%s is no feature", name);
    (void)store_history(store, text_of(of.user), text_of(of.anon), &history);
    const struct feature_asker asker = {.user = text_of(of.user),
                                        .anon = text_of(of.anon),
                                        .query = text_of(of.query),
                                        .slot = text_of(of.slot),
                                        .history = &history};
    feature_reader_begin(&reader, store, &asker);
    feature_reader_item(&reader,
                        of.item == NULL ? IDMAP_NONE : store_item_find(store, text_of(of.item)));
    feature_describe(&reader, &feature, &detail);
    double value = feature_value(&reader, &feature);
    assert_true(value == detail.value || (isnan(value) && isnan(detail.value)));
    return detail;
}

static double value_of(const char *name, struct of of)
{
    return detail_of(name, of).value;
}

#define assert_value(name, expected, ...)                                                          \
    do {                                                                                           \
        double got = value_of(name, (struct of){__VA_ARGS__});                                     \
        if (fabs(got - (expected)) > 1e-6 || isnan(got))                                           \
            fail_msg("line %d: %s: expected %g, got %g", __LINE__, name, (double)(expected), got); \
    } while (0)

static void load_catalogue(void)
{
    apply_json("{\"type\": \"item_upsert\", \"currency\": \"EUR\", \"items\": ["
               "{\"id\": \"shoe\", \"category\": \"shoes\", \"brand\": \"acme\", \"stock\": 4, "
               " \"price\": 900, \"attributes\": {\"size\": 42, \"season\": \"summer\"}},"
               "{\"id\": \"boot\", \"category\": \"shoes\", \"brand\": \"bolt\", \"price\": 1500},"
               "{\"id\": \"hat\", \"category\": \"hats\", \"brand\": \"acme\", \"price\": 300}]}");
}

#define COMMA ","
#define VIEWS(key) \
    "\"" key ".views\": {\"kind\": \"count\", \"events\": [\"view\"], \"window\": \"7d\"}"

static const char views_of_every_key[] = VIEWS("user") COMMA VIEWS("item") COMMA VIEWS("category")
    COMMA VIEWS("brand") COMMA VIEWS("query") COMMA VIEWS("slot") COMMA VIEWS("user_item")
        COMMA VIEWS("user_category") COMMA VIEWS("user_brand") COMMA VIEWS("query_item")
            COMMA VIEWS("query_category") COMMA VIEWS("query_brand") COMMA VIEWS("slot_item")
                COMMA VIEWS("slot_category") COMMA VIEWS("slot_brand");

static void test_an_event_counts_for_every_key_that_it_names(void **state)
{
    (void)state;
    define(views_of_every_key);
    load_catalogue();
    apply_json("{\"type\": \"view\", \"user\": \"u\", \"query\": \" Red  SHOES \", \"list\": "
               "\"home\", \"items\": [{\"id\": \"shoe\"}, {\"id\": \"boot\"}]}");
    apply_json("{\"type\": \"view\", \"user\": \"u\", \"items\": [{\"id\": \"hat\"}]}");
    apply_json("{\"type\": \"click\", \"user\": \"u\", \"items\": [{\"id\": \"hat\"}]}");
    apply_json("{\"type\": \"view\", \"anon\": \"u\", \"items\": [{\"id\": \"shoe\"}]}");
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
    assert_true(isnan(value_of("query_item.views", (struct of){.query = "blue", .item = "shoe"})));
    assert_true(isnan(value_of("user_item.views", (struct of){.item = "shoe"})));
    assert_true(isnan(value_of("user_item.views", (struct of){.user = "u"})));
}

static void test_values_come_from_items_events_and_properties(void **state)
{
    (void)state;
    define("\"user.spent\": {\"kind\": \"sum\", \"events\": [\"purchase\"], \"value\": \"amount\"},"
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
    load_catalogue();
    apply_json("{\"type\": \"purchase\", \"user\": \"u\", \"total\": 2500, \"currency\": \"EUR\", "
               "\"items\": [{\"id\": \"shoe\", \"qty\": 2, \"price\": 850}, "
               "{\"id\": \"hat\", \"price\": 250}, {\"id\": \"boot\"}]}");
    apply_json("{\"type\": \"rate\", \"user\": \"u\", \"props\": {\"stars\": 4}}");
    apply_json("{\"type\": \"rate\", \"user\": \"u\", \"props\": {\"stars\": 5}}");
    apply_json("{\"type\": \"rate\", \"user\": \"u\", \"props\": {\"stars\": \"many\"}}");
    apply_json("{\"type\": \"rate\", \"user\": \"u\"}");
    assert_value("user.spent", 1950, .user = "u");
    assert_value("user.paid", 250, .user = "u");
    assert_value("user.totals", 2500, .user = "u");
    assert_value("user.stars", 4.5, .user = "u");
    assert_value("item.units", 2, .item = "shoe");
    assert_value("item.units", 1, .item = "boot");
    double people = value_of("item.people", (struct of){.item = "shoe"});
    assert_true(fabs(people - 1.0) < 0.1);
    double brands = value_of("category.brands", (struct of){.item = "shoe"});
    assert_true(fabs(brands - 2.0) < 0.1);
    struct feature_detail bought = detail_of("user.bought", (struct of){.user = "u"});
    assert_int_equal(bought.status, FEATURE_PRESENT);
    assert_non_null(bought.list);
    assert_int_equal(aggregate_list_count(bought.list), 3);
    assert_int_equal(aggregate_list_id(bought.list, 0),
                     store_item_find(store, TEXT_LITERAL("boot")));
    struct feature_detail paid = detail_of("user.paid", (struct of){.user = "u"});
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
    define(features);
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
        apply_json(json);
    }
    apply_json("{\"type\": \"view\", \"user\": \"u\"}");
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
    define("\"item.size\": {\"kind\": \"attribute\", \"attribute\": \"size\", \"default\": -1},"
           "\"item.season\": {\"kind\": \"attribute\", \"attribute\": \"season\", \"values\": "
           "  {\"summer\": 1, \"winter\": 2}},"
           "\"item.acme\": {\"kind\": \"attribute\", \"column\": \"brand\", \"values\": "
           "  {\"acme\": 1, \"bolt\": 0}},"
           "\"item.in_stock\": {\"kind\": \"attribute\", \"column\": \"stock\", \"max_age\": "
           "  \"1d\"}");
    load_catalogue();
    assert_value("item.size", 42, .item = "shoe");
    assert_value("item.season", 1, .item = "shoe");
    assert_value("item.acme", 1, .item = "hat");
    assert_value("item.acme", 0, .item = "boot");
    assert_value("item.in_stock", 4, .item = "shoe");
    assert_value("item.size", -1, .item = "hat");
    /* Attributes are replaced as a whole; what is not given stays. */
    apply_json("{\"type\": \"item_upsert\", \"items\": [{\"id\": \"shoe\", \"attributes\": "
               "{\"size\": \"large\"}}]}");
    assert_value("item.size", -1, .item = "shoe");
    assert_true(isnan(value_of("item.season", (struct of){.item = "shoe"})));
    assert_value("item.acme", 1, .item = "shoe");
}

static void test_attributes_of_users_and_types_of_ones_own(void **state)
{
    (void)state;
    define("\"user.tier\": {\"kind\": \"attribute\", \"attribute\": \"tier\", \"values\": "
           "  {\"gold\": 2}},"
           "\"user.peeks\": {\"kind\": \"count\", \"events\": [\"custom:peek\"]}");
    apply_json(
        "{\"type\": \"user_upsert\", \"user\": \"u\", \"attributes\": {\"tier\": \"gold\"}}");
    apply_json("{\"type\": \"custom:peek\", \"user\": \"u\"}");
    apply_json("{\"type\": \"custom:poke\", \"user\": \"u\"}");
    apply_json("{\"type\": \"view\", \"user\": \"u\"}");
    assert_value("user.tier", 2, .user = "u");
    assert_value("user.peeks", 1, .user = "u");
    apply_json("{\"type\": \"user_upsert\", \"user\": \"u\", \"attributes\": {\"age\": 30}}");
    assert_true(isnan(value_of("user.tier", (struct of){.user = "u"})));
}

static void test_ratios_are_smoothed_by_their_prior(void **state)
{
    (void)state;
#define COUNT(name, type) \
    "\"item." name "\": {\"kind\": \"count\", \"events\": [\"" type "\"], \"window\": \"7d\"}"
    define(COUNT("shown", "impression") "," COUNT(
        "clicked",
        "click") ","
                 "\"item.ctr\": {\"kind\": \"ratio\", \"of\": \"item.clicked\", \"per\": "
                 "\"item.shown\", "
                 "  \"prior\": [1, 9]},"
                 "\"item.raw\": {\"kind\": \"ratio\", \"of\": \"item.clicked\", \"per\": "
                 "\"item.shown\"},"
                 "\"item.sell_through\": {\"kind\": \"ratio\", \"of\": \"item.clicked\", \"per\": "
                 "  [\"item.clicked\", \"item.stock\"]}");
#undef COUNT
    load_catalogue();
    struct feature_detail nothing = detail_of("item.ctr", (struct of){.item = "hat"});
    assert_true(fabs(nothing.value - 0.1) < 1e-12);
    assert_int_equal(nothing.status, FEATURE_DEFAULT);
    assert_int_equal(detail_of("item.raw", (struct of){.item = "hat"}).status, FEATURE_MISSING);
    for (int i = 0; i < 10; i++)
        act("impression", "u", "shoe", 10);
    act("click", "u", "shoe", 5);
    act("click", "u", "shoe", 5);
    assert_value("item.ctr", (2.0 + 1.0) / (10.0 + 10.0), .item = "shoe");
    assert_value("item.raw", 0.2, .item = "shoe");
    assert_value("item.sell_through", 2.0 / (2.0 + 4.0), .item = "shoe");
    assert_int_equal(detail_of("item.ctr", (struct of){.item = "shoe"}).as_of_ms, NOW_MS - 5000);
}

static void test_an_old_value_becomes_the_default(void **state)
{
    (void)state;
    define("\"user.a\": {\"kind\": \"since\", \"events\": [\"view\"], \"max_age\": \"1h\", "
           "  \"default\": 7},"
           "\"user.b\": {\"kind\": \"since\", \"events\": [\"view\"], \"max_age\": \"1h\"},"
           "\"user.c\": {\"kind\": \"since\", \"events\": [\"view\"]},"
           "\"user.d\": {\"kind\": \"since\", \"events\": [\"search\"], \"default\": 3}");
    act("view", "u", "x", 3600 + 100);
    act("view", "other", "x", 100);
    struct of u = {.user = "u"};
    assert_int_equal(detail_of("user.a", u).status, FEATURE_PRESENT); /* exactly an hour */
    act("view", "other", "x", 99);
    assert_int_equal(detail_of("user.a", u).status, FEATURE_STALE);
    assert_value("user.a", 7, .user = "u");
    assert_int_equal(detail_of("user.b", u).status, FEATURE_STALE);
    assert_true(isnan(value_of("user.b", u)));
    assert_value("user.c", 3601, .user = "u");
    assert_int_equal(detail_of("user.c", u).as_of_ms, NOW_MS - 3700000);
    assert_int_equal(detail_of("user.d", u).status, FEATURE_DEFAULT);
    assert_int_equal(detail_of("user.d", u).as_of_ms, 0);
    assert_value("user.d", 3, .user = "u");
    assert_int_equal(detail_of("user.b", (struct of){.user = "nobody"}).status, FEATURE_MISSING);
}

static void test_keys_without_room_are_dropped_and_counted(void **state)
{
    (void)state;
    define(VIEWS("user_item") "," VIEWS("query") "," VIEWS("user"));
    for (int i = 0; i < 80; i++) {
        char json[256];
        snprintf(json, sizeof json,
                 "{\"type\": \"view\", \"user\": \"u%d\", \"query\": \"q%d\", \"items\": "
                 "[{\"id\": \"x\"}]}",
                 i, i);
        apply_json(json);
    }
    struct store_stats stats;
    store_stats(store, &stats);
    assert_int_equal(stats.features_dropped, 30 + 30);
    assert_int_equal(stats.feature_rows, 50 + 50 + 80);
    assert_value("user_item.views", 1, .user = "u49", .item = "x");
    assert_true(isnan(value_of("user_item.views", (struct of){.user = "u50", .item = "x"})));
    assert_value("query.views", 1, .query = "q49");
    assert_true(isnan(value_of("query.views", (struct of){.query = "q50"})));
    assert_value("user.views", 1, .user = "u79");
}

static void test_a_reload_keeps_what_did_not_change(void **state)
{
    (void)state;
#define SINCE  "\"user.since\": {\"kind\": \"since\", \"events\": [\"view\"]}"
#define BOUGHT "\"user_item.views\": {\"kind\": \"count\", \"events\": [\"view\"]}"
    assert_int_equal(define(VIEWS("user") "," BOUGHT), 2);
    struct feature number;
    assert_true(feature_find(store, TEXT_LITERAL("user.views"), &number));
    act("view", "u", "x", 20);
    act("view", "@u", "x", 20);
    const struct feature_rows *pairs = feature_set_of(store->features)->rows[KEY_user_item];
    /* One more for users: its rows are made anew, those of pairs are not. */
    assert_int_equal(define(VIEWS("user") "," BOUGHT "," SINCE), 1);
    assert_ptr_equal(feature_set_of(store->features)->rows[KEY_user_item], pairs);
    assert_value("user.views", 1, .user = "u");
    assert_value("user.views", 1, .anon = "u");
    assert_value("user_item.views", 1, .user = "u", .item = "x");
    assert_true(isnan(value_of("user.since", (struct of){.user = "u"})));
    act("view", "u", "x", 10);
    assert_value("user.views", 2, .user = "u");
    assert_value("user.since", 0, .user = "u");
    /* Another default changes nothing else; another window begins anew. */
    assert_int_equal(define("\"user.views\": {\"kind\": \"count\", \"events\": [\"view\"], "
                            "\"window\": \"7d\", \"default\": 5}," SINCE),
                     0);
    assert_value("user.views", 2, .user = "u");
    assert_value("user.views", 5, .user = "nobody");
    assert_int_equal(define("\"user.views\": {\"kind\": \"count\", \"events\": [\"view\"], "
                            "\"window\": \"14d\"}," SINCE),
                     1);
    assert_true(isnan(value_of("user.views", (struct of){.user = "u"})));
    assert_value("user.since", 0, .user = "u");
    /* Its number is the same throughout; a feature that is gone is unknown. */
    struct feature again;
    assert_true(feature_find(store, TEXT_LITERAL("user.views"), &again));
    assert_int_equal(again.id, number.id);
    assert_int_equal(define(""), 0);
    assert_true(isnan(value_of("user.views", (struct of){.user = "u"})));
    struct store_stats stats;
    store_stats(store, &stats);
    assert_int_equal(stats.feature_rows, 0);
    assert_int_equal(stats.bytes_features, 0);
}

static const char all_kinds[] =
    "\"user.count\": {\"kind\": \"count\", \"events\": [\"view\"], \"window\": \"1h\"},"
    "\"user.decayed\": {\"kind\": \"decayed\", \"events\": [\"view\"], \"half_life\": \"1h\"},"
    "\"user.mean\": {\"kind\": \"mean\", \"events\": [\"view\"], \"value\": \"price\", "
    "  \"window\": \"1d\"},"
    "\"user.seen\": {\"kind\": \"last\", \"events\": [\"view\"], \"value\": \"item\", \"n\": 5},"
    "\"user.gap\": {\"kind\": \"interval\", \"events\": [\"view\"]},"
    "\"user.different\": {\"kind\": \"distinct\", \"events\": [\"view\"], \"value\": \"item\"},"
    "\"item.count\": {\"kind\": \"count\", \"events\": [\"view\"]},"
    "\"query_item.count\": {\"kind\": \"count\", \"events\": [\"view\"]},"
    "\"user_category.max\": {\"kind\": \"max\", \"events\": [\"view\"], \"value\": \"price\", "
    "  \"window\": \"7d\"}";

static void random_event(struct rand *rand, uint64_t id, int64_t *now_ms)
{
    char json[256];
    *now_ms += (int64_t)rand_below(rand, 60000);
    snprintf(json, sizeof json,
             "{\"id\": \"r%llu\", \"type\": \"view\", \"%s\": \"u%llu\", \"query\": \"q%llu\", "
             "\"ts\": %lld, \"items\": [{\"id\": \"%s\", \"price\": %llu}, {\"id\": \"hat\"}]}",
             (unsigned long long)id, rand_below(rand, 4) == 0 ? "anon" : "user",
             (unsigned long long)rand_below(rand, 5), (unsigned long long)rand_below(rand, 3),
             (long long)(*now_ms - (int64_t)rand_below(rand, 7200000)),
             rand_below(rand, 2) == 0 ? "shoe" : "boot", (unsigned long long)rand_below(rand, 999));
    events_add_json(&events, json);
}

static uint64_t hash_after_random_events(uint32_t batch, bool redefine)
{
    struct rand rand;
    int64_t now_ms = NOW_MS - 30 * DAY_MS;
    uint64_t sequence;
    rand_init(&rand, 5);
    define(all_kinds);
    load_catalogue();
    for (uint32_t i = 0; i < 2000; i++) {
        random_event(&rand, i, &now_ms);
        if ((i + 1) % batch == 0)
            assert_int_equal(apply()->rejected, 0);
        if (redefine && i == 999) {
            define("\"user.other\": {\"kind\": \"since\", \"events\": [\"click\"]}," VIEWS(
                "brand") "," VIEWS("slot_item") "," VIEWS("item"));
            define(all_kinds);
        }
    }
    return store_state_hash(store, &sequence);
}

static void test_the_same_events_give_the_same_state(void **state)
{
    uint64_t hash = hash_after_random_events(1, false);
    tear_down(state);
    set_up(state);
    assert_true(hash == hash_after_random_events(100, false));
    act("view", "u1", "shoe", 0);
    uint64_t sequence;
    assert_true(hash != store_state_hash(store, &sequence));
    tear_down(state);
    set_up(state);
    assert_true(hash != hash_after_random_events(100, true)); /* states began anew in between */
}

static void test_an_event_without_memory_changes_nothing(void **state)
{
    (void)state;
    uint64_t sequence;
    define(all_kinds);
    load_catalogue();
    act("view", "u", "boot", 10);
    for (uint32_t n = 0;; n++) {
        uint64_t before = store_state_hash(store, &sequence);
        events_add_json(&events, "{\"id\": \"last\", \"type\": \"view\", \"user\": \"u\", "
                                 "\"query\": \"q\", \"items\": [{\"id\": \"shoe\", \"price\": 5}, "
                                 "{\"id\": \"hat\"}]}");
        size_t len = events_end(&events);
        alloc_fail_after(n);
        apply_bytes(len);
        bool failed = alloc_fail_off();
        events_begin(&events);
        if (!failed) {
            assert_int_equal(store->result.accepted, 1);
            break;
        }
        assert_int_equal(store->result.rejected, 1);
        assert_int_equal(store->result.rejection[0].code, ERR_NOMEM);
        assert_true(before == store_state_hash(store, &sequence));
    }
    assert_value("item.count", 1, .item = "shoe");
    assert_value("user.count", 2, .user = "u");
}

static void test_a_reload_without_memory_changes_nothing(void **state)
{
    (void)state;
    uint64_t sequence;
    uint32_t new_count;
    define(all_kinds);
    load_catalogue();
    act("view", "u", "boot", 10);
    uint64_t before = store_state_hash(store, &sequence);
    struct definitions *definitions = parse(
        "\"user.count\": {\"kind\": \"count\", \"events\": [\"view\"], \"window\": \"1h\"}," VIEWS(
            "item") "," VIEWS("slot_item") ","
                                           "\"query_item.count\": {\"kind\": \"count\", "
                                           "\"events\": [\"view\"]}," VIEWS("query_item"));
    for (uint32_t n = 0;; n++) {
        alloc_fail_after(n);
        enum err_code rc = store_redefine_features(store, &definitions, &new_count, &err);
        if (!alloc_fail_off()) {
            assert_int_equal(rc, ERR_OK);
            break;
        }
        assert_int_equal(rc, ERR_NOMEM);
        assert_non_null(definitions);
        assert_true(before == store_state_hash(store, &sequence));
    }
    assert_int_equal(new_count, 3);
    assert_value("user.count", 1, .user = "u");
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
    define(features);
    uint64_t block = feature_set_of(store->features)->definitions->block_bytes[KEY_user];
    assert_int_equal(feature_set_of(store->features)->definitions->count, 20);
    assert_in_range(heap_bytes(block) + sizeof(void *), 1, 290);
    print_message("block %llu bytes, %llu with the heap's share and the pointer\n",
                  (unsigned long long)block,
                  (unsigned long long)(heap_bytes(block) + sizeof(void *)));
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
        TEST(test_a_reload_keeps_what_did_not_change),
        TEST(test_the_same_events_give_the_same_state),
        TEST(test_an_event_without_memory_changes_nothing),
        TEST(test_a_reload_without_memory_changes_nothing),
        TEST(test_twenty_features_of_a_person_fit_into_290_bytes),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
