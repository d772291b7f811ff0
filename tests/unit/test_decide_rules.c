/* SPDX-License-Identifier: Apache-2.0 */
/* What is shown, in which order and at which price: filters, histories, rankers, price rules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/decide_fixture.h"
#include "tests/support/small_models.h"

#define ITEMS   "a b c d e f g"
#define DAY_MS  INT64_C(86400000)
#define BEFORE  (FIXTURE_NOW_MS - 2 * DAY_MS) /* before training */
#define TRAINED "2023-11-14T00:00:00Z"

static struct fixture fixture;

static const float neighbor_weight[49] = {
    /*       a     b     c     d      e     f     g */
    /* a */ 0,    0.5f, 0.3f, 0.1f,  0,    0.9f, 0,
    /* b */ 0.4f, 0,    0,    0,     0.2f, 0,    0,
    /* c */ 0,    0,    0,    0.25f, 0,    0,    0.6f,
    /* d */ 0,    0,    0,    0,     0.7f, 0,    0,
};
static const float item_factors[14] = {1, 0, 0.9f, 0,    0.8f, 0.1f, 0,
                                       1, 0, 0.9f, 0.1f, 0.8f, 0.5f, 0.5f};
static const float user_factors[2] = {0, 1};
static const struct small_factors taste = {.users = "trained",
                                           .user_factors = user_factors,
                                           .items = ITEMS,
                                           .item_factors = item_factors,
                                           .dim = 2,
                                           .regularization = 0.01,
                                           .trained_at = TRAINED};

static int set_up(void **state)
{
    (void)state;
    fixture_init(&fixture);
    fixture_load_shop(&fixture);
    fixture_add_model(&fixture, small_neighbors("near", "1", ITEMS, neighbor_weight));
    fixture_add_model(&fixture, small_factors("taste", "1", &taste));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fixture_deinit(&fixture);
    return 0;
}

#define ASK(request)     fixture_ask(&fixture, "{\"op\": \"recommend\"," request "}")
#define RANK(request)    fixture_ask(&fixture, "{\"op\": \"rank\"," request "}")
#define SIMILAR(request) fixture_ask(&fixture, "{\"op\": \"similar\"," request "}")
#define PRICE(request)   fixture_ask(&fixture, "{\"op\": \"price\"," request "}")

/* One slot; `more` holds further keys of it. */
#define SLOT(sources, more) "{\"slots\": {\"home\": {" more "\"sources\": [" sources "]}}}"
#define NEAR                "{\"source\": \"neighbors\"}"
#define TASTE               "{\"source\": \"factors\"}"
#define REPEAT              "{\"source\": \"repeat\"}"

static float score_of(const char *id)
{
    const struct decision_item *item = fixture_item(&fixture, id);
    assert_non_null(item);
    return item->score;
}

static void assert_near(double value, double expected)
{
    if (!(fabs(value - expected) <= 1e-6 * fmax(1.0, fabs(expected))))
        fail_msg("%.9g, expected %.9g", value, expected);
}

/* ---- which items ------------------------------------------------------------------------------
 */

static void test_filters_keep_what_they_name(void **state)
{
    (void)state;
    fixture_serve(&fixture, SLOT(NEAR, ""));
    fixture_act(&fixture, "view", "u", "a", FIXTURE_NOW_MS);
    fixture_act(&fixture, "view", "u", "c", FIXTURE_NOW_MS);
    assert_string_equal(ASK("\"user\": \"u\", \"n\": 4"), "full: g b d c");
    assert_string_equal(ASK("\"user\": \"u\", \"filters\": {\"categories\": [\"shoes\"]}"),
                        "full: b c a");
    assert_string_equal(
        ASK("\"user\": \"u\", \"filters\": {\"categories\": [\"hats\", \"boats\"]}"), "full: d e");
    assert_string_equal(ASK("\"user\": \"u\", \"filters\": {\"brands\": \"acme\"}"), "full: b d a");
    assert_string_equal(ASK("\"user\": \"u\", \"filters\": {\"min_price\": 3000}"), "full: d c e");
    assert_string_equal(
        ASK("\"user\": \"u\", \"filters\": {\"min_price\": 2000, \"max_price\": 3000}"),
        "full: b c");
    assert_string_equal(ASK("\"user\": \"u\", \"exclude\": [\"b\", \"d\", \"unknown\"], \"n\": 2"),
                        "full: g c");
    /* Stock is the policy's word, and the caller's. */
    fixture_serve(&fixture, SLOT(NEAR, "\"in_stock\": false,"));
    assert_string_equal(ASK("\"user\": \"u\", \"n\": 3"), "full: f g b");
    assert_string_equal(ASK("\"user\": \"u\", \"n\": 2, \"filters\": {\"in_stock\": true}"),
                        "full: g b");
    fixture_serve(&fixture, SLOT(NEAR, "\"catalogue_only\": true,"));
    assert_string_equal(ASK("\"user\": \"u\", \"n\": 3"), "full: b d c");
}

