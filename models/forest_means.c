/* SPDX-License-Identifier: Apache-2.0 */
/* What a tree gives on average below each of its nodes: the means of the leaves, weighted by how
 * much of the training data ended in them. */
#include <stdlib.h>

#include "models/forest.h"

struct below {
    double cover, sum; /* sum of cover * value */
    double plain;      /* the mean where nothing is known of the cover */
};

static struct below of_leaf(const struct forest *forest, const struct forest_tree *tree,
                            uint32_t leaf, const double *leaf_cover)
{
    const double value = forest->leaf_value[tree->leaf_begin + leaf];
    const double given = leaf_cover == NULL ? 0.0 : leaf_cover[forest->leaf_from[leaf]];
    const double cover = given > 0.0 && isfinite(given) ? given : 0.0;
    return (struct below){cover, cover * value, value};
}

enum err_code forest_set_means(struct forest *forest, const double *leaf_cover, struct err *err)
{
    const struct forest_tree *tree = &forest->tree[forest->tree_count - 1];
    struct below *below = malloc((tree->node_count + 1ULL) * sizeof *below);
    if (below == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for a forest");
    /* Children stand behind their parents. */
    for (uint32_t n = tree->node_count; n-- > 0;) {
        struct forest_node *node = &forest->node[tree->node_begin + n];
        const int32_t child[2] = {node->left, node->right};
        struct below both = {0};
        for (int side = 0; side < 2; side++) {
            const struct below one =
                child[side] >= 0 ? below[child[side]]
                                 : of_leaf(forest, tree, (uint32_t)~child[side], leaf_cover);
            both.cover += one.cover;
            both.sum += one.sum;
            both.plain += one.plain / 2.0;
        }
        if (both.cover > 0.0 && isfinite(both.sum))
            both.plain = both.sum / both.cover;
        node->mean = both.plain;
        below[n] = both;
    }
    free(below);
    return ERR_OK;
}
