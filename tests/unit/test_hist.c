/* SPDX-License-Identifier: Apache-2.0 */
/* Quantiles stay within the promised error of those of the sorted values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/hist.h"
#include "base/rand.h"

enum { VALUES = 20000 };

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void quantiles_are_near_the_sorted_values(void **state)
{
    (void)state;
    static struct hist hist;
    static uint64_t values[VALUES];
    struct rand rand;
    rand_init(&rand, 11);
    hist_reset(&hist);
    double sum = 0;
    for (int i = 0; i < VALUES; i++) {
        values[i] = rand_u64(&rand) >> (24 + rand_below(&rand, 40));
        sum += (double)values[i];
        hist_record(&hist, values[i]);
    }
    qsort(values, VALUES, sizeof values[0], compare);
    static const double shares[] = {0.001, 0.25, 0.5, 0.9, 0.99, 0.999, 1.0};
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
        uint64_t exact = values[(size_t)(shares[i] * VALUES + 0.999999) - 1];
        uint64_t got = hist_quantile(&hist, shares[i]);
        assert_true(got >= exact);
        assert_true((double)(got - exact) <= 0.016 * (double)exact);
    }
    assert_true(hist_quantile(&hist, 1) == values[VALUES - 1]);
    assert_true(hist_mean_ns(&hist) > 0.999 * sum / VALUES);
    assert_true(hist_mean_ns(&hist) < 1.001 * sum / VALUES);
}

static void edges(void **state)
{
    (void)state;
    static struct hist hist;
    static struct hist other;
    hist_reset(&hist);
    hist_reset(&other);
    assert_int_equal(hist_quantile(&hist, 0.5), 0);
    hist_record(&hist, 0);
    assert_int_equal(hist_quantile(&hist, 0.5), 0);
    hist_record(&hist, UINT64_MAX);
    assert_true(hist_quantile(&hist, 1) == (UINT64_C(1) << HIST_TOP_BIT) - 1);
    assert_int_equal(hist_count_below(&hist, 0), 1);
    assert_int_equal(hist_count_below(&hist, UINT64_MAX), 2);
    /* A share outside 0..1, or none, is taken for the nearest. */
    assert_int_equal(hist_quantile(&hist, -1), 0);
    assert_true(hist_quantile(&hist, 2) == hist_quantile(&hist, 1));

    hist_record(&other, 63);
    hist_record(&other, 64);
    hist_record(&other, 65);
    assert_int_equal(hist_count_below(&other, 63), 1);
    assert_int_equal(hist_count_below(&other, 64), 2);
    hist_merge(&hist, &other);
    assert_int_equal(hist_count_below(&hist, UINT64_MAX), 5);
    assert_int_equal(hist_quantile(&hist, 0.6), 64);
    hist_reset(&hist);
    assert_int_equal(hist_count_below(&hist, UINT64_MAX), 0);
}

static void what_is_taken_away_leaves_the_rest(void **state)
{
    (void)state;
    static struct hist all, earlier;
    hist_record(&all, 10);
    hist_record(&all, 5000);
    hist_reset(&earlier);
    hist_merge(&earlier, &all);
    hist_record(&all, 20);
    hist_record(&all, 20);
    hist_subtract(&all, &earlier);
    assert_int_equal(all.count, 2);
    assert_int_equal(all.sum_ns, 40);
    assert_int_equal(hist_quantile(&all, 0.99), 20);
    assert_int_equal(hist_count_below(&all, 10), 0);
    hist_subtract(&all, &all);
    assert_int_equal(all.count, 0);
    assert_int_equal(hist_quantile(&all, 0.5), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantiles_are_near_the_sorted_values),
        cmocka_unit_test(edges),
        cmocka_unit_test(what_is_taken_away_leaves_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
