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
#include "tools/train/energy.h"
#include "tools/train/linear_algebra.h"
#include "tools/train/neighbors.h"

#define PEOPLE 80
#define ITEMS  30

static const struct neighbors_options usual = {
    .per_row = ITEMS, .lambda = 20.0, .shrinkage = 3.0, .threads = 2};

static float dense[PEOPLE][ITEMS];

/* Weights of purchases, carts and views; item 0 is never touched. */
static struct matrix shop(void)
{
    static const float weights[] = {1.0f, 0.6f, 0.3f};
    static struct matrix_entry entries[PEOPLE * ITEMS];
    struct matrix m = {0};
    struct rand rand;
    uint64_t count = 0;
    rand_init(&rand, 23);
    memset(dense, 0, sizeof dense);
    for (uint32_t p = 0; p < PEOPLE; p++) {
        for (uint32_t i = 1; i < ITEMS; i++) {
            if (rand_unit(&rand) > (p % 3 == i % 3 ? 0.4 : 0.1))
                continue;
            dense[p][i] = weights[rand_below(&rand, 3)];
            entries[count++] = (struct matrix_entry){p, i, dense[p][i]};
        }
    }
    assert_int_equal(matrix_build(entries, count, PEOPLE, ITEMS, &m, NULL), ERR_OK);
    return m;
}

static double product_of(uint32_t i, uint32_t j)
{
    double sum = 0.0;
    for (uint32_t p = 0; p < PEOPLE; p++)
        sum += (double)dense[p][i] * (double)dense[p][j];
    return sum;
}

/* Gauss-Jordan in double: slow and plain. */
static void invert_plainly(double a[ITEMS][ITEMS], double inverse[ITEMS][ITEMS])
{
    for (int r = 0; r < ITEMS; r++) {
        for (int c = 0; c < ITEMS; c++)
            inverse[r][c] = r == c ? 1.0 : 0.0;
    }
    for (int c = 0; c < ITEMS; c++) {
        double pivot = a[c][c];
        for (int k = 0; k < ITEMS; k++) {
            a[c][k] /= pivot;
            inverse[c][k] /= pivot;
        }
        for (int r = 0; r < ITEMS; r++) {
            double factor = r == c ? 0.0 : a[r][c];
            for (int k = 0; k < ITEMS; k++) {
                a[r][k] -= factor * a[c][k];
                inverse[r][k] -= factor * inverse[c][k];
            }
        }
    }
}

static void ease_by_the_book(double lambda, double b[ITEMS][ITEMS])
{
    static double gram[ITEMS][ITEMS], p[ITEMS][ITEMS];
    for (uint32_t i = 0; i < ITEMS; i++) {
        for (uint32_t j = 0; j < ITEMS; j++)
            gram[i][j] = product_of(i, j) + (i == j ? lambda : 0.0);
    }
    invert_plainly(gram, p);
    for (uint32_t i = 0; i < ITEMS; i++) {
        for (uint32_t j = 0; j < ITEMS; j++)
            b[i][j] = i == j ? 0.0 : -p[i][j] / p[j][j];
    }
}

/* The weight that the lists give, or 0. */
static float weight_of(const struct neighbor_lists *lists, uint32_t item, uint32_t other)
{
    for (int64_t i = lists->offset[item]; i < lists->offset[item + 1]; i++) {
        if (lists->row[i] == other)
            return lists->weight[i];
    }
    return 0.0f;
}

/* What docs/bundles.md asks of the file. */
static void check_form(const struct neighbor_lists *lists)
{
    assert_int_equal(lists->offset[0], 0);
    for (uint32_t item = 0; item < lists->row_count; item++) {
        bool seen[ITEMS] = {false};
        assert_true(lists->offset[item] <= lists->offset[item + 1]);
        for (int64_t i = lists->offset[item]; i < lists->offset[item + 1]; i++) {
            assert_true(lists->row[i] < lists->row_count);
            assert_int_not_equal(lists->row[i], item);
            assert_false(seen[lists->row[i]]);
            seen[lists->row[i]] = true;
            assert_true(isfinite(lists->weight[i]) && lists->weight[i] != 0.0f);
            if (i > lists->offset[item])
                assert_true(lists->weight[i] <= lists->weight[i - 1]);
        }
    }
}

