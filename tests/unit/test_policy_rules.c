/* SPDX-License-Identifier: Apache-2.0 */
/* What the filters, boosts, pins and limits of a slot do to decisions. */
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
#include "tests/support/decide_fixture.h"
#include "tests/support/small_models.h"

#define ITEMS "a b c d e f g"

static struct fixture fixture;

static const float neighbor_weight[49] = {
    /*       a     b     c     d      e     f     g */
    /* a */ 0,    0.5f, 0.3f, 0.1f,  0,    0.9f, 0,
    /* b */ 0.4f, 0,    0,    0,     0.2f, 0,    0,
    /* c */ 0,    0,    0,    0.25f, 0,    0,    0.6f,
    /* d */ 0,    0,    0,    0,     0.7f, 0,    0,
};

static int set_up(void **state)
{
    (void)state;
    fixture_init(&fixture);
    fixture_load_shop(&fixture);
    fixture_event(&fixture,
                  "{\"type\": \"item_upsert\", \"items\": ["
                  "{\"id\": \"b\", \"attributes\": {\"colour\": \"red\", \"tags\": [\"sale\"]}},"
                  "{\"id\": \"d\", \"attributes\": {\"colour\": \"blue\", \"size\": 42}}]}");
    fixture_add_model(&fixture, small_neighbors("near", "1", ITEMS, neighbor_weight));
    fixture_act(&fixture, "view", "u", "a", FIXTURE_NOW_MS);
    fixture_act(&fixture, "view", "u", "c", FIXTURE_NOW_MS);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fixture_deinit(&fixture);
    return 0;
}

#define ASK(request) fixture_ask(&fixture, "{\"op\": \"recommend\"," request "}")
#define U            "\"user\": \"u\", \"n\": 4"

/* One slot over the neighbors; without rules it answers "g b d c". */
#define SLOT(more) "{\"slots\": {\"home\": {" more "\"sources\": [{\"source\": \"neighbors\"}]}}}"

static void expect(const char *rules, const char *request, const char *answer)
{
    char policies[2000], body[500];
    snprintf(policies, sizeof policies, SLOT("%s,"), rules);
    snprintf(body, sizeof body, "{\"op\": \"recommend\", %s}", request);
    fixture_serve(&fixture, policies);
    const char *got = fixture_ask(&fixture, body);
    if (strcmp(got, answer) != 0)
        fail_msg("%s, %s: expected '%s', got '%s'", rules, request, answer, got);
}

static void filters_hold_wherever_items_come_from(void **state)
{
    (void)state;
    static const char *const rules[][2] = {
        {"\"filters\": [\"item.price <= 3000\"]", "full: b c a"},
        {"\"filters\": [\"item.category == 'hats'\"]", "full: d e"},
        {"\"filters\": [\"item.brand in ['acme', 'other']\", \"item.price > 1000\"]", "full: b d"},
        {"\"filters\": [\"item.attributes.colour == 'red'\"]", "full: b"},
        {"\"filters\": [\"'sale' in item.attributes.tags || item.attributes.size > 40\"]",
         "full: b d"},
        {"\"filters\": [\"!has(item.attributes.colour)\"]", "full: g c a e"},
        {"\"filters\": [\"item.id != 'g' && !(has(item.stock) && item.stock == 5)\"]",
         "full: b d c e"},
        {"\"filters\": [{\"name\": \"cheap\", \"when\": \"item.price < 2500\"}]", "full: b a"},
        /* a feature of the item, one of the person */
        {"\"filters\": [\"item.views_1d > 1.0\"]", "full: b a"},
        {"\"filters\": [\"user.items > 1.0 && item.margin >= 0.5\"]", "generic/no_candidates: a"},
        {"\"filters\": [\"user.items > 9.0\"]", "static/no_candidates:"},
        /* not in force any more, not in force yet */
        {"\"filters\": [{\"when\": \"false\", \"until\": \"2023-11-14T00:00:00Z\"}]",
         "full: g b d c"},
        {"\"filters\": [{\"when\": \"false\", \"from\": \"2023-11-15T00:00:00Z\"}]",
         "full: g b d c"},
        {"\"filters\": [{\"when\": \"item.id == 'b'\", \"from\": \"2023-11-14T00:00:00Z\", "
         "\"until\": \"2023-11-15T00:00:00Z\"}]",
         "full: b"},
        /* what is not known does not pass */
        {"\"filters\": [\"item.cost < 1000000\"]", "generic/no_candidates: a"},
        {"\"min_stock\": 6", "full: g b d c"},
        {"\"min_stock\": 6, \"filters\": [\"item.id in ['a', 'c', 'e']\"]", "full: c e"},
        {"\"min_stock\": 0, \"filters\": [\"item.id == 'f'\"]", "full: f"},
    };
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        expect(rules[i][0], U, rules[i][1]);
}

