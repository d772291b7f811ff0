/* SPDX-License-Identifier: Apache-2.0 */
/* In which order candidates are shown: quotas, marginal relevance, freshness. */
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

#include "base/rand.h"
#include "tests/support/decide_fixture.h"
#include "tests/support/small_models.h"

#define DAY_MS INT64_C(86400000)

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

static void serve(const char *more, const char *sources)
{
    char policies[2000];
    snprintf(policies, sizeof policies,
             "{\"lists\": {\"one\": [\"a\", \"b\", \"c\", \"d\"], \"two\": [\"e\", \"g\", \"a\"], "
             "\"three\": [\"g\", \"e\", \"d\"], \"none\": []},"
             "\"slots\": {\"home\": {%s \"sources\": [%s]}}}",
             more, sources);
    fixture_serve(&fixture, policies);
}

static void expect(const char *request, const char *line)
{
    char json[500];
    snprintf(json, sizeof json, "{\"op\": \"recommend\", %s}", request);
    assert_string_equal(fixture_ask(&fixture, json), line);
}

#define ONE "{\"source\": \"list\", \"list\": \"one\""
#define TWO "{\"source\": \"list\", \"list\": \"two\""

/* ---- quotas ---------------------------------------------------------------------------------- */

static void a_source_may_have_so_many_items_at_most(void **state)
{
    (void)state;
    serve("", ONE "}, " TWO ", \"weight\": 0.2}");
    expect("\"n\": 4", "full: a b c d"); /* 1.07 0.75 0.5 0.25, then e 0.2, g 0.13 */
    serve("", ONE ", \"at_most\": 2}, " TWO ", \"weight\": 0.2}");
    expect("\"n\": 4", "full: a b e g");
    assert_string_equal(
        fixture_decide(&fixture, "{\"op\": \"recommend\", \"n\": 4, \"why_not\": \"c\"}")
            ->why_not->stage,
        "quota");
    assert_string_equal(fixture.decision.why_not->rule, "list: one");
    /* the popular ones that fill up are of no source */
    expect("\"n\": 6", "full: a b e g d c");
}

static void a_source_has_so_many_items_at_least(void **state)
{
    (void)state;
    serve("", ONE "}, " TWO ", \"weight\": 0.2, \"at_least\": 1}");
    expect("\"n\": 4, \"explain\": true", "full: a b c e");
    const struct decision_item *item = fixture_item(&fixture, "e");
    assert_string_equal(item->why[item->why_count - 1].source, "at_least");
    /* a source without weight has its places all the same, and no others */
    serve("", ONE "}, " TWO ", \"weight\": 0, \"at_least\": 2}");
    expect("\"n\": 4", "full: a b e g");
    expect("\"n\": 6", "full: a b c d e g");
    /* with more than it has, with none at all, and with more than there is room for */
    serve("", ONE "}, " TWO ", \"weight\": 0, \"at_least\": 200}");
    expect("\"n\": 3", "full: a e g"); /* a is of the other list */
    serve("", ONE "}, {\"source\": \"list\", \"list\": \"none\", \"at_least\": 3}");
    expect("\"n\": 3", "full: a b c");
    serve("", ONE ", \"at_least\": 3}, " TWO ", \"at_least\": 3}");
    expect("\"n\": 4, \"exclude\": [\"d\"]", "full: a e b g"); /* not all of it can be: by score */
    expect("\"n\": 1", "full: a");
}

/* An editor's list that has places and no weight is shown in its own order, not by number. */
static void a_source_without_weight_keeps_its_order(void **state)
{
    (void)state;
    const char *three = ONE ", \"count\": 3}, {\"source\": \"list\", \"list\": \"three\", "
                            "\"weight\": 0, \"at_least\": 3}";
    serve("", three);
    expect("\"n\": 6", "full: a b c g e d");
    expect("\"n\": 2", "full: g e");
    expect("\"n\": 1", "full: g");
    const struct decision_why_not *why_not =
        fixture_decide(&fixture, "{\"op\": \"recommend\", \"n\": 2, \"why_not\": \"d\"}")->why_not;
    assert_string_equal(why_not->stage, "below");
    assert_int_equal(why_not->place, 6);
    /* a boost tells them apart; among equal scores they stand behind what has weight */
    serve("\"boosts\": [{\"when\": \"item.id == 'd'\", \"add\": 0.6}],", three);
    expect("\"n\": 6", "full: a b d c g e");
    serve("\"boosts\": [{\"when\": \"item.id == 'c'\", \"add\": -0.5}],", three);
    expect("\"n\": 6", "full: a b c g e d");
}