static void test_ease_agrees_with_the_formula(void **state)
{
    (void)state;
    static double expected[ITEMS][ITEMS];
    struct matrix m = shop();
    struct neighbor_lists lists = {0};
    assert_int_equal(neighbors_ease(&m, &usual, &lists, NULL), ERR_OK);
    check_form(&lists);
    ease_by_the_book(usual.lambda, expected);
    for (uint32_t i = 0; i < ITEMS; i++) {
        for (uint32_t j = 0; j < ITEMS; j++)
            assert_true(fabs(weight_of(&lists, i, j) - expected[i][j]) < 1e-5);
    }
    neighbor_lists_deinit(&lists);
    matrix_deinit(&m);
}

/* A third of the budget goes to each row's strongest, the rest to the strongest anywhere. */
static void test_ease_keeps_the_strongest(void **state)
{
    (void)state;
    enum { PER_ROW = 9, SURE = 3 };
    struct matrix m = shop();
    struct neighbor_lists all = {0}, cut = {0};
    struct neighbors_options options = usual;
    assert_int_equal(neighbors_ease(&m, &options, &all, NULL), ERR_OK);
    options.per_row = PER_ROW;
    assert_int_equal(neighbors_ease(&m, &options, &cut, NULL), ERR_OK);
    check_form(&cut);
    assert_true(cut.offset[ITEMS] <= PER_ROW * ITEMS);
    assert_true(cut.offset[ITEMS] > PER_ROW * ITEMS - ITEMS);
    float weakest_kept = INFINITY, strongest_left = 0.0f;
    for (uint32_t i = 0; i < ITEMS; i++) {
        float least = INFINITY;
        uint32_t above = 0;
        for (uint32_t j = 0; j < ITEMS; j++) {
            float full = fabsf(weight_of(&all, i, j)), kept = fabsf(weight_of(&cut, i, j));
            assert_true(kept == 0.0f || kept == full);
            if (kept == 0.0f && full > strongest_left)
                strongest_left = full;
            if (kept > 0.0f && kept < least)
                least = kept;
        }
        uint32_t length = (uint32_t)(cut.offset[i + 1] - cut.offset[i]);
        assert_true(length >= SURE || i == 0);
        for (uint32_t j = 0; j < ITEMS; j++)
            above += fabsf(weight_of(&all, i, j)) > least;
        assert_true(length <= above + 1); /* none that is kept is weaker than one that is not */
        if (length > SURE && least < weakest_kept)
            weakest_kept = least;
    }
    assert_true(weakest_kept >= strongest_left);
    neighbor_lists_deinit(&all);
    neighbor_lists_deinit(&cut);
    matrix_deinit(&m);
}

static int by_magnitude(const void *a, const void *b)
{
    const float *left = a, *right = b;
    return *left < *right ? 1 : *left > *right ? -1 : 0;
}

static void test_energy_counts_the_strongest_that_hold_a_share(void **state)
{
    (void)state;
    enum { VALUES = 5000 };
    static struct energy energy;
    static float value[VALUES];
    struct rand rand;
    double total = 0.0;
    rand_init(&rand, 31);
    memset(&energy, 0, sizeof energy);
    for (int i = 0; i < VALUES; i++) {
        value[i] = i % 50 == 0 ? 0.0f : (float)exp(3.0 * rand_normal(&rand));
        total += (double)value[i] * value[i];
        energy_see(&energy, value[i]);
    }
    qsort(value, VALUES, sizeof value[0], by_magnitude);
    static const double shares[] = {0.1, 0.5, 0.9, 0.99, 1.0};
    for (size_t s = 0; s < sizeof shares / sizeof shares[0]; s++) {
        uint64_t count = energy_count(&energy, shares[s]), least = 0;
        double held = 0.0;
        while (least < VALUES && held < shares[s] * total * (1 - 1e-12))
            held += (double)value[least] * value[least], least++;
        assert_true(count >= least);
        /* No more than those of the last one's bin, an eighth of a power of two wide. */
        assert_true(shares[s] == 1.0 || count == least ||
                    value[count - 1] > value[least - 1] / 1.13f);
    }
}

