/* SPDX-License-Identifier: Apache-2.0 */
/* xgboost_internal - state shared by the parts of the XGBoost loader: the document as it is read,
 * and whatever must wait for its end, because parameters follow the trees. */
#ifndef MODELS_XGBOOST_INTERNAL_H
#define MODELS_XGBOOST_INTERNAL_H

#include "models/forest.h"
#include "models/xgboost_reader.h"

#define XGBOOST_BASE_SCORE_BYTES 8192
#define XGBOOST_NAME_BYTES       32

/* One tree as it is written; the arrays are used again for the next one. */
struct xgboost_tree {
    int64_t node_count, size_leaf_vector;
    struct xgboost_integers left, right, feature, default_left, split_type;
    struct xgboost_floats condition, hessian;
    struct xgboost_integers set_node, set_begin, set_size, category;
    struct forest_node *node; /* node_room */
    double *leaf;             /* node_room */
    double *cover;            /* node_room: of each leaf */
    int32_t *code;            /* node_room: node or ~leaf of the forest's numbering */
    uint32_t node_room;
};

struct xgboost_document {
    struct xgboost_reader reader;
    struct forest *forest; /* owned until it is handed over */
    struct xgboost_tree tree;
    int64_t version_major, version_minor;
    char booster[XGBOOST_NAME_BYTES], objective[XGBOOST_NAME_BYTES];
    char base_score[XGBOOST_BASE_SCORE_BYTES];
    int64_t class_count, target_count, feature_count, tree_count, parallel_count;
    bool has_trees, has_weights;
    uint32_t name_count;
    uint32_t name_room;
    struct xgboost_integers tree_info, round_begin;
    struct xgboost_floats weight_drop, weights; /* weights: of gblinear */
};

/* xgboost_tree.c: the value that was opened is a tree; it is added to the forest, with output 0. */
bool xgboost_read_tree(struct xgboost_document *document);
void xgboost_tree_free(struct xgboost_tree *tree);

/* xgboost_finish.c: after the whole document: outputs, weights, base margins, transform, rounds. */
bool xgboost_finish(struct xgboost_document *document);

#endif
