/* SPDX-License-Identifier: Apache-2.0 */
/* What each source brings, alone and with others. */
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

#include "tests/support/alloc_fail.h"
#include "tests/support/decide_fixture.h"
#include "tests/support/small_models.h"

#define DAY_MS INT64_C(86400000)

static struct fixture fixture;

/* Who has a leads to b, who has c to d, as much. */
static const float neighbor_weight[49] = {
    /*       a  b  c  d  e  f  g */
    /* a */ 0, 1, 0, 0, 0, 0, 0,
    /* b */ 0, 0, 0, 0, 0, 0, 0,
    /* c */ 0, 0, 0, 1, 0, 0, 0,
    /* d */ 0, 0, 0, 0, 0, 0, 0,
    /* e */ 0, 0, 0, 0, 0, 0, 0.5f,
};

static int set_up(void **state)
{
    (void)state;
    fixture_init(&fixture);
    fixture_load_shop(&fixture);
    fixture_add_model(&fixture, small_neighbors("near", "1", "a b c d e f g", neighbor_weight));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fixture_deinit(&fixture);
    return 0;
}

static void serve(const char *sources)
{
    char policies[2000];
    snprintf(policies, sizeof policies,
             "{\"lists\": {\"picks\": [\"e\", \"nobody\", \"a\", \"e\", \"g\"], \"none\": [],"
             "\"sold_out\": [\"f\"]},"
             "\"slots\": {\"home\": {\"bought\": \"allow\", \"sources\": [%s]}}}",
             sources);
    fixture_serve(&fixture, policies);
}

static void expect(const char *request, const char *line)
{
    assert_string_equal(fixture_ask(&fixture, request), line);
}

/* ---- neighbors with time decay --------------------------------------------------------------- */

static void an_item_of_the_history_says_half_after_its_half_life(void **state)
{
    (void)state;
    fixture_act(&fixture, "purchase", "u", "a", FIXTURE_NOW_MS - 20 * DAY_MS);
    fixture_act(&fixture, "view", "u", "c", FIXTURE_NOW_MS - DAY_MS / 24);
    fixture_act(&fixture, "view", "crowd", "g", FIXTURE_NOW_MS); /* the time that counts as now */
    serve("{\"source\": \"neighbors\"}");
    expect("{\"op\": \"recommend\", \"user\": \"u\", \"n\": 2}", "full: b d");
    serve("{\"source\": \"neighbors\", \"half_life\": \"10d\"}");
    expect("{\"op\": \"recommend\", \"user\": \"u\", \"n\": 2}", "full: d b");
    /* a purchase says 1 and is two half-lives old, a view says 0.3 and is an hour old */
    assert_true(fabsf(fixture_item(&fixture, "b")->score - 0.25f) < 1e-6f);
    assert_true(fabsf(fixture_item(&fixture, "d")->score - 0.3f * exp2f(-1.0f / 240)) < 1e-6f);
    /* what the request brings is of now */
    expect("{\"op\": \"recommend\", \"seeds\": [\"e\"], \"n\": 1}", "full: g");
    assert_true(fixture_item(&fixture, "g")->score == 0.5f);
}

/* ---- cart ------------------------------------------------------------------------------------ */

static void the_cart_brings_what_goes_with_it(void **state)
{
    (void)state;
    serve("{\"source\": \"cart\"}");
    expect("{\"op\": \"recommend\", \"n\": 2, \"cart\": [{\"id\": \"a\", \"qty\": 2}, \"c\"]}",
           "full: b d");
    /* a cart is no history: an unknown person has one as well */
    expect(
        "{\"op\": \"recommend\", \"user\": \"u\", \"n\": 1, \"cart\": [\"e\"], \"explain\": true}",
        "full: g");
    const struct decision_item *item = fixture_item(&fixture, "g");
    assert_int_equal(item->why_count, 1);
    assert_string_equal(item->why[0].source, "cart");
    /* what is in the cart is not shown, whichever source or level brings it */
    expect("{\"op\": \"recommend\", \"n\": 4, \"cart\": [\"a\", \"b\", \"e\"]}", "full: g d c");
    serve("{\"source\": \"popular\"}");
    expect("{\"op\": \"recommend\", \"n\": 2, \"cart\": [\"e\", \"unknown\"]}", "full: d g");
    serve("{\"source\": \"cart\"}");
    expect("{\"op\": \"recommend\", \"n\": 2}", "generic/unknown_user: e d");
    const struct decision_why_not *why_not =
        fixture_decide(&fixture, "{\"op\": \"recommend\", \"n\": 2, \"cart\": [\"a\", \"b\"], "
                                 "\"why_not\": \"a\"}")
            ->why_not;
    assert_string_equal(why_not->stage, "in_cart");
}