static void test_what_was_deleted_or_sold_out_is_gone_at_once(void **state)
{
    (void)state;
    fixture_serve(&fixture, SLOT(NEAR, ""));
    fixture_act(&fixture, "view", "u", "a", FIXTURE_NOW_MS);
    assert_string_equal(ASK("\"user\": \"u\", \"n\": 3"), "full: b c d");
    fixture_event(&fixture, "{\"type\": \"item_delete\", \"items\": [{\"id\": \"b\"}]}");
    fixture_event(&fixture,
                  "{\"type\": \"item_upsert\", \"items\": [{\"id\": \"c\", \"stock\": 0}]}");
    assert_string_equal(ASK("\"user\": \"u\", \"n\": 1"), "full: d");
    fixture_event(&fixture, "{\"type\": \"item_upsert\", \"items\": [{\"id\": \"b\"}]}");
    assert_string_equal(ASK("\"user\": \"u\", \"n\": 2"), "full: b d");
}

static void test_bought_and_disliked_items_are_left_out(void **state)
{
    (void)state;
    fixture_serve(&fixture, SLOT(NEAR, ""));
    fixture_act(&fixture, "view", "u", "a", FIXTURE_NOW_MS);
    fixture_act(&fixture, "purchase", "u", "c", FIXTURE_NOW_MS);
    fixture_act(&fixture, "dislike", "u", "b", FIXTURE_NOW_MS);
    /* c counts 1, a 0.3 as a view; b neither counts nor shows. */
    assert_string_equal(ASK("\"user\": \"u\", \"n\": 2"), "full: g d");
    assert_near(score_of("g"), 0.6);
    assert_near(score_of("d"), 0.25 + 0.3 * 0.1);
    fixture_serve(&fixture, SLOT(NEAR, "\"bought\": \"allow\","));
    assert_string_equal(ASK("\"user\": \"u\", \"n\": 3"), "full: g d c");
    assert_near(score_of("c"), 0.3 * 0.3);
    fixture_act(&fixture, "cart_add", "u", "a", FIXTURE_NOW_MS);
    (void)ASK("\"user\": \"u\", \"n\": 3");
    assert_near(score_of("c"), 0.6 * 0.3);
}

static void test_seeds_count_in_full_and_are_not_shown(void **state)
{
    (void)state;
    fixture_serve(&fixture, SLOT(NEAR, ""));
    assert_string_equal(ASK("\"seeds\": [\"a\", \"b\", \"unknown\"], \"n\": 3"), "full: c e d");
    assert_near(score_of("c"), 0.3);
    fixture_serve(&fixture, SLOT(TASTE, ""));
    assert_string_equal(ASK("\"seeds\": [\"a\"], \"n\": 2"), "full: b c");
    /* With seeds a trained person is folded in as well. */
    assert_string_equal(ASK("\"user\": \"trained\", \"seeds\": [\"a\"], \"n\": 2"), "full: b c");
}

