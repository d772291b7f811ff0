/* SPDX-License-Identifier: Apache-2.0 */
/* Features of many items at once are, to the bit, those of each item alone: with late events, items
 * without a record, ids that are unknown, and whatever was read before.  The test's thread is
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

enum { EVENTS = 3000, ITEMS = 60, LIST_MAX = 100, ROUNDS = 300, FEATURES_MAX = 120, STRIDE = 3 };
enum { DRAWS = 12, DRAWN_FEATURES = 30, DRAWN_ROUNDS = 15 };

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
    /* Every fourth is up to ten days late. */
    for (uint32_t i = 0; i < EVENTS; i++) {
        int64_t late_s = rand_below(rand, 4) == 0 ? (int64_t)rand_below(rand, 864000) : 0;
        add_random_event(rand,
                         STORE_RIG_NOW_MS - INT64_C(1000) * ((int64_t)(EVENTS - i) * 300 + late_s));
    }
}

/* All there are, also those that have nothing to do with the item. */
static uint32_t find_features(struct feature feature[FEATURES_MAX])
{
    uint32_t count = 0;
    for (uint32_t at = 0; feature_next(rig.store, &at, &feature[count]);) {
        count++;
        assert_true(count < FEATURES_MAX);
    }
    return count;
}

/* ---- definitions that are drawn -------------------------------------------------------------- */

