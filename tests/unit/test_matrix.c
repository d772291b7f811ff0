/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>

#include "base/rand.h"
#include "tests/support/alloc_fail.h"
#include "tools/train/matrix.h"

#define ROWS    17
#define COLUMNS 23

static void test_rows_are_sorted_and_the_largest_of_equals_stays(void **state)
{
    (void)state;
    static const struct matrix_entry entries[] = {{1, 2, 0.3f}, {0, 1, 1.0f}, {1, 0, 0.6f},
                                                  {1, 2, 1.0f}, {1, 2, 0.6f}, {3, 0, 0.3f}};
    struct matrix m = {0};
    assert_int_equal(matrix_build(entries, 6, 4, 3, &m, NULL), ERR_OK);
    assert_int_equal(matrix_count(&m), 4);
    assert_int_equal(matrix_row_length(&m, 0), 1);
    assert_int_equal(matrix_row_length(&m, 1), 2);
    assert_int_equal(matrix_row_length(&m, 2), 0);
    assert_int_equal(m.column[m.offset[1]], 0);
    assert_int_equal(m.column[m.offset[1] + 1], 2);
    assert_true(matrix_at(&m, 1, 2) == 1.0f);
    assert_true(matrix_at(&m, 1, 1) == 0.0f);
    assert_true(matrix_at(&m, 2, 0) == 0.0f);
    assert_true(matrix_at(&m, 3, 0) == 0.3f);
    matrix_drop_above(&m, 0.6f);
    assert_int_equal(matrix_count(&m), 2);
    assert_true(matrix_at(&m, 1, 2) == 0.0f);
    assert_true(matrix_at(&m, 1, 0) == 0.6f);
    assert_true(matrix_at(&m, 3, 0) == 0.3f);
    matrix_deinit(&m);
}

static void test_agrees_with_a_dense_table(void **state)
{
    (void)state;
    struct matrix_entry entries[400];
    float dense[ROWS][COLUMNS] = {{0.0f}};
    struct rand rand;
    struct matrix m = {0}, turned = {0};
    rand_init(&rand, 7);
    for (int i = 0; i < 400; i++) {
        struct matrix_entry e = {(uint32_t)rand_below(&rand, ROWS),
                                 (uint32_t)rand_below(&rand, COLUMNS),
                                 (float)(1 + rand_below(&rand, 9))};
        entries[i] = e;
        if (e.value > dense[e.row][e.column])
            dense[e.row][e.column] = e.value;
    }
    assert_int_equal(matrix_build(entries, 400, ROWS, COLUMNS, &m, NULL), ERR_OK);
    assert_int_equal(matrix_transpose(&m, &turned, NULL), ERR_OK);
    for (uint32_t r = 0; r < ROWS; r++) {
        for (uint32_t c = 0; c < COLUMNS; c++) {
            assert_true(matrix_at(&m, r, c) == dense[r][c]);
            assert_true(matrix_at(&turned, c, r) == dense[r][c]);
        }
    }
    assert_int_equal(matrix_count(&m), matrix_count(&turned));
    matrix_deinit(&m);
    matrix_deinit(&turned);
}

static void test_empty(void **state)
{
    (void)state;
    struct matrix m = {0}, turned = {0};
    assert_int_equal(matrix_build(NULL, 0, 0, 0, &m, NULL), ERR_OK);
    assert_int_equal(matrix_count(&m), 0);
    assert_int_equal(matrix_transpose(&m, &turned, NULL), ERR_OK);
    matrix_deinit(&m);
    matrix_deinit(&turned);
    assert_int_equal(matrix_build(NULL, 0, 3, 2, &m, NULL), ERR_OK);
    assert_true(matrix_at(&m, 2, 1) == 0.0f);
    matrix_drop_above(&m, 1.0f);
    matrix_deinit(&m);
}

static void test_no_memory(void **state)
{
    (void)state;
    static const struct matrix_entry entries[] = {{0, 1, 1.0f}, {1, 0, 1.0f}};
    for (uint32_t n = 0;; n++) {
        struct matrix m = {0};
        struct err err = {0};
        alloc_fail_after(n);
        enum err_code rc = matrix_build(entries, 2, 2, 2, &m, &err);
        if (!alloc_fail_off()) {
            assert_int_equal(rc, ERR_OK);
            matrix_deinit(&m);
            break;
        }
        assert_int_equal(rc, ERR_NOMEM);
        assert_null(m.offset);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_are_sorted_and_the_largest_of_equals_stays),
        cmocka_unit_test(test_agrees_with_a_dense_table),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
