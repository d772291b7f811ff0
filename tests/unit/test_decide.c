/* SPDX-License-Identifier: Apache-2.0 */
/* The ladder: which level answers, and the reason that it gives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <stdio.h>

#include "tests/support/taste_shop.h"

/* Neighbors and factors, each as a slot of its own, and one that blends them. */
static const char policies[] =
    "{\"version\": \"v1\", \"default\": \"near\", \"slots\": {"
    "\"near\": {\"sources\": [{\"source\": \"neighbors\", \"model\": \"near\"}]},"
    "\"taste\": {\"sources\": [{\"source\": \"factors\", \"model\": \"taste\"}]},"
    "\"both\": {\"ranker\": \"rank\", \"sources\": [{\"source\": \"neighbors\", \"model\": "
    "\"near\"},"
    "  {\"source\": \"factors\", \"model\": \"taste\"}]},"
    "\"some\": {\"sources\": [{\"source\": \"neighbors\", \"model\": \"near\"},"
    "  {\"source\": \"factors\", \"model\": \"absent\"}]},"
    "\"popular\": {\"sources\": [{\"source\": \"popular\"}]},"
    "\"again\": {\"bought\": \"allow\", \"sources\": [{\"source\": \"repeat\"}]}}}";

static int set_up(void **state)
{
    (void)state;
    fixture_init(&taste_shop);
    return 0;
}

static void serve_models(void)
{
    static const double rank_weight[] = {-1};
    fixture_add_model(&taste_shop, taste_shop_near());
    fixture_add_model(&taste_shop, small_factors("taste", "1", &taste_shop_factors));
    fixture_add_model(&taste_shop, small_linear("rank", "1", "blend.score", rank_weight, 0));
    fixture_serve(&taste_shop, policies);
}

static void test_nothing_at_all_answers_with_the_static_list(void **state)
{
    (void)state;
    assert_string_equal(ASK("\"user\": \"u\""), "static/no_model: s1 s2");
    assert_string_equal(ASK("\"n\": 1"), "static/no_model: s1");
    assert_string_equal(ASK("\"exclude\": [\"s1\"]"), "static/no_model: s2");
    assert_string_equal(ASK("\"exclude\": [\"s1\", \"s2\"]"), "static/no_candidates:");
    /* Nothing is known of s1 and s2, so no filter can pass them. */
    assert_string_equal(ASK("\"filters\": {\"max_price\": 100}"), "static/no_candidates:");
    assert_int_equal(taste_shop.decision.model_count, 0);
    taste_shop.no_static = true;
    fixture_serve(&taste_shop, NULL);
    assert_string_equal(ASK("\"user\": \"u\""), "static/no_model:");
    fixture_act(&taste_shop, "view", "v", "a", FIXTURE_NOW_MS);
    assert_string_equal(ASK("\"user\": \"u\""), "generic/no_model: a");
    assert_string_equal(ASK("\"user\": \"u\", \"exclude\": [\"a\"]"), "static/no_candidates:");
    assert_string_equal(taste_shop.decision.policy, "home@builtin");
}

static void test_without_models_popular_items_answer(void **state)
{
    (void)state;
    fixture_load_shop(&taste_shop);
    assert_string_equal(ASK("\"user\": \"u\", \"n\": 3"), "generic/no_model: e d g");
    /* Somebody whose newest item is a shoe sees shoes first. */
    fixture_act(&taste_shop, "view", "u", "a", FIXTURE_NOW_MS);
    assert_string_equal(ASK("\"user\": \"u\", \"n\": 5"), "generic/no_model: c a b e d");
    assert_string_equal(ASK("\"user\": \"v\", \"seeds\": [\"d\"], \"n\": 3"),
                        "generic/no_model: e g c");
}

static void deny(const char *who)
{
    char json[200];
    snprintf(json, sizeof json,
             "{\"type\": \"consent\", \"user\": \"%s\", \"consent\": {\"personalize\": false}}",
             who);
    fixture_event(&taste_shop, json);
}

