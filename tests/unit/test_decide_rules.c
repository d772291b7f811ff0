/* SPDX-License-Identifier: Apache-2.0 */
/* What is shown, and with which scores: filters, histories, sources and their weights. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "tests/support/decide_fixture.h"
#include "tests/support/taste_shop.h"

#define BEFORE (FIXTURE_NOW_MS - 2 * DAY_MS) /* before training */

#define SIMILAR(request) fixture_ask(&taste_shop, "{\"op\": \"similar\"," request "}")

#define TASTE "{\"source\": \"factors\"}"

/* ---- which items ------------------------------------------------------------------------------
 */

static void test_filters_keep_what_they_name(void **state)
{
    (void)state;
    fixture_serve(&taste_shop, SLOT(NEAR, ""));
    fixture_act(&taste_shop, "view", "u", "a", FIXTURE_NOW_MS);
    fixture_act(&taste_shop, "view", "u", "c", FIXTURE_NOW_MS);
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
    fixture_serve(&taste_shop, SLOT(NEAR, "\"in_stock\": false,"));
    assert_string_equal(ASK("\"user\": \"u\", \"n\": 3"), "full: f g b");
    assert_string_equal(ASK("\"user\": \"u\", \"n\": 2, \"filters\": {\"in_stock\": true}"),
                        "full: g b");
    fixture_serve(&taste_shop, SLOT(NEAR, "\"catalogue_only\": true,"));
    assert_string_equal(ASK("\"user\": \"u\", \"n\": 3"), "full: b d c");
}

static void test_what_was_deleted_or_sold_out_is_gone_at_once(void **state)
{
    (void)state;
    fixture_serve(&taste_shop, SLOT(NEAR, ""));
    fixture_act(&taste_shop, "view", "u", "a", FIXTURE_NOW_MS);
    assert_string_equal(ASK("\"user\": \"u\", \"n\": 3"), "full: b c d");
    fixture_event(&taste_shop, "{\"type\": \"item_delete\", \"items\": [{\"id\": \"b\"}]}");
    fixture_event(&taste_shop,
                  "{\"type\": \"item_upsert\", \"items\": [{\"id\": \"c\", \"stock\": 0}]}");
    assert_string_equal(ASK("\"user\": \"u\", \"n\": 1"), "full: d");
    fixture_event(&taste_shop, "{\"type\": \"item_upsert\", \"items\": [{\"id\": \"b\"}]}");
    assert_string_equal(ASK("\"user\": \"u\", \"n\": 2"), "full: b d");
}

static void test_bought_and_disliked_items_are_left_out(void **state)
{
    (void)state;
    fixture_serve(&taste_shop, SLOT(NEAR, ""));
    fixture_act(&taste_shop, "view", "u", "a", FIXTURE_NOW_MS);
    fixture_act(&taste_shop, "purchase", "u", "c", FIXTURE_NOW_MS);
    fixture_act(&taste_shop, "dislike", "u", "b", FIXTURE_NOW_MS);
    /* c counts 1, a 0.3 as a view; b neither counts nor shows. */
    assert_string_equal(ASK("\"user\": \"u\", \"n\": 2"), "full: g d");
    assert_near(taste_shop_score("g"), 0.6);
    assert_near(taste_shop_score("d"), 0.25 + 0.3 * 0.1);
    fixture_serve(&taste_shop, SLOT(NEAR, "\"bought\": \"allow\","));
    assert_string_equal(ASK("\"user\": \"u\", \"n\": 3"), "full: g d c");
    assert_near(taste_shop_score("c"), 0.3 * 0.3);
    fixture_act(&taste_shop, "cart_add", "u", "a", FIXTURE_NOW_MS);
    (void)ASK("\"user\": \"u\", \"n\": 3");
    assert_near(taste_shop_score("c"), 0.6 * 0.3);
}

static void test_seeds_count_in_full_and_are_not_shown(void **state)
{
    (void)state;
    fixture_serve(&taste_shop, SLOT(NEAR, ""));
    assert_string_equal(ASK("\"seeds\": [\"a\", \"b\", \"unknown\"], \"n\": 3"), "full: c e d");
    assert_near(taste_shop_score("c"), 0.3);
    fixture_serve(&taste_shop, SLOT(TASTE, ""));
    assert_string_equal(ASK("\"seeds\": [\"a\"], \"n\": 2"), "full: b c");
    /* With seeds a trained person is folded in as well. */
    assert_string_equal(ASK("\"user\": \"trained\", \"seeds\": [\"a\"], \"n\": 2"), "full: b c");
}

static void test_factors_serve_the_trained_row_until_the_person_acts(void **state)
{
    (void)state;
    fixture_serve(&taste_shop, SLOT(TASTE, ""));
    assert_string_equal(ASK("\"user\": \"trained\", \"n\": 3"), "full: d e g");
    assert_near(taste_shop_score("d"), 1.0);
    fixture_act(&taste_shop, "view", "trained", "a", BEFORE);
    assert_string_equal(ASK("\"user\": \"trained\", \"n\": 3"), "full: d e g");
    fixture_act(&taste_shop, "view", "trained", "b", FIXTURE_NOW_MS);
    assert_string_equal(ASK("\"user\": \"trained\", \"n\": 3"), "full: a b c");
    /* Somebody who came after training. */
    fixture_act(&taste_shop, "purchase", "new", "d", FIXTURE_NOW_MS);
    assert_string_equal(ASK("\"user\": \"new\", \"n\": 2"), "full: e g");
    assert_string_equal(ASK("\"user\": \"nobody\", \"n\": 1"), "generic/unknown_user: d");
}