static void conditions_see_the_request(void **state)
{
    (void)state;
    static const char rule[] = "\"filters\": [\"context.channel == 'app' || item.price > 2500\"]";
    expect(rule, U ", \"context\": {\"channel\": \"app\"}", "full: g b d c");
    expect(rule, U ", \"context\": {\"channel\": \"web\"}", "full: d c e");
    expect(rule, U, "full: d c e");
    expect("\"filters\": [\"user.id != 'u'\"]", U, "static/no_candidates:");
    expect("\"filters\": [\"query.contains('red') ? item.attributes.colour == 'red' : true\"]",
           U ", \"query\": \"a red shoe\"", "full: b");
    /* 2023-11-14 was a Tuesday; the clock stands at 22:13 */
    expect("\"filters\": [\"now.weekday == 2 && now.hour == 22 && now == 1700000000\"]", U,
           "full: g b d c");
}

static void boosts_change_the_order(void **state)
{
    (void)state;
    static const char *const rules[][2] = {
        {"\"boosts\": [{\"when\": \"item.brand == 'acme'\", \"multiply\": 10}]", "full: b d g c"},
        {"\"boosts\": [{\"when\": \"item.id == 'g'\", \"multiply\": 0.01}]", "full: b d c g"},
        {"\"boosts\": [{\"when\": \"item.id == 'c'\", \"add\": 1}]", "full: c g b d"},
        {"\"boosts\": [{\"add\": \"double(item.price) / 1000.0\"}]", "full: d c b g"},
        {"\"boosts\": [{\"when\": \"score < 0.1\", \"add\": 5}]", "full: c g b d"},
        {"\"boosts\": [{\"multiply\": \"item.id == 'd' ? 9 : 1\"}]", "full: d g b c"},
        /* one after the other */
        {"\"boosts\": [{\"add\": 1, \"when\": \"item.id == 'c'\"}, {\"multiply\": 0.001, "
         "\"when\": \"score > 0.9\"}]",
         "full: g b d c"},
        /* unknown amounts and those that cannot multiply change nothing */
        {"\"boosts\": [{\"multiply\": \"double(item.cost)\"}, {\"multiply\": \"0.0 - 1.0\"}]",
         "full: g b d c"},
        {"\"boosts\": [{\"add\": 9, \"when\": \"item.id == 'c'\", \"until\": "
         "\"2023-11-14T22:13:20Z\"}]",
         "full: g b d c"},
        {"\"boosts\": [{\"add\": 9, \"when\": \"item.id == 'c'\", \"from\": "
         "\"2023-11-14T22:13:20Z\"}]",
         "full: c g b d"},
    };
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        expect(rules[i][0], U, rules[i][1]);
}