/* Two hundred items in ten groups: the weights within a group hold nearly all of the energy. */
static void test_ease_keeps_what_holds_the_energy(void **state)
{
    (void)state;
    enum { MANY = 200, BUYERS = 600, GROUP = 20 };
    static struct matrix_entry entries[BUYERS * GROUP];
    struct matrix m = {0};
    struct rand rand;
    uint64_t count = 0;
    rand_init(&rand, 37);
    for (uint32_t p = 0; p < BUYERS; p++) {
        for (uint32_t i = 0; i < GROUP; i++) {
            if (rand_below(&rand, 2) == 0)
                entries[count++] = (struct matrix_entry){p, p % 10 * GROUP + i, 1.0f};
        }
    }
    assert_int_equal(matrix_build(entries, count, BUYERS, MANY, &m, NULL), ERR_OK);
    static const struct {
        double energy;
        uint32_t per_row_max;
    } cases[] = {{0.0, 150}, {0.9, ENERGY_PER_ROW_MIN}, {1.0, 150}};
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        struct neighbor_lists lists = {0};
        struct neighbors_options options = usual;
        options.per_row = 150;
        options.energy = cases[c].energy;
        assert_int_equal(neighbors_ease(&m, &options, &lists, NULL), ERR_OK);
        assert_true(lists.offset[MANY] <= (int64_t)cases[c].per_row_max * MANY);
        assert_true(lists.offset[MANY] > 0);
        neighbor_lists_deinit(&lists);
    }
    matrix_deinit(&m);
}

static void test_cosine_agrees_with_the_formula(void **state)
{
    (void)state;
    struct matrix m = shop();
    struct neighbor_lists lists = {0}, cut = {0};
    struct neighbors_options options = usual;
    assert_int_equal(neighbors_cosine(&m, &usual, &lists, NULL), ERR_OK);
    check_form(&lists);
    for (uint32_t i = 0; i < ITEMS; i++) {
        for (uint32_t j = 0; j < ITEMS; j++) {
            double lengths = sqrt(product_of(i, i)) * sqrt(product_of(j, j));
            double expected = i == j ? 0.0 : product_of(i, j) / (lengths + usual.shrinkage);
            assert_true(fabs(weight_of(&lists, i, j) - expected) < 1e-6);
        }
    }
    options.per_row = 4;
    assert_int_equal(neighbors_cosine(&m, &options, &cut, NULL), ERR_OK);
    check_form(&cut);
    for (uint32_t i = 0; i < ITEMS; i++) {
        int64_t full = lists.offset[i + 1] - lists.offset[i];
        int64_t length = cut.offset[i + 1] - cut.offset[i];
        assert_int_equal(length, full < 4 ? full : 4);
        for (int64_t k = 0; k < length; k++) {
            assert_int_equal(cut.row[cut.offset[i] + k], lists.row[lists.offset[i] + k]);
            assert_true(cut.weight[cut.offset[i] + k] == lists.weight[lists.offset[i] + k]);
        }
    }
    assert_int_equal(lists.offset[1], 0); /* nobody touched item 0 */
    neighbor_lists_deinit(&lists);
    neighbor_lists_deinit(&cut);
    matrix_deinit(&m);
}

typedef enum err_code (*method)(const struct matrix *pairs, const struct neighbors_options *options,
                                struct neighbor_lists *ret_lists, struct err *err);

static void assert_same(const struct neighbor_lists *a, const struct neighbor_lists *b)
{
    size_t entries = (size_t)a->offset[ITEMS];
    assert_memory_equal(a->offset, b->offset, (ITEMS + 1) * sizeof(int64_t));
    assert_memory_equal(a->row, b->row, entries * sizeof(uint32_t));
    assert_memory_equal(a->weight, b->weight, entries * sizeof(float));
}

