/* SPDX-License-Identifier: Apache-2.0 */
/* The plain evaluator: one row, one tree after the other, in the library's own arithmetic. */
#include "models/forest.h"

uint32_t forest_leaf(const struct forest *forest, const struct forest_tree *tree,
                     const double *values)
{
    int32_t at = tree->node_count == 0 ? ~(int32_t)0 : 0;
    while (at >= 0) {
        const struct forest_node *node = &forest->node[tree->node_begin + (uint32_t)at];
        double x = values[node->feature];
        bool left = forest->family == FOREST_XGBOOST ? forest_xgboost_left(forest, node, x)
                                                     : forest_lightgbm_left(forest, node, x);
        at = left ? node->left : node->right;
    }
    return tree->leaf_begin + (uint32_t)~at;
}

double forest_leaf_output(const struct forest *forest, uint32_t leaf, const double *values)
{
    if (leaf >= forest->linear_count)
        return forest->leaf_value[leaf];
    const struct forest_linear_leaf *linear = &forest->linear_leaf[leaf];
    double sum = linear->constant;
    for (uint32_t i = 0; i < linear->term_count; i++) {
        const struct forest_term *term = &forest->term[linear->term_begin + i];
        double x = values[term->feature];
        if (isnan(x))
            return forest->leaf_value[leaf];
        if (x >= -FOREST_ZERO && x <= FOREST_ZERO)
            x = 0.0;
        sum += term->coefficient * x;
    }
    return sum;
}

static void linear_margins(const struct forest *forest, const double *values, double *ret_margin)
{
    for (uint32_t k = 0; k < forest->output_count; k++) {
        float sum = (float)forest->base[k];
        for (uint32_t f = 0; f < forest->feature_count; f++) {
            float x = (float)values[f];
            if (!isnan(x))
                sum += x * forest->linear_weight[(size_t)f * forest->output_count + k];
        }
        ret_margin[k] = (double)sum;
    }
}

void forest_margins(const struct forest *forest, const double *values, double *ret_margin)
{
    if (forest->linear_weight != NULL) {
        linear_margins(forest, values, ret_margin);
        return;
    }
    for (uint32_t k = 0; k < forest->output_count; k++)
        ret_margin[k] = forest->base[k];
    for (uint32_t t = 0; t < forest->tree_count; t++) {
        const struct forest_tree *tree = &forest->tree[t];
        double *margin = &ret_margin[tree->output];
        double value = forest_leaf_output(forest, forest_leaf(forest, tree, values), values);
        *margin = forest->family == FOREST_XGBOOST ? (double)((float)*margin + (float)value)
                                                   : *margin + value;
    }
}
