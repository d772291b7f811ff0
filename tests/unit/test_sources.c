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
        for (uint32_t place = 0;
             place < fixture.snapshot->row_places + fixture.snapshot->item_places; place++)
            assert_true(i >= 7 || scratch->sum[place][i] == 0.0f);
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
        TEST(scores_of_all_sources_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
