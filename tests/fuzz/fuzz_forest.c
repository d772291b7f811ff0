/* SPDX-License-Identifier: Apache-2.0 */
/* Trees made of the input itself, past the parsers: whatever forest_add_tree accepts is a tree, and
 * all evaluators agree on it. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "tests/support/forest_probe.h"

enum { NODES_MAX = 255, FEATURES = 3 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *at, *end;
};

static uint32_t next(struct input *input)
{
    return input->at < input->end ? *input->at++ : 0;
}

static double number(struct input *input)
{
    static const double values[] = {0.0,      -0.0,      1.0, -1.0, 1e-36, 0.5,
                                    INFINITY, -INFINITY, NAN, 3e38, 1e300, 2.5};
    uint32_t choice = next(input);
    return choice < sizeof values / sizeof *values ? values[choice] : (double)choice - 128.0;
}

/* Children follow their parents where the input does not say otherwise, so that many are trees. */
static int32_t child(struct input *input, uint32_t *made, uint32_t *leaves, uint32_t node_count)
{
    uint32_t choice = next(input);
    if (choice == 255)
        return (int32_t)next(input) - 128;
    return choice % 3 != 0 && *made < node_count ? (int32_t)(*made)++ : ~(int32_t)(*leaves)++;
}

static enum err_code add_tree(struct forest *forest, struct input *input)
{
    static struct forest_node node[NODES_MAX];
    static double leaf[NODES_MAX + 1];
    struct err err = {0};
    struct forest_raw_tree raw = {.node = node,
                                  .leaf_value = leaf,
                                  .node_count = next(input) % (NODES_MAX + 1),
                                  .is_whole = next(input) % 2 == 0,
                                  .output = next(input) % forest->output_count};
    uint32_t made = 1;
    uint32_t leaves = 0;
    for (uint32_t n = 0; n < raw.node_count; n++) {
        node[n] = (struct forest_node){.threshold = number(input),
                                       .feature = next(input) % (FEATURES + 1),
                                       .flags = (uint8_t)(next(input) & 15)};
        if (forest->family == FOREST_XGBOOST) {
            node[n].threshold = (double)(float)node[n].threshold;
            node[n].flags &= NODE_DEFAULT_LEFT | NODE_CATEGORICAL;
        }
        node[n].set = next(input) % forest->set_count;
        node[n].left = child(input, &made, &leaves, raw.node_count);
        node[n].right = child(input, &made, &leaves, raw.node_count);
    }
    raw.leaf_count = leaves > NODES_MAX ? NODES_MAX + 1 : leaves + (raw.node_count == 0);
    for (uint32_t l = 0; l < raw.leaf_count; l++)
        leaf[l] = (double)l + 0.25;
    enum err_code rc = forest_add_tree(forest, &raw, "f", &err);
    ASSERT(rc == ERR_OK || err.text[0] != '\0');
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, data + size};
    struct forest *forest = NULL;
    uint32_t set = 0;
    enum forest_family family = next(&input) % 2 == 0 ? FOREST_XGBOOST : FOREST_LIGHTGBM;
    if (forest_create(family, &forest, NULL) != ERR_OK)
        return 0;
    forest->feature_count = FEATURES;
    forest->output_count = 1 + next(&input) % 3;
    for (uint32_t s = 0; s < 3; s++) {
        const uint32_t words[] = {next(&input) * 0x01010101u, next(&input)};
        if (forest_add_set(forest, words, s, &set, NULL) != ERR_OK)
            break;
    }
    while (input.at < input.end && forest->set_count == 3 && add_tree(forest, &input) != ERR_NOMEM)
        continue;
    if (forest->set_count == 3)
        forest_probe(forest);
    forest_destroy(&forest);
    return 0;
}