/* ---- lists ----------------------------------------------------------------------------------- */

static void an_editors_list_comes_in_its_order(void **state)
{
    (void)state;
    serve("{\"source\": \"list\", \"list\": \"picks\"}");
    expect("{\"op\": \"recommend\", \"n\": 3, \"explain\": true}", "full: e a g");
    assert_true(fixture_item(&fixture, "e")->score == 1.0f);
    assert_true(fixture_item(&fixture, "a")->score == 0.6f);
    assert_string_equal(fixture_item(&fixture, "a")->why[0].source, "list: picks");
    assert_int_equal(snapshot_lists(fixture.snapshot)->list[0]->unknown_count, 1);
    /* "count" says how far down it goes; the rest is filled up */
    serve("{\"source\": \"list\", \"list\": \"picks\", \"count\": 1}");
    expect("{\"op\": \"recommend\", \"n\": 2}", "full: e d");
    /* ... not counting what a filter hides */
    expect("{\"op\": \"recommend\", \"n\": 1, \"filters\": {\"categories\": [\"shoes\"]}}",
           "full: a");
}

static void an_id_is_found_once_it_is_known(void **state)
{
    (void)state;
    struct err err = {.text = ""};
    serve("{\"source\": \"list\", \"list\": \"picks\"}");
    fixture_event(&fixture, "{\"type\": \"item_upsert\", \"items\": [{\"id\": \"nobody\"}]}");
    expect("{\"op\": \"recommend\", \"n\": 2}", "full: e a");
    for (uint32_t n = 0;; n++) {
        alloc_fail_after(n);
        enum err_code rc = snapshot_refresh_lists(fixture.snapshot, fixture.store, &err);
        if (!alloc_fail_off()) {
            assert_int_equal(rc, ERR_OK);
            break;
        }
        assert_int_equal(rc, ERR_NOMEM);
        expect("{\"op\": \"recommend\", \"n\": 2}", "full: e a");
    }
    expect("{\"op\": \"recommend\", \"n\": 3}", "full: e nobody a");
    assert_int_equal(snapshot_lists(fixture.snapshot)->list[0]->unknown_count, 0);
}

/* ---- the caller's own ------------------------------------------------------------------------ */

static void the_caller_may_bring_candidates(void **state)
{
    (void)state;
    serve("{\"source\": \"candidates\"}");
    expect("{\"op\": \"recommend\", \"n\": 3, \"candidates\": [\"b\", \"unknown\", \"f\", \"a\"]}",
           "full: b a e");
    expect("{\"op\": \"recommend\", \"n\": 3, \"candidates\": [{\"id\": \"b\", \"score\": 0},"
           "{\"id\": \"d\", \"score\": 2.5}, {\"id\": \"a\", \"score\": -1}], \"explain\": true}",
           "full: d b a");
    assert_true(fixture_item(&fixture, "d")->score == 2.5f);
    assert_string_equal(fixture_item(&fixture, "d")->why[0].source, "candidates");
    expect("{\"op\": \"recommend\", \"n\": 1}", "generic/unknown_user: e");
}

/* ---- new arrivals ---------------------------------------------------------------------------- */

static void upsert(const char *id, int64_t ts_ms, const char *more)
{
    char json[300];
    snprintf(json, sizeof json,
             "{\"type\": \"item_upsert\", \"ts\": %lld, \"items\": [{\"id\": \"%s\"%s}]}",
             (long long)ts_ms, id, more);
    fixture_event(&fixture, json);
}