static void test_factors_serve_the_trained_row_until_the_person_acts(void **state)
{
    (void)state;
    fixture_serve(&fixture, SLOT(TASTE, ""));
    assert_string_equal(ASK("\"user\": \"trained\", \"n\": 3"), "full: d e g");
    assert_near(score_of("d"), 1.0);
    fixture_act(&fixture, "view", "trained", "a", BEFORE);
    assert_string_equal(ASK("\"user\": \"trained\", \"n\": 3"), "full: d e g");
    fixture_act(&fixture, "view", "trained", "b", FIXTURE_NOW_MS);
    assert_string_equal(ASK("\"user\": \"trained\", \"n\": 3"), "full: a b c");
    /* Somebody who came after training. */
    fixture_act(&fixture, "purchase", "new", "d", FIXTURE_NOW_MS);
    assert_string_equal(ASK("\"user\": \"new\", \"n\": 2"), "full: e g");
    assert_string_equal(ASK("\"user\": \"nobody\", \"n\": 1"), "generic/unknown_user: d");
}

static void test_repeat_brings_back_what_was_bought_often_and_lately(void **state)
{
    (void)state;
    fixture_serve(&fixture, SLOT(REPEAT, "\"bought\": \"allow\","));
    fixture_act(&fixture, "purchase", "u", "a", FIXTURE_NOW_MS - 50 * DAY_MS);
    fixture_act(&fixture, "purchase", "u", "a", FIXTURE_NOW_MS - 40 * DAY_MS);
    fixture_act(&fixture, "purchase", "u", "b", FIXTURE_NOW_MS - 40 * DAY_MS);
    fixture_act(&fixture, "purchase", "u", "c", FIXTURE_NOW_MS - 90 * DAY_MS);
    fixture_act(&fixture, "view", "u", "d", FIXTURE_NOW_MS - 1 * DAY_MS);
    assert_string_equal(ASK("\"user\": \"u\", \"n\": 3"), "full: a b c");
    /* The newest time that the store has seen is a minute ago. */
    double age_days = 40.0 - 60.0 / 86400.0;
    assert_near(score_of("a"), log(3.0) + exp(-age_days / 60.0));
    assert_near(score_of("b"), log(2.0) + exp(-age_days / 60.0));
    /* Nothing to repeat for those who only looked. */
    fixture_act(&fixture, "view", "v", "d", FIXTURE_NOW_MS);
    assert_string_equal(ASK("\"user\": \"v\", \"n\": 1"), "generic/no_candidates: e");
    assert_string_equal(ASK("\"user\": \"nobody\", \"n\": 1"), "generic/unknown_user: e");
}

static void test_sources_are_blended_by_their_weights(void **state)
{
    (void)state;
    fixture_serve(&fixture,
                  SLOT("{\"source\": \"neighbors\", \"weight\": 2, \"count\": 1}," /* for rankers */
                       "{\"source\": \"popular\", \"weight\": 0.5, \"count\": 4}",
                       ""));
    fixture_act(&fixture, "purchase", "u", "a", FIXTURE_NOW_MS);
    const struct decision *decision = fixture_decide(
        &fixture, "{\"op\": \"recommend\", \"user\": \"u\", \"n\": 4, \"explain\": true}");
    /* Neighbors bring b, c and d, popular f, e, a and d: d has its share of both. */
    double best = log1p(30.0); /* f: out of stock, and still the measure */
    assert_int_equal(decision->count, 4);
    assert_true(score_of("c") > 0.0f);
    assert_int_equal(fixture_item(&fixture, "c")->why_count, 1);
    assert_near(score_of("b"), 2 * 0.5);
    assert_near(score_of("e"), 0.5 * log1p(20.0) / best);
    assert_near(score_of("d"), 2 * 0.1 + 0.5 * log1p(10.0) / best);
    const struct decision_item *d = fixture_item(&fixture, "d");
    assert_int_equal(d->why_count, 2);
    assert_string_equal(d->why[0].source, "neighbors");
    assert_near(d->why[0].value, 2 * 0.1);
    assert_string_equal(d->why[1].source, "popular");
    assert_int_equal(fixture_item(&fixture, "b")->why_count, 1);
}

