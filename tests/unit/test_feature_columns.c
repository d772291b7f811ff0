/* SPDX-License-Identifier: Apache-2.0 */
/* Features of many items at once are, to the bit, those of each item alone.  The test's thread is
 * the writer, so it needs no rcu_read_begin. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/rand.h"
#include "tests/support/feature_rig.h"

enum { EVENTS = 3000, ITEMS = 60, ROUNDS = 300, FEATURES_MAX = 80, STRIDE = 3 };

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

#define KINDS(key, type)                                                                          \
    "\"" key ".f1\": {\"kind\": \"count\", \"events\": [\"" type "\"], \"window\": \"7d\"},"      \
    "\"" key ".f2\": {\"kind\": \"count\", \"events\": [\"" type "\"], \"window\": \"90d\", "     \
    "               \"max_age\": \"2d\", \"default\": -1},"                                       \
    "\"" key ".f3\": {\"kind\": \"count\", \"events\": [\"" type "\"]},"                          \
    "\"" key ".f4\": {\"kind\": \"decayed\", \"events\": [\"" type "\"], \"half_life\": \"1h\"}," \
    "\"" key ".f5\": {\"kind\": \"mean\", \"events\": [\"" type "\"], \"value\": \"price\", "     \
    "               \"window\": \"1d\", \"default\": 0.5},"                                       \
    "\"" key ".f6\": {\"kind\": \"since\", \"events\": [\"" type "\"], \"max_age\": \"12h\"},"    \
    "\"" key ".f7\": {\"kind\": \"interval\", \"events\": [\"" type "\"]},"                       \
    "\"" key ".f8\": {\"kind\": \"last\", \"events\": [\"" type "\"], \"value\": \"price\", "     \
    "               \"n\": 2},"                                                                   \
    "\"" key ".f9\": {\"kind\": \"ratio\", \"of\": \"" key ".f4\", \"per\": [\"" key              \
    ".f3\", \"" key ".f5\"], \"prior\": [1, 20]}"

static const char definitions[] =
    KINDS("item", "view") COMMA KINDS("user_item", "view") COMMA KINDS("user_category", "click")
        COMMA KINDS("query_item", "view") COMMA KINDS("slot_brand", "view");

static void add_random_event(struct rand *rand, int64_t time_ms)
{
    char json[256];
    snprintf(json, sizeof json,
             "{\"type\": \"%s\", \"%s\": \"u%u\", \"query\": \"q%u\", \"list\": \"s%u\", "
             "\"ts\": %lld, \"items\": [{\"id\": \"i%u\", \"price\": %u}]}",
             rand_below(rand, 2) == 0 ? "view" : "click",
             rand_below(rand, 4) == 0 ? "anon" : "user", (unsigned)rand_below(rand, 3),
             (unsigned)rand_below(rand, 2), (unsigned)rand_below(rand, 2), (long long)time_ms,
             (unsigned)rand_below(rand, ITEMS), (unsigned)rand_below(rand, 999));
    store_rig_apply_json(&rig, json);
}

static void load(struct rand *rand)
{
    char json[128];
    for (uint32_t i = 0; i < ITEMS / 2; i++) {
        snprintf(json, sizeof json,
                 "{\"type\": \"item_upsert\", \"items\": [{\"id\": \"i%u\", \"category\": \"c%u\", "
                 "\"brand\": \"b%u\"}]}",
                 i, i % 7, i % 3);
        store_rig_apply_json(&rig, json);
    }
    for (uint32_t i = 0; i < EVENTS; i++)
        add_random_event(rand, STORE_RIG_NOW_MS - INT64_C(1000) * (EVENTS - i) * 300);
}

static uint32_t find_features(struct feature feature[FEATURES_MAX])
{
    uint32_t count = 0;
    for (uint32_t at = 0; feature_next(rig.store, &at, &feature[count]);) {
        if (feature_needs_item(&feature[count]))
            count++;
        assert_true(count < FEATURES_MAX);
    }
    return count;
}

static void compare(struct feature_reader *reader, const struct feature *feature,
                    const uint32_t *item, const double *many, uint32_t count, uint32_t *ret_there)
{
    for (uint32_t i = 0; i < count; i++) {
        feature_reader_item(reader, item[i]);
        double one = feature_value(reader, feature);
        struct feature_detail detail;
        feature_describe(reader, feature, &detail);
        assert_memory_equal(&one, &many[i * STRIDE], sizeof one);
        assert_memory_equal(&one, &detail.value, sizeof one);
        *ret_there += detail.status == FEATURE_PRESENT;
    }
}

static void test_many_items_have_the_values_of_each(void **state)
{
    (void)state;
    struct rand rand;
    struct feature feature[FEATURES_MAX];
    struct feature_reader reader;
    uint32_t there = 0;
    rand_init(&rand, 8);
    feature_rig_define(&rig, definitions);
    load(&rand);
    uint32_t feature_count = find_features(feature);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        char user[8], query[8];
        uint32_t item[FEATURE_ITEMS_MAX];
        double value[FEATURE_ITEMS_MAX * STRIDE];
        uint32_t count = 1 + (uint32_t)rand_below(&rand, FEATURE_ITEMS_MAX);
        snprintf(user, sizeof user, "u%u", (unsigned)rand_below(&rand, 4));
        snprintf(query, sizeof query, "q%u", (unsigned)rand_below(&rand, 3));
        const struct feature_asker asker = {.user = text_of(rand_below(&rand, 2) == 0 ? user : ""),
                                            .anon = text_of(user),
                                            .query = text_of(query),
                                            .slot = TEXT_LITERAL("s1")};
        for (uint32_t i = 0; i < count; i++) {
            uint32_t number = (uint32_t)rand_below(&rand, ITEMS + 5);
            item[i] = number < store_item_count(rig.store) ? number : IDMAP_NONE;
        }
        feature_reader_begin(&reader, rig.store, &asker);
        for (uint32_t f = 0; f < feature_count; f++) {
            uint32_t keys = (uint32_t)rand_below(&rand, 1u << FEATURE_KEY_COUNT);
            feature_reader_items(&reader, item, count, keys);
            feature_values(&reader, &feature[f], value, STRIDE);
            compare(&reader, &feature[f], item, value, count, &there);
        }
    }
    assert_true(there > ROUNDS * feature_count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_many_items_have_the_values_of_each, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
