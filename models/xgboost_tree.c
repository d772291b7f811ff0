/* SPDX-License-Identifier: Apache-2.0 */
/* One tree of an XGBoost model: arrays with a place for every node, leaves among them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/xgboost_internal.h"

#define NODES_MAX (1u << 24) /* of one tree */

static bool read_param(struct xgboost_document *d)
{
    static const char *const keys[] = {"num_nodes", "size_leaf_vector", NULL};
    uint64_t seen = 0;
    int key = 0;
    if (!xgboost_open_object(&d->reader))
        return false;
    while (xgboost_next_key(&d->reader, keys, &seen, &key)) {
        if (key == 0)
            xgboost_next_text_integer(&d->reader, 1, NODES_MAX, &d->tree.node_count);
        else if (key == 1)
            xgboost_next_text_integer(&d->reader, 0, INT32_MAX, &d->tree.size_leaf_vector);
    }
    return xgboost_require(&d->reader, keys, seen, 1);
}

enum {
    KEY_PARAM,
    KEY_LEFT,
    KEY_RIGHT,
    KEY_FEATURE,
    KEY_CONDITION,
    KEY_DEFAULT_LEFT,
    KEY_SPLIT_TYPE,
    KEY_SET_NODE,
    KEY_SET_BEGIN,
    KEY_SET_SIZE,
    KEY_CATEGORY,
    KEY_HESSIAN,
};
#define KEYS_NEEDED ((1u << KEY_SPLIT_TYPE) - 1)
#define KEYS_OF_SETS \
    ((1u << KEY_SET_NODE) | (1u << KEY_SET_BEGIN) | (1u << KEY_SET_SIZE) | (1u << KEY_CATEGORY))

static bool read_key(struct xgboost_document *d, int key)
{
    struct xgboost_tree *tree = &d->tree;
    struct xgboost_reader *reader = &d->reader;
    switch (key) {
    case KEY_PARAM: return read_param(d);
    case KEY_LEFT: return xgboost_next_integers(reader, NODES_MAX, &tree->left);
    case KEY_RIGHT: return xgboost_next_integers(reader, NODES_MAX, &tree->right);
    case KEY_FEATURE: return xgboost_next_integers(reader, NODES_MAX, &tree->feature);
    case KEY_CONDITION: return xgboost_next_floats(reader, NODES_MAX, &tree->condition);
    case KEY_DEFAULT_LEFT: return xgboost_next_integers(reader, NODES_MAX, &tree->default_left);
    case KEY_SPLIT_TYPE: return xgboost_next_integers(reader, NODES_MAX, &tree->split_type);
    case KEY_SET_NODE: return xgboost_next_integers(reader, NODES_MAX, &tree->set_node);
    case KEY_SET_BEGIN: return xgboost_next_integers(reader, NODES_MAX, &tree->set_begin);
    case KEY_SET_SIZE: return xgboost_next_integers(reader, NODES_MAX, &tree->set_size);
    case KEY_HESSIAN: return xgboost_next_floats(reader, NODES_MAX, &tree->hessian);
    case KEY_CATEGORY: return xgboost_next_integers(reader, INT32_MAX, &tree->category);
    default: return true;
    }
}

static bool has_length(struct xgboost_document *d, const char *name, uint32_t count)
{
    return (int64_t)count == d->tree.node_count ||
           xgboost_fail(&d->reader, ERR_CORRUPT, "%s: expected %lld elements, got %u", name,
                        (long long)d->tree.node_count, count);
}

static bool check_lengths(struct xgboost_document *d, uint64_t seen)
{
    struct xgboost_tree *tree = &d->tree;
    if (tree->size_leaf_vector > 1)
        return xgboost_fail(&d->reader, ERR_UNSUPPORTED,
                            "size_leaf_vector is %lld: trees with a vector in each leaf "
                            "(multi_strategy=multi_output_tree) are not supported",
                            (long long)tree->size_leaf_vector);
    if ((seen >> KEY_SPLIT_TYPE & 1) == 0) { /* before 1.3: no categories */
        tree->split_type.count = 0;
    } else if (!has_length(d, "split_type", tree->split_type.count)) {
        return false;
    }
    if ((seen & KEYS_OF_SETS) == 0)
        tree->set_node.count = tree->set_begin.count = tree->set_size.count = 0;
    if (tree->set_begin.count != tree->set_node.count ||
        tree->set_size.count != tree->set_node.count)
        return xgboost_fail(&d->reader, ERR_CORRUPT,
                            "categories_segments, categories_sizes: expected %u elements as in "
                            "categories_nodes, got %u and %u",
                            tree->set_node.count, tree->set_begin.count, tree->set_size.count);
    if ((seen >> KEY_HESSIAN & 1) == 0)
        tree->hessian.count = 0;
    else if (!has_length(d, "sum_hessian", tree->hessian.count))
        return false;
    return has_length(d, "left_children", tree->left.count) &&
           has_length(d, "right_children", tree->right.count) &&
           has_length(d, "split_indices", tree->feature.count) &&
           has_length(d, "split_conditions", tree->condition.count) &&
           has_length(d, "default_left", tree->default_left.count);
}