static void quotas_give_way_where_limits_leave_no_choice(void **state)
{
    (void)state;
    /* both of the second list are hats or without a category; only one hat may be shown */
    serve("\"diversity\": {\"per_category\": 1},",
          ONE "}, " TWO ", \"weight\": 0.1, \"at_least\": 3}");
    expect("\"n\": 3", "full: a e g");
    serve("\"pins\": [{\"item\": \"d\", \"place\": 1}], \"diversity\": {\"per_category\": 1},",
          ONE "}, " TWO ", \"weight\": 0.1, \"at_least\": 3}");
    expect("\"n\": 3", "full: d a g"); /* the pin is a hat already */
}

static void popular_items_have_quotas_too(void **state)
{
    (void)state;
    serve("", ONE "}, {\"source\": \"popular\", \"weight\": 0.001, \"at_least\": 2}");
    expect("\"n\": 4", "full: a b e g");
    serve("", ONE ", \"weight\": 0.6}, {\"source\": \"popular\"}");
    expect("\"n\": 3", "full: e d a");
    serve("", ONE ", \"weight\": 0.6}, {\"source\": \"popular\", \"at_most\": 1}");
    expect("\"n\": 3", "full: e a b");
}

/* ---- marginal relevance ---------------------------------------------------------------------- */

static void mmr_looks_for_what_is_not_there_yet(void **state)
{
    (void)state;
    serve("\"diversity\": {\"mmr\": {\"lambda\": 0.5}},", ONE "}, " TWO ", \"weight\": 0.1}");
    /* a is the best; b and c are shoes as well, d is of the same brand, e and g have nothing of it
     */
    expect("\"n\": 4, \"explain\": true", "full: a e g b");
    const struct decision_item *item = fixture_item(&fixture, "b");
    assert_string_equal(item->why[item->why_count - 1].source, "mmr");
    assert_true(item->why[item->why_count - 1].value == -0.5f);
    serve("\"diversity\": {\"mmr\": {\"lambda\": 1}},", ONE "}, " TWO ", \"weight\": 0.1}");
    expect("\"n\": 4", "full: a b c d");
    serve("\"diversity\": {\"mmr\": {\"lambda\": 0.0, \"depth\": 2}},", ONE "}");
    expect("\"n\": 4", "full: a b c d"); /* two take part: nothing to choose after the first */
    serve("\"diversity\": {\"mmr\": {\"lambda\": 0.0}},", ONE "}, " TWO ", \"weight\": 0.1}");
    assert_string_equal(
        fixture_decide(&fixture, "{\"op\": \"recommend\", \"n\": 2, \"why_not\": \"b\"}")
            ->why_not->stage,
        "diversity");
    assert_string_equal(fixture.decision.why_not->rule, "mmr");
}

enum { ITEMS = 40, DIM = 4, WANTED = 10 };

static float vectors[ITEMS * DIM];

static double cosine(uint32_t a, uint32_t b)
{
    double ab = 0, aa = 0, bb = 0;
    for (uint32_t k = 0; k < DIM; k++) {
        ab += (double)vectors[a * DIM + k] * vectors[b * DIM + k];
        aa += (double)vectors[a * DIM + k] * vectors[a * DIM + k];
        bb += (double)vectors[b * DIM + k] * vectors[b * DIM + k];
    }
    double value = ab / sqrt(aa * bb);
    return value > 0 ? value : 0;
}

/* The definition, word for word. */
static uint32_t best_by_definition(const double relevance[ITEMS], const bool taken[ITEMS],
                                   double lambda)
{
    uint32_t best = ITEMS;
    double most = -INFINITY;
    for (uint32_t i = 0; i < ITEMS; i++) {
        double likeness = 0;
        for (uint32_t j = 0; j < ITEMS; j++)
            likeness = taken[j] && cosine(i, j) > likeness ? cosine(i, j) : likeness;
        double worth = lambda * relevance[i] - (1 - lambda) * likeness;
        if (!taken[i] && (worth > most || (worth == most && relevance[i] > relevance[best]))) {
            best = i;
            most = worth;
        }
    }
    return best;
}