/* ---- similar ----------------------------------------------------------------------------------
 */

static void test_similar_gives_the_neighbors_without_the_items(void **state)
{
    (void)state;
    assert_string_equal(SIMILAR("\"items\": [\"a\"], \"n\": 2"), "generic/no_model: c b");
    fixture_serve(&fixture, SLOT(NEAR, ""));
    assert_string_equal(SIMILAR("\"items\": [\"a\"], \"n\": 3"), "full: b c d");
    assert_near(score_of("b"), 0.5);
    assert_string_equal(SIMILAR("\"items\": [\"a\", \"b\"], \"n\": 3"), "full: c e d");
    assert_string_equal(fixture.decision.models[0], "near@1");
    /* The person matters for what must not be shown alone. */
    fixture_act(&fixture, "purchase", "u", "c", FIXTURE_NOW_MS);
    assert_string_equal(SIMILAR("\"items\": [\"a\"], \"user\": \"u\", \"n\": 2"), "full: b d");
    assert_string_equal(SIMILAR("\"items\": [\"a\"], \"filters\": {\"categories\": [\"hats\"]},"
                                "\"n\": 1"),
                        "full: d");
    /* Items without neighbors, and items that nobody knows. */
    assert_string_equal(SIMILAR("\"items\": [\"e\"], \"n\": 2"), "generic/no_candidates: d c");
    assert_string_equal(SIMILAR("\"items\": [\"unknown\"], \"n\": 1"), "generic/no_candidates: e");
    /* A slot without neighbors borrows the first model of the kind. */
    fixture_serve(&fixture, SLOT("{\"source\": \"popular\"}", ""));
    assert_string_equal(SIMILAR("\"items\": [\"a\"], \"n\": 1"), "full: b");
    fixture.floor = LEVEL_generic;
    assert_string_equal(SIMILAR("\"items\": [\"a\"], \"n\": 1"), "generic/mode: c");
}

/* ---- rank -------------------------------------------------------------------------------------
 */

#define ASKED                                                                            \
    "\"items\": [{\"id\": \"b\", \"score\": 1}, {\"id\": \"unknown\"}, {\"id\": \"a\", " \
    "\"score\": 3}]"

static void test_rank_without_a_ranker_keeps_the_callers_order(void **state)
{
    (void)state;
    fixture_serve(&fixture, SLOT(NEAR, ""));
    assert_string_equal(RANK(ASKED), "full: b unknown a");
    assert_true(score_of("b") == 1.0f && score_of("a") == 3.0f);
    assert_string_equal(RANK(ASKED ", \"n\": 2"), "full: b unknown");
    static const char *const floors[LEVEL_COUNT] = {[LEVEL_full] = "full: b unknown a",
                                                    [LEVEL_reduced] = "reduced/mode: b unknown a",
                                                    [LEVEL_cached] = "generic/mode: b unknown a",
                                                    [LEVEL_generic] = "generic/mode: b unknown a",
                                                    [LEVEL_static] = "static/mode: b unknown a"};
    for (uint32_t level = 0; level < LEVEL_COUNT; level++) {
        fixture.floor = (enum level)level;
        assert_string_equal(RANK(ASKED), floors[level]);
    }
    fixture.floor = LEVEL_full;
    fixture.deadline_ns = 1;
    assert_string_equal(RANK(ASKED), "reduced/deadline: b unknown a");
    fixture.deadline_ns = 0;
    fixture_serve(&fixture, SLOT(NEAR, "\"ranker\": \"absent\","));
    assert_string_equal(RANK(ASKED), "reduced/no_model: b unknown a");
}

/* Serves one ranker with these features. */
static void serve_ranker(const char *version, const char *features, const double *weights)
{
    fixture_add_model(&fixture, small_linear("rank", version, features, weights, 10));
    fixture_serve(&fixture, SLOT(NEAR "," REPEAT, "\"bought\": \"allow\", \"ranker\": \"rank\","));
}

