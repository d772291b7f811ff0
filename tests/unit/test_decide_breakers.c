/* SPDX-License-Identifier: Apache-2.0 */
/* Models that fail, or that an operator holds back: decisions do without them and say so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <string.h>

#include "tests/support/decide_fixture.h"
#include "tests/support/small_models.h"

enum { NEAR, TASTE, RANK };

static struct fixture fixture;
static const float near_weight[4] = {0, 1, 0, 0};
static const float item_factors[2] = {1, 0.5f};

static void add_factors(double regularization)
{
    struct small_factors factors = {.users = "u",
                                    .user_factors = item_factors,
                                    .items = "a b",
                                    .item_factors = item_factors,
                                    .dim = 1,
                                    .regularization = regularization,
                                    .trained_at = "2023-11-14T00:00:00Z"};
    fixture_add_model(&fixture, small_factors("taste", "1", &factors));
}

static int set_up(void **state)
{
    (void)state;
    static const double weights[] = {1.0};
    fixture_init(&fixture);
    fixture_add_model(&fixture, small_neighbors("near", "1", "a b", near_weight));
    add_factors(0.01);
    fixture_add_model(&fixture, small_linear("rank", "1", "blend.score", weights, 0));
    fixture_act(&fixture, "purchase", "u", "a", FIXTURE_NOW_MS - INT64_C(172800000));
    fixture_act(&fixture, "view", "crowd", "b", FIXTURE_NOW_MS);
    fixture_serve(&fixture, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fixture_deinit(&fixture);
    return 0;
}

static const char *recommend(void)
{
    return fixture_ask(&fixture, "{\"op\": \"recommend\", \"user\": \"u\", \"n\": 1}");
}

static void hold(int model, enum breaker_hold how)
{
    breaker_hold(fixture.model[model]->breaker, how);
}

static void test_each_model_can_be_done_without(void **state)
{
    (void)state;
    assert_string_equal(recommend(), "full: b");
    hold(NEAR, BREAKER_HELD_OPEN);
    assert_string_equal(recommend(), "reduced/breaker: b"); /* by taste */
    hold(TASTE, BREAKER_HELD_OPEN);
    assert_string_equal(recommend(), "generic/breaker: b"); /* by what is popular */
    assert_string_equal(fixture_ask(&fixture, "{\"op\": \"similar\", \"items\": [\"a\"]}"),
                        "generic/breaker: b");
    hold(NEAR, BREAKER_AUTO);
    assert_string_equal(recommend(), "reduced/breaker: b");
    assert_string_equal(fixture_ask(&fixture, "{\"op\": \"similar\", \"items\": [\"a\"]}"),
                        "full: b");
    hold(TASTE, BREAKER_AUTO);
    hold(RANK, BREAKER_HELD_OPEN);
    assert_string_equal(recommend(), "reduced/breaker: b");
    assert_string_equal(fixture_ask(&fixture, "{\"op\": \"rank\", \"items\": [\"b\", \"a\"]}"),
                        "reduced/breaker: b a");
    hold(RANK, BREAKER_AUTO);
    assert_string_equal(recommend(), "full: b");
}

/* Histories that cannot be folded in: after twenty the model is not asked any more, a second later
 * it is tried again. */
static void test_a_model_that_fails_is_left_alone(void **state)
{
    (void)state;
    static struct fixture other;
    static const float nothing[2] = {0, 0};
    struct small_factors factors = {.users = "somebody",
                                    .user_factors = nothing,
                                    .items = "a b",
                                    .item_factors = nothing,
                                    .dim = 1,
                                    .regularization = 0,
                                    .trained_at = "2023-11-14T00:00:00Z"};
    fixture_init(&other);
    fixture_add_model(&other, small_factors("taste", "1", &factors));
    fixture_act(&other, "view", "u", "a", FIXTURE_NOW_MS);
    fixture_act(&other, "view", "crowd", "b", FIXTURE_NOW_MS);
    fixture_serve(&other, NULL);
    const char *request = "{\"op\": \"recommend\", \"user\": \"u\", \"n\": 1}";
    for (int i = 0; i < BREAKER_CALLS; i++)
        assert_non_null(strstr(fixture_ask(&other, request), "/model_error: "));
    assert_non_null(strstr(fixture_ask(&other, request), "/breaker: "));
    clock_manual_advance_ns(&other.clock, UINT64_C(1000000000));
    assert_non_null(strstr(fixture_ask(&other, request), "/model_error: "));
    assert_non_null(strstr(fixture_ask(&other, request), "/breaker: "));
    fixture_deinit(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_model_can_be_done_without, set_up, tear_down),
        cmocka_unit_test(test_a_model_that_fails_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