static void test_repeat_brings_back_what_was_bought_often_and_lately(void **state)
{
    (void)state;
    fixture_serve(&taste_shop, SLOT(REPEAT, "\"bought\": \"allow\","));
    fixture_act(&taste_shop, "purchase", "u", "a", FIXTURE_NOW_MS - 50 * DAY_MS);
    fixture_act(&taste_shop, "purchase", "u", "a", FIXTURE_NOW_MS - 40 * DAY_MS);
    fixture_act(&taste_shop, "purchase", "u", "b", FIXTURE_NOW_MS - 40 * DAY_MS);
    fixture_act(&taste_shop, "purchase", "u", "c", FIXTURE_NOW_MS - 90 * DAY_MS);
    fixture_act(&taste_shop, "view", "u", "d", FIXTURE_NOW_MS - 1 * DAY_MS);
    assert_string_equal(ASK("\"user\": \"u\", \"n\": 3"), "full: a b c");
    /* The newest time that the store has seen is a minute ago. */
    double age_days = 40.0 - 60.0 / 86400.0;
    assert_near(taste_shop_score("a"), log(3.0) + exp(-age_days / 60.0));
    assert_near(taste_shop_score("b"), log(2.0) + exp(-age_days / 60.0));
    /* Nothing to repeat for those who only looked. */
    fixture_act(&taste_shop, "view", "v", "d", FIXTURE_NOW_MS);
    assert_string_equal(ASK("\"user\": \"v\", \"n\": 1"), "generic/no_candidates: e");
    assert_string_equal(ASK("\"user\": \"nobody\", \"n\": 1"), "generic/unknown_user: e");
}

static void test_sources_are_blended_by_their_weights(void **state)
{
    (void)state;
    fixture_serve(&taste_shop,
                  SLOT("{\"source\": \"neighbors\", \"weight\": 2, \"count\": 1}," /* for rankers */
                       "{\"source\": \"popular\", \"weight\": 0.5, \"count\": 4}",
                       ""));
    fixture_act(&taste_shop, "purchase", "u", "a", FIXTURE_NOW_MS);
    const struct decision *decision = fixture_decide(
        &taste_shop, "{\"op\": \"recommend\", \"user\": \"u\", \"n\": 4, \"explain\": true}");
    /* Neighbors bring b, c and d, popular f, e, a and d: d has its share of both. */
    double best = log1p(30.0); /* f: out of stock, and still the measure */
    assert_int_equal(decision->count, 4);
    assert_true(taste_shop_score("c") > 0.0f);
    assert_int_equal(fixture_item(&taste_shop, "c")->why_count, 1);
    assert_near(taste_shop_score("b"), 2 * 0.5);
    assert_near(taste_shop_score("e"), 0.5 * log1p(20.0) / best);
    assert_near(taste_shop_score("d"), 2 * 0.1 + 0.5 * log1p(10.0) / best);
    const struct decision_item *d = fixture_item(&taste_shop, "d");
    assert_int_equal(d->why_count, 2);
    assert_string_equal(d->why[0].source, "neighbors");
    assert_near(d->why[0].value, 2 * 0.1);
    assert_string_equal(d->why[1].source, "popular");
    assert_int_equal(fixture_item(&taste_shop, "b")->why_count, 1);
}

/* ---- similar ----------------------------------------------------------------------------------
 */

static void test_similar_gives_the_neighbors_without_the_items(void **state)
{
    (void)state;
    assert_string_equal(SIMILAR("\"items\": [\"a\"], \"n\": 2"), "generic/no_model: c b");
    fixture_serve(&taste_shop, SLOT(NEAR, ""));
    assert_string_equal(SIMILAR("\"items\": [\"a\"], \"n\": 3"), "full: b c d");
    assert_near(taste_shop_score("b"), 0.5);
    assert_string_equal(SIMILAR("\"items\": [\"a\", \"b\"], \"n\": 3"), "full: c e d");
    assert_string_equal(taste_shop.decision.models[0], "near@1");
    /* The person matters for what must not be shown alone. */
    fixture_act(&taste_shop, "purchase", "u", "c", FIXTURE_NOW_MS);
    assert_string_equal(SIMILAR("\"items\": [\"a\"], \"user\": \"u\", \"n\": 2"), "full: b d");
    assert_string_equal(SIMILAR("\"items\": [\"a\"], \"filters\": {\"categories\": [\"hats\"]},"
                                "\"n\": 1"),
                        "full: d");
    /* Items without neighbors, and items that nobody knows. */
    assert_string_equal(SIMILAR("\"items\": [\"e\"], \"n\": 2"), "generic/no_candidates: d c");
    assert_string_equal(SIMILAR("\"items\": [\"unknown\"], \"n\": 1"), "generic/no_candidates: e");
    /* A slot without neighbors borrows the first model of the kind. */
    fixture_serve(&taste_shop, SLOT("{\"source\": \"popular\"}", ""));
    assert_string_equal(SIMILAR("\"items\": [\"a\"], \"n\": 1"), "full: b");
    taste_shop.floor = LEVEL_generic;
    assert_string_equal(SIMILAR("\"items\": [\"a\"], \"n\": 1"), "generic/mode: c");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, taste_shop_set_up, taste_shop_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_filters_keep_what_they_name),
        TEST(test_what_was_deleted_or_sold_out_is_gone_at_once),
        TEST(test_bought_and_disliked_items_are_left_out),
        TEST(test_seeds_count_in_full_and_are_not_shown),
        TEST(test_factors_serve_the_trained_row_until_the_person_acts),
        TEST(test_repeat_brings_back_what_was_bought_often_and_lately),
        TEST(test_sources_are_blended_by_their_weights),
        TEST(test_similar_gives_the_neighbors_without_the_items),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
