/* SPDX-License-Identifier: Apache-2.0 */
/* A user's features are read through links: as if what came under their anonymous ids had come
 * under their own.  Another store, which was told so, is the reference. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <math.h>
#include <stdio.h>

#include "base/rand.h"
#include "tests/support/feature_rig.h"

enum { ITEMS = 70, EVENTS = 600, ANONS = 3 };

static struct store_rig rig, reference;

#define ONE(key, name, rest) "\"" key "." name "\": {\"events\": [\"view\"], " rest "},"
#define KINDS(key)                                                                         \
    ONE(key, "views_2h", "\"kind\": \"count\", \"window\": \"2h\"")                        \
    ONE(key, "spent", "\"kind\": \"sum\", \"value\": \"price\"")                           \
    ONE(key, "mean", "\"kind\": \"mean\", \"value\": \"price\", \"window\": \"1d\"")       \
    ONE(key, "least", "\"kind\": \"min\", \"value\": \"price\", \"window\": \"1h\"")       \
    ONE(key, "most", "\"kind\": \"max\", \"value\": \"price\"")                            \
    ONE(key, "different", "\"kind\": \"distinct\", \"value\": \"item\", \"precision\": 6") \
    ONE(key, "decayed", "\"kind\": \"decayed\", \"half_life\": \"3h\"")                    \
    ONE(key, "last_price", "\"kind\": \"last\", \"n\": 5, \"value\": \"price\"")           \
    ONE(key, "ago", "\"kind\": \"since\", \"max_age\": \"6h\", \"default\": -1")           \
    ONE(key, "between", "\"kind\": \"interval\"")                                          \
    ONE(key, "all", "\"kind\": \"count\"")
#define SHARE(key)                                                                           \
    "\"" key ".share\": {\"kind\": \"ratio\", \"of\": \"" key ".views_2h\", \"per\": \"" key \
    ".all\", \"prior\": [1, 4]}"
#define EVERY_KIND(key) KINDS(key) SHARE(key)

static const char *const keys[] = {EVERY_KIND("user"), EVERY_KIND("user_item"),
                                   EVERY_KIND("user_category"), EVERY_KIND("user_brand")};

static void create(struct store_rig *to, const char *features)
{
    const struct store_limits limits = {.items_max = 1000,
                                        .people_max = 1000,
                                        .history_items_max = 4,
                                        .queue_events_max = 2000,
                                        .dedup_events_max = 100,
                                        .feature_rows_max = 1000,
                                        .link_anons_max = 100,
                                        .link_users_max = 3};
    store_rig_create(to, &limits);
    feature_rig_define(to, features);
    for (uint32_t i = 0; i < ITEMS; i++) {
        char json[300];
        snprintf(json, sizeof json,
                 "{\"type\": \"item_upsert\", \"items\": [{\"id\": \"i%u\", \"category\": \"c%u\", "
                 "\"brand\": \"b%u\"}]}",
                 i, i % 7, i % 3);
        store_rig_apply_json(to, json);
    }
}

static void identify(const char *user, const char *anon, bool undo)
{
    char json[200];
    snprintf(json, sizeof json,
             "{\"type\": \"identify\", \"user\": \"%s\", \"anon\": \"%s\", \"undo\": %s}", user,
             anon, undo ? "true" : "false");
    store_rig_apply_json(&rig, json);
}

static void view(struct store_rig *to, const char *who, uint32_t item, uint32_t price,
                 uint32_t ago_s)
{
    char json[300];
    bool is_anon = who[0] == 'a';
    snprintf(json, sizeof json,
             "{\"type\": \"view\", \"%s\": \"%s\", \"items\": [{\"id\": \"i%u\", \"price\": %u}], "
             "\"ts\": %lld}",
             is_anon ? "anon" : "user", who, item, price,
             (long long)(STORE_RIG_NOW_MS - (int64_t)ago_s * 1000));
    store_rig_apply_json(to, json);
}

/* The same to both, but that the reference knows it as the user's own. */
static void view_both(const char *who, uint32_t item, uint32_t price, uint32_t ago_s)
{
    view(&rig, who, item, price, ago_s);
    view(&reference, "u", item, price, ago_s);
}

static void begin(struct feature_reader *reader, const struct store_rig *of, const char *user,
                  const char *anon)
{
    const struct feature_asker asker = {.user = text_of(user), .anon = text_of(anon)};
    feature_reader_begin(reader, of->store, &asker);
}

/* All features of all items, one by one and by windows. */
static void read_all(const struct store_rig *of, const char *user, const char *anon, double *value)
{
    struct feature_reader one, many;
    struct feature feature;
    uint32_t item[ITEMS];
    uint32_t at = 0;
    for (uint32_t i = 0; i < ITEMS; i++) {
        char id[16];
        snprintf(id, sizeof id, "i%u", i);
        item[i] = store_rig_item(of, id);
    }
    begin(&one, of, user, anon);
    begin(&many, of, user, anon);
    feature_reader_items(&many, item, ITEMS, 1u << KEY_user_item | 1u << KEY_user_brand);
    for (uint32_t first = 0; first < ITEMS; first += FEATURE_WINDOW_MAX) {
        uint32_t left = ITEMS - first;
        uint32_t count = left < FEATURE_WINDOW_MAX ? left : FEATURE_WINDOW_MAX;
        feature_reader_window(&many, first, count);
        for (at = 0; feature_next(of->store, &at, &feature);) {
            double *column = value + (size_t)(at - 1) * ITEMS + first;
            feature_values(&many, &feature, column, 1);
            for (uint32_t i = 0; i < count; i++) {
                feature_reader_item(&one, item[first + i]);
                double single = feature_value(&one, &feature);
                assert_true(single == column[i] || (isnan(single) && isnan(column[i])));
            }
        }
    }
}

