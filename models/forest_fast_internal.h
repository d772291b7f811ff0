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
#define FAST_SETS_OF_TREE_MAX 4   /* computing a column of a set costs as much as walking a tree */
#define FAST_CHUNK_PIECES     512 /* what is left of them in 32 rows stays in a near cache */

/* A split: rows whose column is above the threshold lose the leaves that are not in `keep`. */
struct fast_split32 {
    float threshold;
    uint32_t keep;
    uint32_t piece; /* counted over the trees of the chunk */
};
struct fast_split64 {
    double threshold;
    uint64_t keep;
    uint32_t piece;
};

/* The splits of a chunk that read one column, by rising threshold: those that send a row to the
 * right are the first ones.  They begin where those of the run before end. */
struct fast_run {
    uint32_t column; /* place of its first row */
    uint32_t split_end;
};

/* Trees that go through their splits together; they and their runs begin where those of the chunk
 * before end. */
struct fast_chunk {
    uint32_t tree_end, run_end;
    uint32_t piece_count;
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
    uint32_t piece_begin; /* counted over the trees of the chunk */
    uint32_t piece_count; /* 0: walked */
    uint32_t leaf_begin;
    uint32_t output;
    uint32_t number; /* of the forest's tree */
};

struct forest_fast {
    const struct forest *forest; /* borrowed */
    bool has_floats, has_avx2;
    uint32_t tree_count, split_count, run_count, chunk_count, feature_count, column_count;
    uint32_t chunk_pieces; /* of the chunk that has most */
    struct fast_tree *tree;
    struct fast_split32 *split32; /* one of the two */
    struct fast_split64 *split64;
    struct fast_run *run;
    struct fast_chunk *chunk;
    struct fast_feature *feature;
    struct fast_column *column;
    float *leaf32; /* has_floats: forest->leaf_value */
};

/* A split before they are in order. */
struct fast_key {
    double threshold;
    uint64_t keep;
    uint32_t chunk, column, piece, number;
};

/* Sorts the keys of all trees and lays splits and runs out; trees and chunks are complete but for
 * the ends of runs: forest_fast_order.c. */
MUST_CHECK enum err_code forest_fast_order(struct forest_fast *fast, struct fast_key *key,
                                           uint32_t count, struct err *err);

/* Columns of the rows, one behind the other, FOREST_FAST_ROWS values each of which `lanes` are
 * written: forest_fast_columns.c. */
void forest_fast_fill32(const struct forest_fast *fast, const double *values, uint32_t row_count,
                        uint32_t lanes, float *ret_columns);
void forest_fast_fill64(const struct forest_fast *fast, const double *values, uint32_t row_count,
                        uint32_t lanes, double *ret_columns);

/* Up to `lanes` rows, FAST_LANES_LEAST or all, whose columns are filled: forest_fast_avx2.c, where
 * the machine has it.  `alive` has chunk_pieces places for all rows and chunk_pieces behind them.
 * The sums begin as the base. */
#define FAST_LANES_LEAST 8
struct fast_block {
    const double *values;
    uint32_t row_count, lanes;
    const void *columns;
    void *alive;
};
void forest_fast_block32(const struct forest_fast *fast, const struct fast_block *block,
                         float *sum);
void forest_fast_block64(const struct forest_fast *fast, const struct fast_block *block,
                         double *sum);

/* One row whose columns are filled: forest_fast_one.c.  `alive` has chunk_pieces places. */
void forest_fast_one32(const struct forest_fast *fast, const double *values, const float *columns,
                       uint32_t *alive, float *sum);
void forest_fast_one64(const struct forest_fast *fast, const double *values, const double *columns,
                       uint64_t *alive, double *sum);

#endif