static void new_items_come_newest_first_and_not_for_ever(void **state)
{
    (void)state;
    upsert("n1", FIXTURE_NOW_MS - 9 * DAY_MS, "");
    upsert("n2", FIXTURE_NOW_MS - 4 * DAY_MS, "");
    upsert("n3", FIXTURE_NOW_MS - 2 * DAY_MS, "");
    upsert("n4", FIXTURE_NOW_MS - 11 * DAY_MS, "");
    upsert("n1", FIXTURE_NOW_MS - DAY_MS, ", \"price\": 3"); /* priced anew, and as old as it is */
    fixture_act(&fixture, "view", "crowd", "g", FIXTURE_NOW_MS);
    serve("{\"source\": \"new\", \"max_age\": \"10d\"}");
    expect("{\"op\": \"recommend\", \"n\": 3, \"explain\": true, \"exclude\": [\"a\", \"b\", "
           "\"c\", \"d\", "
           "\"e\"]}",
           "full: n3 n2 n1");
    assert_true(fabsf(fixture_item(&fixture, "n2")->score - 0.6f) < 1e-3f);
    assert_string_equal(fixture_item(&fixture, "n2")->why[0].source, "new");
    /* expressions know how old an item is */
    fixture_serve(
        &fixture,
        "{\"lists\": {\"l\": [\"n1\", \"n2\", \"g\"]}, \"slots\": {\"home\": {\"filters\": "
        "[\"item.age_s >= 4 * 86400\"], \"sources\": [{\"source\": \"list\", \"list\": "
        "\"l\"}]}}}");
    expect("{\"op\": \"recommend\", \"n\": 2}", "full: n1 n2");
    /* delisted and listed again it is no new item */
    fixture_event(&fixture,
                  "{\"type\": \"item_delete\", \"items\": [{\"id\": \"n4\"}, {\"id\": \"n3\"}]}");
    upsert("n4", FIXTURE_NOW_MS, "");
    serve("{\"source\": \"new\", \"max_age\": \"10d\"}");
    expect("{\"op\": \"recommend\", \"n\": 2, \"exclude\": [\"a\", \"b\", \"c\", \"d\", \"e\"]}",
           "full: n2 n1");
}

/* ---- trending -------------------------------------------------------------------------------- */

static void act_often(const char *type, const char *item, int count, int64_t ts_ms)
{
    for (int i = 0; i < count; i++)
        fixture_act(&fixture, type, "crowd", item, ts_ms);
}

static void what_grows_trends_and_what_is_large_does_not(void **state)
{
    (void)state;
    /* Of what was wanted in 14 days an eighth falls on the last one; b has more of it, d less. */
    act_often("view", "b", 30, FIXTURE_NOW_MS - 1000);
    act_often("view", "e", 40, FIXTURE_NOW_MS - 1000);
    act_often("purchase", "e", 40, FIXTURE_NOW_MS - 5 * DAY_MS);
    act_often("view", "d", 200, FIXTURE_NOW_MS - 5 * DAY_MS);
    serve("{\"source\": \"trending\", \"window\": \"1d\", \"baseline\": \"14d\"}");
    const struct list *list = snapshot_lists(fixture.snapshot)->list[3];
    struct list_items items = list_items(list, 0);
    assert_true(items.count > 0);
    assert_true(items.entry[0].value == 1.0f);
    for (uint32_t i = 0; i < items.count; i++) {
        assert_true(items.entry[i].value > 0.0f && items.entry[i].value <= 1.0f);
        assert_int_not_equal(items.entry[i].item,
                             store_item_find(fixture.store, TEXT_LITERAL("d")));
        assert_int_not_equal(items.entry[i].item,
                             store_item_find(fixture.store, TEXT_LITERAL("e")));
    }
    expect("{\"op\": \"recommend\", \"n\": 1, \"explain\": true, \"exclude\": [\"f\"]}", "full: b");
    assert_string_equal(fixture_item(&fixture, "b")->why[0].source, "trending");
}

static void each_category_trends_by_itself(void **state)
{
    (void)state;
    act_often("view", "e", 30, FIXTURE_NOW_MS - 1000);
    act_often("view", "b", 20, FIXTURE_NOW_MS - 1000);
    act_often("purchase", "d", 60, FIXTURE_NOW_MS - 5 * DAY_MS);
    act_often("purchase", "c", 60, FIXTURE_NOW_MS - 5 * DAY_MS);
    serve("{\"source\": \"trending\", \"by\": \"category\"}");
    expect("{\"op\": \"recommend\", \"n\": 1, \"filters\": {\"categories\": [\"shoes\"]}}",
           "full: b");
    expect("{\"op\": \"recommend\", \"n\": 1, \"filters\": {\"categories\": [\"hats\"]}}",
           "full: e");
    expect("{\"op\": \"recommend\", \"n\": 1, \"seeds\": [\"a\"]}", "full: b"); /* shoes */
    fixture_act(&fixture, "view", "u", "d", FIXTURE_NOW_MS);
    expect("{\"op\": \"recommend\", \"n\": 1, \"user\": \"u\"}", "full: e");      /* hats */
    expect("{\"op\": \"recommend\", \"n\": 1, \"exclude\": [\"f\"]}", "full: e"); /* of all */
}

