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

/* The same splits by column and rising threshold, for one row at a time: those that send it to the
 * right are the first ones of each column. */
struct fast_ordered32 {
    float threshold;
    uint32_t keep;
    uint32_t piece; /* counted over all trees */
};
struct fast_ordered64 {
    double threshold;
    uint64_t keep;
    uint32_t piece;
};

struct fast_column {
    uint32_t set;         /* NODE_CATEGORICAL */
    uint8_t flags;        /* of the nodes that read it */
    uint32_t ordered_end; /* where its splits end; they begin where those before end */
};

/* The columns of one feature. */
struct fast_feature {
    uint32_t feature;
    uint32_t column_begin, column_count;
};

struct fast_tree {
    uint32_t split_begin[FAST_PIECES_MAX + 1];
    uint32_t piece_begin; /* counted over all trees */
    uint32_t piece_count; /* 0: walked */
    uint32_t leaf_begin;
    uint32_t output;
    uint32_t number; /* of the forest's tree */
};

struct forest_fast {
    const struct forest *forest; /* borrowed */
    bool has_floats, has_avx2;
    uint32_t tree_count, split_count, piece_count, feature_count, column_count;
    struct fast_tree *tree;
    struct fast_split32 *split32; /* one of the two */
    struct fast_split64 *split64;
    struct fast_ordered32 *ordered32; /* split_count, one of the two */
    struct fast_ordered64 *ordered64;
    struct fast_feature *feature;
    struct fast_column *column;
    float *leaf32; /* has_floats: forest->leaf_value */
};

/* The ordered splits from those of the trees, which are complete: forest_fast_order.c. */
MUST_CHECK enum err_code forest_fast_order(struct forest_fast *fast, struct err *err);

/* Columns of the rows, one behind the other, FOREST_FAST_ROWS values each of which `lanes` are
 * written: forest_fast_columns.c. */
void forest_fast_fill32(const struct forest_fast *fast, const double *values, uint32_t row_count,
                        uint32_t lanes, float *ret_columns);
void forest_fast_fill64(const struct forest_fast *fast, const double *values, uint32_t row_count,
                        uint32_t lanes, double *ret_columns);

/* Up to `lanes` rows, FAST_LANES_LEAST or all, whose columns are filled: forest_fast_avx2.c, where
 * the machine has it.  The sums begin as the base. */
#define FAST_LANES_LEAST 8
void forest_fast_block32(const struct forest_fast *fast, const double *values, uint32_t row_count,
                         uint32_t lanes, const float *columns, float *sum);
void forest_fast_block64(const struct forest_fast *fast, const double *values, uint32_t row_count,
                         uint32_t lanes, const double *columns, double *sum);

/* One row whose columns are filled: forest_fast_one.c.  `alive` has piece_count places. */
void forest_fast_one32(const struct forest_fast *fast, const double *values, const float *columns,
                       uint32_t *alive, float *sum);
void forest_fast_one64(const struct forest_fast *fast, const double *values, const double *columns,
                       uint64_t *alive, double *sum);

#endif
