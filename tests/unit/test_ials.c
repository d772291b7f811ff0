/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "tests/support/alloc_fail.h"
#include "tools/train/ials.h"
#include "tools/train/linear_algebra.h"

#define USERS 60
#define ITEMS 40
#define DIM   6

static const struct ials_options usual = {.dim = DIM,
                                          .sweeps = 3,
                                          .regularization = 0.01,
                                          .regularization_exponent = 0.5,
                                          .unobserved_weight = 0.2,
                                          .seed = 5,
                                          .threads = 2};

/* Two tastes, and one user (0) who has nothing, one (1) who has everything. */
static struct matrix shop(void)
{
    static struct matrix_entry entries[USERS * ITEMS];
    struct matrix m = {0};
    struct rand rand;
    uint64_t count = 0;
    rand_init(&rand, 11);
    for (uint32_t u = 1; u < USERS; u++) {
        for (uint32_t i = 0; i < ITEMS; i++) {
            if (u == 1 || rand_unit(&rand) < (u % 2 == i % 2 ? 0.4 : 0.05))
                entries[count++] = (struct matrix_entry){u, i, 1.0f};
        }
    }
    assert_int_equal(matrix_build(entries, count, USERS, ITEMS, &m, NULL), ERR_OK);
    return m;
}

/* Gauss elimination with pivots, in double: slow and plain. */
static void solve_plainly(double a[DIM][DIM], double b[DIM], double x[DIM])
{
    for (int c = 0; c < DIM; c++) {
        int pivot = c;
        for (int r = c + 1; r < DIM; r++)
            pivot = fabs(a[r][c]) > fabs(a[pivot][c]) ? r : pivot;
        for (int k = 0; k < DIM; k++) {
            double swap = a[c][k];
            a[c][k] = a[pivot][k];
            a[pivot][k] = swap;
        }
        double swap = b[c];
        b[c] = b[pivot];
        b[pivot] = swap;
        for (int r = c + 1; r < DIM; r++) {
            double factor = a[r][c] / a[c][c];
            for (int k = c; k < DIM; k++)
                a[r][k] -= factor * a[c][k];
            b[r] -= factor * b[c];
        }
    }
    for (int r = DIM - 1; r >= 0; r--) {
        x[r] = b[r];
        for (int k = r + 1; k < DIM; k++)
            x[r] -= a[r][k] * x[k];
        x[r] /= a[r][r];
    }
}

/* The user half-step as the paper writes it, for one user. */
static void user_by_the_book(const struct ials *ials, const struct ials_options *options,
                             const uint32_t *items, uint32_t count, double x[DIM])
{
    double a[DIM][DIM] = {{0.0}}, b[DIM] = {0.0};
    for (uint32_t i = 0; i < ITEMS; i++) {
        const float *v = ials->item + (size_t)i * DIM;
        bool observed = false;
        for (uint32_t k = 0; k < count; k++)
            observed = observed || items[k] == i;
        for (int r = 0; r < DIM; r++) {
            for (int c = 0; c < DIM; c++)
                a[r][c] += ((observed ? 1.0 : 0.0) + options->unobserved_weight) * v[r] * v[c];
            b[r] += observed ? v[r] : 0.0;
        }
    }
    for (int r = 0; r < DIM; r++)
        a[r][r] += options->regularization * pow(count + options->unobserved_weight * ITEMS,
                                                 options->regularization_exponent);
    solve_plainly(a, b, x);
}

static void test_users_are_the_solutions_of_their_systems(void **state)
{
    (void)state;
    struct matrix m = shop();
    struct ials ials = {0};
    assert_int_equal(ials_train(&m, &usual, &ials, NULL), ERR_OK);
    assert_int_equal(ials.user_count, USERS);
    assert_int_equal(ials.item_count, ITEMS);
    for (uint32_t u = 0; u < USERS; u++) {
        double expected[DIM];
        float folded[DIM];
        const uint32_t *items = m.column + m.offset[u];
        uint32_t count = matrix_row_length(&m, u);
        user_by_the_book(&ials, &usual, items, count, expected);
        assert_int_equal(ials_fold_in(&ials, &usual, items, count, folded, NULL), ERR_OK);
        for (int d = 0; d < DIM; d++) {
            assert_true(fabs(ials.user[u * DIM + d] - expected[d]) < 1e-4);
            assert_true(folded[d] == ials.user[u * DIM + d]);
        }
    }
    ials_deinit(&ials);
    matrix_deinit(&m);
}

/* More rows than are gathered for one product. */
static void test_a_row_longer_than_the_gathering_buffer(void **state)
{
    (void)state;
    enum { MANY = 700 };
    static struct matrix_entry entries[2 * MANY];
    struct matrix m = {0};
    struct ials ials = {0};
    struct ials_options options = usual;
    options.dim = 1;
    options.regularization_exponent = 1.0;
    for (uint32_t u = 0; u < MANY; u++) {
        entries[2 * u] = (struct matrix_entry){u, 0, 1.0f};
        entries[2 * u + 1] = (struct matrix_entry){u, 1, 1.0f};
    }
    assert_int_equal(matrix_build(entries, 2 * MANY, MANY, 2, &m, NULL), ERR_OK);
    assert_int_equal(ials_train(&m, &options, &ials, NULL), ERR_OK);
    /* All users and both items are alike: w of a user follows from h of an item by hand. */
    double h = ials.item[0];
    double a = (2 + 0.2 * 2) * h * h + 0.01 * (2 + 0.2 * 2);
    for (uint32_t u = 0; u < MANY; u++)
        assert_true(fabs(ials.user[u] - 2 * h / a) < 1e-5);
    assert_true(fabs(h * ials.user[0]) > 0.7);
    ials_deinit(&ials);
    matrix_deinit(&m);
}

