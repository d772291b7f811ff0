/* SPDX-License-Identifier: Apache-2.0 */
/* What a slot does when it has too little, too little time, or showed the same a moment ago. */
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

#include "featurestore/definitions.h"
#include "tests/support/decide_fixture.h"
#include "tests/support/feature_rig.h"
#include "tests/support/small_models.h"

static struct fixture fixture;

static int set_up(void **state)
{
    (void)state;
    fixture_init(&fixture);
    fixture_load_shop(&fixture);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fixture_deinit(&fixture);
    return 0;
}

static void expect(const char *request, const char *line)
{
    char json[500];
    snprintf(json, sizeof json, "{\"op\": \"recommend\", %s}", request);
    assert_string_equal(fixture_ask(&fixture, json), line);
}

/* ---- fallbacks ------------------------------------------------------------------------------- */

static void serve_fallback(const char *fallback)
{
    char policies[1500];
    snprintf(
        policies, sizeof policies,
        "{\"lists\": {\"short\": [\"b\", \"f\"], \"long\": [\"b\", \"c\", \"a\", \"d\"]},"
        "\"slots\": {\"home\": {\"diversity\": {\"per_category\": 2}, \"pins\": [{\"item\": \"g\", "
        "\"place\": 3}],"
        "\"sources\": [{\"source\": \"list\", \"list\": \"short\"}, {\"source\": "
        "\"neighbors\"}]%s},"
        "\"more\": {\"filters\": [\"item.id != 'c'\"], \"pins\": [{\"item\": \"e\", \"place\": 1}],"
        "\"sources\": [{\"source\": \"list\", \"list\": \"long\"}], \"fallback\": {\"slot\": "
        "\"home\"}}}}",
        fallback);
    fixture_serve(&fixture, policies);
}

static void expect_why_not(const char *request, const char *stage, const char *slot,
                           uint32_t why_count)
{
    char json[500];
    snprintf(json, sizeof json, "{\"op\": \"recommend\", %s}", request);
    fixture_ask(&fixture, json);
    const struct decision_why_not *why_not = fixture.decision.why_not;
    if (strcmp(why_not->stage, stage) != 0 || why_not->why_count != why_count ||
        (why_not->slot != NULL) != (slot != NULL) ||
        (slot != NULL && strcmp(why_not->slot, slot) != 0))
        fail_msg("%s: %s by %s, %u sources", request, why_not->stage, why_not->slot,
                 why_not->why_count);
}

static void another_slot_helps_out(void **state)
{
    (void)state;
    serve_fallback("");
    expect("\"n\": 4", "full: b e g d");
    assert_null(fixture.decision.fallback);
    /* b is its own; a and d come from the other slot, by the other slot's filters; pins stay those
     * of the slot that was asked */
    serve_fallback(", \"fallback\": {\"slot\": \"more\", \"fewer_than\": 3}");
    expect("\"n\": 4, \"explain\": true", "full: b a g d");
    assert_string_equal(fixture.decision.fallback, "more");
    assert_string_equal(fixture_item(&fixture, "a")->why[0].source, "list: long");
    assert_string_equal(fixture.decision.policy, "home@unversioned");
    /* enough is enough, also when fewer are asked for */
    expect("\"n\": 1", "full: b");
    assert_null(fixture.decision.fallback);
    expect_why_not("\"n\": 4, \"why_not\": \"c\"", "filter", "more", 0);
    assert_string_equal(fixture.decision.why_not->rule, "filter: 1");
    /* nothing of its own at all */
    expect("\"n\": 2, \"exclude\": [\"b\"]", "full: a d");
    assert_string_equal(fixture.decision.fallback, "more");
    /* nothing anywhere */
    expect("\"n\": 2, \"exclude\": [\"a\", \"b\", \"d\"]", "generic/no_model: e g");
    assert_null(fixture.decision.fallback);
}

