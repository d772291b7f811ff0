/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>

#include "base/rand.h"
#include "tools/train/best.h"
#include "tools/train/parallel.h"
#include "tools/train/strongest.h"

#define COUNT 500

static int by_rank(const void *a, const void *b)
{
    const struct best_entry *left = a, *right = b;
    if (left->weight != right->weight)
        return left->weight > right->weight ? -1 : 1;
    return left->row < right->row ? -1 : 1;
}

/* Few different weights, so that ties are everywhere. */
static void fill(struct best_entry *entries, uint64_t seed, uint64_t kinds)
{
    struct rand rand;
    rand_init(&rand, seed);
    for (uint32_t i = 0; i < COUNT; i++)
        entries[i] = (struct best_entry){(float)rand_below(&rand, kinds) - 3.0f, i};
}

static void test_best_are_those_of_a_full_sort(void **state)
{
    (void)state;
    static const uint32_t capacities[] = {1, 2, 3, 20, COUNT - 1, COUNT, COUNT + 10};
    for (size_t c = 0; c < sizeof capacities / sizeof capacities[0]; c++) {
        struct best_entry all[COUNT], heap[COUNT + 10];
        struct best best = {heap, 0, capacities[c]};
        fill(all, c, 40);
        for (uint32_t i = 0; i < COUNT; i++)
            best_offer(&best, all[COUNT - 1 - i].weight, all[COUNT - 1 - i].row);
        best_sort(&best);
        qsort(all, COUNT, sizeof all[0], by_rank);
        assert_int_equal(best.count, capacities[c] < COUNT ? capacities[c] : COUNT);
        for (uint32_t i = 0; i < best.count; i++) {
            assert_true(heap[i].weight == all[i].weight);
            assert_int_equal(heap[i].row, all[i].row);
        }
    }
}

static float threshold_of(const float *values, uint32_t count, uint64_t wanted)
{
    struct strongest strongest;
    strongest_begin(&strongest, wanted);
    while (strongest_again(&strongest)) {
        for (uint32_t i = 0; i < count; i++)
            strongest_see(&strongest, values[i]);
    }
    return strongest.threshold;
}

static int descending(const void *a, const void *b)
{
    const float *left = a, *right = b;
    return *left > *right ? -1 : *left < *right;
}

static void test_strongest_finds_the_value_behind_the_wanted_ones(void **state)
{
    (void)state;
    struct rand rand;
    float value[COUNT];
    rand_init(&rand, 3);
    for (uint32_t i = 0; i < COUNT; i++) {
        float exponent = (float)(1u << rand_below(&rand, 20));
        value[i] = i % 7 == 0 ? 0.0f : (float)rand_unit(&rand) / exponent;
    }
    for (uint32_t wanted = 0; wanted < COUNT; wanted += 13) {
        float sorted[COUNT];
        float threshold = threshold_of(value, COUNT, wanted);
        for (uint32_t i = 0; i < COUNT; i++)
            sorted[i] = value[i];
        qsort(sorted, COUNT, sizeof sorted[0], descending);
        assert_true(threshold == sorted[wanted]);
    }
    assert_true(threshold_of(value, COUNT, COUNT) == 0.0f);
    assert_true(threshold_of(value, COUNT, 10 * COUNT) == 0.0f);
    assert_true(threshold_of(NULL, 0, 5) == 0.0f);
}

/* Equal values that would exceed what is wanted stay out, all of them. */
static void test_strongest_with_ties(void **state)
{
    (void)state;
    static const float value[] = {1.0f, 0.5f, 0.5f, 0.5f, 0.25f};
    assert_true(threshold_of(value, 5, 0) == 1.0f);
    assert_true(threshold_of(value, 5, 1) == 0.5f);
    assert_true(threshold_of(value, 5, 3) == 0.5f);
    assert_true(threshold_of(value, 5, 4) == 0.25f);
}

struct visits {
    uint32_t of[COUNT];
    uint32_t threads;
};

static void visit(void *ctx, uint32_t thread, uint32_t begin, uint32_t end)
{
    struct visits *visits = ctx;
    assert_true(thread < visits->threads);
    for (uint32_t i = begin; i < end; i++)
        visits->of[i]++;
}

static void test_every_index_is_visited_once(void **state)
{
    (void)state;
    static const uint32_t threads[] = {1, 2, 3, PARALLEL_THREADS_MAX};
    static const uint32_t counts[] = {0, 1, 7, COUNT};
    for (int t = 0; t < 4; t++) {
        for (int c = 0; c < 4; c++) {
            struct visits visits = {.threads = threads[t]};
            parallel_for(threads[t], counts[c], 7, visit, &visits);
            for (uint32_t i = 0; i < COUNT; i++)
                assert_int_equal(visits.of[i], i < counts[c] ? 1 : 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_best_are_those_of_a_full_sort),
        cmocka_unit_test(test_strongest_finds_the_value_behind_the_wanted_ones),
        cmocka_unit_test(test_strongest_with_ties),
        cmocka_unit_test(test_every_index_is_visited_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