static uint32_t feature_count(void)
{
    struct feature feature;
    uint32_t at = 0;
    while (feature_next(rig.store, &at, &feature))
        ;
    return at;
}

static void assert_equal(const double *got, const double *expected)
{
    struct feature feature;
    for (uint32_t at = 0; feature_next(rig.store, &at, &feature);) {
        for (uint32_t i = 0; i < ITEMS; i++) {
            double mine = got[(size_t)(at - 1) * ITEMS + i];
            double theirs = expected[(size_t)(at - 1) * ITEMS + i];
            if (isnan(mine) != isnan(theirs) || fabs(mine - theirs) > 1e-5 * (1.0 + fabs(theirs)))
                fail_msg("%s of i%u: expected %.9g, got %.9g", feature.name, i, theirs, mine);
        }
    }
}

static void compare(const char *features)
{
    static const char *const who[] = {"u", "a0", "a1", "a2"};
    static double before[64 * ITEMS], got[64 * ITEMS], expected[64 * ITEMS];
    struct rand rand;
    create(&rig, features);
    create(&reference, features);
    assert_in_range(feature_count(), 12, 64);
    rand_init(&rand, 5);
    for (uint32_t i = 0; i < EVENTS; i++)
        view_both(who[rand_below(&rand, 4)], (uint32_t)rand_below(&rand, 10) * 7 % ITEMS,
                  (uint32_t)rand_below(&rand, 500) + 1, (EVENTS - i) * 40 + i % 7);
    read_all(&rig, "u", NULL, before);
    for (uint32_t i = 1; i <= ANONS; i++)
        identify("u", who[i], false);
    read_all(&reference, "u", NULL, expected);
    read_all(&rig, "u", NULL, got);
    assert_equal(got, expected);
    read_all(&rig, NULL, "a1", got); /* by either id */
    assert_equal(got, expected);
    for (uint32_t i = 1; i <= ANONS; i++)
        identify("u", who[i], true);
    read_all(&rig, "u", NULL, got); /* nothing is left behind */
    assert_memory_equal(got, before, feature_count() * ITEMS * sizeof *got);
    store_rig_destroy(&rig);
    store_rig_destroy(&reference);
}

static void test_linked_events_count_as_the_users_own(void **state)
{
    (void)state;
    for (uint32_t k = 0; k < sizeof keys / sizeof keys[0]; k++)
        compare(keys[k]);
}

static void test_what_is_shared_is_nobodys(void **state)
{
    (void)state;
    create(&rig, VIEWS("user") COMMA VIEWS("user_item"));
    view(&rig, "u", 1, 5, 10);
    view(&rig, "v", 1, 5, 10);
    view(&rig, "a0", 1, 5, 10);
    view(&rig, "a0", 2, 5, 10);
    identify("u", "a0", false);
    assert_value("user.views", 3, .user = "u");
    assert_value("user_item.views", 2, .user = "u", .item = "i1");
    assert_value("user_item.views", 1, .anon = "a0", .item = "i2");
    identify("v", "a0", false); /* a device of both */
    assert_value("user.views", 1, .user = "u");
    assert_value("user.views", 1, .user = "v");
    assert_true(isnan(feature_rig_value(&rig, "user_item.views",
                                        (struct feature_rig_of){.user = "u", .item = "i2"})));
    identify("v", "a0", true);
    assert_value("user.views", 3, .user = "u");
    store_rig_destroy(&rig);
}

static void test_a_list_is_of_all_and_the_newest_links_are_read(void **state)
{
    (void)state;
    struct feature_reader reader;
    struct feature feature;
    struct feature_detail detail;
    create(&rig, VIEWS("user") COMMA "\"user.seen\": {\"kind\": \"last\", \"n\": 3, \"value\": "
                                     "\"item\", \"events\": [\"view\"]}");
    view(&rig, "u", 1, 5, 10);
    for (uint32_t i = 0; i < FEATURE_LINKS_MAX + 2; i++) {
        char anon[8];
        snprintf(anon, sizeof anon, "a%u", i);
        view(&rig, anon, 10 + i, 5, 20 + i);
        identify("u", anon, false);
    }
    assert_value("user.views", 1 + FEATURE_LINKS_MAX, .user = "u");
    assert_true(feature_find(rig.store, text_of("user.seen"), &feature));
    begin(&reader, &rig, "u", NULL);
    feature_describe(&reader, &feature, &detail);
    assert_int_equal(detail.status, FEATURE_PRESENT);
    assert_int_equal(aggregate_list_count(detail.list), 3);
    assert_int_equal(aggregate_list_id(detail.list, 0), store_rig_item(&rig, "i1"));
    assert_int_equal(aggregate_list_id(detail.list, 1), store_rig_item(&rig, "i12"));
    assert_int_equal(aggregate_list_id(detail.list, 2), store_rig_item(&rig, "i13"));
    store_rig_destroy(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linked_events_count_as_the_users_own),
        cmocka_unit_test(test_what_is_shared_is_nobodys),
        cmocka_unit_test(test_a_list_is_of_all_and_the_newest_links_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
