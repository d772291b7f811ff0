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

enum { LEAVES_MAX = 600 };

struct shape {
    uint32_t trees, leaves_least, leaves_most, features, outputs;
    uint32_t set_percent;
    bool is_linear;
};

/* Leaves are split at random, until there are so many. */
static void grow(struct forest *forest, struct rand *rand, const struct shape *shape)
{
    static struct forest_node node[LEAVES_MAX];
    static double leaf[LEAVES_MAX];
    static int32_t *place[LEAVES_MAX]; /* what points to each leaf */
    int32_t root = ~(int32_t)0;
    struct err err = {0};
    uint32_t wanted = shape->leaves_least +
                      (uint32_t)rand_below(rand, shape->leaves_most - shape->leaves_least + 1);
    struct forest_raw_tree raw = {
        .node = node, .leaf_value = leaf, .leaf_count = 1, .is_whole = true};
    raw.output = (uint32_t)rand_below(rand, shape->outputs);
    place[0] = &root;
    while (raw.leaf_count < wanted) {
        uint32_t split = (uint32_t)rand_below(rand, raw.leaf_count);
        struct forest_node *made = &node[raw.node_count];
        bool is_set = rand_below(rand, 100) < shape->set_percent;
        *made = (struct forest_node){
            .feature = (uint32_t)rand_below(rand, shape->features),
            .threshold = (double)(float)rand_normal(rand),
            .flags = (uint8_t)(rand_below(rand, 2) | (is_set ? NODE_CATEGORICAL : 0)),
            .set = is_set ? (uint32_t)rand_below(rand, forest->set_count) : 0,
            .left = ~(int32_t)split,
            .right = ~(int32_t)raw.leaf_count};
        if (forest->family == FOREST_LIGHTGBM && !is_set)
            made->flags |= (uint8_t)(rand_below(rand, 3) << 2); /* none, zero, NaN */
        *place[split] = (int32_t)raw.node_count++;
        place[split] = &made->left;
        place[raw.leaf_count++] = &made->right;
    }
    for (uint32_t l = 0; l < raw.leaf_count; l++)
        leaf[l] = (double)(float)rand_normal(rand);
    if (forest_add_tree(forest, &raw, "test", &err) != ERR_OK)
        fail_msg("%s", err.text);
    for (uint32_t l = 0; l < raw.leaf_count && shape->is_linear; l++) {
        const struct forest_term terms[] = {{0, rand_normal(rand)}, {shape->features - 1, 2.5}};
        assert_int_equal(forest_add_linear_leaf(forest, rand_normal(rand), terms,
                                                (uint32_t)rand_below(rand, 3), &err),
                         ERR_OK);
    }
}

static struct forest *make(enum forest_family family, const struct shape *shape, uint64_t seed)
{
    struct forest *forest = NULL;
    struct rand rand;
    uint32_t set = 0;
    rand_init(&rand, seed);
    assert_int_equal(forest_create(family, &forest, NULL), ERR_OK);
    forest->feature_count = shape->features;
    forest->output_count = shape->outputs;
    for (uint32_t k = 0; k < shape->outputs; k++)
        forest->base[k] = 0.5 * k;
    for (uint32_t s = 0; s < 5; s++) {
        const uint32_t words[] = {(uint32_t)rand_u64(&rand), (uint32_t)rand_u64(&rand)};
        assert_int_equal(forest_add_set(forest, words, s % 3, &set, NULL), ERR_OK);
    }
    for (uint32_t t = 0; t < shape->trees; t++)
        grow(forest, &rand, shape);
    return forest;
}

static void test_every_shape_gives_the_same_bits(void **state)
{
    (void)state;
    static const struct shape shapes[] = {
        {1, 1, 1, 1, 1, 0, false},       {40, 1, 3, 4, 1, 0, false},
        {40, 31, 33, 10, 1, 0, false},   {20, 60, 70, 10, 3, 0, false},
        {12, 90, 140, 10, 1, 0, false},  {6, 120, 300, 10, 2, 0, false},
        {30, 2, 40, 10, 1, 10, false},   {30, 2, 40, 10, 2, 90, false},
        {40, 64, 64, 1000, 1, 0, false}, {60, 100, 128, 1024, 1, 3, false},
        {10, 250, 258, 5, 1, 0, false},  {700, 1, 70, 10, 2, 5, false},
    };
    for (uint64_t i = 0; i < 2 * sizeof shapes / sizeof *shapes; i++) {
        enum forest_family family = i % 2 == 0 ? FOREST_XGBOOST : FOREST_LIGHTGBM;
        struct forest *forest = make(family, &shapes[i / 2], i);
        forest_probe(forest);
        forest_destroy(&forest);
    }
    static const struct shape linear = {20, 2, 40, 6, 2, 10, true};
    struct forest *forest = make(FOREST_LIGHTGBM, &linear, 99);
    forest_probe(forest);
    forest_destroy(&forest);
}

static void test_one_output_is_that_of_all(void **state)
{
    (void)state;
    static const struct shape shape = {40, 2, 40, 6, 4, 5, false};
    static double values[FOREST_FAST_ROWS * 6], all[4 * FOREST_FAST_ROWS],
        one[4 * FOREST_FAST_ROWS];
    struct rand rand;
    rand_init(&rand, 5);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        values[i] = rand_normal(&rand);
    struct forest *forest = make(FOREST_XGBOOST, &shape, 7);
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
    static const struct shape shape = {20, 2, 40, 6, 1, 5, false};
    for (int family = 0; family < 2; family++) {
        struct forest *forest = make((enum forest_family)family, &shape, 3);
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
