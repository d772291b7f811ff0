/* SPDX-License-Identifier: Apache-2.0 */
/* Leaves of a LightGBM tree that are linear: a constant and terms, instead of a value. */
#include <stdlib.h>

#include "models/lightgbm_internal.h"

struct linear_leaves {
    double *constant;         /* owned: leaf_count */
    uint32_t *begin;          /* owned: leaf_count + 1 places in term */
    struct forest_term *term; /* owned */
};

static enum err_code read_terms(const struct lightgbm_tree *tree, struct linear_leaves *linear)
{
    struct text features = tree->value[TREE_LEAF_FEATURES];
    struct text coefficients = tree->value[TREE_LEAF_COEFF];
    uint32_t count = linear->begin[tree->leaf_count];
    enum err_code rc = ERR_OK;
    /* As above: each of them takes two bytes. */
    if (count > features.len)
        return lightgbm_tree_fail(tree, TREE_LEAF_FEATURES, "too few numbers");
    linear->term = malloc((count + 1ULL) * sizeof *linear->term);
    if (linear->term == NULL)
        return lightgbm_fail(tree->lines, ERR_NOMEM, "out of memory");
    for (uint32_t i = 0; i < count && rc == ERR_OK; i++) {
        int64_t feature = 0;
        double *coefficient = &linear->term[i].coefficient;
        rc = lightgbm_tree_integer(tree, TREE_LEAF_FEATURES, &features, 0,
                                   (int64_t)tree->forest->feature_count - 1, &feature);
        if (rc == ERR_OK)
            rc = lightgbm_tree_real(tree, TREE_LEAF_COEFF, &coefficients, coefficient);
        if (rc == ERR_OK && !isfinite(*coefficient))
            rc = lightgbm_tree_fail(tree, TREE_LEAF_COEFF, "expected finite numbers");
        linear->term[i].feature = (uint32_t)feature;
    }
    if (rc == ERR_OK)
        rc = lightgbm_tree_no_more(tree, TREE_LEAF_FEATURES, features);
    return rc == ERR_OK ? lightgbm_tree_no_more(tree, TREE_LEAF_COEFF, coefficients) : rc;
}

static enum err_code read_linear(const struct lightgbm_tree *tree, struct linear_leaves *linear)
{
    enum err_code rc = ERR_OK;
    uint64_t count = 0;
    for (enum lightgbm_key key = TREE_LEAF_CONST; key <= TREE_LEAF_COEFF && rc == ERR_OK; key++)
        rc = lightgbm_tree_require(tree, key);
    struct text constants = tree->value[TREE_LEAF_CONST];
    struct text counts = tree->value[TREE_NUM_FEATURES];
    linear->constant = malloc(tree->leaf_count * sizeof *linear->constant);
    linear->begin = malloc((tree->leaf_count + 1ULL) * sizeof *linear->begin);
    if (rc == ERR_OK && (linear->constant == NULL || linear->begin == NULL))
        rc = lightgbm_fail(tree->lines, ERR_NOMEM, "out of memory");
    for (uint32_t i = 0; i < tree->leaf_count && rc == ERR_OK; i++) {
        int64_t term_count = 0;
        linear->begin[i] = (uint32_t)count;
        rc = lightgbm_tree_real(tree, TREE_LEAF_CONST, &constants, &linear->constant[i]);
        if (rc == ERR_OK && !isfinite(linear->constant[i]))
            rc = lightgbm_tree_fail(tree, TREE_LEAF_CONST, "expected finite numbers");
        if (rc == ERR_OK)
            rc = lightgbm_tree_integer(tree, TREE_NUM_FEATURES, &counts, 0, FOREST_FEATURES_MAX,
                                       &term_count);
        count += (uint64_t)term_count;
        if (rc == ERR_OK && count > FOREST_TERMS_MAX)
            rc = lightgbm_tree_fail(tree, TREE_NUM_FEATURES, "too many terms");
    }
    if (rc != ERR_OK)
        return rc;
    linear->begin[tree->leaf_count] = (uint32_t)count;
    rc = lightgbm_tree_no_more(tree, TREE_LEAF_CONST, constants);
    if (rc == ERR_OK)
        rc = lightgbm_tree_no_more(tree, TREE_NUM_FEATURES, counts);
    return rc == ERR_OK ? read_terms(tree, linear) : rc;
}

enum err_code lightgbm_add_linear(const struct lightgbm_tree *tree)
{
    struct linear_leaves linear = {0};
    enum err_code rc = read_linear(tree, &linear);
    for (uint32_t i = 0; i < tree->leaf_count && rc == ERR_OK; i++) {
        uint32_t leaf = tree->forest->leaf_from[i];
        uint32_t begin = linear.begin[leaf];
        rc = forest_add_linear_leaf(tree->forest, linear.constant[leaf], linear.term + begin,
                                    linear.begin[leaf + 1] - begin, tree->lines->err);
    }
    free(linear.constant);
    free(linear.begin);
    free(linear.term);
    return rc;
}
