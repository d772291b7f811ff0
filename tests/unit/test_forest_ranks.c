/* SPDX-License-Identifier: Apache-2.0 */
/* Rows one at a time by ranks: which forests fit, how they are laid out, and the bits of the plain
 * evaluator for all of them, with values on thresholds and beside them, missing, zero, NaN and
 * infinite. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "models/forest_ranks_internal.h"
#include "tests/support/forest_probe.h"
#include "tests/support/forest_sample.h"

/* NULL: the machine has no AVX2, or the forest does not fit. */
static const struct forest_ranks *lay_out(const struct forest *forest, struct forest_fast **ret)
{
    assert_int_equal(forest_fast_create(forest, FOREST_ALL_OUTPUTS, ret, NULL), ERR_OK);
    return (*ret)->ranks;
}

static bool has_avx2(void)
{
    static const struct forest_shape one = {1, 2, 2, 1, 1, 0, false};
    struct forest *forest = forest_sample(FOREST_XGBOOST, &one, 1);
    struct forest_fast *fast = NULL;
    bool has = lay_out(forest, &fast) != NULL;
    forest_fast_destroy(&fast);
    forest_destroy(&forest);
    if (!has)
        fprintf(stderr, "SKIPPED: layouts by ranks: this machine has no AVX2\n");
    return has;
}

static uint32_t walked_count(const struct forest_ranks *ranks)
{
    uint32_t count = 0;
    for (uint32_t p = 0; p < ranks->part_count; p++)
        count += ranks->part[p].keep == 0;
    return count;
}

static void test_every_shape_gives_the_same_bits(void **state)
{
    (void)state;
    static const struct forest_shape shapes[] = {
        {1, 1, 1, 1, 1, 0, false},      {1, 31, 31, 50, 1, 0, false},
        {1000, 2, 2, 20, 1, 0, false},  {1000, 8, 32, 30, 1, 0, false},
        {300, 31, 31, 50, 1, 0, false}, {30, 25, 40, 100, 3, 1, false},
        {90, 40, 128, 3, 2, 0, false},  {300, 32, 32, 128, 7, 0, false},
        {40, 1, 200, 8, 1, 2, false},   {3, 500, 600, 4, 1, 0, false},
    };
    for (uint64_t i = 0; i < 2 * sizeof shapes / sizeof *shapes; i++) {
        enum forest_family family = i % 2 == 0 ? FOREST_XGBOOST : FOREST_LIGHTGBM;
        struct forest *forest = forest_sample(family, &shapes[i / 2], 100 + i);
        forest_probe(forest);
        forest_destroy(&forest);
    }
    static const struct forest_shape linear = {50, 2, 100, 60, 3, 5, true};
    struct forest *forest = forest_sample(FOREST_LIGHTGBM, &linear, 99);
    forest_probe(forest);
    forest_destroy(&forest);
}

/* What a forest of a family takes. */
static void expect_columns(enum forest_family family, const struct forest_shape *shape, bool fits,
                           uint32_t columns)
{
    struct forest_fast *fast = NULL;
    struct forest *forest = forest_sample(family, shape, 5);
    const struct forest_ranks *ranks = lay_out(forest, &fast);
    assert_int_equal(ranks != NULL, fits);
    if (fits)
        assert_int_equal(ranks->column_count, columns);
    forest_probe(forest);
    forest_fast_destroy(&fast);
    forest_destroy(&forest);
}

static void test_up_to_128_columns_fit(void **state)
{
    (void)state;
    if (!has_avx2())
        return;
    static const struct forest_shape most = {500, 20, 32, 128, 1, 0, false};
    static const struct forest_shape more = {500, 20, 32, 129, 1, 0, false};
    expect_columns(FOREST_XGBOOST, &most, true, 128);
    expect_columns(FOREST_XGBOOST, &more, false, 0);
    /* A feature of LightGBM takes one for each kind of missing value. */
    static const struct forest_shape kinds = {500, 20, 32, 40, 1, 0, false};
    static const struct forest_shape many_kinds = {500, 20, 32, 43, 1, 0, false};
    expect_columns(FOREST_LIGHTGBM, &kinds, true, 120);
    expect_columns(FOREST_LIGHTGBM, &many_kinds, false, 0);
    /* 31,000 different thresholds, 254 in a column; and one tree more than there is room for. */
    static const struct forest_shape one_feature = {1000, 32, 32, 1, 1, 0, false};
    static const struct forest_shape one_more = {1100, 32, 32, 1, 1, 0, false};
    struct forest_fast *fast = NULL;
    struct forest *forest = forest_sample(FOREST_XGBOOST, &one_feature, 5);
    const struct forest_ranks *ranks = lay_out(forest, &fast);
    assert_non_null(ranks);
    assert_int_equal(ranks->source_count, 1);
    assert_int_equal(ranks->column_count,
                     (ranks->source->threshold_count + RANKS_OF_COLUMN - 1) / RANKS_OF_COLUMN);
    assert_true(ranks->column_count > 120 && ranks->source->level_count == RANKS_LEVELS_MAX);
    forest_fast_destroy(&fast);
    forest_destroy(&forest);
    expect_columns(FOREST_LIGHTGBM, &one_more, false, 0);
    /* Each set of categories takes a column. */
    static const struct forest_shape sets = {200, 2, 2, 3, 1, 100, false};
    static const struct forest_shape some_sets = {100, 2, 2, 3, 1, 100, false};
    expect_columns(FOREST_XGBOOST, &sets, false, 0);
    expect_columns(FOREST_XGBOOST, &some_sets, true, 100);
}

