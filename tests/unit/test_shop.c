/* SPDX-License-Identifier: Apache-2.0 */
/* decide-shop: its powers, logarithms and samples, and what goes wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "featurestore/event.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/temp_dir.h"
#include "tools/shop/fixed.h"
#include "tools/shop/generate.h"
#include "tools/shop/sampler.h"

static const struct shop_options small = {
    .users = 300, .items = 200, .days = 28, .end_day = SHOP_END_DEFAULT_DAY, .seed = 7};

/* ---- pieces -----------------------------------------------------------------------------------
 */

static void test_fixed_powers_and_logarithms(void **state)
{
    (void)state;
    assert_int_equal(fixed_exp2(0), FIXED_ONE);
    assert_int_equal(fixed_exp2(16), 2 * FIXED_ONE);
    assert_int_equal(fixed_exp2(-16), FIXED_ONE / 2);
    assert_int_equal(fixed_exp2(8), 92682); /* 65536 * sqrt 2 */
    assert_int_equal(fixed_exp2(-8), 46341);
    assert_int_equal(fixed_exp2(FIXED_LOG_MAX), FIXED_ONE << 14);
    assert_int_equal(fixed_exp2(FIXED_LOG_MAX + 1), FIXED_ONE << 14);
    assert_int_equal(fixed_exp2(-FIXED_LOG_MAX), FIXED_ONE >> 14);
    assert_int_equal(fixed_exp2(INT32_MIN), FIXED_ONE >> 14);
    assert_int_equal(fixed_exp2(INT32_MAX), FIXED_ONE << 14);
    static const struct {
        uint32_t value;
        int32_t log;
    } logs[] = {{1, 0},      {2, 16},         {3, 25},          {10, 53},
                {1000, 159}, {1u << 31, 496}, {UINT32_MAX, 511}};
    for (size_t i = 0; i < sizeof logs / sizeof logs[0]; i++)
        assert_int_equal(fixed_log2(logs[i].value), logs[i].log);
}

static void test_sampler_follows_the_weights(void **state)
{
    (void)state;
    enum { DRAWS = 60000 };
    uint64_t sums[5] = {0, 1, 2, 0, 3};
    uint32_t drawn[5] = {0};
    struct rand rand;
    rand_init(&rand, 3);
    sampler_sum(sums, 5);
    for (int i = 0; i < DRAWS; i++)
        drawn[sampler_draw(sums, 5, &rand)]++;
    assert_int_equal(drawn[0], 0);
    assert_int_equal(drawn[3], 0);
    assert_in_range(drawn[1], 9500, 10500); /* five standard deviations */
    assert_in_range(drawn[2], 19400, 20600);
    assert_in_range(drawn[4], 29400, 30600);
}

/* ---- what goes wrong ----------------------------------------------------------------------------
 */

static void test_a_directory_that_cannot_be_written(void **state)
{
    (void)state;
    struct progress progress;
    struct generated made;
    struct err err;
    progress_start_on(&progress, "", "", stderr, false, clock_system());
    assert_int_not_equal(generate(&small, "/proc/nowhere", &progress, &made, &err), ERR_OK);
    assert_non_null(strstr(err.text, "/proc/nowhere"));
    struct temp_dir dir;
    char path[2 * TEMP_DIR_BYTES];
    temp_dir_create(&dir);
    assert_int_equal(file_make_dir(temp_dir_path(&dir, "truth.json", path), &err), ERR_OK);
    assert_int_equal(generate(&small, dir.path, &progress, &made, &err), ERR_IO);
    assert_non_null(strstr(err.text, "truth.json"));
    temp_dir_remove(&dir);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct temp_dir dir;
    struct progress progress;
    struct shop_options options = {20, 40, 2, SHOP_END_DEFAULT_DAY, 7};
    temp_dir_create(&dir);
    progress_start_on(&progress, "", "", stderr, false, clock_system());
    for (uint32_t n = 0;; n++) {
        struct generated made;
        struct err err;
        alloc_fail_after(n);
        enum err_code rc = generate(&options, dir.path, &progress, &made, &err);
        bool failed = alloc_fail_off();
        if (!failed) {
            assert_int_equal(rc, ERR_OK);
            assert_true(n >= 10);
            break;
        }
        assert_int_equal(rc, ERR_NOMEM);
    }
    temp_dir_remove(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fixed_powers_and_logarithms),
        cmocka_unit_test(test_sampler_follows_the_weights),
        cmocka_unit_test(test_a_directory_that_cannot_be_written),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
