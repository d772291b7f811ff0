/* SPDX-License-Identifier: Apache-2.0 */
/* How two answers differ, by hand and against a plain reference. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

#include "base/idmap.h"
#include "base/rand.h"
#include "server/decide/shadow_compare.h"

#define COUNT(array)  (uint32_t)(sizeof(array) / sizeof((array)[0]))
#define ANSWER(array) ((struct shadow_answer){(array), COUNT(array)})

static struct shadow_difference compare(struct shadow_answer served, struct shadow_answer shadow)
{
    struct shadow_difference difference;
    shadow_compare(&served, &shadow, &difference);
    return difference;
}

static void near(double got, double expected)
{
    assert_true(fabs(got - expected) < 1e-9);
}

static void test_the_same_answer_does_not_differ(void **state)
{
    (void)state;
    static const struct shadow_item items[] = {{7, 3}, {1, 2}, {9, 1}};
    struct shadow_difference same = compare(ANSWER(items), ANSWER(items));
    near(same.overlap, 1);
    near(same.rank_correlation, 1);
    near(same.score_drift_sum, 0);
    assert_int_equal(same.common_count, 3);
}

static void test_order_items_and_scores_each_differ_in_their_number(void **state)
{
    (void)state;
    static const struct shadow_item served[] = {{1, 4}, {2, 3}, {3, 2}, {4, 1}};
    static const struct shadow_item reversed[] = {{4, 1}, {3, 2}, {2, 3}, {1, 4}};
    static const struct shadow_item other[] = {{2, 3.5f}, {8, 3}, {1, 2}};
    static const struct shadow_item none[] = {{11, 1}};
    struct shadow_difference difference = compare(ANSWER(served), ANSWER(reversed));
    near(difference.overlap, 1);
    near(difference.rank_correlation, -1);
    near(difference.score_drift_sum, 0);
    difference = compare(ANSWER(served), ANSWER(other));
    near(difference.overlap, 0.5);
    near(difference.rank_correlation, -1);
    near(difference.score_drift_sum, 2.5);
    near(difference.score_drift_max, 2);
    difference = compare(ANSWER(served), ANSWER(none));
    near(difference.overlap, 0);
    assert_true(isnan(difference.rank_correlation));
}

static void test_empty_answers_and_unknown_items(void **state)
{
    (void)state;
    static const struct shadow_item some[] = {{1, 1}};
    /* Items of the caller's own are told from each other, and from those with a number. */
    const uint32_t x = shadow_key(IDMAP_NONE, TEXT_LITERAL("x"));
    const uint32_t y = shadow_key(IDMAP_NONE, TEXT_LITERAL("y"));
    const struct shadow_item unknown[] = {{x, 3}, {y, 2}, {shadow_key(1, TEXT_LITERAL("x")), 1}};
    const struct shadow_item turned[] = {{y, 3}, {1, 2}, {x, 1}};
    const struct shadow_answer empty = {NULL, 0};
    near(compare(empty, empty).overlap, 1);
    near(compare(empty, ANSWER(some)).overlap, 0);
    near(compare(ANSWER(some), empty).overlap, 0);
    struct shadow_difference difference = compare(ANSWER(unknown), ANSWER(unknown));
    assert_int_equal(difference.common_count, 3);
    near(difference.overlap, 1);
    difference = compare(ANSWER(unknown), ANSWER(turned));
    near(difference.overlap, 1);
    near(difference.rank_correlation, -0.5);
    near(difference.score_drift_max, 2);
}

/* Pearson's correlation of the ranks among the common items, from its definition. */
static double reference(const struct shadow_answer *a, const struct shadow_answer *b)
{
    double rank_a[SHADOW_ITEMS_MAX], rank_b[SHADOW_ITEMS_MAX], n = 0;
    for (uint32_t i = 0; i < a->count; i++) {
        for (uint32_t j = 0; j < b->count; j++) {
            if (a->item[i].item != b->item[j].item)
                continue;
            rank_a[(uint32_t)n] = n;
            rank_b[(uint32_t)n] = j;
            n++;
        }
    }
    double dense[SHADOW_ITEMS_MAX];
    for (uint32_t i = 0; i < (uint32_t)n; i++) {
        dense[i] = 0;
        for (uint32_t j = 0; j < (uint32_t)n; j++)
            dense[i] += rank_b[j] < rank_b[i];
    }
    double mean = (n - 1) / 2, covariance = 0, variance = 0;
    for (uint32_t i = 0; i < (uint32_t)n; i++) {
        covariance += (rank_a[i] - mean) * (dense[i] - mean);
        variance += (rank_a[i] - mean) * (rank_a[i] - mean);
    }
    return covariance / variance;
}

static uint32_t draw(struct rand *rand, struct shadow_item *items)
{
    uint32_t count = 0, wanted = 2 + (uint32_t)rand_below(rand, 200);
    for (uint32_t i = 0; i < wanted; i++) {
        uint32_t item = (uint32_t)rand_below(rand, 300);
        bool there = false;
        for (uint32_t k = 0; k < count; k++)
            there = there || items[k].item == item;
        if (!there)
            items[count++] = (struct shadow_item){item, (float)rand_unit(rand)};
    }
    return count;
}

static void test_the_correlation_is_that_of_its_definition(void **state)
{
    (void)state;
    struct shadow_item a[200], b[200];
    struct rand rand;
    rand_init(&rand, 3);
    for (int round = 0; round < 300; round++) {
        const struct shadow_answer served = {a, draw(&rand, a)}, shadow = {b, draw(&rand, b)};
        struct shadow_difference difference = compare(served, shadow);
        if (difference.common_count >= 2)
            near(difference.rank_correlation, reference(&served, &shadow));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_same_answer_does_not_differ),
        cmocka_unit_test(test_order_items_and_scores_each_differ_in_their_number),
        cmocka_unit_test(test_empty_answers_and_unknown_items),
        cmocka_unit_test(test_the_correlation_is_that_of_its_definition),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
