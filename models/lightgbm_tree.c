/* SPDX-License-Identifier: Apache-2.0 */
/* One tree of a LightGBM model: lines "key=numbers", in any order, up to a blank one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "models/lightgbm_internal.h"

#define LEAVES_MAX (1u << 24)

/* Bits of decision_type. */
#define DECISION_CATEGORICAL  1
#define DECISION_DEFAULT_LEFT 2
#define DECISION_MISSING      2 /* how far to shift for 0 none, 1 zero, 2 NaN */
#define DECISION_MOST         11

static const char *const key_names[TREE_KEY_COUNT] = {
    "num_leaves",     "num_cat",       "split_feature", "threshold",
    "decision_type",  "left_child",    "right_child",   "leaf_value",
    "cat_boundaries", "cat_threshold", "is_linear",     "leaf_const",
    "num_features",   "leaf_features", "leaf_coeff",    "leaf_count"};

enum err_code lightgbm_tree_fail(const struct lightgbm_tree *tree, enum lightgbm_key key,
                                 const char *what)
{
    return lightgbm_fail(tree->lines, ERR_CORRUPT, "Tree=%u: %s: %s", tree->number, key_names[key],
                         what);
}

/* ---- numbers --------------------------------------------------------------------------------- */

/* The next number of a list; a fault when there is none. */
enum err_code lightgbm_tree_integer(const struct lightgbm_tree *tree, enum lightgbm_key key,
                                    struct text *rest, int64_t min, int64_t max, int64_t *ret_value)
{
    struct text token;
    if (!lightgbm_next_token(rest, &token))
        return lightgbm_tree_fail(tree, key, "too few numbers");
    return num_parse_int(token, min, max, ret_value)
               ? ERR_OK
               : lightgbm_fail(tree->lines, ERR_CORRUPT,
                               "Tree=%u: %s: expected an integer %lld..%lld, got '%.*s'",
                               tree->number, key_names[key], (long long)min, (long long)max,
                               token.len < 40 ? (int)token.len : 40, token.ptr);
}

enum err_code lightgbm_tree_real(const struct lightgbm_tree *tree, enum lightgbm_key key,
                                 struct text *rest, double *ret_value)
{
    struct text token;
    if (!lightgbm_next_token(rest, &token))
        return lightgbm_tree_fail(tree, key, "too few numbers");
    if (num_parse_real(token, ret_value))
        return ERR_OK;
    if (text_is(token, "inf") || text_is(token, "-inf")) {
        *ret_value = token.ptr[0] == '-' ? -INFINITY : INFINITY;
        return ERR_OK;
    }
    return lightgbm_fail(tree->lines, ERR_CORRUPT, "Tree=%u: %s: expected a number, got '%.*s'",
                         tree->number, key_names[key], token.len < 40 ? (int)token.len : 40,
                         token.ptr);
}

enum err_code lightgbm_tree_no_more(const struct lightgbm_tree *tree, enum lightgbm_key key,
                                    struct text rest)
{
    struct text token;
    return lightgbm_next_token(&rest, &token) ? lightgbm_tree_fail(tree, key, "too many numbers")
                                              : ERR_OK;
}

/* ---- the lines ------------------------------------------------------------------------------- */

static enum err_code collect(struct lightgbm_tree *tree)
{
    struct lightgbm_lines *lines = tree->lines;
    while (lightgbm_next_line(lines) && lines->line.len > 0) {
        struct text key;
        struct text value;
        lightgbm_split(lines->line, &key, &value);
        if (value.ptr == NULL)
            return lightgbm_fail(lines, ERR_CORRUPT, "Tree=%u: expected key=value", tree->number);
        for (uint32_t i = 0; i < TREE_KEY_COUNT; i++) {
            if (!text_is(key, key_names[i]))
                continue;
            if (tree->value[i].ptr != NULL)
                return lightgbm_tree_fail(tree, (enum lightgbm_key)i, "stands twice");
            tree->value[i] = value;
        }
    }
    return ERR_OK;
}

enum err_code lightgbm_tree_require(const struct lightgbm_tree *tree, enum lightgbm_key key)
{
    return tree->value[key].ptr != NULL ? ERR_OK : lightgbm_tree_fail(tree, key, "missing");
}

static enum err_code read_count(const struct lightgbm_tree *tree, enum lightgbm_key key,
                                int64_t min, int64_t max, uint32_t *ret_count)
{
    int64_t count = 0;
    enum err_code rc =
        lightgbm_integer(tree->lines, key_names[key], tree->value[key], min, max, &count);
    if (rc == ERR_OK)
        *ret_count = (uint32_t)count;
    return rc;
}