static void test_who_denies_personalizing_gets_what_everybody_gets(void **state)
{
    (void)state;
    fixture_load_shop(&taste_shop);
    serve_models();
    fixture_act(&taste_shop, "view", "u", "a", FIXTURE_NOW_MS);
    fixture_act(&taste_shop, "dislike", "u", "e", FIXTURE_NOW_MS);
    assert_string_not_equal(ASK("\"user\": \"u\", \"n\": 3, \"slot\": \"near\""),
                            "generic/consent: e d g");
    deny("u");
    assert_string_equal(ASK("\"user\": \"u\", \"n\": 3, \"slot\": \"near\""),
                        "generic/consent: e d g");
    assert_string_equal(ASK("\"user\": \"u\", \"n\": 3, \"slot\": \"taste\", \"seeds\": [\"b\"]"),
                        "generic/consent: e d g");
    /* Somebody of whom the model knows more than we do. */
    deny("known");
    assert_string_equal(ASK("\"user\": \"known\", \"n\": 3, \"slot\": \"taste\""),
                        "generic/consent: e d g");
    /* Nothing personal is in a slot of what is popular, nor in the last good answer of others. */
    assert_string_equal(ASK("\"user\": \"u\", \"n\": 3, \"slot\": \"popular\""), "full: e d g");
    taste_shop.floor = LEVEL_cached;
    assert_string_equal(ASK("\"user\": \"u\", \"n\": 3, \"slot\": \"near\""),
                        "generic/consent: e d g");
    taste_shop.floor = LEVEL_static;
    assert_string_equal(ASK("\"user\": \"u\", \"n\": 3, \"slot\": \"near\""), "static/mode: s1 s2");
    taste_shop.floor = LEVEL_full;
    /* What the caller puts in is not of the person. */
    assert_string_equal(
        fixture_ask(&taste_shop,
                    "{\"op\": \"similar\", \"user\": \"u\", \"items\": [\"a\"], \"n\": 1}"),
        fixture_ask(&taste_shop, "{\"op\": \"similar\", \"items\": [\"a\"], \"n\": 1}"));
    (void)fixture_ask(&taste_shop,
                      "{\"op\": \"rank\", \"user\": \"u\", \"slot\": \"both\", \"items\": "
                      "[\"a\", \"b\"]}");
    assert_int_equal(taste_shop.decision.level, LEVEL_reduced);
    assert_int_equal(taste_shop.decision.reason, REASON_consent);
}

static void test_the_catalogue_without_events_leaves_the_static_list(void **state)
{
    (void)state;
    fixture_event(&taste_shop,
                  "{\"type\": \"item_upsert\", \"items\": [{\"id\": \"s1\", \"stock\": 0},"
                  "{\"id\": \"x\"}]}");
    assert_string_equal(ASK("\"user\": \"u\""), "static/no_model: s2");
}

static void test_a_popularity_model_answers_before_the_static_list(void **state)
{
    (void)state;
    static const float scores[] = {1, 3, 2};
    fixture_add_model(&taste_shop, small_popularity("pop", "9", "x y z", scores));
    fixture_serve(&taste_shop, NULL);
    assert_string_equal(ASK("\"user\": \"u\""), "generic/no_model: y z x");
    assert_int_equal(taste_shop.decision.model_count, 1);
    assert_string_equal(taste_shop.decision.models[0], "pop@9");
}

static void test_a_person_with_a_history_gets_a_full_answer(void **state)
{
    (void)state;
    fixture_load_shop(&taste_shop);
    serve_models();
    fixture_act(&taste_shop, "view", "u", "a", FIXTURE_NOW_MS);
    assert_string_equal(ASK("\"user\": \"u\", \"n\": 3"), "full: b c d");
    assert_int_equal(taste_shop.decision.model_count, 1);
    assert_string_equal(taste_shop.decision.models[0], "near@1");
    assert_string_equal(taste_shop.decision.policy, "near@v1");
    assert_int_equal(taste_shop.decision.epoch, taste_shop.snapshot->epoch);
    /* A slot that nobody named is served by the default one. */
    assert_string_equal(ASK("\"user\": \"u\", \"n\": 3, \"slot\": \"nowhere\""), "full: b c d");
    assert_string_equal(taste_shop.decision.policy, "near@v1");
    /* What is missing is filled up with popular items: those of the newest item's category first.
     */
    assert_string_equal(ASK("\"user\": \"u\", \"n\": 6"), "full: b c d a e g");
    float last = taste_shop.decision.items[0].score;
    for (uint32_t i = 1; i < taste_shop.decision.count; i++) {
        assert_true(taste_shop.decision.items[i].score <= last);
        last = taste_shop.decision.items[i].score;
    }
}