static void mmr_is_as_it_is_defined(void **state)
{
    (void)state;
    struct rand rand;
    char names[ITEMS * 5], request[4000];
    size_t used = 0;
    rand_init(&rand, 11);
    for (uint32_t i = 0; i < ITEMS; i++)
        used += (size_t)snprintf(names + used, 5, i == 0 ? "x%u" : " x%u", i);
    for (uint32_t i = 0; i < ITEMS * DIM; i++)
        vectors[i] = (float)rand_normal(&rand);
    const float user[DIM] = {0.5f};
    const struct small_factors taste = {.users = "u",
                                        .user_factors = user,
                                        .items = names,
                                        .item_factors = vectors,
                                        .dim = DIM,
                                        .regularization = 0.01,
                                        .trained_at = "2023-11-01T00:00:00Z"};
    fixture_add_model(&fixture, small_factors("taste", "1", &taste));
    for (int step = 0; step <= 4; step++) {
        double lambda = step / 4.0, relevance[ITEMS], most = 0, least = INFINITY;
        bool taken[ITEMS] = {false};
        char more[200];
        used = (size_t)snprintf(request, sizeof request,
                                "{\"op\": \"recommend\", \"n\": %d, \"candidates\": [", WANTED);
        for (uint32_t i = 0; i < ITEMS; i++) {
            relevance[i] = (double)(float)rand_unit(&rand) + 0.5;
            most = relevance[i] > most ? relevance[i] : most;
            least = relevance[i] < least ? relevance[i] : least;
            used += (size_t)snprintf(request + used, sizeof request - used,
                                     "%s{\"id\": \"x%u\", \"score\": %.9g}", i == 0 ? "" : ", ", i,
                                     relevance[i]);
        }
        snprintf(request + used, sizeof request - used, "]}");
        for (uint32_t i = 0; i < ITEMS; i++)
            relevance[i] = (relevance[i] - least) / (most - least);
        snprintf(more, sizeof more,
                 "\"diversity\": {\"mmr\": {\"lambda\": %g, \"by\": \"factors\"}},", lambda);
        serve(more, "{\"source\": \"candidates\"}, {\"source\": \"factors\", \"weight\": 0}");
        const struct decision *decision = fixture_decide(&fixture, request);
        assert_int_equal(decision->level, LEVEL_full);
        assert_int_equal(decision->count, WANTED);
        for (uint32_t i = 0; i < WANTED; i++) {
            uint32_t best = best_by_definition(relevance, taken, lambda);
            char id[8];
            snprintf(id, sizeof id, "x%u", best);
            if (!text_is(decision->items[i].id, id))
                fail_msg("lambda %g, place %u: expected %s, got %.*s", lambda, i, id,
                         (int)decision->items[i].id.len, decision->items[i].id.ptr);
            taken[best] = true;
        }
    }
}

static void likeness_may_be_that_of_the_catalogue(void **state)
{
    (void)state;
    fixture_event(&fixture, "{\"type\": \"item_upsert\", \"items\": ["
                            "{\"id\": \"a\", \"title\": \"red running shoe\"},"
                            "{\"id\": \"b\", \"title\": \"red running shoe\"},"
                            "{\"id\": \"c\", \"title\": \"winter boot\"}]}");
    serve("\"diversity\": {\"mmr\": {\"lambda\": 0.5, \"by\": \"content\"}},", ONE "}");
    expect("\"n\": 2", "full: a c");
    serve("\"diversity\": {\"mmr\": {\"lambda\": 0.9, \"by\": \"content\"}},", ONE "}");
    expect("\"n\": 2", "full: a b");
}

/* ---- freshness ------------------------------------------------------------------------------- */

static void what_is_new_is_worth_more(void **state)
{
    (void)state;
    char json[200];
    snprintf(json, sizeof json,
             "{\"type\": \"item_upsert\", \"ts\": %lld, \"items\": [{\"id\": \"g\"}]}",
             (long long)(FIXTURE_NOW_MS - 7 * DAY_MS));
    fixture_event(&fixture, json);
    fixture_act(&fixture, "view", "crowd", "b", FIXTURE_NOW_MS);
    serve("\"freshness\": {\"boost\": 1, \"half_life\": \"7d\"},", TWO "}");
    expect("\"n\": 2, \"explain\": true", "full: e g");
    const struct decision_item *g = fixture_item(&fixture, "g");
    /* 2/3 of the list; a week old it has half of the boost */
    assert_true(fabsf(g->score - 2.0f / 3 * 1.5f) < 1e-4f);
    assert_string_equal(g->why[1].source, "freshness");
    assert_true(fabsf(g->why[1].value - 1.0f / 3) < 1e-4f);
    assert_true(fabsf(fixture_item(&fixture, "e")->score - 2.0f) < 1e-3f);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_source_may_have_so_many_items_at_most),
        TEST(a_source_has_so_many_items_at_least),
        TEST(a_source_without_weight_keeps_its_order),
        TEST(quotas_give_way_where_limits_leave_no_choice),
        TEST(popular_items_have_quotas_too),
        TEST(mmr_looks_for_what_is_not_there_yet),
        TEST(mmr_is_as_it_is_defined),
        TEST(likeness_may_be_that_of_the_catalogue),
        TEST(what_is_new_is_worth_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