static void an_explanation_names_the_boosts(void **state)
{
    (void)state;
    expect("\"boosts\": [{\"name\": \"own\", \"when\": \"item.id == 'b'\", \"multiply\": 2},"
           " {\"when\": \"item.id == 'b'\", \"add\": 0.5}], "
           "\"pins\": [{\"name\": \"top\", \"item\": \"e\", \"place\": 1}]",
           U ", \"explain\": true", "full: e b g d");
    const struct decision_item *item = fixture_item(&fixture, "b");
    assert_int_equal(item->why_count, 3);
    assert_string_equal(item->why[0].source, "neighbors");
    assert_string_equal(item->why[1].source, "boost: own");
    assert_string_equal(item->why[2].source, "boost: 2");
    assert_true(fabsf(item->why[1].value - item->why[0].value) < 1e-6f);
    assert_true(fabsf(item->score - (item->why[0].value * 2.0f + 0.5f)) < 1e-6f);
    assert_string_equal(fixture_item(&fixture, "e")->why[0].source, "pin: top");
    assert_true(fixture_item(&fixture, "e")->score == item->score);
}

static void boosts_count_where_a_ranker_ranks(void **state)
{
    (void)state;
    static const double weight[] = {1};
    static const char ranked[] = "{\"op\": \"rank\", \"user\": \"u\", \"items\": [{\"id\": \"a\", "
                                 "\"score\": 3}, {\"id\": \"b\", \"score\": 2}, {\"id\": \"x\", "
                                 "\"score\": 1}]}";
    fixture_add_model(&fixture, small_linear("rank", "1", "caller.score", weight, 0));
    fixture_serve(&fixture, SLOT("\"ranker\": \"rank\","));
    assert_string_equal(fixture_ask(&fixture, ranked), "full: a b x");
    fixture_serve(&fixture, SLOT("\"ranker\": \"rank\", \"filters\": [\"false\"], \"boosts\": "
                                 "[{\"when\": \"item.id == 'b'\", \"multiply\": 2}],"));
    assert_string_equal(fixture_ask(&fixture, ranked), "full: b a x");
}

static void pins_stand_at_their_places(void **state)
{
    (void)state;
    static const char *const rules[][3] = {
        {"\"pins\": [{\"item\": \"e\", \"place\": 1}]", U, "full: e g b d"},
        {"\"pins\": [{\"item\": \"e\", \"place\": 3}]", U, "full: g b e d"},
        {"\"pins\": [{\"item\": \"e\", \"place\": 4}]", U, "full: g b d e"},
        {"\"pins\": [{\"item\": \"e\", \"place\": 5}]", U, "full: g b d c"},
        {"\"pins\": [{\"item\": \"d\", \"place\": 1}, {\"item\": \"e\", \"place\": 1}]", U,
         "full: d e g b"},
        {"\"pins\": [{\"item\": \"b\", \"place\": 1}]", U, "full: b g d c"},
        /* it came by itself before its place */
        {"\"pins\": [{\"item\": \"g\", \"place\": 3}]", U, "full: g b d c"},
        /* sold out, not known, filtered, excluded, not now */
        {"\"pins\": [{\"item\": \"f\", \"place\": 1}]", U, "full: g b d c"},
        {"\"pins\": [{\"item\": \"nobody\", \"place\": 1}]", U, "full: g b d c"},
        {"\"pins\": [{\"item\": \"e\", \"place\": 1}], \"filters\": [\"item.id != 'e'\"]", U,
         "full: g b d c"},
        {"\"pins\": [{\"item\": \"e\", \"place\": 1}]", U ", \"exclude\": [\"e\"]",
         "full: g b d c"},
        {"\"pins\": [{\"item\": \"e\", \"place\": 1, \"when\": \"item.price < 100\"}]", U,
         "full: g b d c"},
        {"\"pins\": [{\"item\": \"e\", \"place\": 1, \"when\": \"context.x == 'y'\"}]",
         U ", \"context\": {\"x\": \"y\"}", "full: e g b d"},
        /* on the lower levels, too, and behind the last where there are fewer items */
        {"\"pins\": [{\"item\": \"b\", \"place\": 2}]", "\"user\": \"stranger\", \"n\": 3",
         "generic/unknown_user: e b d"},
        {"\"pins\": [{\"item\": \"c\", \"place\": 9}], "
         "\"filters\": [\"item.id in ['b', 'c', 'e']\"], \"boosts\": [{\"when\": "
         "\"item.id == 'c'\", \"multiply\": 0.1}]",
         "\"user\": \"u\", \"n\": 9", "full: b c e"},
    };
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        expect(rules[i][0], rules[i][1], rules[i][2]);
}

