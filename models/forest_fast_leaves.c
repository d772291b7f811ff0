/* SPDX-License-Identifier: Apache-2.0 */
#include "models/forest_fast_internal.h"

/* Parents stand before their children. */
void forest_fast_count_leaves(const struct forest *forest, const struct forest_tree *tree,
                              uint32_t *ret_count, uint32_t *ret_first)
{
    const struct forest_node *nodes = fast_nodes(forest, tree);
    if (nodes == NULL)
        return;
    for (uint32_t n = tree->node_count; n-- > 0;) {
        uint32_t right = nodes[n].right < 0 ? 1 : ret_count[nodes[n].right];
        ret_count[n] = fast_left_leaves(nodes, n, ret_count) + right;
    }
    ret_first[0] = 0;
    for (uint32_t n = 0; n < tree->node_count; n++) {
        uint32_t left = fast_left_leaves(nodes, n, ret_count);
        if (nodes[n].left >= 0)
            ret_first[nodes[n].left] = ret_first[n];
        if (nodes[n].right >= 0)
            ret_first[nodes[n].right] = ret_first[n] + left;
    }
}
