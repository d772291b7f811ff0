/* SPDX-License-Identifier: Apache-2.0 */
/* Sources that have nothing, rules that contradict each other, items that change between two
 * requests, stages without time: there is an answer, and it says what it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "tests/support/decide_fixture.h"
#include "tests/support/small_models.h"

static struct fixture fixture;

static int set_up(void **state)
{
    (void)state;
    fixture_init(&fixture);
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

static const char *const kinds[] = {"neighbors", "factors",    "repeat",       "popular",
                                    "cart",      "candidates", "trending",     "new",
                                    "content",   "list",       "model_popular"};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

/* Each source alone, or all of them. */
static void serve_kinds(uint32_t first, uint32_t end, const char *more)
{
    char policies[3000];
    size_t used = (size_t)snprintf(policies, sizeof policies,
                                   "{\"lists\": {\"l\": [\"a\", \"b\"]}, \"slots\": {\"home\": {%s "
                                   "\"bought\": \"allow\", \"sources\": [",
                                   more);
    for (uint32_t i = first; i < end; i++)
        used += (size_t)snprintf(policies + used, sizeof policies - used,
                                 "%s{\"source\": \"%s\"%s}", i > first ? ", " : "", kinds[i],
                                 strcmp(kinds[i], "list") == 0 ? ", \"list\": \"l\"" : "");
    snprintf(policies + used, sizeof policies - used, "]}}}");
    fixture_serve(&fixture, policies);
}

static void load_models(void)
{
    static const float weight[36] = {0, 1, 0.5f, 0, 0, 0, 1, 0, 0.5f};
    static const float vectors[6] = {1, 0.9f, 0.8f, 0.7f, 0.6f, 0.5f},
                       scores[6] = {6, 5, 4, 3, 2, 1};
    static const double ranks[] = {1.0};
    const struct small_factors taste = {.users = "u",
                                        .user_factors = vectors,
                                        .items = "a b c d e f",
                                        .item_factors = vectors,
                                        .dim = 1,
                                        .regularization = 0.01,
                                        .trained_at = "2023-11-14T00:00:00Z"};
    fixture_add_model(&fixture, small_neighbors("near", "1", "a b c d e f", weight));
    fixture_add_model(&fixture, small_factors("taste", "1", &taste));
    fixture_add_model(&fixture, small_popularity("pop", "1", "a b c d e f", scores));
    fixture_add_model(&fixture, small_linear("rank", "1", "blend.score", ranks, 0));
}

/* ---- nothing, and the same from all ---------------------------------------------------------- */

static void an_empty_store_has_the_static_list(void **state)
{
    (void)state;
    serve_kinds(0, KINDS, "");
    expect(
        "\"user\": \"u\", \"n\": 2, \"cart\": [\"x\"], \"candidates\": [\"y\"], \"seeds\": [\"z\"]",
        "static/no_model: s1 s2");
    for (uint32_t i = 0; i < KINDS; i++) {
        serve_kinds(i, i + 1, "");
        (void)fixture_ask(&fixture, "{\"op\": \"recommend\", \"user\": \"u\", \"n\": 2}");
        assert_int_equal(fixture.decision.level, LEVEL_static);
        assert_int_equal(fixture.decision.count, 2);
    }
}

static void each_source_answers_alone(void **state)
{
    (void)state;
    fixture_load_shop(&fixture);
    load_models();
    fixture_event(
        &fixture,
        "{\"type\": \"item_upsert\", \"items\": [{\"id\": \"a\", \"title\": \"red shoe\"},"
        "{\"id\": \"b\", \"title\": \"red shoe\"}]}");
    fixture_act(&fixture, "purchase", "u", "a", FIXTURE_NOW_MS - INT64_C(172800000));
    for (uint32_t i = 0; i < KINDS; i++) {
        serve_kinds(i, i + 1, "");
        const struct decision *decision = fixture_decide(
            &fixture, "{\"op\": \"recommend\", \"user\": \"u\", \"n\": 3, \"explain\": true, "
                      "\"cart\": [\"b\"], \"candidates\": [\"c\", \"d\"]}");
        if (decision->level != LEVEL_full)
            fail_msg("%s: %s", kinds[i], reason_name(decision->reason));
        assert_int_equal(decision->count, 3);
        const char *source = decision->items[0].why[0].source;
        if (strncmp(source, kinds[i], strlen(kinds[i])) != 0)
            fail_msg("%s: %s", kinds[i], source);
    }
}