static void people(const char *prefix, const char *country, const char *consent, const char *item,
                   int count, int64_t ts_ms)
{
    char json[400], user[16];
    for (int i = 0; i < count; i++) {
        snprintf(user, sizeof user, "%s%d", prefix, i);
        snprintf(json, sizeof json,
                 "{\"type\": \"user_upsert\", \"user\": \"%s\", \"attributes\": {\"age\": 3, "
                 "\"country\": \"%s\"}}",
                 user, country);
        fixture_event(&fixture, json);
        if (consent[0] != '\0') {
            snprintf(json, sizeof json,
                     "{\"type\": \"consent\", \"user\": \"%s\", \"consent\": {%s}}", user, consent);
            fixture_event(&fixture, json);
        }
        fixture_act(&fixture, "view", user, item, ts_ms);
    }
}

static void each_segment_trends_by_itself(void **state)
{
    (void)state;
    fixture_act(&fixture, "view", "crowd", "g", FIXTURE_NOW_MS);
    people("at", "AT", "", "a", 8, FIXTURE_NOW_MS - 1000);
    people("old", "AT", "", "b", 30, FIXTURE_NOW_MS - 5 * DAY_MS);
    people("de", "DE", "", "b", 8, FIXTURE_NOW_MS - 1000);
    people("was", "DE", "", "a", 30, FIXTURE_NOW_MS - 5 * DAY_MS);
    people("no", "DE", "\"personalize\": false", "d", 50, FIXTURE_NOW_MS - 1000);
    serve("{\"source\": \"trending\", \"by\": \"segment\", \"attribute\": \"country\"}");
    expect("{\"op\": \"recommend\", \"n\": 1, \"user\": \"old1\"}", "full: a");
    expect("{\"op\": \"recommend\", \"n\": 1, \"user\": \"was1\"}", "full: b");
    /* whoever is in none of them gets what trends overall, and so does who does not allow more */
    const char *all = fixture_ask(&fixture, "{\"op\": \"recommend\", \"n\": 3}");
    char expected[64];
    memcpy(expected, all, sizeof expected);
    expect("{\"op\": \"recommend\", \"n\": 3, \"user\": \"no1\"}", expected);
    people("fr", "FR", "", "f", 1, FIXTURE_NOW_MS);
    expect("{\"op\": \"recommend\", \"n\": 3, \"user\": \"fr0\"}", expected);
    /* lists are made whole or not at all */
    struct err err;
    for (uint32_t n = 0;; n++) {
        alloc_fail_after(n);
        enum err_code rc = snapshot_refresh_lists(fixture.snapshot, fixture.store, &err);
        if (!alloc_fail_off())
            break;
        assert_int_equal(rc, ERR_NOMEM);
    }
    /* forgotten people count no more */
    for (int i = 0; i < 8; i++) {
        char json[100];
        snprintf(json, sizeof json,
                 "{\"type\": \"user_upsert\", \"user\": \"at%d\", \"attributes\": {}}", i);
        fixture_event(&fixture, json);
    }
    assert_int_equal(snapshot_refresh_lists(fixture.snapshot, fixture.store, &err), ERR_OK);
    expect("{\"op\": \"recommend\", \"n\": 3, \"user\": \"old1\"}", expected);
}

/* ---- repeat purchases ------------------------------------------------------------------------ */