static enum err_code read_counts(struct lightgbm_tree *tree)
{
    enum err_code rc = lightgbm_tree_require(tree, TREE_NUM_LEAVES);
    if (rc == ERR_OK)
        rc = read_count(tree, TREE_NUM_LEAVES, 1, LEAVES_MAX, &tree->leaf_count);
    if (rc == ERR_OK)
        rc = lightgbm_tree_require(tree, TREE_LEAF_VALUE);
    if (rc == ERR_OK && tree->value[TREE_NUM_CAT].ptr != NULL)
        rc = read_count(tree, TREE_NUM_CAT, 0, LEAVES_MAX, &tree->set_count);
    /* A number takes at least two bytes, so this bounds what is allocated. */
    if (rc == ERR_OK && tree->leaf_count > tree->value[TREE_LEAF_VALUE].len)
        rc = lightgbm_tree_fail(tree, TREE_LEAF_VALUE, "too few numbers");
    if (rc != ERR_OK)
        return rc;
    tree->node_count = tree->leaf_count - 1;
    tree->leaf = malloc(tree->leaf_count * sizeof *tree->leaf);
    tree->cover = calloc(tree->leaf_count, sizeof *tree->cover);
    tree->node = calloc(tree->node_count + 1ULL, sizeof *tree->node);
    if (tree->leaf == NULL || tree->cover == NULL || tree->node == NULL)
        return lightgbm_fail(tree->lines, ERR_NOMEM, "out of memory");
    return ERR_OK;
}

/* ---- categories ------------------------------------------------------------------------------ */

static enum err_code read_set(struct lightgbm_tree *tree, struct text *words, uint32_t count)
{
    uint32_t word[FOREST_CATEGORY_MAX / 32 + 1];
    uint32_t set = 0;
    enum err_code rc = ERR_OK;
    if (count > sizeof word / sizeof *word)
        return lightgbm_fail(tree->lines, ERR_LIMIT, "Tree=%u: a category is above %d",
                             tree->number, FOREST_CATEGORY_MAX);
    for (uint32_t i = 0; i < count && rc == ERR_OK; i++) {
        int64_t value = 0;
        rc = lightgbm_tree_integer(tree, TREE_CAT_THRESHOLD, words, 0, UINT32_MAX, &value);
        word[i] = (uint32_t)value;
    }
    if (rc == ERR_OK)
        rc = forest_add_set(tree->forest, word, count, &set, tree->lines->err);
    return rc;
}

static enum err_code read_sets(struct lightgbm_tree *tree)
{
    struct text bounds = tree->value[TREE_CAT_BOUNDARIES];
    struct text words = tree->value[TREE_CAT_THRESHOLD];
    int64_t begin = 0;
    tree->set_begin = tree->forest->set_count;
    if (tree->set_count == 0)
        return ERR_OK;
    enum err_code rc = lightgbm_tree_require(tree, TREE_CAT_BOUNDARIES);
    if (rc == ERR_OK)
        rc = lightgbm_tree_require(tree, TREE_CAT_THRESHOLD);
    if (rc == ERR_OK)
        rc = lightgbm_tree_integer(tree, TREE_CAT_BOUNDARIES, &bounds, 0, 0, &begin);
    for (uint32_t k = 0; k < tree->set_count && rc == ERR_OK; k++) {
        int64_t end = 0;
        rc = lightgbm_tree_integer(tree, TREE_CAT_BOUNDARIES, &bounds, begin, INT32_MAX, &end);
        if (rc == ERR_OK)
            rc = read_set(tree, &words, (uint32_t)(end - begin));
        begin = end;
    }
    if (rc == ERR_OK)
        rc = lightgbm_tree_no_more(tree, TREE_CAT_BOUNDARIES, bounds);
    return rc == ERR_OK ? lightgbm_tree_no_more(tree, TREE_CAT_THRESHOLD, words) : rc;
}

/* ---- nodes ----------------------------------------------------------------------------------- */

static enum err_code set_decision(const struct lightgbm_tree *tree, int64_t decision,
                                  struct forest_node *node)
{
    int64_t missing = decision >> DECISION_MISSING;
    if ((decision & DECISION_DEFAULT_LEFT) != 0)
        node->flags |= NODE_DEFAULT_LEFT;
    /* A tree without categorical splits is numeric, whatever the bit says. */
    if ((decision & DECISION_CATEGORICAL) == 0 || tree->set_count == 0) {
        node->flags |= missing == 1 ? NODE_MISSING_ZERO : missing == 2 ? NODE_MISSING_NAN : 0;
        return ERR_OK;
    }
    if (!(node->threshold >= 0.0 && node->threshold < (double)tree->set_count) ||
        node->threshold != floor(node->threshold))
        return lightgbm_tree_fail(tree, TREE_THRESHOLD,
                                  "a categorical split has no set in cat_boundaries");
    node->flags |= NODE_CATEGORICAL;
    node->set = tree->set_begin + (uint32_t)node->threshold;
    return ERR_OK;
}