/* All sources bring the same item: it is there once, with the sum of them. */
static void what_all_bring_is_there_once(void **state)
{
    (void)state;
    fixture_load_shop(&fixture);
    load_models();
    fixture_act(&fixture, "purchase", "u", "a", FIXTURE_NOW_MS - INT64_C(172800000));
    serve_kinds(0, KINDS, "");
    const struct decision *decision = fixture_decide(
        &fixture, "{\"op\": \"recommend\", \"user\": \"u\", \"n\": 200, \"explain\": true, "
                  "\"cart\": [\"d\"], \"candidates\": [\"b\", \"b\", \"b\"]}");
    assert_int_equal(decision->level, LEVEL_full);
    for (uint32_t i = 0; i < decision->count; i++) {
        for (uint32_t j = 0; j < i; j++)
            assert_false(text_equal(decision->items[i].id, decision->items[j].id));
    }
    const struct decision_item *b = fixture_item(&fixture, "b");
    float sum = 0;
    for (uint32_t k = 0; k < b->why_count; k++)
        sum += b->why[k].value;
    assert_true(b->why_count >= 6);
    assert_true(sum - b->score < 1e-4f && b->score - sum < 1e-4f);
}

/* ---- contradictions -------------------------------------------------------------------------- */

static void rules_that_contradict_have_an_order(void **state)
{
    (void)state;
    fixture_load_shop(&fixture);
    load_models();
    static const struct {
        const char *rules, *request, *line;
    } cases[] = {
        /* a filter hides what a pin wants, and all that there is */
        {"\"filters\": [\"item.id != 'a'\"], \"pins\": [{\"item\": \"a\", \"place\": 1}],",
         "\"n\": 2", "full: b e"},
        {"\"filters\": [\"false\"], \"pins\": [{\"item\": \"a\", \"place\": 1}],", "\"n\": 2",
         "static/no_candidates:"},
        /* the request excludes what the policy pins, and filters for what the policy hides */
        {"\"pins\": [{\"item\": \"a\", \"place\": 1}],", "\"n\": 2, \"exclude\": [\"a\"]",
         "full: b e"},
        {"\"filters\": [\"item.category == 'hats'\"],",
         "\"n\": 2, \"filters\": {\"categories\": [\"shoes\"]}", "static/no_candidates:"},
        {"", "\"n\": 2, \"filters\": {\"min_price\": 3000, \"max_price\": 2000}",
         "static/no_candidates:"},
        /* two pins at one place, and one beyond the answer */
        {"\"pins\": [{\"item\": \"d\", \"place\": 1}, {\"item\": \"e\", \"place\": 1}, {\"item\": "
         "\"c\", \"place\": "
         "9}],",
         "\"n\": 3", "full: d e a"},
        /* one of each category, and all of one */
        {"\"diversity\": {\"per_category\": 1}, \"filters\": [\"item.category == 'shoes'\"],",
         "\"n\": 3", "full: a"},
        /* more must be in stock than there is of anything that says so */
        {"\"min_stock\": 1000,", "\"n\": 2", "full: b e"},
        /* a boost and its opposite */
        {"\"boosts\": [{\"when\": \"item.id == 'b'\", \"multiply\": 4}, {\"when\": \"item.id == "
         "'b'\", \"multiply\": "
         "0.25}],",
         "\"n\": 2", "full: a b"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char policies[1000];
        snprintf(policies, sizeof policies,
                 "{\"lists\": {\"l\": [\"a\", \"b\"]}, \"slots\": {\"home\": {%s \"sources\": "
                 "[{\"source\": "
                 "\"list\", \"list\": \"l\"}]}}}",
                 cases[i].rules);
        fixture_serve(&fixture, policies);
        expect(cases[i].request, cases[i].line);
    }
}

/* ---- narrow filters -------------------------------------------------------------------------- */

enum { MANY = 900 };

/* What passes the filter is there, however far down the lists it stands: as many as exist, and as a
 * scan of all says. */
static void a_narrow_filter_finds_all_that_pass(void **state)
{
    (void)state;
    static char policies[16000];
    struct rand rand;
    bool narrow[MANY];
    rand_init(&rand, 21);
    size_t used = (size_t)snprintf(policies, sizeof policies, "{\"lists\": {\"l\": [");
    for (uint32_t i = 0; i < MANY; i++) {
        char json[200];
        narrow[i] = rand_below(&rand, 60) == 0;
        snprintf(json, sizeof json,
                 "{\"type\": \"item_upsert\", \"items\": [{\"id\": \"m%u\", \"category\": \"%s\", "
                 "\"price\": %u}]}",
                 i, narrow[i] ? "rare" : "common", i);
        fixture_event(&fixture, json);
        used += (size_t)snprintf(policies + used, sizeof policies - used, "%s\"m%u\"",
                                 i > 0 ? "," : "", i);
    }
    snprintf(policies + used, sizeof policies - used,
             "]}, \"slots\": {\"home\": {\"sources\": [{\"source\": \"list\", \"list\": \"l\", "
             "\"count\": 100},"
             "{\"source\": \"new\", \"weight\": 0.01, \"count\": 50}]},"
             "\"odd\": {\"filters\": [\"item.price %% 2 == 1\"], \"sources\": [{\"source\": "
             "\"list\", \"list\": \"l\","
             "\"count\": 100}]}}}");
    fixture_act(&fixture, "view", "crowd", "m0", FIXTURE_NOW_MS);
    fixture_serve(&fixture, policies);
    static const char *const slots[] = {"home", "odd"};
    for (uint32_t s = 0; s < 2; s++) {
        char request[200];
        snprintf(request, sizeof request,
                 "{\"op\": \"recommend\", \"slot\": \"%s\", \"n\": 200, \"filters\": "
                 "{\"categories\": [\"rare\"]}}",
                 slots[s]);
        const struct decision *decision = fixture_decide(&fixture, request);
        assert_int_equal(decision->level, LEVEL_full);
        uint32_t at = 0;
        for (uint32_t i = 0; i < MANY; i++) {
            char id[16];
            snprintf(id, sizeof id, "m%u", i);
            if (!narrow[i] || (s == 1 && i % 2 == 0))
                continue;
            assert_true(at < decision->count);
            assert_true(text_is(decision->items[at++].id, id));
        }
        assert_int_equal(decision->count, at);
        assert_true(at > 2);
    }
}

/* ---- between two requests -------------------------------------------------------------------- */

static void an_item_that_changes_is_seen_by_the_next_request(void **state)
{
    (void)state;
    fixture_load_shop(&fixture);
    fixture_serve(&fixture, "{\"lists\": {\"l\": [\"n\", \"f\", \"a\", \"b\"]}, \"slots\": "
                            "{\"home\": {\"catalogue_only\": true,"
                            "\"filters\": [\"item.price < 5500\"], \"sources\": [{\"source\": "
                            "\"list\", \"list\": \"l\"}]}}}");
    struct err err;
    expect("\"n\": 2", "full: a b");
    /* added */
    fixture_event(&fixture,
                  "{\"type\": \"item_upsert\", \"items\": [{\"id\": \"n\", \"price\": 1}]}");
    assert_int_equal(snapshot_refresh_lists(fixture.snapshot, fixture.store, &err), ERR_OK);
    expect("\"n\": 2", "full: n a");
    /* restocked, and still too dear; then not */
    fixture_event(&fixture,
                  "{\"type\": \"item_upsert\", \"items\": [{\"id\": \"f\", \"stock\": 3}]}");
    expect("\"n\": 2", "full: n a");
    fixture_event(&fixture,
                  "{\"type\": \"item_upsert\", \"items\": [{\"id\": \"f\", \"price\": 100}]}");
    expect("\"n\": 2", "full: n f");
    /* delisted, sold out, priced out of the filter */
    fixture_event(&fixture, "{\"type\": \"item_delete\", \"items\": [{\"id\": \"n\"}]}");
    expect("\"n\": 2", "full: f a");
    fixture_event(&fixture,
                  "{\"type\": \"item_upsert\", \"items\": [{\"id\": \"f\", \"stock\": 0}]}");
    expect("\"n\": 2", "full: a b");
    fixture_event(&fixture,
                  "{\"type\": \"item_upsert\", \"items\": [{\"id\": \"a\", \"price\": 9999}]}");
    expect("\"n\": 1", "full: b");
}

static void nobody_and_nothing_known_have_an_answer(void **state)
{
    (void)state;
    fixture_load_shop(&fixture);
    load_models();
    serve_kinds(0, KINDS, "");
    static const char *const requests[] = {
        "{\"op\": \"recommend\", \"user\": \"nobody\", \"n\": 2}",
        "{\"op\": \"recommend\", \"anon\": \"nobody\", \"n\": 2, \"slot\": \"nowhere\"}",
        ("{\"op\": \"recommend\", \"n\": 2, \"cart\": [\"nothing\"], \"candidates\": [\"nothing\"],"
         "\"seeds\": [\"nothing\"], \"exclude\": [\"nothing\"], \"why_not\": \"nothing\"}"),
        "{\"op\": \"recommend\", \"n\": 2, \"filters\": {\"categories\": [\"none\", \"shoes\"]}}",
        "{\"op\": \"similar\", \"items\": [\"nothing\"], \"n\": 2}"};
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        (void)fixture_ask(&fixture, requests[i]);
        assert_int_equal(fixture.decision.count, 2);
        assert_int_equal(fixture.decision.level == LEVEL_full,
                         fixture.decision.reason == REASON_none);
    }
}