static const char *draw(struct rand *rand, const char *const *of, uint32_t count)
{
    return of[rand_below(rand, count)];
}
#define DRAW(rand, ...)                            \
    draw(rand, (const char *const[]){__VA_ARGS__}, \
         sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static void draw_kind(struct rand *rand, char *text, size_t size)
{
    switch (rand_below(rand, 6)) {
    case 0:
        snprintf(text, size, "\"decayed\", \"half_life\": \"%s\"", DRAW(rand, "10m", "5h", "9d"));
        break;
    case 1: snprintf(text, size, "\"%s\"", DRAW(rand, "since", "interval", "count")); break;
    case 2:
        snprintf(text, size, "\"distinct\", \"value\": \"%s\", \"window\": \"7d\"",
                 DRAW(rand, "user", "item", "session"));
        break;
    case 3:
        snprintf(text, size, "\"%s\", \"value\": \"price\", \"window\": \"%s\"",
                 DRAW(rand, "sum", "mean", "min", "max"), DRAW(rand, "1h", "2d", "30d"));
        break;
    default:
        snprintf(text, size, "\"count\", \"window\": \"%s\"",
                 DRAW(rand, "3m", "1h", "1d", "7d", "30d", "90d"));
        break;
    }
}

static void draw_definitions(struct rand *rand, char *text, size_t size)
{
    char kind[96];
    size_t used = 0;
    for (uint32_t i = 0; i < DRAWN_FEATURES; i++) {
        draw_kind(rand, kind, sizeof kind);
        used += (size_t)snprintf(
            text + used, size - used, "%s\"%s.f%u\": {\"kind\": %s, \"events\": [\"%s\"]%s%s}",
            i == 0 ? "" : ",",
            DRAW(rand, "user", "item", "category", "brand", "query", "slot", "user_item",
                 "user_category", "user_brand", "query_item", "query_category", "slot_item"),
            (unsigned)i, kind, DRAW(rand, "view", "click"),
            DRAW(rand, "", ", \"max_age\": \"8h\"", ", \"max_age\": \"3d\""),
            DRAW(rand, "", ", \"default\": 0", ", \"default\": -1.5"));
        assert_true(used < size);
    }
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Window by window, most of which follow each other; each with other features before the one that
 * is asked for, so that it is asked at any stage of what is done ahead. */
static void read_list(struct rand *rand, struct feature_reader *reader,
                      const struct feature *feature, const struct feature *others,
                      uint32_t other_count, uint32_t count, double *value)
{
    double other[FEATURE_WINDOW_MAX];
    for (uint32_t first = 0; first < count;) {
        uint32_t left = count - first;
        uint32_t size = left < FEATURE_WINDOW_MAX ? left : FEATURE_WINDOW_MAX;
        if (rand_below(rand, 4) == 0)
            size = 1 + (uint32_t)rand_below(rand, size);
        if (rand_below(rand, 8) == 0)
            feature_reader_window(reader, (uint32_t)rand_below(rand, count), 1);
        feature_reader_window(reader, first, size);
        for (uint64_t i = rand_below(rand, 25); i > 0; i--)
            feature_values(reader, &others[rand_below(rand, other_count)], other, 1);
        feature_values(reader, feature, value + (size_t)first * STRIDE, STRIDE);
        first += size;
    }
}

static void compare(const struct feature_asker *asker, const struct feature *feature,
                    const uint32_t *item, const double *many, uint32_t count, uint32_t *ret_there)
{
    struct feature_reader reader;
    feature_reader_begin(&reader, rig.store, asker);
    for (uint32_t i = 0; i < count; i++) {
        feature_reader_item(&reader, item[i]);
        double one = feature_value(&reader, feature);
        struct feature_detail detail;
        feature_describe(&reader, feature, &detail);
        assert_memory_equal(&one, &many[i * STRIDE], sizeof one);
        assert_memory_equal(&one, &detail.value, sizeof one);
        *ret_there += detail.status == FEATURE_PRESENT;
    }
}

/* Somebody with some items asks for each feature; some of it is unknown now and then. */
static void ask(struct rand *rand, const struct feature *feature, uint32_t feature_count,
                uint32_t *ret_there)
{
    char user[8], query[8];
    uint32_t item[LIST_MAX];
    double value[LIST_MAX * STRIDE];
    struct feature_reader reader;
    uint32_t count = 1 + (uint32_t)rand_below(rand, LIST_MAX);
    snprintf(user, sizeof user, "u%u", (unsigned)rand_below(rand, 4));
    snprintf(query, sizeof query, "q%u", (unsigned)rand_below(rand, 3));
    const struct feature_asker asker = {.user = text_of(rand_below(rand, 2) == 0 ? user : ""),
                                        .anon = text_of(user),
                                        .query = text_of(query),
                                        .slot = TEXT_LITERAL("s1")};
    for (uint32_t i = 0; i < count; i++) {
        uint32_t number = (uint32_t)rand_below(rand, ITEMS + 5);
        item[i] = number < store_item_count(rig.store) ? number : IDMAP_NONE;
    }
    feature_reader_begin(&reader, rig.store, &asker);
    for (uint32_t f = 0; f < feature_count; f++) {
        uint32_t keys = (uint32_t)rand_below(rand, 1u << FEATURE_KEY_COUNT);
        feature_reader_items(&reader, item, count, keys);
        read_list(rand, &reader, &feature[f], feature, feature_count, count, value);
        compare(&asker, &feature[f], item, value, count, ret_there);
    }
}

static void test_many_items_have_the_values_of_each(void **state)
{
    (void)state;
    struct rand rand;
    struct feature feature[FEATURES_MAX];
    uint32_t there = 0;
    rand_init(&rand, 8);
    feature_rig_define(&rig, definitions);
    load(&rand);
    uint32_t feature_count = find_features(feature);
    for (uint32_t round = 0; round < ROUNDS; round++)
        ask(&rand, feature, feature_count, &there);
    assert_true(there > ROUNDS * feature_count);
}

static void test_so_they_have_with_definitions_that_are_drawn(void **state)
{
    (void)state;
    struct rand rand;
    struct feature feature[FEATURES_MAX];
    char drawn[8192];
    uint32_t there = 0, asked = 0;
    rand_init(&rand, 9);
    for (uint32_t i = 0; i < DRAWS; i++) {
        draw_definitions(&rand, drawn, sizeof drawn);
        feature_rig_define(&rig, drawn);
        load(&rand);
        uint32_t feature_count = find_features(feature);
        for (uint32_t round = 0; round < DRAWN_ROUNDS; round++)
            ask(&rand, feature, feature_count, &there);
        asked += DRAWN_ROUNDS * feature_count;
    }
    assert_true(there > asked);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_many_items_have_the_values_of_each, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_so_they_have_with_definitions_that_are_drawn, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
