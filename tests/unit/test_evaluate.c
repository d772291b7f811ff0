/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "tests/support/alloc_fail.h"
#include "tools/train/evaluate.h"

static void assert_metrics(struct person_metrics got, double recall, double ndcg, double hr)
{
    assert_true(fabs(got.recall - recall) < 1e-12);
    assert_true(fabs(got.ndcg - ndcg) < 1e-12);
    assert_true(fabs(got.hr - hr) < 1e-12);
}

static void test_metrics_of_lists_made_by_hand(void **state)
{
    (void)state;
    static const uint32_t targets[] = {2, 5, 9};
    const double two = 1.0 / log2(3.0), three = 0.5;
    static const uint32_t perfect[] = {9, 2, 5, 1}, none[] = {1, 3, 4}, third[] = {1, 3, 5},
                          unknown[] = {DATASET_NONE, 2};
    assert_metrics(evaluate_list(perfect, 4, 4, targets, 3), 1.0, 1.0, 1.0);
    assert_metrics(evaluate_list(none, 3, 3, targets, 3), 0.0, 0.0, 0.0);
    assert_metrics(evaluate_list(third, 3, 3, targets, 3), 1.0 / 3, three / (1 + two + three), 1.0);
    assert_metrics(evaluate_list(unknown, 2, 2, targets, 3), 0.5, two / (1 + two), 1.0);
    /* The list is cut at k; with fewer than k targets, all of them can be reached. */
    assert_metrics(evaluate_list(third, 3, 2, targets, 3), 0.0, 0.0, 0.0);
    assert_metrics(evaluate_list(perfect, 1, 1, targets, 3), 1.0, 1.0, 1.0);
    assert_metrics(evaluate_list(third, 3, 10, targets, 3), 1.0 / 3, three / (1 + two + three),
                   1.0);
    assert_metrics(evaluate_list(NULL, 0, 10, targets, 3), 0.0, 0.0, 0.0);
}

/* Row 0 bought 0 and buys 0 and 1; row 1 viewed 2 and buys it; row 2 comes back for nothing. */
struct fixture {
    struct dataset dataset;
    struct targets targets;
};

static struct fixture fixture_make(void)
{
    static const struct matrix_entry pairs[] = {{0, 0, 1.0f}, {1, 2, 0.3f}, {2, 1, 1.0f}};
    static const struct matrix_entry later[] = {{0, 0, 1.0f}, {0, 1, 1.0f}, {1, 2, 1.0f}};
    struct fixture f = {.targets = {.event_class = EVENT_CLASS_PURCHASE}};
    assert_int_equal(matrix_build(pairs, 3, 3, 3, &f.dataset.pairs, NULL), ERR_OK);
    assert_int_equal(matrix_build(later, 3, 3, 3, &f.targets.items, NULL), ERR_OK);
    return f;
}

static void fixture_drop(struct fixture *f)
{
    dataset_deinit(&f->dataset);
    targets_deinit(&f->targets);
}

struct lists {
    uint32_t calls[EVALUATE_MODES][3]; /* by row */
    uint32_t failing_row;
};

/* Everybody is shown 0, then 2. */
static enum err_code list(void *ctx, uint32_t thread, uint32_t row, enum evaluate_mode mode,
                          uint32_t k, uint32_t *ret_columns, uint32_t *ret_count, struct err *err)
{
    struct lists *lists = ctx;
    (void)thread;
    assert_int_equal(k, 2);
    if (row == lists->failing_row)
        return err_set(err, ERR_IO, "row %u: no answer", row);
    lists->calls[mode][row]++;
    ret_columns[0] = 0;
    ret_columns[1] = 2;
    *ret_count = 2;
    return ERR_OK;
}

static void test_the_two_modes(void **state)
{
    (void)state;
    const double two = 1.0 / log2(3.0);
    for (uint32_t threads = 1; threads <= 3; threads++) {
        struct fixture f = fixture_make();
        struct lists lists = {.failing_row = DATASET_NONE};
        const struct lists_source source = {.ctx = &lists, .list = list};
        struct evaluation e = {0};
        assert_int_equal(evaluate(&f.dataset, &f.targets, &source, 2, threads, &e, NULL), ERR_OK);
        assert_int_equal(e.k, 2);
        /* new: row 0 has target 1 and misses it; row 1 only viewed 2, so it counts and is hit. */
        assert_int_equal(e.mode[EVALUATE_NEW].users, 2);
        assert_metrics(e.mode[EVALUATE_NEW].mean, 0.5, two / 2, 0.5);
        /* any: row 0 has targets 0 and 1, and 0 is hit. */
        assert_int_equal(e.mode[EVALUATE_ANY].users, 2);
        assert_metrics(e.mode[EVALUATE_ANY].mean, 0.75, (1 / (1 + two) + two) / 2, 1.0);
        assert_int_equal(lists.calls[EVALUATE_ANY][0], 1);
        assert_int_equal(lists.calls[EVALUATE_ANY][2], 0); /* nobody asks without a target */
        fixture_drop(&f);
    }
}

static void test_a_list_that_fails_ends_it(void **state)
{
    (void)state;
    for (uint32_t threads = 1; threads <= 2; threads++) {
        struct fixture f = fixture_make();
        struct lists lists = {.failing_row = 1};
        const struct lists_source source = {.ctx = &lists, .list = list};
        struct evaluation e = {.k = 77};
        struct err err = {0};
        assert_int_equal(evaluate(&f.dataset, &f.targets, &source, 2, threads, &e, &err), ERR_IO);
        assert_string_equal(err.text, "row 1: no answer");
        assert_int_equal(e.k, 77);
        fixture_drop(&f);
    }
}

static void test_nobody_with_new_targets(void **state)
{
    (void)state;
    static const struct matrix_entry entry = {0, 0, 1.0f};
    struct fixture f = {.targets = {.event_class = EVENT_CLASS_PURCHASE}};
    struct lists lists = {.failing_row = DATASET_NONE};
    const struct lists_source source = {.ctx = &lists, .list = list};
    struct evaluation e = {0};
    assert_int_equal(matrix_build(&entry, 1, 1, 3, &f.dataset.pairs, NULL), ERR_OK);
    assert_int_equal(matrix_build(&entry, 1, 1, 3, &f.targets.items, NULL), ERR_OK);
    assert_int_equal(evaluate(&f.dataset, &f.targets, &source, 2, 1, &e, NULL), ERR_OK);
    assert_int_equal(e.mode[EVALUATE_NEW].users, 0);
    assert_metrics(e.mode[EVALUATE_NEW].mean, 0.0, 0.0, 0.0);
    assert_int_equal(e.mode[EVALUATE_ANY].users, 1);
    fixture_drop(&f);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct fixture f = fixture_make();
    struct lists lists = {.failing_row = DATASET_NONE};
    const struct lists_source source = {.ctx = &lists, .list = list};
    for (uint32_t n = 0;; n++) {
        struct evaluation e = {0};
        struct err err = {0};
        alloc_fail_after(n);
        enum err_code rc = evaluate(&f.dataset, &f.targets, &source, 2, 2, &e, &err);
        if (!alloc_fail_off()) {
            assert_int_equal(rc, ERR_OK);
            break;
        }
        assert_int_equal(rc, ERR_NOMEM);
    }
    fixture_drop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metrics_of_lists_made_by_hand),
        cmocka_unit_test(test_the_two_modes),
        cmocka_unit_test(test_a_list_that_fails_ends_it),
        cmocka_unit_test(test_nobody_with_new_targets),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
