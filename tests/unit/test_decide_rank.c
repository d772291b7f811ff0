/* SPDX-License-Identifier: Apache-2.0 */
/* In which order: the operation rank, and rankers of every kind over the candidates. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/decide_fixture.h"
#include "tests/support/small_models.h"
#include "tests/support/taste_shop.h"

#define RANK(request) fixture_ask(&taste_shop, "{\"op\": \"rank\"," request "}")

#define ASKED                                                                            \
    "\"items\": [{\"id\": \"b\", \"score\": 1}, {\"id\": \"unknown\"}, {\"id\": \"a\", " \
    "\"score\": 3}]"

static void test_rank_without_a_ranker_keeps_the_callers_order(void **state)
{
    (void)state;
    fixture_serve(&taste_shop, SLOT(NEAR, ""));
    assert_string_equal(RANK(ASKED), "full: b unknown a");
    assert_true(taste_shop_score("b") == 1.0f && taste_shop_score("a") == 3.0f);
    assert_string_equal(RANK(ASKED ", \"n\": 2"), "full: b unknown");
    static const char *const floors[LEVEL_COUNT] = {[LEVEL_full] = "full: b unknown a",
                                                    [LEVEL_reduced] = "reduced/mode: b unknown a",
                                                    [LEVEL_cached] = "generic/mode: b unknown a",
                                                    [LEVEL_generic] = "generic/mode: b unknown a",
                                                    [LEVEL_static] = "static/mode: b unknown a"};
    for (uint32_t level = 0; level < LEVEL_COUNT; level++) {
        taste_shop.floor = (enum level)level;
        assert_string_equal(RANK(ASKED), floors[level]);
    }
    taste_shop.floor = LEVEL_full;
    taste_shop.deadline_ns = 1;
    assert_string_equal(RANK(ASKED), "reduced/deadline: b unknown a");
    taste_shop.deadline_ns = 0;
    fixture_serve(&taste_shop, SLOT(NEAR, "\"ranker\": \"absent\","));
    assert_string_equal(RANK(ASKED), "reduced/no_model: b unknown a");
}

/* Serves one ranker with these features. */
static void serve_ranker(const char *version, const char *features, const double *weights)
{
    fixture_add_model(&taste_shop, small_linear("rank", version, features, weights, 10));
    fixture_serve(&taste_shop,
                  SLOT(NEAR "," REPEAT, "\"bought\": \"allow\", \"ranker\": \"rank\","));
}

static void test_rank_orders_by_the_features_of_the_model(void **state)
{
    (void)state;
    static const double weights[] = {1, 0.001, 100, 7, 1000, 20, 1e-6, 0.5};
    fixture_act(&taste_shop, "purchase", "u", "a", FIXTURE_NOW_MS - DAY_MS);
    serve_ranker("1",
                 "caller.score item.price request.boost pair.days user.purchases "
                 "source.neighbors pair.age_s blend.score",
                 weights);
    assert_string_equal(RANK("\"user\": \"u\", \"items\": [{\"id\": \"b\", \"score\": 1},"
                             "{\"id\": \"unknown\", \"score\": 4}, {\"id\": \"a\", \"score\": 3},"
                             "{\"id\": \"c\", \"features\": {\"boost\": 1, \"other\": 9}}]"),
                        "full: c b a unknown");
    double everybody = 10 + 1000;
    assert_near(taste_shop_score("unknown"), everybody + 4);
    assert_near(taste_shop_score("b"), everybody + 1 + 2 + 20 * 0.5 + 0.5 * 0.5);
    assert_near(taste_shop_score("c"), everybody + 3 + 100 + 20 * 0.3 + 0.5 * 0.3);
    double repeat = log(2.0) + exp(-(86400.0 - 60) / 86400 / 60);
    assert_near(taste_shop_score("a"), everybody + 3 + 1 + 7 + 1e-6 * (86400 - 60) + 0.5 * repeat);
    assert_int_equal(taste_shop.decision.model_count, 2);
    assert_string_equal(RANK("\"user\": \"u\", \"n\": 1," ASKED), "full: b");
    /* An item that is asked for twice is answered twice. */
    assert_string_equal(RANK("\"items\": [{\"id\": \"a\"}, {\"id\": \"b\"}, {\"id\": \"a\"}]"),
                        "full: b a a");
}

