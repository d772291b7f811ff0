/* SPDX-License-Identifier: Apache-2.0 */
/* The fast evaluators against the plain one, bit by bit, over forests of every shape that the fast
 * layout tells apart: pieces, chunks of trees, walked trees, too many columns, sets, several
 * outputs, linear leaves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "models/forest_fast.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/forest_probe.h"
#include "tests/support/forest_sample.h"

static void test_every_shape_gives_the_same_bits(void **state)
{
    (void)state;
    static const struct forest_shape shapes[] = {
        {1, 1, 1, 1, 1, 0, false},       {40, 1, 3, 4, 1, 0, false},
        {40, 31, 33, 10, 1, 0, false},   {20, 60, 70, 10, 3, 0, false},
        {12, 90, 140, 10, 1, 0, false},  {6, 120, 300, 10, 2, 0, false},
        {30, 2, 40, 10, 1, 10, false},   {30, 2, 40, 10, 2, 90, false},
        {40, 64, 64, 1000, 1, 0, false}, {60, 100, 128, 1024, 1, 3, false},
        {10, 250, 258, 5, 1, 0, false},  {700, 1, 70, 10, 2, 5, false},
    };
    for (uint64_t i = 0; i < 2 * sizeof shapes / sizeof *shapes; i++) {
        enum forest_family family = i % 2 == 0 ? FOREST_XGBOOST : FOREST_LIGHTGBM;
        struct forest *forest = forest_sample(family, &shapes[i / 2], i);
        forest_probe(forest);
        forest_destroy(&forest);
    }
    static const struct forest_shape linear = {20, 2, 40, 6, 2, 10, true};
    struct forest *forest = forest_sample(FOREST_LIGHTGBM, &linear, 99);
    forest_probe(forest);
    forest_destroy(&forest);
}

static void test_one_output_is_that_of_all(void **state)
{
    (void)state;
    static const struct forest_shape shape = {40, 2, 40, 6, 4, 5, false};
    static double values[FOREST_FAST_ROWS * 6], all[4 * FOREST_FAST_ROWS],
        one[4 * FOREST_FAST_ROWS];
    struct rand rand;
    rand_init(&rand, 5);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        values[i] = rand_normal(&rand);
    struct forest *forest = forest_sample(FOREST_XGBOOST, &shape, 7);
    struct forest_fast *fast[2] = {NULL};
    assert_int_equal(forest_fast_create(forest, FOREST_ALL_OUTPUTS, &fast[0], NULL), ERR_OK);
    assert_int_equal(forest_fast_create(forest, 2, &fast[1], NULL), ERR_OK);
    assert_true(forest_fast_bytes(fast[1]) < forest_fast_bytes(fast[0]));
    void *scratch = aligned_alloc(64, forest_fast_scratch_bytes(fast[0]));
    assert_true(forest_fast_scratch_bytes(fast[1]) <= forest_fast_scratch_bytes(fast[0]));
    for (uint32_t rows = 1; rows <= FOREST_FAST_ROWS; rows++) {
        uint64_t before = alloc_count();
        forest_fast_margins(fast[0], values, rows, scratch, all);
        forest_fast_margins(fast[1], values, rows, scratch, one);
        assert_int_equal(alloc_count(), before);
        assert_memory_equal(one + 2 * FOREST_FAST_ROWS, all + 2 * FOREST_FAST_ROWS,
                            rows * sizeof(double));
    }
    free(scratch);
    forest_fast_destroy(&fast[0]);
    forest_fast_destroy(&fast[1]);
    forest_destroy(&forest);
}

static void test_survives_failed_allocations(void **state)
{
    (void)state;
    static const struct forest_shape shape = {20, 2, 40, 6, 1, 5, false};
    for (int family = 0; family < 2; family++) {
        struct forest *forest = forest_sample((enum forest_family)family, &shape, 3);
        uint32_t n = 0;
        for (bool failed = true; failed; n++) {
            struct forest_fast *fast = NULL;
            alloc_fail_after(n);
            enum err_code rc = forest_fast_create(forest, 0, &fast, NULL);
            failed = alloc_fail_off();
            assert_int_equal(rc, failed ? ERR_NOMEM : ERR_OK);
            assert_true(failed == (fast == NULL));
            forest_fast_destroy(&fast);
        }
        assert_true(n > 8);
        forest_destroy(&forest);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_shape_gives_the_same_bits),
        cmocka_unit_test(test_one_output_is_that_of_all),
        cmocka_unit_test(test_survives_failed_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