static void test_an_unknown_user_gets_what_is_popular(void **state)
{
    (void)state;
    fixture_load_shop(&taste_shop);
    serve_models();
    assert_string_equal(ASK("\"user\": \"nobody\", \"n\": 2"), "generic/unknown_user: e d");
    assert_string_equal(ASK("\"n\": 2"), "generic/unknown_user: e d");
    assert_string_equal(ASK("\"user\": \"nobody\", \"slot\": \"taste\", \"n\": 2"),
                        "generic/unknown_user: e d");
    /* Known to the model alone: its row serves. */
    assert_string_equal(ASK("\"user\": \"trained\", \"slot\": \"taste\", \"n\": 2"), "full: d e");
    /* Known by the anonymous id. */
    fixture_event(&taste_shop,
                  "{\"type\": \"view\", \"anon\": \"x\", \"items\": [{\"id\": \"a\"}]}");
    assert_string_equal(ASK("\"user\": \"nobody\", \"anon\": \"x\", \"n\": 2"), "full: b c");
}

static void test_a_person_for_whom_nothing_is_left_gets_a_reason(void **state)
{
    (void)state;
    fixture_load_shop(&taste_shop);
    serve_models();
    fixture_act(&taste_shop, "view", "u", "d", FIXTURE_NOW_MS); /* d has one neighbor: e */
    assert_string_equal(ASK("\"user\": \"u\", \"n\": 2, \"exclude\": [\"e\"]"),
                        "generic/no_candidates: d g");
    assert_string_equal(ASK("\"user\": \"u\", \"filters\": {\"categories\": [\"boats\"]}"),
                        "static/no_candidates:");
    /* Items that no model knows. */
    fixture_act(&taste_shop, "view", "v", "new", FIXTURE_NOW_MS);
    assert_string_equal(ASK("\"user\": \"v\", \"n\": 1"), "generic/no_candidates: e");
}

static void test_a_slot_without_personal_sources_is_served_in_full(void **state)
{
    (void)state;
    fixture_load_shop(&taste_shop);
    serve_models();
    assert_string_equal(ASK("\"user\": \"u\", \"slot\": \"popular\", \"n\": 2"), "full: e d");
    assert_string_equal(ASK("\"slot\": \"popular\", \"filters\": {\"categories\": [\"boats\"]}"),
                        "static/no_candidates:");
}

static void test_a_named_model_that_is_missing_reduces(void **state)
{
    (void)state;
    fixture_load_shop(&taste_shop);
    serve_models();
    fixture_act(&taste_shop, "view", "u", "a", FIXTURE_NOW_MS);
    assert_string_equal(ASK("\"user\": \"u\", \"slot\": \"some\", \"n\": 2"),
                        "reduced/no_model: b c");
    fixture_serve(&taste_shop, "{\"slots\": {\"home\": {\"ranker\": \"absent\", \"sources\": "
                               "[{\"source\": \"neighbors\"}]}}}");
    assert_string_equal(ASK("\"user\": \"u\", \"n\": 2"), "reduced/no_model: b c");
    fixture_serve(&taste_shop, "{\"slots\": {\"home\": {\"prices\": \"absent\", \"sources\": "
                               "[{\"source\": \"neighbors\"}]}}}");
    assert_string_equal(ASK("\"user\": \"u\", \"n\": 2"), "full: b c");
    assert_string_equal(ASK("\"user\": \"u\", \"n\": 2, \"price\": true"), "reduced/no_model: b c");
    /* "*" does without. */
    fixture_serve(&taste_shop, "{\"slots\": {\"home\": {\"prices\": \"*\", \"sources\": "
                               "[{\"source\": \"neighbors\"}, {\"source\": \"model_popular\"}]}}}");
    assert_string_equal(ASK("\"user\": \"u\", \"n\": 2, \"price\": true"), "full: b c");
}

