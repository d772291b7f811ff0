/* SPDX-License-Identifier: Apache-2.0 */
/* forest_fast_internal - the layout that is made once and read by the evaluators.
 *
 * XGBoost's forests have columns of floats and pieces of 32 leaves, LightGBM's have columns of
 * doubles and pieces of 64. */
#ifndef MODELS_FOREST_FAST_INTERNAL_H
#define MODELS_FOREST_FAST_INTERNAL_H

#include "models/forest_fast.h"

#define FAST_COLUMNS_MAX      2048
#define FAST_PIECES_MAX       4
#define FAST_SETS_OF_TREE_MAX 4 /* computing a column of a set costs as much as walking a tree */

/* A split: rows whose column is above the threshold lose the leaves that are not in `keep`. */
struct fast_split32 {
    float threshold;
    uint32_t keep;
    uint32_t column; /* place of its first row */
};
struct fast_split64 {
    double threshold;
    uint64_t keep;
    uint32_t column;
};

struct fast_column {
    uint32_t set;  /* NODE_CATEGORICAL */
    uint8_t flags; /* of the nodes that read it */
};

/* The columns of one feature. */
struct fast_feature {
    uint32_t feature;
    uint32_t column_begin, column_count;
};

struct fast_tree {
    uint32_t split_begin[FAST_PIECES_MAX + 1];
    uint32_t piece_count; /* 0: walked */
    uint32_t leaf_begin;
    uint32_t output;
    uint32_t number; /* of the forest's tree */
};

struct forest_fast {
    const struct forest *forest; /* borrowed */
    bool has_floats, has_avx2;
    uint32_t tree_count, split_count, feature_count, column_count;
    struct fast_tree *tree;
    struct fast_split32 *split32; /* one of the two */
    struct fast_split64 *split64;
    struct fast_feature *feature;
    struct fast_column *column;
    float *leaf32; /* has_floats: forest->leaf_value */
};

/* Columns of the rows, one behind the other, FOREST_FAST_ROWS values each of which `lanes` are
 * written: forest_fast_columns.c. */
void forest_fast_fill32(const struct forest_fast *fast, const double *values, uint32_t row_count,
                        uint32_t lanes, float *ret_columns);
void forest_fast_fill64(const struct forest_fast *fast, const double *values, uint32_t row_count,
                        uint32_t lanes, double *ret_columns);

#endif
