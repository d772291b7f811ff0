/* SPDX-License-Identifier: Apache-2.0 */
/* When a canary has to go: bounds on both sides of what is just allowed, and chance. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "server/control/canary.h"

struct sides {
    struct tally_counts stable, trial;
    char reason[CANARY_REASON_BYTES];
};

static int setup(void **state)
{
    *state = calloc(1, sizeof(struct sides));
    return *state == NULL ? -1 : 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static void reset(struct sides *sides)
{
    memset(sides, 0, sizeof *sides);
}

static void use(struct tally_counts *counts, uint64_t count, uint64_t took_ns)
{
    for (uint64_t i = 0; i < count; i++)
        hist_record(&counts->latency, took_ns);
}

static bool passes(struct sides *sides)
{
    const struct canary_bounds bounds = CANARY_BOUNDS_DEFAULT;
    sides->reason[0] = '\0';
    return canary_judge(&bounds, &sides->stable, &sides->trial, sides->reason);
}

static void test_nothing_counted_is_nothing_wrong(void **state)
{
    struct sides *sides = *state;
    assert_true(passes(sides));
    use(&sides->trial, 100000, 1000);
    assert_true(passes(sides));
    assert_string_equal(sides->reason, "");
}

static void test_errors_end_it_before_there_is_much_to_see(void **state)
{
    struct sides *sides = *state;
    /* Of the first 200: 1 % and three deviations are 3.1 %. */
    use(&sides->trial, 10, 1000);
    sides->trial.errors = 6;
    assert_true(passes(sides));
    sides->trial.errors = 7;
    assert_false(passes(sides));
    assert_string_equal(sides->reason,
                        "errors: 7 of 10 uses could not be evaluated, at most 1 % may");
    /* Among many the bound itself is what counts. */
    reset(sides);
    use(&sides->trial, 100000, 1000);
    sides->trial.errors = 1050;
    assert_true(passes(sides));
    sides->trial.errors = 1100;
    assert_false(passes(sides));
}

static void test_errors_may_be_forbidden(void **state)
{
    struct sides *sides = *state;
    struct canary_bounds bounds = CANARY_BOUNDS_DEFAULT;
    bounds.errors_max = 0;
    use(&sides->trial, 1, 1000);
    assert_true(canary_judge(&bounds, &sides->stable, &sides->trial, sides->reason));
    sides->trial.errors = 1;
    assert_false(canary_judge(&bounds, &sides->stable, &sides->trial, sides->reason));
}

static void test_latency_is_that_of_the_stable_version_times_the_bound_and_a_floor(void **state)
{
    struct sides *sides = *state;
    use(&sides->stable, 1000, 2000000); /* p99 2 ms: up to 4 ms is fine */
    use(&sides->trial, 199, 50000000);
    assert_true(passes(sides)); /* too few to say */
    use(&sides->trial, 1, 50000000);
    assert_false(passes(sides));
    assert_non_null(strstr(sides->reason, "latency: 200 of 200 uses took longer than 4."));
    reset(sides);
    use(&sides->stable, 1000, 2000000);
    use(&sides->trial, 1000, 3900000);
    assert_true(passes(sides));
    use(&sides->trial, 19, 9000000); /* 1.9 % of 1,019; 1 % and three deviations are 1.94 % */
    assert_true(passes(sides));
    use(&sides->trial, 5, 9000000);
    assert_false(passes(sides));
    /* Without a stable version to compare with there is no bound. */
    reset(sides);
    use(&sides->stable, 199, 1000);
    use(&sides->trial, 1000, 900000000);
    assert_true(passes(sides));
}

static void test_fewer_full_answers_or_more_empty_ones_end_it(void **state)
{
    struct sides *sides = *state;
    sides->stable.decisions = sides->trial.decisions = 10000;
    sides->stable.degraded = 3000;
    sides->trial.degraded = 3300; /* 3 points more: 2 are allowed, and chance makes 1.95 */
    assert_true(passes(sides));
    sides->trial.degraded = 3450;
    assert_false(passes(sides));
    assert_non_null(strstr(sides->reason, "below full: 34.5 % of 10000 decisions, 30.0 %"));
    sides->trial.degraded = 1000; /* better is fine */
    assert_true(passes(sides));
    sides->trial.empty = 400;
    assert_false(passes(sides));
    assert_non_null(strstr(sides->reason, "empty: 4.0 %"));
    sides->trial.decisions = 199;
    sides->trial.degraded = sides->trial.empty = 199;
    assert_true(passes(sides)); /* too few to say */
}

/* As often as a canary that is as good as the stable version is judged in a day. */
static void test_an_equal_version_is_not_ended_by_chance(void **state)
{
    struct sides *sides = *state;
    struct rand rand;
    int ended = 0;
    rand_init(&rand, 11);
    for (int round = 0; round < 400; round++) {
        reset(sides);
        for (int i = 0; i < 200; i++) {
            hist_record(&sides->stable.latency, 1000 + rand_below(&rand, 3000000));
            hist_record(&sides->trial.latency, 1000 + rand_below(&rand, 3000000));
            tally_decision(&sides->stable, rand_below(&rand, 100) < 40, rand_below(&rand, 100) < 3);
            tally_decision(&sides->trial, rand_below(&rand, 100) < 40, rand_below(&rand, 100) < 3);
            sides->trial.errors += rand_below(&rand, 1000) < 5;
        }
        ended += !passes(sides);
    }
    assert_int_equal(ended, 0);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_nothing_counted_is_nothing_wrong),
        TEST(test_errors_end_it_before_there_is_much_to_see),
        TEST(test_errors_may_be_forbidden),
        TEST(test_latency_is_that_of_the_stable_version_times_the_bound_and_a_floor),
        TEST(test_fewer_full_answers_or_more_empty_ones_end_it),
        TEST(test_an_equal_version_is_not_ended_by_chance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