static void test_rank_orders_by_the_features_of_the_model(void **state)
{
    (void)state;
    static const double weights[] = {1, 0.001, 100, 7, 1000, 20, 1e-6, 0.5};
    fixture_act(&fixture, "purchase", "u", "a", FIXTURE_NOW_MS - DAY_MS);
    serve_ranker("1",
                 "caller.score item.price request.boost pair.days user.purchases "
                 "source.neighbors pair.age_s blend.score",
                 weights);
    assert_string_equal(RANK("\"user\": \"u\", \"items\": [{\"id\": \"b\", \"score\": 1},"
                             "{\"id\": \"unknown\", \"score\": 4}, {\"id\": \"a\", \"score\": 3},"
                             "{\"id\": \"c\", \"features\": {\"boost\": 1, \"other\": 9}}]"),
                        "full: c b a unknown");
    double everybody = 10 + 1000;
    assert_near(score_of("unknown"), everybody + 4);
    assert_near(score_of("b"), everybody + 1 + 2 + 20 * 0.5 + 0.5 * 0.5);
    assert_near(score_of("c"), everybody + 3 + 100 + 20 * 0.3 + 0.5 * 0.3);
    double repeat = log(2.0) + exp(-(86400.0 - 60) / 86400 / 60);
    assert_near(score_of("a"), everybody + 3 + 1 + 7 + 1e-6 * (86400 - 60) + 0.5 * repeat);
    assert_int_equal(fixture.decision.model_count, 2);
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
    fixture_act(&fixture, "purchase", "u", "a", FIXTURE_NOW_MS - DAY_MS);
    fixture_add_model(&fixture, small_popularity("pop", "2", "a b", scores));
    fixture_add_model(&fixture, small_linear("rank", "1",
                                             "source.repeat source.popular source.model_popular "
                                             "blend.score",
                                             weights, 0));
    fixture_serve(&fixture, SLOT(REPEAT ", {\"source\": \"model_popular\", \"weight\": 2},"
                                        "{\"source\": \"popular\", \"weight\": 3}",
                                 "\"bought\": \"allow\", \"ranker\": \"rank\","));
    (void)RANK(
        "\"user\": \"u\", \"items\": [{\"id\": \"a\"}, {\"id\": \"b\"}, {\"id\": \"unknown\"}]");
    double repeat = log(2.0) + exp(-(86400.0 - 60) / 86400 / 60);
    double popular_a = log1p(11.0) / log1p(30.0), popular_b = log1p(2.0) / log1p(30.0);
    double model_a = log1p(1.0) / log1p(7.0), model_b = 1;
    assert_near(score_of("a"), repeat + 100 * popular_a + 1e4 * model_a +
                                   1e6 * (repeat + 2 * model_a + 3 * popular_a));
    assert_near(score_of("b"),
                100 * popular_b + 1e4 * model_b + 1e6 * (2 * model_b + 3 * popular_b));
    assert_near(score_of("unknown"), 0);
    assert_int_equal(fixture.decision.model_count, 2);
}