/* ---- no time --------------------------------------------------------------------------------- */

/* 100 us are left; each stage in its turn would take all of them. */
static void a_deadline_in_each_stage_lowers_the_answer(void **state)
{
    (void)state;
    static const struct {
        enum cost stage;
        const char *line;
        uint32_t left_out;
    } cases[] = {
        {COST_COUNT, "full: b c", 0},
        {COST_NEIGHBORS, "cached/deadline: b c", 0},
        {COST_CHOOSE_REDUCED, "cached/deadline: b c", 0},
        {COST_FACTORS, "reduced/deadline: b c", 1u << LEFT_OUT_factors},
        {COST_CHOOSE_FULL, "reduced/deadline: b c", 1u << LEFT_OUT_factors},
        {COST_RANK, "reduced/deadline: b c", 1u << LEFT_OUT_ranker},
        {COST_FINISH, "cached/deadline: b c", 0},
    };
    fixture_load_shop(&fixture);
    load_models();
    fixture_act(&fixture, "purchase", "u", "a", FIXTURE_NOW_MS - INT64_C(172800000));
    serve_kinds(0, 2, "\"ranker\": \"rank\", \"diversity\": {\"mmr\": {\"lambda\": 0.99}},");
    fixture.deadline_ns = clock_now_ns(&fixture.clock.clock) + 100000;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t *cost = fixture.worker->costs.ns[COST_OP_RECOMMEND][0];
        memset(cost, 0, sizeof fixture.worker->costs.ns[0][0]);
        if (cases[i].stage != COST_COUNT)
            cost[cases[i].stage] = 100000;
        expect("\"user\": \"u\", \"n\": 2, \"exclude\": [\"a\"]", cases[i].line);
        assert_int_equal(fixture.decision.left_out, cases[i].left_out);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(an_empty_store_has_the_static_list),
        TEST(each_source_answers_alone),
        TEST(what_all_bring_is_there_once),
        TEST(rules_that_contradict_have_an_order),
        TEST(a_narrow_filter_finds_all_that_pass),
        TEST(an_item_that_changes_is_seen_by_the_next_request),
        TEST(nobody_and_nothing_known_have_an_answer),
        TEST(a_deadline_in_each_stage_lowers_the_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