static void test_rank_asks_every_source_for_every_item(void **state)
{
    (void)state;
    static const double weights[] = {1, 100, 10000, 1e6};
    static const float scores[] = {1, 7};
    fixture_act(&taste_shop, "purchase", "u", "a", FIXTURE_NOW_MS - DAY_MS);
    fixture_add_model(&taste_shop, small_popularity("pop", "2", "a b", scores));
    fixture_add_model(&taste_shop, small_linear("rank", "1",
                                                "source.repeat source.popular source.model_popular "
                                                "blend.score",
                                                weights, 0));
    fixture_serve(&taste_shop, SLOT(REPEAT ", {\"source\": \"model_popular\", \"weight\": 2},"
                                           "{\"source\": \"popular\", \"weight\": 3}",
                                    "\"bought\": \"allow\", \"ranker\": \"rank\","));
    (void)RANK(
        "\"user\": \"u\", \"items\": [{\"id\": \"a\"}, {\"id\": \"b\"}, {\"id\": \"unknown\"}]");
    double repeat = log(2.0) + exp(-(86400.0 - 60) / 86400 / 60);
    double popular_a = log1p(11.0) / log1p(30.0), popular_b = log1p(2.0) / log1p(30.0);
    double model_a = log1p(1.0) / log1p(7.0), model_b = 1;
    assert_near(taste_shop_score("a"), repeat + 100 * popular_a + 1e4 * model_a +
                                           1e6 * (repeat + 2 * model_a + 3 * popular_a));
    assert_near(taste_shop_score("b"),
                100 * popular_b + 1e4 * model_b + 1e6 * (2 * model_b + 3 * popular_b));
    assert_near(taste_shop_score("unknown"), 0);
    assert_int_equal(taste_shop.decision.model_count, 2);
}

static void test_a_ranker_orders_the_candidates(void **state)
{
    (void)state;
    static const double weights[] = {-1, 0.001};
    fixture_act(&taste_shop, "view", "u", "a", FIXTURE_NOW_MS);
    serve_ranker("2", "blend.score item.price", weights);
    assert_string_equal(ASK("\"user\": \"u\", \"n\": 3, \"explain\": true"), "full: d c b");
    assert_near(taste_shop_score("d"), 10 + 4 - 0.3 * 0.1);
    const struct decision_item *d = fixture_item(&taste_shop, "d");
    assert_int_equal(d->why_count, 2);
    assert_string_equal(d->why[1].source, "ranker");
}

/* The price decides between 1 and 2, the caller's score adds 0.5 from 3 on; a hundred items are
 * more than are scored at once. */
static void test_trees_rank_like_any_ranker(void **state)
{
    (void)state;
    static const char text[] =
        "tree\nversion=v4\nnum_class=1\nmax_feature_idx=1\nobjective=regression\n"
        "feature_names=item.price caller.score\n\n"
        "Tree=0\nnum_leaves=2\nsplit_feature=0\nthreshold=2500\ndecision_type=8\n"
        "left_child=-1\nright_child=-2\nleaf_value=1 2\n\n"
        "Tree=1\nnum_leaves=2\nsplit_feature=1\nthreshold=2.5\ndecision_type=10\n"
        "left_child=-1\nright_child=-2\nleaf_value=0 0.5\n\nend of trees\n";
    char request[8192];
    size_t used =
        (size_t)snprintf(request, sizeof request, "{\"op\": \"rank\", \"n\": 100, \"items\": [");
    fixture_add_model(&taste_shop, small_trees("rank", "1", text));
    fixture_serve(&taste_shop, SLOT(NEAR, "\"ranker\": \"rank\","));
    (void)RANK("\"items\": [{\"id\": \"b\", \"score\": 3}, {\"id\": \"c\"},"
               "{\"id\": \"unknown\", \"score\": 1}]");
    assert_near(taste_shop_score("b"), 1.5);
    assert_near(taste_shop_score("c"), 2);
    assert_near(taste_shop_score("unknown"), 2); /* without a price: right, as the tree learned */
    for (int i = 0; i < 100; i++)
        used += (size_t)snprintf(request + used, sizeof request - used,
                                 "%s{\"id\": \"%s%d\", \"score\": %d}", i == 0 ? "" : ",",
                                 i % 7 == 0 ? "far" : "near", i, i % 7 == 0 ? 3 : 2);
    snprintf(request + used, sizeof request - used, "]}");
    const struct decision *decision = fixture_decide(&taste_shop, request);
    assert_int_equal(decision->count, 100);
    for (uint32_t i = 0; i < 100; i++)
        assert_true((decision->items[i].id.ptr[0] == 'f') == (i < 15) &&
                    decision->items[i].score == (i < 15 ? 2.5f : 2.0f));
}