static void test_a_model_that_cannot_be_evaluated_is_named_as_the_reason(void **state)
{
    (void)state;
    /* Nobody can be folded in: the system of equations is singular. */
    static const float flat_factors[14] = {1, 0,    0.9f, 0,    0.8f, 0,    0.7f,
                                           0, 0.6f, 0,    0.5f, 0,    0.4f, 0};
    struct small_factors flat = taste_shop_factors;
    flat.item_factors = flat_factors;
    flat.regularization = 0;
    fixture_load_shop(&taste_shop);
    fixture_add_model(&taste_shop, taste_shop_near());
    fixture_add_model(&taste_shop, small_factors("taste", "1", &flat));
    fixture_serve(&taste_shop, policies);
    fixture_act(&taste_shop, "view", "u", "a", FIXTURE_NOW_MS);
    assert_string_equal(ASK("\"user\": \"u\", \"slot\": \"taste\", \"n\": 1"),
                        "generic/model_error: c");
    assert_string_equal(ASK("\"user\": \"u\", \"slot\": \"both\", \"n\": 2"),
                        "reduced/model_error: b c");
}

static void test_the_mode_holds_the_level_down(void **state)
{
    (void)state;
    fixture_load_shop(&taste_shop);
    serve_models();
    fixture_act(&taste_shop, "view", "u", "a", FIXTURE_NOW_MS);
    /* The ranker of this slot turns the order round. */
    assert_string_equal(ASK("\"user\": \"u\", \"slot\": \"both\", \"n\": 2"), "full: e d");
    assert_int_equal(taste_shop.decision.model_count, 3);
    taste_shop.floor = LEVEL_reduced;
    assert_string_equal(ASK("\"user\": \"u\", \"slot\": \"both\", \"n\": 2"), "reduced/mode: b c");
    assert_int_equal(taste_shop.decision.model_count, 1);
    taste_shop.floor = LEVEL_cached;
    assert_string_equal(ASK("\"user\": \"u\", \"slot\": \"both\", \"n\": 2"), "cached/mode: b c");
    assert_int_equal(taste_shop.decision.model_count, 0);
    assert_string_equal(ASK("\"user\": \"v\", \"slot\": \"both\", \"n\": 2"), "generic/mode: e d");
    taste_shop.floor = LEVEL_generic;
    assert_string_equal(ASK("\"user\": \"u\", \"slot\": \"both\", \"n\": 2"), "generic/mode: c a");
    taste_shop.floor = LEVEL_static;
    assert_string_equal(ASK("\"user\": \"u\", \"slot\": \"both\", \"n\": 2"), "static/mode: s1 s2");
    taste_shop.floor = LEVEL_full;
    assert_string_equal(ASK("\"user\": \"u\", \"slot\": \"both\", \"n\": 2"), "full: e d");
}

static void test_an_expired_budget_gets_the_last_good_answer(void **state)
{
    (void)state;
    fixture_load_shop(&taste_shop);
    serve_models();
    fixture_act(&taste_shop, "view", "u", "a", FIXTURE_NOW_MS);
    taste_shop.deadline_ns = 1000; /* now */
    assert_string_equal(ASK("\"user\": \"u\", \"n\": 3"), "generic/deadline: c a b");
    taste_shop.deadline_ns = 2000;
    assert_string_equal(ASK("\"user\": \"u\", \"n\": 3"), "full: b c d");
    taste_shop.deadline_ns = 1000;
    assert_string_equal(ASK("\"user\": \"u\", \"n\": 3"), "cached/deadline: b c d");
    assert_string_equal(ASK("\"user\": \"u\", \"n\": 2"), "cached/deadline: b c");
    /* A remembered answer belongs to a person and a slot ... */
    assert_string_equal(ASK("\"anon\": \"u\", \"n\": 2"), "generic/deadline: e d");
    assert_string_equal(ASK("\"user\": \"u\", \"slot\": \"taste\", \"n\": 2"),
                        "generic/deadline: c a");
    /* ... and is filtered again. */
    fixture_act(&taste_shop, "purchase", "u", "b", FIXTURE_NOW_MS);
    assert_string_equal(ASK("\"user\": \"u\", \"exclude\": [\"d\"]"), "cached/deadline: c");
    /* A mode below is not lifted by a deadline. */
    taste_shop.floor = LEVEL_static;
    assert_string_equal(ASK("\"user\": \"u\""), "static/mode: s1 s2");
}

