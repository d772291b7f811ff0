/* SPDX-License-Identifier: Apache-2.0 */
#include "models/contributions.h"

#include <math.h>

#include "models/model_internal.h"

static void of_linear(const struct linear *linear, const double *values, double *ret_adds,
                      double *ret_base)
{
    *ret_base = linear->bias;
    for (uint32_t i = 0; i < linear->feature_count; i++) {
        double value = isnan(values[i]) ? linear->feature[i].fallback : values[i];
        ret_adds[i] = linear->weight[i] * fmin(fmax(value, -LINEAR_ABS_MAX), LINEAR_ABS_MAX);
    }
}

/* Along the path of the row, from the root to its leaf. */
static void of_tree(const struct forest *forest, const struct forest_tree *tree,
                    const double *values, double *adds, double *base)
{
    int32_t at = 0;
    if (tree->node_count == 0) {
        *base += forest_leaf_output(forest, tree->leaf_begin, values);
        return;
    }
    *base += forest->node[tree->node_begin].mean;
    while (at >= 0) {
        const struct forest_node *node = &forest->node[tree->node_begin + (uint32_t)at];
        const double x = values[node->feature];
        const bool left = forest->family == FOREST_XGBOOST ? forest_xgboost_left(forest, node, x)
                                                           : forest_lightgbm_left(forest, node, x);
        at = left ? node->left : node->right;
        const double next =
            at >= 0 ? forest->node[tree->node_begin + (uint32_t)at].mean
                    : forest_leaf_output(forest, tree->leaf_begin + (uint32_t)~at, values);
        adds[node->feature] += next - node->mean;
    }
}

static void of_gblinear(const struct trees *trees, const double *values, double *adds)
{
    const struct forest *forest = trees->forest;
    for (uint32_t i = 0; i < trees->feature_count; i++) {
        const float x = (float)values[i];
        if (!isnan(x))
            adds[i] =
                (double)(x *
                         forest->linear_weight[(size_t)i * forest->output_count + trees->output]);
    }
}

static void of_trees(const struct trees *trees, const double *values, double *row, double *ret_adds,
                     double *ret_base)
{
    const struct forest *forest = trees->forest;
    for (uint32_t i = 0; i < trees->feature_count; i++) {
        row[i] = isnan(values[i]) ? trees->feature[i].fallback : values[i];
        ret_adds[i] = 0.0;
    }
    *ret_base = forest->base[trees->output];
    if (forest->linear_weight != NULL) {
        of_gblinear(trees, row, ret_adds);
        return;
    }
    for (uint32_t t = 0; t < forest->tree_count; t++) {
        if (forest->tree[t].output == trees->output)
            of_tree(forest, &forest->tree[t], row, ret_adds, ret_base);
    }
    if (!forest->averages || trees->is_raw) /* a raw score is the sum, as the library's is */
        return;
    *ret_base /= (double)forest->round_count;
    for (uint32_t i = 0; i < trees->feature_count; i++)
        ret_adds[i] /= (double)forest->round_count;
}

/* The score is the number of the class with the largest of several margins. */
static bool is_class(const struct trees *trees)
{
    return trees->forest->transform == TRANSFORM_CLASS && !trees->is_raw;
}

bool ranker_contributions(const struct model *ranker, const double *values, double *room,
                          double *ret_adds, double *ret_base)
{
    switch (ranker->kind) {
    case MODEL_linear: of_linear(ranker->as.linear, values, ret_adds, ret_base); return true;
    case MODEL_trees:
        if (is_class(ranker->as.trees))
            return false;
        of_trees(ranker->as.trees, values, room, ret_adds, ret_base);
        return true;
    default: return false;
    }
}