/* To the bit for cosine; ease promises that for the same number of threads alone. */
static void test_a_second_run_gives_the_same(void **state)
{
    (void)state;
    struct matrix m = shop();
    struct neighbors_options options = usual;
    struct neighbor_lists cosine = {0};
    options.per_row = 7;
    assert_int_equal(neighbors_cosine(&m, &options, &cosine, NULL), ERR_OK);
    for (options.threads = 1; options.threads <= 4; options.threads++) {
        struct neighbor_lists again = {0}, ease[2] = {{0}};
        assert_int_equal(neighbors_cosine(&m, &options, &again, NULL), ERR_OK);
        assert_int_equal(neighbors_ease(&m, &options, &ease[0], NULL), ERR_OK);
        assert_int_equal(neighbors_ease(&m, &options, &ease[1], NULL), ERR_OK);
        assert_same(&again, &cosine);
        assert_same(&ease[0], &ease[1]);
        neighbor_lists_deinit(&again);
        neighbor_lists_deinit(&ease[0]);
        neighbor_lists_deinit(&ease[1]);
    }
    neighbor_lists_deinit(&cosine);
    matrix_deinit(&m);
}

static void test_one_person_and_one_item(void **state)
{
    (void)state;
    static const method methods[] = {neighbors_ease, neighbors_cosine};
    static const struct matrix_entry entry = {0, 0, 1.0f};
    struct matrix m = {0};
    assert_int_equal(matrix_build(&entry, 1, 1, 1, &m, NULL), ERR_OK);
    for (int which = 0; which < 2; which++) {
        struct neighbor_lists lists = {0};
        assert_int_equal(methods[which](&m, &usual, &lists, NULL), ERR_OK);
        assert_int_equal(lists.row_count, 1);
        assert_int_equal(lists.offset[1], 0);
        neighbor_lists_deinit(&lists);
    }
    matrix_deinit(&m);
}

/* Refused before anything is allocated: the matrix given has no memory behind it. */
static void test_too_many_items_for_ease(void **state)
{
    (void)state;
    uint64_t offset[] = {0, 0};
    struct matrix wide = {1, EASE_ITEMS_MAX + 1, offset, NULL, NULL};
    struct neighbor_lists lists = {0};
    struct err err = {0};
    uint64_t before = alloc_count();
    assert_int_equal(neighbors_ease(&wide, &usual, &lists, &err), ERR_LIMIT);
    assert_int_equal(alloc_count(), before);
    assert_non_null(strstr(err.text, "40001 items need 6.0 GiB"));
    assert_non_null(strstr(err.text, "at most 40000 items"));
    assert_non_null(strstr(err.text, "cosine"));
}

static void test_no_memory(void **state)
{
    (void)state;
    static const method methods[] = {neighbors_ease, neighbors_cosine};
    struct matrix m = shop();
    for (int which = 0; which < 2; which++) {
        for (uint32_t n = 0;; n++) {
            struct neighbor_lists lists = {0};
            struct err err = {0};
            alloc_fail_after(n);
            enum err_code rc = methods[which](&m, &usual, &lists, &err);
            bool failed = alloc_fail_off();
            neighbor_lists_deinit(&lists);
            if (!failed) {
                assert_int_equal(rc, ERR_OK);
                break;
            }
            assert_int_equal(rc, ERR_NOMEM);
        }
    }
    matrix_deinit(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ease_agrees_with_the_formula),
        cmocka_unit_test(test_ease_keeps_the_strongest),
        cmocka_unit_test(test_energy_counts_the_strongest_that_hold_a_share),
        cmocka_unit_test(test_ease_keeps_what_holds_the_energy),
        cmocka_unit_test(test_cosine_agrees_with_the_formula),
        cmocka_unit_test(test_a_second_run_gives_the_same),
        cmocka_unit_test(test_one_person_and_one_item),
        cmocka_unit_test(test_too_many_items_for_ease),
        cmocka_unit_test(test_no_memory),
    };
    linear_algebra_start();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