static void test_a_ranker_orders_the_candidates(void **state)
{
    (void)state;
    static const double weights[] = {-1, 0.001};
    fixture_act(&fixture, "view", "u", "a", FIXTURE_NOW_MS);
    serve_ranker("2", "blend.score item.price", weights);
    assert_string_equal(ASK("\"user\": \"u\", \"n\": 3, \"explain\": true"), "full: d c b");
    assert_near(score_of("d"), 10 + 4 - 0.3 * 0.1);
    const struct decision_item *d = fixture_item(&fixture, "d");
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
    fixture_add_model(&fixture, small_trees("rank", "1", text));
    fixture_serve(&fixture, SLOT(NEAR, "\"ranker\": \"rank\","));
    (void)RANK("\"items\": [{\"id\": \"b\", \"score\": 3}, {\"id\": \"c\"},"
               "{\"id\": \"unknown\", \"score\": 1}]");
    assert_near(score_of("b"), 1.5);
    assert_near(score_of("c"), 2);
    assert_near(score_of("unknown"), 2); /* without a price: right, as the tree learned */
    for (int i = 0; i < 100; i++)
        used += (size_t)snprintf(request + used, sizeof request - used,
                                 "%s{\"id\": \"%s%d\", \"score\": %d}", i == 0 ? "" : ",",
                                 i % 7 == 0 ? "far" : "near", i, i % 7 == 0 ? 3 : 2);
    snprintf(request + used, sizeof request - used, "]}");
    const struct decision *decision = fixture_decide(&fixture, request);
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
    fixture_add_model(&fixture, small_mlp("rank", "1", "item.price caller.score", 3, parameters));
    fixture_serve(&fixture, SLOT(NEAR, "\"ranker\": \"rank\","));
    (void)RANK("\"items\": [{\"id\": \"b\", \"score\": 3}, {\"id\": \"c\"},"
               "{\"id\": \"unknown\", \"score\": 1}]");
    assert_near(score_of("b"), 4);
    assert_near(score_of("c"), 1000);
    assert_near(score_of("unknown"), 2000); /* without a price: 0 */
    for (int i = 0; i < 100; i++)
        used += (size_t)snprintf(request + used, sizeof request - used,
                                 "%s{\"id\": \"x%d\", \"score\": %d}", i == 0 ? "" : ",", i,
                                 i * 37 % 100);
    snprintf(request + used, sizeof request - used, "]}");
    const struct decision *decision = fixture_decide(&fixture, request);
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
        fixture_add_model(&fixture, small_linear("rank", "1", features[i], weight, 0));
        assert_int_equal(fixture_try_serve(&fixture, SLOT(NEAR, "\"ranker\": \"rank\","), &err),
                         ERR_BAD_INPUT);
        assert_non_null(strstr(err.text, features[i]));
        model_destroy(&fixture.model[--fixture.model_count]);
    }
    assert_int_equal(fixture_try_serve(&fixture, SLOT(NEAR, "\"ranker\": \"near\","), &err),
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
    assert_true(fixture.decision.items[0].score == FLT_MAX);
    assert_true(fixture.decision.items[1].score == -FLT_MAX);
    serve_ranker("3", "caller.score request.x", weights);
    assert_string_equal(RANK("\"items\": [{\"id\": \"a\", \"score\": -1e300},"
                             "{\"id\": \"b\", \"score\": 1e300},"
                             "{\"id\": \"c\", \"score\": 1e300, \"features\": {\"x\": 1e300}}]"),
                        "full: b c a");
    for (uint32_t i = 0; i < 3; i++)
        assert_true(isfinite(fixture.decision.items[i].score));
}

/* ---- prices -----------------------------------------------------------------------------------
 */

static const char rules[] =
    "{\"format\": 1, \"rules\": ["
    "{\"name\": \"app\", \"priority\": 9, \"match\": {\"context\": {\"channel\": [\"app\"]}},"
    " \"adjust\": {\"percent\": \"-50\"}},"
    "{\"name\": \"many\", \"priority\": 7, \"match\": {\"qty\": {\"min\": 10}},"
    " \"adjust\": {\"percent\": \"-20\"}},"
    "{\"name\": \"shoe sale\", \"priority\": 5, \"match\": {\"categories\": [\"shoes\"]},"
    " \"adjust\": {\"percent\": \"-10\"}},"
    "{\"name\": \"least\", \"floor\": 950}]}";

static void serve_prices(void)
{
    fixture_add_model(&fixture, small_prices("sale", "3", rules));
    fixture_serve(&fixture, SLOT(NEAR, "\"prices\": \"sale\","));
}

static void assert_price(const char *id, int64_t amount_minor, const char *rule, const char *bound)
{
    const struct decision_item *item = fixture_item(&fixture, id);
    char currency[4];
    assert_non_null(item);
    assert_true(item->priced);
    assert_int_equal(item->amount_minor, amount_minor);
    if (rule == NULL)
        assert_null(item->rule);
    else
        assert_string_equal(item->rule, rule);
    if (bound == NULL)
        assert_null(item->bound);
    else
        assert_string_equal(item->bound, bound);
    assert_string_equal(currency_format(item->currency, currency), "EUR");
}