static void limits_keep_the_answer_mixed(void **state)
{
    (void)state;
    static const char *const rules[][2] = {
        {"\"diversity\": {\"per_category\": 1}", "full: g b d"},
        {"\"diversity\": {\"per_category\": 2}", "full: g b d c"},
        {"\"diversity\": {\"per_brand\": 1}", "full: g b c"},
        {"\"diversity\": {\"per_category\": 1, \"per_brand\": 1}", "full: g b e"},
        {"\"diversity\": {\"per_category\": 1}, \"pins\": [{\"item\": \"e\", \"place\": 1}]",
         "full: e g b"},
    };
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        expect(rules[i][0], U, rules[i][1]);
}

static void policies_are_refused_with_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *rules, *message;
    } cases[] = {
        {"\"filters\": [\"item.prise > 1\"]", "policies:1:33: slots.home.filters[0]: line 1, "
                                              "column 1: unknown field 'item.prise', did you "
                                              "mean 'item.price'?"},
        {"\"filters\": [\"item.no_such_feature > 1.0\"]",
         "policies:1:33: slots.home.filters[0]: line 1, column 1: unknown field "
         "'item.no_such_feature'"},
        {"\"filters\": [\"true\", {\"name\": \"x\"}]",
         "policies:1:41: slots.home.filters[1].when: missing"},
        {"\"filters\": [1]",
         "policies:1:33: slots.home.filters[0]: expected an object, got a number"},
        {"\"filters\": [\"score > 0.5\"]",
         "policies:1:33: slots.home.filters[0]: line 1, column 1: unknown field 'score' here"},
        {"\"boosts\": [{\"when\": \"true\"}]",
         "policies:1:32: slots.home.boosts[0]: give one of add and multiply"},
        {"\"boosts\": [{\"multiply\": 0}]",
         "policies:1:33: slots.home.boosts[0].multiply: must be 0.001..1000 (got 0)"},
        {"\"boosts\": [{\"add\": \"'x'\"}]",
         "policies:1:33: slots.home.boosts[0].add: line 1, column 1: expected a number here, got a "
         "string"},
        {"\"pins\": [{\"item\": \"a\", \"place\": 0}]",
         "policies:1:44: slots.home.pins[0].place: must be 1..200 (got 0)"},
        {"\"pins\": [{\"item\": \"\", \"place\": 1}]",
         "policies:1:31: slots.home.pins[0].item: expected the id of an item of 1..128 bytes"},
        {"\"pins\": [{\"item\": \"a\", \"place\": 1, \"until\": \"tomorrow\"}]",
         "policies:1:56: slots.home.pins[0].until: expected a time such as 2026-11-27T08:00:00Z, "
         "got "
         "'tomorrow'"},
        {"\"pins\": [{\"item\": \"a\", \"place\": 1, \"from\": \"2026-01-02T00:00:00Z\", "
         "\"until\": \"2026-01-02T00:00:00Z\"}]",
         "policies:1:30: slots.home.pins[0]: 'until' is not after 'from'"},
        {"\"diversity\": {\"per_brands\": 1}", "policies:1:35: slots.home.diversity: unknown key "
                                               "'per_brands', did you mean 'per_brand'?"},
        {"\"in_stock\": true, \"min_stock\": 2",
         "policies:1:12: slots.home: give one of in_stock and min_stock"},
    };
    fixture_serve(&fixture, SLOT(""));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char policies[1000];
        struct err err = {0};
        snprintf(policies, sizeof policies, SLOT("%s,"), cases[i].rules);
        assert_int_not_equal(fixture_try_serve(&fixture, policies, &err), ERR_OK);
        assert_string_equal(err.text, cases[i].message);
    }
    /* What was refused changed nothing. */
    assert_string_equal(ASK(U), "full: g b d c");
}