static void test_the_two_tastes_are_told_apart(void **state)
{
    (void)state;
    struct matrix m = shop();
    struct ials ials = {0};
    struct ials_options options = usual;
    options.sweeps = 10;
    assert_int_equal(ials_train(&m, &options, &ials, NULL), ERR_OK);
    double same = 0.0, other = 0.0;
    for (uint32_t u = 2; u < USERS; u++) {
        float score[ITEMS];
        linear_algebra_score(ials.item, ITEMS, DIM, ials.user + (size_t)u * DIM, score);
        for (uint32_t i = 0; i < ITEMS; i++)
            *(u % 2 == i % 2 ? &same : &other) += score[i];
    }
    assert_true(same > 3.0 * other);
    ials_deinit(&ials);
    matrix_deinit(&m);
}

static void test_the_result_depends_on_the_seed_and_not_on_the_threads(void **state)
{
    (void)state;
    struct matrix m = shop();
    struct ials first = {0};
    assert_int_equal(ials_train(&m, &usual, &first, NULL), ERR_OK);
    for (uint32_t threads = 1; threads <= 5; threads++) {
        struct ials again = {0};
        struct ials_options options = usual;
        options.threads = threads;
        assert_int_equal(ials_train(&m, &options, &again, NULL), ERR_OK);
        assert_memory_equal(again.user, first.user, USERS * DIM * sizeof(float));
        assert_memory_equal(again.item, first.item, ITEMS * DIM * sizeof(float));
        ials_deinit(&again);
    }
    struct ials other = {0};
    struct ials_options options = usual;
    options.seed = 6;
    assert_int_equal(ials_train(&m, &options, &other, NULL), ERR_OK);
    assert_memory_not_equal(other.item, first.item, ITEMS * DIM * sizeof(float));
    ials_deinit(&other);
    ials_deinit(&first);
    matrix_deinit(&m);
}

static void test_one_user_with_one_item(void **state)
{
    (void)state;
    static const struct matrix_entry entry = {0, 0, 1.0f};
    struct matrix m = {0};
    struct ials ials = {0};
    assert_int_equal(matrix_build(&entry, 1, 1, 1, &m, NULL), ERR_OK);
    assert_int_equal(ials_train(&m, &usual, &ials, NULL), ERR_OK);
    for (int d = 0; d < DIM; d++)
        assert_true(isfinite(ials.user[d]) && isfinite(ials.item[d]));
    ials_deinit(&ials);
    matrix_deinit(&m);
}

static void test_a_singular_system_is_refused(void **state)
{
    (void)state;
    struct matrix m = shop();
    struct ials ials = {0};
    struct err err = {0};
    struct ials_options options = usual;
    options.regularization = 0.0;
    options.unobserved_weight = 0.0;
    options.dim = DIM;
    assert_int_equal(ials_train(&m, &options, &ials, &err), ERR_BAD_INPUT);
    assert_non_null(strstr(err.text, "--regularization"));
    assert_null(ials.user);
    matrix_deinit(&m);
}

static void count_steps(void *ctx, uint64_t done, uint64_t total)
{
    uint64_t *last = ctx;
    assert_int_equal(done, *last + 1);
    assert_int_equal(total, 2 * usual.sweeps + 1);
    *last = done;
}

static void test_progress_comes_after_each_half_sweep(void **state)
{
    (void)state;
    struct matrix m = shop();
    struct ials ials = {0};
    struct ials_options options = usual;
    uint64_t last = 0;
    options.progress = count_steps;
    options.progress_ctx = &last;
    assert_int_equal(ials_train(&m, &options, &ials, NULL), ERR_OK);
    assert_int_equal(last, 2 * usual.sweeps + 1);
    ials_deinit(&ials);
    matrix_deinit(&m);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct matrix m = shop();
    for (uint32_t n = 0;; n++) {
        struct ials ials = {0};
        struct err err = {0};
        float user[DIM];
        uint32_t item = 3;
        alloc_fail_after(n);
        enum err_code rc = ials_train(&m, &usual, &ials, &err);
        if (rc == ERR_OK)
            rc = ials_fold_in(&ials, &usual, &item, 1, user, &err);
        bool failed = alloc_fail_off();
        ials_deinit(&ials);
        if (!failed) {
            assert_int_equal(rc, ERR_OK);
            break;
        }
        assert_int_equal(rc, ERR_NOMEM);
    }
    matrix_deinit(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_users_are_the_solutions_of_their_systems),
        cmocka_unit_test(test_a_row_longer_than_the_gathering_buffer),
        cmocka_unit_test(test_the_two_tastes_are_told_apart),
        cmocka_unit_test(test_the_result_depends_on_the_seed_and_not_on_the_threads),
        cmocka_unit_test(test_one_user_with_one_item),
        cmocka_unit_test(test_a_singular_system_is_refused),
        cmocka_unit_test(test_progress_comes_after_each_half_sweep),
        cmocka_unit_test(test_no_memory),
    };
    linear_algebra_start();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
