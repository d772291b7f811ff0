/* SPDX-License-Identifier: Apache-2.0 */
#include "models/model_figures.h"

#include <stdlib.h>

#include "models/forest.h"
#include "models/ids.h"
#include "models/model_internal.h"
#include "models/prices_internal.h"

struct figures {
    struct model_figure *figure;
    uint32_t count;
};

static void put(struct figures *figures, const char *name, uint64_t value)
{
    ASSERT(figures->count < MODEL_FIGURES_MAX);
    figures->figure[figures->count++] = (struct model_figure){name, value};
}

/* Of the deepest tree, in splits from its root to a leaf.  No call in a call is deeper than
 * FOREST_DEPTH_MAX, which was checked at load. */
static uint32_t depth_below(const struct forest *forest, const struct forest_tree *tree,
                            int32_t node)
{
    if (node < 0)
        return 0;
    const struct forest_node *at = &forest->node[tree->node_begin + (uint32_t)node];
    uint32_t left = depth_below(forest, tree, at->left);
    uint32_t right = depth_below(forest, tree, at->right);
    return 1 + (left > right ? left : right);
}

static uint64_t forest_depth(const struct forest *forest)
{
    uint32_t deepest = 0;
    for (uint32_t t = 0; t < forest->tree_count; t++) {
        const struct forest_tree *tree = &forest->tree[t];
        uint32_t depth = tree->node_count == 0 ? 0 : depth_below(forest, tree, 0);
        if (depth > deepest)
            deepest = depth;
    }
    return deepest;
}

static void put_trees(struct figures *figures, const struct trees *trees)
{
    put(figures, "features", trees->feature_count);
    put(figures, "trees", trees->forest->tree_count);
    put(figures, "rounds", trees->forest->round_count);
    put(figures, "splits", trees->forest->node_count);
    put(figures, "leaves", trees->forest->leaf_count);
    put(figures, "depth", forest_depth(trees->forest));
    put(figures, "outputs", trees->forest->output_count);
}

static void put_mlp(struct figures *figures, const struct mlp *mlp)
{
    uint64_t parameters = 0;
    for (uint32_t i = 0; i < mlp->layer_count; i++)
        parameters += ((uint64_t)mlp->layer[i].in + 1) * mlp->layer[i].out;
    put(figures, "features", mlp->feature_count);
    put(figures, "layers", mlp->layer_count);
    put(figures, "widest", mlp->width);
    put(figures, "parameters", parameters);
}

uint32_t model_figures(const struct model *model, struct model_figure ret[MODEL_FIGURES_MAX])
{
    struct figures figures = {.figure = ret};
    switch (model->kind) {
    case MODEL_factors:
        put(&figures, "users", model->as.factors->user_count);
        put(&figures, "items", model->as.factors->item_count);
        put(&figures, "factors", model->as.factors->dim);
        break;
    case MODEL_embeddings:
        put(&figures, "items", model->as.factors->item_count);
        put(&figures, "dimensions", model->as.factors->dim);
        break;
    case MODEL_neighbors:
        put(&figures, "items", model->as.neighbors->row_count);
        put(&figures, "neighbors",
            (uint64_t)model->as.neighbors->offset[model->as.neighbors->row_count]);
        break;
    case MODEL_popularity: put(&figures, "items", model->as.popularity->row_count); break;
    case MODEL_linear: put(&figures, "features", model->as.linear->feature_count); break;
    case MODEL_trees: put_trees(&figures, model->as.trees); break;
    case MODEL_mlp: put_mlp(&figures, model->as.mlp); break;
    case MODEL_blend: put(&figures, "parts", model->as.blend->part_count); break;
    case MODEL_prices: put(&figures, "rules", model->as.prices->rule_count); break;
    case MODEL_KIND_COUNT: break;
    }
    return figures.count;
}

uint64_t model_serving_bytes(const struct model *model)
{
    return model->bytes + 2 * sizeof(uint32_t) * (uint64_t)model_row_count(model);
}