/* ---- random catalogues against a plain look at every item ------------------------------------ */

enum { SHOP_ITEMS = 100, SHOPS = 10 };

struct shop_item {
    int price, stock;
    uint32_t category, colour; /* colour 0: none */
};

static const char *const colours[] = {"", "red", "blue"};

static bool passes(uint32_t filter, const struct shop_item *item)
{
    switch (filter) {
    case 0: return item->price >= 300 && item->price < 700;
    case 1: return item->category == 1 || item->category == 3;
    case 2: return item->colour == 2;
    case 3: return item->stock > 4 && item->price % 7 == 3;
    default: return item->price * 2 + item->stock > 900 && item->colour == 1;
    }
}

/* Every item is popular, so that every one may be shown. */
static void stock_shop(struct rand *rand, struct shop_item *shop)
{
    for (uint32_t i = 0; i < SHOP_ITEMS; i++) {
        char event[300], id[16], colour[40] = "";
        shop[i] = (struct shop_item){(int)rand_below(rand, 1000), 1 + (int)rand_below(rand, 9),
                                     (uint32_t)rand_below(rand, 5), (uint32_t)rand_below(rand, 3)};
        if (shop[i].colour > 0)
            snprintf(colour, sizeof colour, "\"colour\": \"%s\"", colours[shop[i].colour]);
        snprintf(id, sizeof id, "r%u", i);
        snprintf(event, sizeof event,
                 "{\"type\": \"item_upsert\", \"currency\": \"EUR\", \"items\": [{\"id\": \"%s\", "
                 "\"price\": %d, \"stock\": %d, \"category\": \"c%u\", \"attributes\": {%s}}]}",
                 id, shop[i].price, shop[i].stock, shop[i].category, colour);
        fixture_event(&fixture, event);
        fixture_act(&fixture, "view", "crowd", id, FIXTURE_NOW_MS);
    }
}

static void narrow_filters_give_all_that_passes(void **state)
{
    static const char *const filters[] = {
        "item.price >= 300 && item.price < 700", "item.category in ['c1', 'c3']",
        "item.attributes.colour == 'blue'", "item.stock > 4 && item.price % 7 == 3",
        "item.price * 2 + item.stock > 900 && item.attributes.colour == 'red'"};
    (void)state;
    struct shop_item shop[SHOP_ITEMS];
    struct rand rand;
    rand_init(&rand, 7);
    for (uint32_t round = 0; round < SHOPS; round++) {
        stock_shop(&rand, shop);
        for (uint32_t f = 0; f < sizeof filters / sizeof filters[0]; f++) {
            char policies[400];
            uint32_t wanted = 0;
            snprintf(policies, sizeof policies,
                     "{\"slots\": {\"home\": {\"filters\": [\"item.id.startsWith('r')\", \"%s\"], "
                     "\"sources\": [{\"source\": \"popular\", \"count\": 1000}]}}}",
                     filters[f]);
            fixture_serve(&fixture, policies);
            (void)fixture_ask(&fixture, "{\"op\": \"recommend\", \"n\": 200}");
            for (uint32_t i = 0; i < SHOP_ITEMS; i++) {
                char id[16];
                snprintf(id, sizeof id, "r%u", i);
                assert_int_equal(fixture_item(&fixture, id) != NULL, passes(f, &shop[i]));
                wanted += passes(f, &shop[i]);
            }
            assert_int_equal(fixture.decision.count, wanted);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(filters_hold_wherever_items_come_from, set_up, tear_down),
        cmocka_unit_test_setup_teardown(conditions_see_the_request, set_up, tear_down),
        cmocka_unit_test_setup_teardown(boosts_change_the_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_explanation_names_the_boosts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(boosts_count_where_a_ranker_ranks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(pins_stand_at_their_places, set_up, tear_down),
        cmocka_unit_test_setup_teardown(limits_keep_the_answer_mixed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(policies_are_refused_with_their_place, set_up, tear_down),
        cmocka_unit_test_setup_teardown(narrow_filters_give_all_that_passes, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
