/* SPDX-License-Identifier: Apache-2.0 */
/* Definitions that stand beside those in force: nobody sees them before their time, they learn all
 * the same, and people who are forgotten meanwhile are in neither. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/rcu.h"
#include "featurestore/definitions.h"
#include "tests/support/feature_rig.h"
#include "tests/support/forget_rig.h"

/* Other windows under the same names, other pairs; slots and items stay as they are. */
static const char next_features[] =
    "\"user.views\": {\"kind\": \"count\", \"events\": [\"view\"], \"window\": \"14d\"},"
    "\"user.buys\": {\"kind\": \"count\", \"events\": [\"purchase\"]},"
    "\"item.heat\": {\"kind\": \"decayed\", \"events\": [\"view\"], \"half_life\": \"1d\"},"
    "\"item.paid\": {\"kind\": \"sum\", \"events\": [\"purchase\"], \"value\": \"amount\"},"
    "\"slot.clicks\": {\"kind\": \"count\", \"events\": [\"click\"]},"
    "\"user_item.views\": {\"kind\": \"count\", \"events\": [\"view\"]},"
    "\"user_item.buys\": {\"kind\": \"count\", \"events\": [\"purchase\"]}";

static const struct feature_set *stage(void)
{
    struct err err = {.text = ""};
    uint32_t new_count = 0;
    const struct feature_set *set = NULL;
    struct definitions *definitions = feature_rig_parse(next_features, &err);
    assert_int_equal(store_declare_features(forget_rig.store, definitions, &err), ERR_OK);
    assert_int_equal(store_stage_features(forget_rig.store, &definitions, &set, &new_count, &err),
                     ERR_OK);
    assert_null(definitions);
    assert_int_equal(new_count, 3);
    return set;
}

static void fill(void)
{
    struct err err = {.text = ""};
    bool is_done = false;
    while (!is_done)
        assert_int_equal(store_fill_features(forget_rig.store, &is_done, &err), ERR_OK);
}

/* What a reader of the set finds for Bob and the shoe; NULL: of those in force. */
static double value(const struct feature_set *set, const char *name)
{
    struct feature feature;
    struct feature_reader reader;
    rcu_read_begin();
    if (!feature_bind(forget_rig.store, text_of(name), &feature))
        fail_msg("%s is no feature", name);
    const struct feature_asker asker = {.user = text_of(BOB), .set = set};
    feature_reader_begin(&reader, forget_rig.store, &asker);
    feature_reader_item(&reader, store_item_find(forget_rig.store, TEXT_LITERAL("shoe")));
    double number = feature_value(&reader, &feature);
    rcu_read_end();
    return number;
}

/* The state after a replay of the log under the definitions. */
static uint64_t hash_of_replay(const char *features)
{
    struct store_recovery recovery;
    durable_rig_close(&forget_rig);
    temp_dir_path(&forget_rig.dir, "elsewhere", forget_rig.checkpoint_dir);
    durable_rig_open(&forget_rig, features);
    durable_rig_recover(&forget_rig, &recovery);
    return durable_rig_hash(&forget_rig);
}

static void view(const char *user)
{
    char json[128];
    snprintf(json, sizeof json, "{\"type\":\"view\",\"user\":\"%s\",\"items\":[{\"id\":\"shoe\"}]}",
             user);
    forget_rig_add(json);
    snprintf(json, sizeof json,
             "{\"type\":\"purchase\",\"user\":\"%s\",\"items\":[{\"id\":\"shoe\",\"price\":100}]}",
             user);
    forget_rig_add(json);
    forget_rig_commit();
}

static void test_both_sets_learn_and_are_read_apart(void **state)
{
    (void)state;
    view(BOB);
    const struct feature_set *next = stage();
    assert_true(value(NULL, "user.views") == 1);
    assert_true(isnan(value(NULL, "user.buys")));
    view(BOB); /* while it is filled: counted once */
    fill();
    view(BOB);
    for (int i = 0; i < 2; i++) {
        const struct feature_set *set = i == 0 ? NULL : next;
        assert_true(value(set, "user.views") == 3);
        assert_true(value(set, "user_item.views") == 3);
        assert_true(value(set, "item.paid") == 300);
    }
    assert_true(isnan(value(NULL, "user.buys")) && value(next, "user.buys") == 3);
    assert_true(value(next, "user_item.buys") == 3);
    store_adopt_features(forget_rig.store);
    view(BOB);
    assert_true(value(NULL, "user.views") == 4 && value(NULL, "user.buys") == 4);
    assert_true(value(NULL, "user_item.buys") == 4 && value(NULL, "item.paid") == 400);
    uint64_t hash = durable_rig_hash(&forget_rig);
    assert_true(hash == hash_of_replay(next_features));
}

static void test_what_is_cancelled_leaves_no_trace(void **state)
{
    (void)state;
    struct feature feature;
    view(BOB);
    const struct feature_set *next = stage();
    assert_true(feature_bind(forget_rig.store, TEXT_LITERAL("user.buys"), &feature));
    assert_false(feature_bind(forget_rig.store, TEXT_LITERAL("user.seen"), &feature));
    view(BOB);
    fill();
    view(BOB);
    assert_true(value(next, "user.buys") == 3);
    store_cancel_features(forget_rig.store);
    store_cancel_features(forget_rig.store); /* nothing to cancel is fine */
    assert_false(feature_bind(forget_rig.store, TEXT_LITERAL("user.buys"), &feature));
    assert_true(feature_bind(forget_rig.store, TEXT_LITERAL("user.seen"), &feature));
    view(BOB);
    assert_true(value(NULL, "user.views") == 4);
    assert_false(feature_find(forget_rig.store, TEXT_LITERAL("user.buys"), &feature));
    uint64_t hash = durable_rig_hash(&forget_rig);
    assert_true(hash == hash_of_replay(forget_rig_features));
}

/* One who is forgotten at any step is in neither set afterwards. */
static void test_who_is_forgotten_meanwhile_is_forgotten(void **state)
{
    (void)state;
    for (int step = 0; step < 2; step++) {
        view(ALICE);
        view(BOB);
        (void)stage();
        if (step == 1)
            fill();
        forget_rig_forget(ALICE, NULL);
        fill();
        store_adopt_features(forget_rig.store);
        view(BOB);
        forget_rig_assert_unknown(ALICE, NULL);
        assert_int_equal(durable_rig_erase(&forget_rig), ERR_OK);
        uint64_t hash = durable_rig_hash(&forget_rig);
        assert_true(hash == hash_of_replay(next_features));
        assert_true(value(NULL, "user_item.buys") == value(NULL, "user.buys"));
        durable_rig_close(&forget_rig);
        durable_rig_open(&forget_rig, forget_rig_features);
        struct store_recovery recovery;
        durable_rig_recover(&forget_rig, &recovery);
    }
}

static void test_a_store_that_stops_frees_what_is_staged(void **state)
{
    (void)state;
    view(BOB);
    (void)stage();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, forget_rig_set_up, forget_rig_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_both_sets_learn_and_are_read_apart),
        TEST(test_what_is_cancelled_leaves_no_trace),
        TEST(test_who_is_forgotten_meanwhile_is_forgotten),
        TEST(test_a_store_that_stops_frees_what_is_staged),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
