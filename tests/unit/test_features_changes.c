/* SPDX-License-Identifier: Apache-2.0 */
/* Definitions change, memory runs out, events come in other batches: the state is what it must be.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <math.h>
#include <stdio.h>

#include "base/rand.h"
#include "featurestore/feature_reader.h"
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

static void test_a_reload_keeps_what_did_not_change(void **state)
{
    (void)state;
#define SINCE  "\"user.since\": {\"kind\": \"since\", \"events\": [\"view\"]}"
#define BOUGHT "\"user_item.views\": {\"kind\": \"count\", \"events\": [\"view\"]}"
    assert_int_equal(feature_rig_define(&rig, VIEWS("user") "," BOUGHT), 2);
    struct feature number;
    assert_true(feature_find(rig.store, TEXT_LITERAL("user.views"), &number));
    feature_rig_act(&rig, "view", "u", "x", 20);
    feature_rig_act(&rig, "view", "@u", "x", 20);
    const struct feature_rows *pairs = feature_set_of(rig.store->features)->rows[KEY_user_item];
    /* One more for users: its rows are made anew, those of pairs are not. */
    assert_int_equal(feature_rig_define(&rig, VIEWS("user") "," BOUGHT "," SINCE), 1);
    assert_ptr_equal(feature_set_of(rig.store->features)->rows[KEY_user_item], pairs);
    assert_value("user.views", 1, .user = "u");
    assert_value("user.views", 1, .anon = "u");
    assert_value("user_item.views", 1, .user = "u", .item = "x");
    assert_true(isnan(feature_rig_value(&rig, "user.since", (struct feature_rig_of){.user = "u"})));
    feature_rig_act(&rig, "view", "u", "x", 10);
    assert_value("user.views", 2, .user = "u");
    assert_value("user.since", 0, .user = "u");
    /* Another default changes nothing else; another window begins anew. */
    assert_int_equal(
        feature_rig_define(&rig, "\"user.views\": {\"kind\": \"count\", \"events\": [\"view\"], "
                                 "\"window\": \"7d\", \"default\": 5}," SINCE),
        0);
    assert_value("user.views", 2, .user = "u");
    assert_value("user.views", 5, .user = "nobody");
    assert_int_equal(
        feature_rig_define(&rig, "\"user.views\": {\"kind\": \"count\", \"events\": [\"view\"], "
                                 "\"window\": \"14d\"}," SINCE),
        1);
    assert_true(isnan(feature_rig_value(&rig, "user.views", (struct feature_rig_of){.user = "u"})));
    assert_value("user.since", 0, .user = "u");
    /* Its number is the same throughout; a feature that is gone is unknown. */
    struct feature again;
    assert_true(feature_find(rig.store, TEXT_LITERAL("user.views"), &again));
    assert_int_equal(again.id, number.id);
    assert_int_equal(feature_rig_define(&rig, ""), 0);
    assert_false(feature_find(rig.store, TEXT_LITERAL("user.views"), &again));
    struct store_stats stats;
    store_stats(rig.store, &stats);
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
    events_add_json(&rig.events, json);
}

static uint64_t hash_after_random_events(uint32_t batch, bool redefine)
{
    struct rand rand;
    int64_t now_ms = NOW_MS - 30 * DAY_MS;
    uint64_t sequence;
    rand_init(&rand, 5);
    feature_rig_define(&rig, all_kinds);
    feature_rig_load_catalogue(&rig);
    for (uint32_t i = 0; i < 2000; i++) {
        random_event(&rand, i, &now_ms);
        if ((i + 1) % batch == 0)
            assert_int_equal(store_rig_apply(&rig)->rejected, 0);
        if (redefine && i == 999) {
            feature_rig_define(
                &rig, "\"user.other\": {\"kind\": \"since\", \"events\": [\"click\"]}," VIEWS(
                          "brand") "," VIEWS("slot_item") "," VIEWS("item"));
            feature_rig_define(&rig, all_kinds);
        }
    }
    return store_state_hash(rig.store, &sequence);
}

static void test_the_same_events_give_the_same_state(void **state)
{
    uint64_t hash = hash_after_random_events(1, false);
    tear_down(state);
    set_up(state);
    assert_true(hash == hash_after_random_events(100, false));
    feature_rig_act(&rig, "view", "u1", "shoe", 0);
    uint64_t sequence;
    assert_true(hash != store_state_hash(rig.store, &sequence));
    tear_down(state);
    set_up(state);
    assert_true(hash != hash_after_random_events(100, true)); /* states began anew in between */
}

static void test_an_event_without_memory_changes_nothing(void **state)
{
    (void)state;
    uint64_t sequence;
    feature_rig_define(&rig, all_kinds);
    feature_rig_load_catalogue(&rig);
    feature_rig_act(&rig, "view", "u", "boot", 10);
    for (uint32_t n = 0;; n++) {
        uint64_t before = store_state_hash(rig.store, &sequence);
        events_add_json(&rig.events,
                        "{\"id\": \"last\", \"type\": \"view\", \"user\": \"u\", "
                        "\"query\": \"q\", \"items\": [{\"id\": \"shoe\", \"price\": 5}, "
                        "{\"id\": \"hat\"}]}");
        size_t len = events_end(&rig.events);
        alloc_fail_after(n);
        events_apply(rig.store, &rig.events, len, clock_wall_ms(&rig.clock.clock));
        bool failed = alloc_fail_off();
        events_begin(&rig.events);
        if (!failed) {
            assert_int_equal(rig.store->result.accepted, 1);
            break;
        }
        assert_int_equal(rig.store->result.rejected, 1);
        assert_int_equal(rig.store->result.rejection[0].code, ERR_NOMEM);
        assert_true(before == store_state_hash(rig.store, &sequence));
    }
    assert_value("item.count", 1, .item = "shoe");
    assert_value("user.count", 2, .user = "u");
}

static void test_a_reload_without_memory_changes_nothing(void **state)
{
    (void)state;
    uint64_t sequence;
    uint32_t new_count;
    feature_rig_define(&rig, all_kinds);
    feature_rig_load_catalogue(&rig);
    feature_rig_act(&rig, "view", "u", "boot", 10);
    uint64_t before = store_state_hash(rig.store, &sequence);
    struct definitions *definitions = feature_rig_parse(
        "\"user.count\": {\"kind\": \"count\", \"events\": [\"view\"], \"window\": \"1h\"}," VIEWS(
            "item") "," VIEWS("slot_item") ","
                                           "\"query_item.count\": {\"kind\": \"count\", "
                                           "\"events\": [\"view\"]}," VIEWS("query_item"),
        &rig.err);
    for (uint32_t n = 0;; n++) {
        alloc_fail_after(n);
        enum err_code rc = feature_rig_redefine(rig.store, &definitions, &new_count, &rig.err);
        if (!alloc_fail_off()) {
            assert_int_equal(rc, ERR_OK);
            break;
        }
        assert_int_equal(rc, ERR_NOMEM);
        assert_non_null(definitions);
        assert_true(before == store_state_hash(rig.store, &sequence));
    }
    assert_int_equal(new_count, 3);
    assert_value("user.count", 1, .user = "u");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_a_reload_keeps_what_did_not_change),
        TEST(test_the_same_events_give_the_same_state),
        TEST(test_an_event_without_memory_changes_nothing),
        TEST(test_a_reload_without_memory_changes_nothing),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