/* Of both policies: what the first one's sources had is told where it had something. */
static void why_not_is_told_by_the_policy_that_decided(void **state)
{
    (void)state;
    serve_fallback(", \"fallback\": {\"slot\": \"more\", \"fewer_than\": 3}");
    expect_why_not("\"n\": 4, \"why_not\": \"b\"", "shown", NULL, 1);
    assert_string_equal(fixture.decision.why_not->why[0].source, "list: short");
    expect_why_not("\"n\": 4, \"why_not\": \"a\"", "shown", NULL, 1);
    assert_string_equal(fixture.decision.why_not->why[0].source, "list: long");
    expect_why_not("\"n\": 2, \"why_not\": \"d\"", "below", "more", 1);
    assert_int_equal(fixture.decision.why_not->place, 3);
    expect_why_not("\"n\": 3, \"why_not\": \"f\"", "stock", NULL, 1);
    expect_why_not("\"n\": 4, \"why_not\": \"e\"", "no_source", "more", 0);
    expect_why_not("\"n\": 4, \"exclude\": [\"e\"], \"why_not\": \"e\"", "excluded", NULL, 0);
    /* with nothing anywhere the level decides */
    expect_why_not("\"n\": 1, \"exclude\": [\"a\", \"b\", \"d\"], \"why_not\": \"c\"", "level",
                   NULL, 0);
}

/* Scores of the other policy are shown with no more than the first one's last; what was needed is
 * what its last item had.  What the first policy hides and the other one shows is shown. */
static void why_not_compares_scores_of_one_policy(void **state)
{
    (void)state;
    fixture_serve(
        &fixture,
        "{\"lists\": {\"short\": [\"b\"], \"long\": [\"c\", \"a\", \"d\"]}, \"slots\": {"
        "\"home\": {\"filters\": [\"item.id != 'a'\", \"item.id != 'd'\"], \"sources\": "
        "[{\"source\": "
        "\"list\", \"list\": \"short\", \"weight\": 0.01}], \"fallback\": {\"slot\": \"more\", "
        "\"fewer_than\": 3}}, \"more\": {\"sources\": [{\"source\": \"list\", \"list\": "
        "\"long\"}]}}}");
    expect("\"n\": 3", "full: b c a");
    expect_why_not("\"n\": 3, \"why_not\": \"a\"", "shown", NULL, 1);
    expect_why_not("\"n\": 3, \"why_not\": \"d\"", "filter", NULL, 0);
    expect_why_not("\"n\": 2, \"why_not\": \"c\"", "shown", NULL, 1);
    fixture_serve(
        &fixture,
        "{\"lists\": {\"short\": [\"b\"], \"long\": [\"c\", \"a\", \"d\", \"b\"]}, \"slots\": {"
        "\"home\": {\"sources\": [{\"source\": \"list\", \"list\": \"short\", \"weight\": 0.01}], "
        "\"fallback\": {\"slot\": \"more\", \"fewer_than\": 2}}, \"more\": {"
        "\"sources\": [{\"source\": "
        "\"list\", \"list\": \"long\"}]}}}");
    expect_why_not("\"n\": 2, \"why_not\": \"a\"", "below", "more", 1);
    assert_true(fabsf(fixture.decision.why_not->score - 0.75f) < 1e-6f);
    assert_true(fabsf(fixture.decision.why_not->needed - 1.0f) < 1e-6f);
}

/* A logged answer names one ranker, so that what another one saw is not told of its items. */
static void features_are_those_of_the_ranker_that_is_named(void **state)
{
    (void)state;
    static const double weights[] = {1, 0.001, 0};
    fixture_add_model(&fixture, small_linear("few", "1", "item.price", weights, 0));
    fixture_add_model(&fixture,
                      small_linear("many", "1", "item.stock item.price blend.score", weights, 0));
    fixture.keep_features = true;
    fixture_serve(&fixture,
                  "{\"lists\": {\"short\": [\"b\"], \"long\": [\"c\", \"a\"]}, \"slots\": {"
                  "\"home\": {\"ranker\": \"few\", \"sources\": [{\"source\": \"list\", "
                  "\"list\": \"short\"}], \"fallback\": {\"slot\": \"more\", \"fewer_than\": 2}},"
                  "\"more\": {\"ranker\": \"many\", \"sources\": [{\"source\": \"list\", "
                  "\"list\": \"long\"}]}}}");
    expect("\"n\": 2", "full: b a");
    assert_string_equal(fixture.decision.fallback, "more");
    assert_string_equal(fixture.decision.ranker->name, "few");
    assert_true(fixture.decision.items[0].features[0] == 2000);
    assert_null(fixture.decision.items[1].features);
    expect("\"n\": 1, \"exclude\": [\"b\"]", "full: a");
    assert_string_equal(fixture.decision.ranker->name, "many");
    assert_true(fixture.decision.items[0].features[1] == 1000);
}

