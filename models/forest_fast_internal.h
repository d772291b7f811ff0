/* SPDX-License-Identifier: Apache-2.0 */
/* forest_fast_internal - the layout that is built once and read by the evaluators.
 *
 * XGBoost forests use columns of floats and pieces of 32 leaves, LightGBM forests columns of
 * doubles and pieces of 64. */
#ifndef MODELS_FOREST_FAST_INTERNAL_H
#define MODELS_FOREST_FAST_INTERNAL_H

#include "models/forest_fast.h"

#define FAST_COLUMNS_MAX      2048
#define FAST_PIECES_MAX       4
#define FAST_SETS_OF_TREE_MAX 4   /* computing a column of a set costs as much as walking a tree */
#define FAST_CHUNK_PIECES     100 /* of 32 rows they take 25 KiB at most, so that they stay near */

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

struct forest_ranks;

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
    float *leaf32;              /* has_floats: forest->leaf_value */
    struct forest_ranks *ranks; /* owned: how rows go one by one; NULL where it does not fit */
};

/* A split before they are in order. */
struct fast_key {
    double threshold;
    uint64_t keep;
    uint32_t chunk, column, piece, number;
};

/* What a split is compared with: a set counts as a column of -infinity and NaN, which any threshold
 * tells apart; x < t of floats is x <= the float before t. */
double forest_fast_threshold(const struct forest_fast *fast, const struct forest_node *node);

/* NULL for a single leaf: a forest of those has no nodes at all. */
static inline const struct forest_node *fast_nodes(const struct forest *forest,
                                                   const struct forest_tree *tree)
{
    return tree->node_count == 0 ? NULL : forest->node + tree->node_begin;
}

/* Of each node of a tree that is not walked: how many leaves hang below, and which is the first:
 * forest_fast_leaves.c.  Both have FAST_LEAVES_MAX places. */
#define FAST_LEAVES_MAX (FAST_PIECES_MAX * 64)
void forest_fast_count_leaves(const struct forest *forest, const struct forest_tree *tree,
                              uint32_t *ret_count, uint32_t *ret_first);
/* How many of them hang on the left side of a node. */
static inline uint32_t fast_left_leaves(const struct forest_node *nodes, uint32_t n,
                                        const uint32_t *count)
{
    return nodes[n].left < 0 ? 1 : count[nodes[n].left];
}

/* What LightGBM compares; false: it counts as missing. */
static inline bool fast_value64(uint8_t flags, double x, double *ret_value)
{
    bool is_nan = isnan(x);
    if ((is_nan && (flags & NODE_MISSING_NAN) == 0) || (x >= -FOREST_ZERO && x <= FOREST_ZERO))
        x = 0.0;
    *ret_value = x;
    return !isnan(x) && (x != 0.0 || (flags & NODE_MISSING_ZERO) == 0);
}

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