static void test_answers_to_seeds_and_filters_are_not_remembered(void **state)
{
    (void)state;
    fixture_load_shop(&taste_shop);
    serve_models();
    assert_string_equal(ASK("\"user\": \"u\", \"seeds\": [\"a\"], \"n\": 2"), "full: b c");
    assert_string_equal(ASK("\"user\": \"trained\", \"slot\": \"taste\", \"n\": 1, \"filters\": "
                            "{\"brands\": [\"bolt\"]}"),
                        "full: e");
    taste_shop.deadline_ns = 1;
    assert_string_equal(ASK("\"user\": \"u\", \"n\": 2"), "generic/deadline: e d");
    assert_string_equal(ASK("\"user\": \"trained\", \"slot\": \"taste\", \"n\": 1"),
                        "generic/deadline: e");
}

/* ---- a clock that ticks with every look -------------------------------------------------------
 */

struct ticking_clock {
    struct clock clock;
    uint64_t ticks;
};

static uint64_t tick(const struct clock *clock)
{
    return ++((struct ticking_clock *)(uintptr_t)clock)->ticks;
}

static void test_time_that_runs_out_on_the_way_leaves_out_the_costly_parts(void **state)
{
    (void)state;
    struct ticking_clock ticking = {.clock = {.now_ns = tick}};
    bool full = false, without_ranker = false, without_factors = false, not_begun = false;
    fixture_load_shop(&taste_shop);
    serve_models();
    fixture_act(&taste_shop, "view", "u", "a", FIXTURE_NOW_MS);
    taste_shop.worker->clock = &ticking.clock;
    for (uint64_t deadline = 1; !full; deadline++) {
        assert_true(deadline < 100);
        ticking.ticks = 0;
        taste_shop.deadline_ns = deadline;
        (void)fixture_decide(&taste_shop,
                             "{\"op\": \"recommend\", \"user\": \"u\", \"slot\": \"both\","
                             " \"n\": 3}");
        const struct decision *decision = &taste_shop.decision;
        full = decision->level == LEVEL_full;
        assert_int_equal(decision->reason, full ? REASON_none : REASON_deadline);
        assert_int_equal(decision->count, 3);
        not_begun = not_begun || decision->level == LEVEL_generic;
        if (decision->level == LEVEL_reduced) {
            without_factors = without_factors || decision->model_count == 1;
            without_ranker = without_ranker || decision->model_count == 2;
        }
    }
    assert_true(not_begun && without_factors && without_ranker);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, taste_shop_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_nothing_at_all_answers_with_the_static_list),
        TEST(test_without_models_popular_items_answer),
        TEST(test_who_denies_personalizing_gets_what_everybody_gets),
        TEST(test_the_catalogue_without_events_leaves_the_static_list),
        TEST(test_a_popularity_model_answers_before_the_static_list),
        TEST(test_a_person_with_a_history_gets_a_full_answer),
        TEST(test_an_unknown_user_gets_what_is_popular),
        TEST(test_a_person_for_whom_nothing_is_left_gets_a_reason),
        TEST(test_a_slot_without_personal_sources_is_served_in_full),
        TEST(test_a_named_model_that_is_missing_reduces),
        TEST(test_a_model_that_cannot_be_evaluated_is_named_as_the_reason),
        TEST(test_the_mode_holds_the_level_down),
        TEST(test_an_expired_budget_gets_the_last_good_answer),
        TEST(test_answers_to_seeds_and_filters_are_not_remembered),
        TEST(test_time_that_runs_out_on_the_way_leaves_out_the_costly_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