static void a_level_may_be_the_fallback(void **state)
{
    (void)state;
    serve_fallback(", \"fallback\": {\"level\": \"generic\", \"fewer_than\": 3}");
    expect("\"n\": 4", "generic/no_candidates: e d g c");
    serve_fallback(", \"fallback\": {\"level\": \"static\"}");
    expect("\"n\": 3", "full: b e g");
    expect("\"n\": 2, \"exclude\": [\"b\"]", "static/no_candidates: s1 s2");
}

/* ---- what was seen --------------------------------------------------------------------------- */

static const char features[] = "{\"features\": {\"user_item.since_shown_s\": {\"kind\": \"since\", "
                               "\"events\": [\"impression\"]}}}";

static void define(void)
{
    struct err err;
    struct definitions *definitions = NULL;
    uint32_t new_count = 0;
    if (definitions_parse("features.json", features, sizeof features - 1, &definitions, &err) !=
            ERR_OK ||
        feature_rig_redefine(fixture.store, &definitions, &new_count, &err) != ERR_OK)
        fail_msg("%s", err.text);
}

static void what_was_shown_is_not_shown_again_at_once(void **state)
{
    (void)state;
    define();
    fixture_serve(&fixture,
                  "{\"lists\": {\"all\": [\"a\", \"b\", \"c\", \"d\"]}, \"slots\": {\"home\": {"
                  "\"seen\": {\"within\": \"2h\", \"since\": \"user_item.since_shown_s\"},"
                  "\"sources\": [{\"source\": \"list\", \"list\": \"all\"}]}}}");
    expect("\"user\": \"u\", \"n\": 2", "full: a b");
    fixture_act(&fixture, "impression", "u", "a", FIXTURE_NOW_MS - 7200 * 1000 + 1000);
    fixture_act(&fixture, "impression", "u", "b", FIXTURE_NOW_MS - 7200 * 1000);
    fixture_act(&fixture, "impression", "other", "c", FIXTURE_NOW_MS);
    expect("\"user\": \"u\", \"n\": 2", "full: b c");
    expect("\"user\": \"other\", \"n\": 3", "full: a b d");
    expect("\"n\": 2", "full: a b");
    expect("\"user\": \"u\", \"n\": 2, \"why_not\": \"a\"", "full: b c");
    assert_string_equal(fixture.decision.why_not->stage, "seen");
    /* neither does it come back as what is popular */
    fixture_act(&fixture, "impression", "u", "e", FIXTURE_NOW_MS);
    fixture_act(&fixture, "impression", "u", "g", FIXTURE_NOW_MS);
    expect("\"user\": \"u\", \"n\": 6", "full: b c d");
}

/* ---- budgets --------------------------------------------------------------------------------- */

static uint32_t *costs(void)
{
    uint32_t *cost = fixture.worker->costs.ns[COST_OP_RECOMMEND][0];
    memset(cost, 0, sizeof fixture.worker->costs.ns[0][0]);
    return cost;
}