static bool make_room(struct xgboost_document *d)
{
    struct xgboost_tree *tree = &d->tree;
    uint32_t count = (uint32_t)tree->node_count;
    if (count <= tree->node_room)
        return true;
    free(tree->node);
    free(tree->leaf);
    free(tree->cover);
    free(tree->code);
    tree->node = malloc(count * sizeof *tree->node);
    tree->leaf = malloc(count * sizeof *tree->leaf);
    tree->cover = malloc(count * sizeof *tree->cover);
    tree->code = malloc(count * sizeof *tree->code);
    bool has_all =
        tree->node != NULL && tree->leaf != NULL && tree->cover != NULL && tree->code != NULL;
    tree->node_room = has_all ? count : 0;
    return tree->node_room > 0 || xgboost_fail(&d->reader, ERR_NOMEM, "out of memory");
}

/* ---- categories ------------------------------------------------------------------------------ */

static bool add_categories(struct xgboost_document *d, uint32_t k, uint32_t *ret_set)
{
    uint32_t word[FOREST_CATEGORY_MAX / 32 + 1] = {0};
    const struct xgboost_tree *tree = &d->tree;
    int64_t begin = tree->set_begin.value[k];
    int64_t size = tree->set_size.value[k];
    int32_t most = -1;
    if (begin < 0 || size < 1 || begin + size > (int64_t)tree->category.count)
        return xgboost_fail(&d->reader, ERR_CORRUPT,
                            "categories_segments[%u]: %lld and %lld more lie outside the %u "
                            "categories",
                            k, (long long)begin, (long long)size, tree->category.count);
    for (int64_t i = begin; i < begin + size; i++) {
        int32_t category = tree->category.value[i];
        if (category < 0 || category > FOREST_CATEGORY_MAX)
            return xgboost_fail(&d->reader, category < 0 ? ERR_CORRUPT : ERR_LIMIT,
                                "categories[%lld]: expected 0..%d, got %d", (long long)i,
                                FOREST_CATEGORY_MAX, category);
        word[category / 32] |= (uint32_t)1 << (category % 32);
        most = category > most ? category : most;
    }
    enum err_code rc =
        forest_add_set(d->forest, word, (uint32_t)most / 32 + 1, ret_set, d->reader.err);
    d->reader.rc = rc;
    return rc == ERR_OK;
}

static bool is_split(const struct xgboost_tree *tree, int64_t node)
{
    return tree->left.value[node] != -1;
}

/* Each categorical split has exactly one set. */
static bool set_categories(struct xgboost_document *d)
{
    const struct xgboost_tree *tree = &d->tree;
    int32_t before = -1;
    uint32_t categorical_count = 0;
    for (uint32_t k = 0; k < tree->set_node.count; k++) {
        int32_t number = tree->set_node.value[k];
        uint32_t set = 0;
        if (number <= before || number >= tree->node_count || !is_split(tree, number) ||
            tree->split_type.count == 0 || tree->split_type.value[number] != 1)
            return xgboost_fail(&d->reader, ERR_CORRUPT,
                                "categories_nodes[%u]: %d is no categorical split, or out of order",
                                k, number);
        if (!add_categories(d, k, &set))
            return false;
        tree->node[tree->code[number]].set = set;
        before = number;
    }
    for (int64_t i = 0; i < tree->node_count && tree->split_type.count > 0; i++)
        categorical_count += is_split(tree, i) && tree->split_type.value[i] == 1;
    return categorical_count == tree->set_node.count ||
           xgboost_fail(&d->reader, ERR_CORRUPT, "%u categorical splits have %u sets of categories",
                        categorical_count, tree->set_node.count);
}

/* ---- nodes ----------------------------------------------------------------------------------- */