static void what_is_due_comes_first(void **state)
{
    (void)state;
    /* a is bought every 10 days and was bought 10 days ago, b every 40 and was bought yesterday. */
    fixture_act(&fixture, "purchase", "u", "a", FIXTURE_NOW_MS - 10 * DAY_MS);
    fixture_act(&fixture, "purchase", "u", "b", FIXTURE_NOW_MS - DAY_MS);
    fixture_act(&fixture, "purchase", "u", "c", FIXTURE_NOW_MS - 30 * DAY_MS);
    fixture_act(&fixture, "view", "u", "d", FIXTURE_NOW_MS);
    serve("{\"source\": \"repeat\"}");
    expect("{\"op\": \"recommend\", \"user\": \"u\", \"n\": 3}", "full: b a c");
    static const char due[] = "{\"source\": \"repeat\", \"interval\": \"86400.0 * (item.id == 'a' "
                              "? 10.0 : item.id == 'b' ? 40.0 : "
                              "double(item.stock))\"}";
    serve(due);
    expect("{\"op\": \"recommend\", \"user\": \"u\", \"n\": 3, \"explain\": true}", "full: a c b");
    assert_true(fabsf(fixture_item(&fixture, "a")->score - (logf(2) + 1)) < 1e-5f);
    assert_true(fabsf(fixture_item(&fixture, "b")->score - logf(2)) < 1e-3f);
    /* c has no stock, so that its interval is not known: the age decides, as ever */
    assert_true(fabsf(fixture_item(&fixture, "c")->score - (logf(2) + expf(-0.5f))) < 1e-5f);
    assert_string_equal(fixture_item(&fixture, "a")->why[0].source, "repeat");
    serve("{\"source\": \"repeat\", \"interval\": \"864000.0\", \"since\": \"item.id == 'c' ? "
          "864000.0 : "
          "100000000.0\"}");
    expect("{\"op\": \"recommend\", \"user\": \"u\", \"n\": 1}", "full: c");
    serve("{\"source\": \"repeat\", \"interval\": \"0.0\"}");
    expect("{\"op\": \"recommend\", \"user\": \"u\", \"n\": 3}", "full: b a c");
}

/* ---- together -------------------------------------------------------------------------------- */

static void scores_of_all_sources_add_up(void **state)
{
    (void)state;
    serve("{\"source\": \"neighbors\", \"weight\": 2}, {\"source\": \"cart\", \"weight\": 3},"
          "{\"source\": \"list\", \"list\": \"picks\", \"weight\": 5},"
          "{\"source\": \"list\", \"list\": \"sold_out\", \"weight\": 900},"
          "{\"source\": \"candidates\", \"weight\": 7}");
    expect("{\"op\": \"recommend\", \"n\": 2, \"seeds\": [\"e\"], \"cart\": [\"a\"],"
           "\"candidates\": [{\"id\": \"b\", \"score\": 2}, {\"id\": \"g\", \"score\": 1}],"
           "\"explain\": true}",
           "full: b g");
    assert_true(fabsf(fixture_item(&fixture, "b")->score - (3 + 14)) < 1e-5f);
    assert_true(fabsf(fixture_item(&fixture, "g")->score - (2 * 0.5f + 5 * 0.2f + 7)) < 1e-5f);
    assert_int_equal(fixture_item(&fixture, "g")->why_count, 3);
    assert_string_equal(fixture_item(&fixture, "g")->why[1].source, "list: picks");
    /* one of them empty, and all of them empty */
    expect("{\"op\": \"recommend\", \"n\": 2}", "full: e a");
    serve("{\"source\": \"neighbors\"}, {\"source\": \"cart\"}, {\"source\": \"list\", \"list\": "
          "\"none\"}, {\"source\": \"candidates\"}");
    expect("{\"op\": \"recommend\", \"n\": 1}", "generic/unknown_user: e");
    /* nothing is left from one request to the next */
    for (uint32_t i = 0; i < store_item_count(fixture.store); i++) {
        const struct worker_scratch *scratch = &fixture.snapshot->scratch[0];
        for (uint32_t place = 0; place < fixture.snapshot->place_count; place++)
            assert_true(scratch->sum[place][i] == 0.0f);
        assert_true(scratch->blend[i] == 0.0f && scratch->upper[i] == 0.0f);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(an_item_of_the_history_says_half_after_its_half_life),
        TEST(the_cart_brings_what_goes_with_it),
        TEST(an_editors_list_comes_in_its_order),
        TEST(an_id_is_found_once_it_is_known),
        TEST(the_caller_may_bring_candidates),
        TEST(new_items_come_newest_first_and_not_for_ever),
        TEST(what_grows_trends_and_what_is_large_does_not),
        TEST(each_category_trends_by_itself),
        TEST(each_segment_trends_by_itself),
        TEST(what_is_due_comes_first),
        TEST(scores_of_all_sources_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