static void test_recommended_items_carry_their_prices(void **state)
{
    (void)state;
    serve_prices();
    assert_string_equal(ASK("\"seeds\": [\"a\", \"c\"], \"n\": 3, \"price\": true"), "full: g b d");
    assert_false(fixture_item(&fixture, "g")->priced); /* nobody knows its price */
    assert_price("b", 1800, "shoe sale", NULL);
    assert_price("d", 4000, NULL, NULL);
    assert_int_equal(fixture.decision.model_count, 2);
    assert_string_equal(fixture.decision.models[1], "sale@3");
    (void)ASK("\"seeds\": [\"a\"], \"n\": 1, \"price\": true, \"context\": {\"channel\": \"app\"}");
    assert_price("b", 1000, "app", NULL);
    /* Nothing is converted: another currency, no price. */
    (void)ASK("\"seeds\": [\"a\"], \"n\": 1, \"price\": true, \"currency\": \"USD\"");
    assert_false(fixture_item(&fixture, "b")->priced);
    (void)ASK("\"seeds\": [\"a\"], \"n\": 1, \"price\": true, \"currency\": \"EUR\"");
    assert_price("b", 1800, "shoe sale", NULL);
    (void)ASK("\"seeds\": [\"a\"], \"n\": 1");
    assert_false(fixture_item(&fixture, "b")->priced);
    /* Also where the ladder answers. */
    fixture.floor = LEVEL_generic;
    (void)ASK("\"n\": 2, \"price\": true");
    assert_price("e", 5000, NULL, NULL);
}

static void test_price_answers_in_the_order_asked_and_in_every_mode(void **state)
{
    (void)state;
    static const char request[] = "\"items\": [{\"id\": \"b\"}, {\"id\": \"a\"}, {\"id\": \"g\"},"
                                  "{\"id\": \"d\", \"qty\": 10}, {\"id\": \"unknown\", \"price\": "
                                  "100}], \"currency\": \"EUR\"";
    char text[1024];
    snprintf(text, sizeof text, "{\"op\": \"price\", %s}", request);
    assert_string_equal(fixture_ask(&fixture, text), "full: b a g d unknown");
    assert_price("b", 2000, NULL, NULL);
    serve_prices();
    for (int step = 0; step < 3; step++) {
        fixture.floor = step == 1 ? LEVEL_static : LEVEL_full;
        fixture.deadline_ns = step == 2 ? 1 : 0;
        assert_string_equal(fixture_ask(&fixture, text), "full: b a g d unknown");
        assert_price("b", 1800, "shoe sale", NULL);
        assert_price("a", 950, "shoe sale", "floor");
        assert_false(fixture_item(&fixture, "g")->priced);
        assert_price("d", 3200, "many", NULL);
        assert_price("unknown", 950, NULL, "floor");
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_filters_keep_what_they_name),
        TEST(test_what_was_deleted_or_sold_out_is_gone_at_once),
        TEST(test_bought_and_disliked_items_are_left_out),
        TEST(test_seeds_count_in_full_and_are_not_shown),
        TEST(test_factors_serve_the_trained_row_until_the_person_acts),
        TEST(test_repeat_brings_back_what_was_bought_often_and_lately),
        TEST(test_sources_are_blended_by_their_weights),
        TEST(test_similar_gives_the_neighbors_without_the_items),
        TEST(test_rank_without_a_ranker_keeps_the_callers_order),
        TEST(test_rank_orders_by_the_features_of_the_model),
        TEST(test_rank_asks_every_source_for_every_item),
        TEST(test_a_ranker_orders_the_candidates),
        TEST(test_trees_rank_like_any_ranker),
        TEST(test_an_mlp_ranks_like_any_ranker),
        TEST(test_a_ranker_with_an_unknown_feature_is_refused),
        TEST(test_scores_that_no_float_holds_are_cut),
        TEST(test_recommended_items_carry_their_prices),
        TEST(test_price_answers_in_the_order_asked_and_in_every_mode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