/* Splits and leaves get numbers of their own, in the order of the file. */
static uint32_t number_nodes(struct xgboost_tree *tree)
{
    uint32_t node_count = 0;
    int32_t leaf_count = 0;
    for (int64_t i = 0; i < tree->node_count; i++)
        tree->code[i] = is_split(tree, i) ? (int32_t)node_count++ : ~leaf_count++;
    return node_count;
}

static bool set_node(struct xgboost_document *d, int64_t i)
{
    struct xgboost_tree *tree = &d->tree;
    int32_t left = tree->left.value[i];
    int32_t right = tree->right.value[i];
    int32_t type = tree->split_type.count == 0 ? 0 : tree->split_type.value[i];
    /* XGBoost itself goes to left + 1, whatever right_children says. */
    if (left < 1 || left >= tree->node_count - 1 || right != left + 1)
        return xgboost_fail(&d->reader, ERR_CORRUPT,
                            "node %lld: expected children n and n + 1 of %lld nodes, got %d and %d",
                            (long long)i, (long long)tree->node_count, left, right);
    if (tree->feature.value[i] < 0 || (type != 0 && type != 1) ||
        (tree->default_left.value[i] != 0 && tree->default_left.value[i] != 1))
        return xgboost_fail(
            &d->reader, ERR_CORRUPT, "node %lld: split_indices %d, split_type %d, default_left %d",
            (long long)i, tree->feature.value[i], type, tree->default_left.value[i]);
    tree->node[tree->code[i]] = (struct forest_node){
        .threshold = (double)tree->condition.value[i],
        .feature = (uint32_t)tree->feature.value[i],
        .left = tree->code[left],
        .right = tree->code[right],
        .flags = (uint8_t)((type == 1 ? NODE_CATEGORICAL : 0) |
                           (tree->default_left.value[i] == 1 ? NODE_DEFAULT_LEFT : 0))};
    return true;
}

static bool add_tree(struct xgboost_document *d)
{
    struct xgboost_tree *tree = &d->tree;
    char where[ERR_TEXT_BYTES / 2];
    uint32_t node_count = number_nodes(tree);
    for (int64_t i = 0; i < tree->node_count; i++) {
        if (is_split(tree, i)) {
            if (!set_node(d, i))
                return false;
            continue;
        }
        tree->leaf[~tree->code[i]] = (double)tree->condition.value[i];
        tree->cover[~tree->code[i]] =
            tree->hessian.count > 0 ? (double)tree->hessian.value[i] : 0.0;
    }
    if (!set_categories(d))
        return false;
    snprintf(where, sizeof where, "%.100s: trees[%u]", d->reader.file, d->forest->tree_count);
    struct forest_raw_tree raw = {.node = tree->node,
                                  .node_count = is_split(tree, 0) ? node_count : 0,
                                  .leaf_value = tree->leaf,
                                  .leaf_count = (uint32_t)tree->node_count - node_count};
    d->reader.rc = forest_add_tree(d->forest, &raw, where, d->reader.err);
    if (d->reader.rc == ERR_OK)
        d->reader.rc = forest_set_means(d->forest, tree->cover, d->reader.err);
    return d->reader.rc == ERR_OK;
}

bool xgboost_read_tree(struct xgboost_document *d)
{
    static const char *const keys[] = {"tree_param",
                                       "left_children",
                                       "right_children",
                                       "split_indices",
                                       "split_conditions",
                                       "default_left",
                                       "split_type",
                                       "categories_nodes",
                                       "categories_segments",
                                       "categories_sizes",
                                       "categories",
                                       "sum_hessian",
                                       NULL};
    uint64_t seen = 0;
    int key = 0;
    d->tree.size_leaf_vector = 0;
    if (!xgboost_enter_object(&d->reader))
        return false;
    while (xgboost_next_key(&d->reader, keys, &seen, &key)) {
        if (key >= 0 && !read_key(d, key))
            return false;
    }
    if (!xgboost_require(&d->reader, keys, seen, KEYS_NEEDED))
        return false;
    return check_lengths(d, seen) && make_room(d) && add_tree(d);
}

void xgboost_tree_free(struct xgboost_tree *tree)
{
    free(tree->left.value);
    free(tree->right.value);
    free(tree->feature.value);
    free(tree->default_left.value);
    free(tree->split_type.value);
    free(tree->condition.value);
    free(tree->hessian.value);
    free(tree->set_node.value);
    free(tree->set_begin.value);
    free(tree->set_size.value);
    free(tree->category.value);
    free(tree->node);
    free(tree->leaf);
    free(tree->cover);
    free(tree->code);
}