/* |price - 20| + 2 max(0, caller.score - 1), in three hidden units; more items than a block. */
static void test_an_mlp_ranks_like_any_ranker(void **state)
{
    (void)state;
    static const float parameters[] = {1, 0, -1, 0, 0, 1, -2000, 2000, -1, 1, 1, 2, 0};
    char request[8192];
    size_t used =
        (size_t)snprintf(request, sizeof request, "{\"op\": \"rank\", \"n\": 100, \"items\": [");
    fixture_add_model(&taste_shop,
                      small_mlp("rank", "1", "item.price caller.score", 3, parameters));
    fixture_serve(&taste_shop, SLOT(NEAR, "\"ranker\": \"rank\","));
    (void)RANK("\"items\": [{\"id\": \"b\", \"score\": 3}, {\"id\": \"c\"},"
               "{\"id\": \"unknown\", \"score\": 1}]");
    assert_near(taste_shop_score("b"), 4);
    assert_near(taste_shop_score("c"), 1000);
    assert_near(taste_shop_score("unknown"), 2000); /* without a price: 0 */
    for (int i = 0; i < 100; i++)
        used += (size_t)snprintf(request + used, sizeof request - used,
                                 "%s{\"id\": \"x%d\", \"score\": %d}", i == 0 ? "" : ",", i,
                                 i * 37 % 100);
    snprintf(request + used, sizeof request - used, "]}");
    const struct decision *decision = fixture_decide(&taste_shop, request);
    assert_int_equal(decision->count, 100);
    for (uint32_t i = 0; i < 98; i++)
        assert_true(decision->items[i].score == (float)(2000 + 2 * (98 - i)));
}

static void test_a_ranker_with_an_unknown_feature_is_refused(void **state)
{
    (void)state;
    static const double weight[] = {1};
    static const char *const features[] = {"item.colour", "source.popular", "request.", "item."};
    struct err err;
    for (size_t i = 0; i < sizeof features / sizeof features[0]; i++) {
        fixture_add_model(&taste_shop, small_linear("rank", "1", features[i], weight, 0));
        assert_int_equal(fixture_try_serve(&taste_shop, SLOT(NEAR, "\"ranker\": \"rank\","), &err),
                         ERR_BAD_INPUT);
        assert_non_null(strstr(err.text, features[i]));
        model_destroy(&taste_shop.model[--taste_shop.model_count]);
    }
    assert_int_equal(fixture_try_serve(&taste_shop, SLOT(NEAR, "\"ranker\": \"near\","), &err),
                     ERR_BAD_INPUT);
    assert_non_null(strstr(err.text, "expected kind linear, trees, mlp or blend, got neighbors"));
}

static void test_scores_that_no_float_holds_are_cut(void **state)
{
    (void)state;
    static const double weights[] = {1e12, -1e12};
    assert_string_equal(RANK("\"items\": [{\"id\": \"a\", \"score\": 1e300},"
                             "{\"id\": \"b\", \"score\": -1e300}, {\"id\": \"c\", \"score\": 0}]"),
                        "full: a b c");
    assert_true(taste_shop.decision.items[0].score == FLT_MAX);
    assert_true(taste_shop.decision.items[1].score == -FLT_MAX);
    serve_ranker("3", "caller.score request.x", weights);
    assert_string_equal(RANK("\"items\": [{\"id\": \"a\", \"score\": -1e300},"
                             "{\"id\": \"b\", \"score\": 1e300},"
                             "{\"id\": \"c\", \"score\": 1e300, \"features\": {\"x\": 1e300}}]"),
                        "full: b c a");
    for (uint32_t i = 0; i < 3; i++)
        assert_true(isfinite(taste_shop.decision.items[i].score));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, taste_shop_set_up, taste_shop_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_rank_without_a_ranker_keeps_the_callers_order),
        TEST(test_rank_orders_by_the_features_of_the_model),
        TEST(test_rank_asks_every_source_for_every_item),
        TEST(test_a_ranker_orders_the_candidates),
        TEST(test_trees_rank_like_any_ranker),
        TEST(test_an_mlp_ranks_like_any_ranker),
        TEST(test_a_ranker_with_an_unknown_feature_is_refused),
        TEST(test_scores_that_no_float_holds_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
