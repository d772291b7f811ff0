/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rand.h"
#include "tests/support/forest_sample.h"

/* Leaves are split at random, until there are so many. */
static void grow(struct forest *forest, struct rand *rand, const struct forest_shape *shape)
{
    static struct forest_node node[FOREST_SAMPLE_LEAVES_MAX];
    static double leaf[FOREST_SAMPLE_LEAVES_MAX];
    static int32_t *place[FOREST_SAMPLE_LEAVES_MAX]; /* what points to each leaf */
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

struct forest *forest_sample(enum forest_family family, const struct forest_shape *shape,
                             uint64_t seed)
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