static void test_small_trees_share_blocks_and_large_ones_take_several(void **state)
{
    (void)state;
    if (!has_avx2())
        return;
    static const struct {
        struct forest_shape shape;
        uint32_t blocks, parts, runs;
    } cases[] = {
        {{300, 31, 31, 50, 1, 0, false}, 300, 300, 1},
        {{300, 8, 8, 50, 1, 0, false}, 75, 300, 1},
        {{64, 1, 1, 1, 1, 0, false}, 2, 64, 1},
        {{10, 128, 128, 50, 1, 0, false}, 0, 0, 0}, /* as the trees are */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct forest_fast *fast = NULL;
        struct forest *forest = forest_sample(FOREST_XGBOOST, &cases[i].shape, i);
        const struct forest_ranks *ranks = lay_out(forest, &fast);
        assert_non_null(ranks);
        if (cases[i].blocks > 0) {
            assert_int_equal(ranks->block_count, cases[i].blocks);
            assert_int_equal(ranks->part_count, cases[i].parts);
            assert_int_equal(ranks->run_count, cases[i].runs);
        } else {
            assert_true(ranks->block_count >= 4 * forest->tree_count);
            assert_int_equal(ranks->block_count, ranks->part_count);
        }
        assert_int_equal(walked_count(ranks), 0);
        assert_true(forest_ranks_bytes(ranks) >=
                    ranks->block_count * 224ULL + ranks->part_count * 12ULL);
        forest_fast_destroy(&fast);
        forest_destroy(&forest);
    }
}

/* A tree in which one child of every split is a leaf. */
static void add_chain(struct forest *forest, uint32_t nodes, bool is_left)
{
    static struct forest_node node[FOREST_DEPTH_MAX];
    static double leaf[FOREST_DEPTH_MAX + 1];
    struct forest_raw_tree raw = {.node = node,
                                  .leaf_value = leaf,
                                  .node_count = nodes,
                                  .leaf_count = nodes + 1,
                                  .is_whole = true};
    for (uint32_t n = 0; n < nodes; n++) {
        int32_t next = n + 1 == nodes ? ~(int32_t)nodes : (int32_t)n + 1;
        int32_t own = ~(int32_t)n;
        node[n] = (struct forest_node){.feature = n % forest->feature_count,
                                       .threshold = (is_left ? -1.0 : 1.0) * n / 8.0,
                                       .flags = n % 3 == 0 ? NODE_DEFAULT_LEFT : 0,
                                       .left = is_left ? next : own,
                                       .right = is_left ? own : next};
        leaf[n] = 0.125 * n;
    }
    leaf[nodes] = 1000;
    struct err err = {0};
    if (forest_add_tree(forest, &raw, "test", &err) != ERR_OK)
        fail_msg("%s", err.text);
}

static void test_deep_trees_give_the_same_bits(void **state)
{
    (void)state;
    static const struct {
        uint32_t nodes;
        bool is_left, is_walked;
    } chains[] = {{1, true, false},   {31, true, false}, {31, false, false},  {32, true, false},
                  {33, true, true},   {127, true, true}, {127, false, false}, {300, true, true},
                  {300, false, true}, {512, true, true}};
    bool has_layout = has_avx2();
    for (int family = 0; family < 2; family++) {
        for (size_t i = 0; i < sizeof chains / sizeof *chains; i++) {
            struct forest_fast *fast = NULL;
            struct forest *forest = NULL;
            assert_int_equal(forest_create((enum forest_family)family, &forest, NULL), ERR_OK);
            forest->feature_count = 7;
            forest->output_count = 1;
            for (uint32_t t = 0; t < 3; t++)
                add_chain(forest, chains[i].nodes, chains[i].is_left);
            const struct forest_ranks *ranks = lay_out(forest, &fast);
            if (has_layout)
                assert_int_equal(walked_count(ranks), chains[i].is_walked ? 3 : 0);
            forest_probe(forest);
            forest_fast_destroy(&fast);
            forest_destroy(&forest);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_shape_gives_the_same_bits),
        cmocka_unit_test(test_up_to_128_columns_fit),
        cmocka_unit_test(test_small_trees_share_blocks_and_large_ones_take_several),
        cmocka_unit_test(test_deep_trees_give_the_same_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