static enum err_code read_nodes(struct lightgbm_tree *tree)
{
    struct text feature = tree->value[TREE_SPLIT_FEATURE];
    struct text threshold = tree->value[TREE_THRESHOLD];
    struct text decision = tree->value[TREE_DECISION_TYPE];
    struct text left = tree->value[TREE_LEFT_CHILD];
    struct text right = tree->value[TREE_RIGHT_CHILD];
    int64_t leaf_most = tree->leaf_count;
    int64_t number[4] = {0};
    enum err_code rc = ERR_OK;
    for (uint32_t i = 0; i < tree->node_count && rc == ERR_OK; i++) {
        struct forest_node *node = &tree->node[i];
        rc = lightgbm_tree_integer(tree, TREE_SPLIT_FEATURE, &feature, 0,
                                   (int64_t)tree->forest->feature_count - 1, &number[0]);
        if (rc == ERR_OK)
            rc = lightgbm_tree_real(tree, TREE_THRESHOLD, &threshold, &node->threshold);
        if (rc == ERR_OK && tree->value[TREE_DECISION_TYPE].ptr != NULL)
            rc = lightgbm_tree_integer(tree, TREE_DECISION_TYPE, &decision, 0, DECISION_MOST,
                                       &number[1]);
        if (rc == ERR_OK)
            rc = lightgbm_tree_integer(tree, TREE_LEFT_CHILD, &left, -leaf_most, leaf_most - 2,
                                       &number[2]);
        if (rc == ERR_OK)
            rc = lightgbm_tree_integer(tree, TREE_RIGHT_CHILD, &right, -leaf_most, leaf_most - 2,
                                       &number[3]);
        node->feature = (uint32_t)number[0];
        node->left = (int32_t)number[2];
        node->right = (int32_t)number[3];
        if (rc == ERR_OK)
            rc = set_decision(tree, number[1], node);
    }
    const struct text rest[] = {feature, threshold, decision, left, right};
    for (uint32_t k = 0; k < 5 && rc == ERR_OK && tree->node_count > 0; k++)
        rc = lightgbm_tree_no_more(tree, (enum lightgbm_key)(TREE_SPLIT_FEATURE + k), rest[k]);
    return rc;
}

static enum err_code read_leaves(struct lightgbm_tree *tree)
{
    struct text rest = tree->value[TREE_LEAF_VALUE];
    enum err_code rc = ERR_OK;
    for (uint32_t i = 0; i < tree->leaf_count && rc == ERR_OK; i++)
        rc = lightgbm_tree_real(tree, TREE_LEAF_VALUE, &rest, &tree->leaf[i]);
    return rc == ERR_OK ? lightgbm_tree_no_more(tree, TREE_LEAF_VALUE, rest) : rc;
}

/* Nothing stands there for a tree without splits. */
static enum err_code read_cover(struct lightgbm_tree *tree)
{
    struct text rest = tree->value[TREE_LEAF_COUNT];
    enum err_code rc = ERR_OK;
    if (rest.ptr == NULL || tree->node_count == 0)
        return ERR_OK;
    for (uint32_t i = 0; i < tree->leaf_count && rc == ERR_OK; i++) {
        int64_t count = 0;
        rc = lightgbm_tree_integer(tree, TREE_LEAF_COUNT, &rest, INT32_MIN, INT32_MAX, &count);
        tree->cover[i] = (double)count;
    }
    return rc == ERR_OK ? lightgbm_tree_no_more(tree, TREE_LEAF_COUNT, rest) : rc;
}

/* ---- all ------------------------------------------------------------------------------------- */

static enum err_code add(struct lightgbm_tree *tree, uint32_t output)
{
    char where[ERR_TEXT_BYTES / 2];
    struct forest_raw_tree raw = {.node = tree->node,
                                  .node_count = tree->node_count,
                                  .leaf_value = tree->leaf,
                                  .leaf_count = tree->leaf_count,
                                  .output = output,
                                  .is_whole = true};
    int64_t is_linear = 0;
    enum err_code rc = ERR_OK;
    if (tree->value[TREE_IS_LINEAR].ptr != NULL)
        rc = lightgbm_integer(tree->lines, "is_linear", tree->value[TREE_IS_LINEAR], 0, 1,
                              &is_linear);
    snprintf(where, sizeof where, "%.100s: Tree=%u", tree->lines->file, tree->number);
    if (rc == ERR_OK)
        rc = forest_add_tree(tree->forest, &raw, where, tree->lines->err);
    if (rc == ERR_OK)
        rc = forest_set_means(tree->forest, tree->cover, tree->lines->err);
    if (rc == ERR_OK && is_linear == 1)
        rc = lightgbm_add_linear(tree);
    return rc;
}

enum err_code lightgbm_read_tree(struct lightgbm_lines *lines, struct forest *forest,
                                 uint32_t output)
{
    struct lightgbm_tree tree = {.lines = lines, .forest = forest, .number = forest->tree_count};
    enum err_code rc = collect(&tree);
    if (rc == ERR_OK)
        rc = read_counts(&tree);
    if (rc == ERR_OK)
        rc = read_sets(&tree);
    if (rc == ERR_OK)
        rc = read_nodes(&tree);
    if (rc == ERR_OK)
        rc = read_leaves(&tree);
    if (rc == ERR_OK)
        rc = read_cover(&tree);
    if (rc == ERR_OK)
        rc = add(&tree, output);
    free(tree.node);
    free(tree.leaf);
    free(tree.cover);
    return rc;
}