static void load_models(void)
{
    static const float weight[16] = {0, 1, 0.5f, 0.2f};
    static const float vectors[4] = {1, 0.1f, 0.3f, 0.9f};
    static const double ranks[] = {-1.0};
    const struct small_factors taste = {.users = "u",
                                        .user_factors = vectors,
                                        .items = "a b c d",
                                        .item_factors = vectors,
                                        .dim = 1,
                                        .regularization = 0.01,
                                        .trained_at = "2023-11-14T00:00:00Z"};
    fixture_add_model(&fixture, small_neighbors("near", "1", "a b c d", weight));
    fixture_add_model(&fixture, small_factors("taste", "1", &taste));
    fixture_add_model(&fixture, small_linear("rank", "1", "source.neighbors", ranks, 0));
    fixture_act(&fixture, "purchase", "u", "a", FIXTURE_NOW_MS - INT64_C(172800000));
    fixture_serve(
        &fixture,
        "{\"slots\": {\"home\": {\"ranker\": \"rank\", \"diversity\": {\"mmr\": {\"lambda\": 0.9}},"
        "\"budget_us\": {\"sources\": 100, \"factors\": 100, \"ranker\": 100, \"mmr\": 100},"
        "\"sources\": [{\"source\": \"neighbors\"}, {\"source\": \"factors\", \"weight\": 2}]}}}");
}

static bool left_out(enum left_out stage)
{
    return fixture.decision.left_out == 1u << stage;
}

static void a_stage_that_takes_too_long_is_left_out_or_cut_down(void **state)
{
    (void)state;
    load_models();
    uint32_t *cost = costs();
    expect("\"user\": \"u\", \"n\": 2", "full: d c"); /* the ranker turns the order of neighbors */
    assert_int_equal(fixture.decision.left_out, 0);
    /* at its budget a stage is there, and just beyond it is not */
    cost = costs();
    cost[COST_FACTORS] = 60000;
    cost[COST_CHOOSE_REDUCED] = 500000;
    cost[COST_CHOOSE_FULL] = 540000;
    expect("\"user\": \"u\", \"n\": 2", "full: d c");
    cost = costs();
    cost[COST_FACTORS] = 60001;
    cost[COST_CHOOSE_REDUCED] = 500000;
    cost[COST_CHOOSE_FULL] = 540000;
    expect("\"user\": \"u\", \"n\": 2", "reduced/budget: d c");
    assert_true(left_out(LEFT_OUT_factors));
    /* three candidates at 40 us: two of them, the best by blend, are ranked */
    cost = costs();
    cost[COST_RANK_ITEM] = 40000000;
    expect("\"user\": \"u\", \"n\": 2", "reduced/budget: d b");
    assert_true(left_out(LEFT_OUT_ranker));
    cost = costs();
    cost[COST_RANK_ITEM] = 60000000; /* not even as many as are asked for */
    expect("\"user\": \"u\", \"n\": 2", "reduced/budget: d b");
    assert_true(left_out(LEFT_OUT_ranker));
    cost = costs();
    cost[COST_MMR_ITEM] = 60000000;
    expect("\"user\": \"u\", \"n\": 2", "reduced/budget: d c");
    assert_true(left_out(LEFT_OUT_mmr));
    cost = costs();
    cost[COST_MMR_ITEM] = 33333333;
    expect("\"user\": \"u\", \"n\": 2", "full: d c");
}

static void long_histories_speak_less_when_sources_take_too_long(void **state)
{
    (void)state;
    load_models();
    for (int i = 0; i < 20; i++) {
        char id[16];
        snprintf(id, sizeof id, "h%d", i);
        fixture_act(&fixture, "view", "u", id, FIXTURE_NOW_MS - i);
    }
    uint32_t *cost = costs();
    cost[COST_NEIGHBORS] = 100000;
    expect("\"user\": \"u\", \"n\": 1", "full: d");
    cost = costs();
    cost[COST_NEIGHBORS] = 200000; /* the purchase of a is too long ago now */
    (void)fixture_ask(&fixture, "{\"op\": \"recommend\", \"user\": \"u\", \"n\": 1}");
    assert_true(left_out(LEFT_OUT_sources));
    assert_int_equal(fixture.decision.level, LEVEL_reduced);
    assert_int_equal(fixture.decision.reason, REASON_budget);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(another_slot_helps_out),
        TEST(why_not_is_told_by_the_policy_that_decided),
        TEST(why_not_compares_scores_of_one_policy),
        TEST(features_are_those_of_the_ranker_that_is_named),
        TEST(a_level_may_be_the_fallback),
        TEST(what_was_shown_is_not_shown_again_at_once),
        TEST(a_stage_that_takes_too_long_is_left_out_or_cut_down),
        TEST(long_histories_speak_less_when_sources_take_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
