/* SPDX-License-Identifier: Apache-2.0 */
/* forest_ranks_internal - the layout built by forest_ranks.c and read by forest_ranks_avx2.c. */
#ifndef MODELS_FOREST_RANKS_INTERNAL_H
#define MODELS_FOREST_RANKS_INTERNAL_H

#include "models/forest_ranks.h"

#define RANKS_COLUMNS_MAX 128
#define RANKS_OF_COLUMN   254 /* thresholds; a rank is 0..254 */
#define RANKS_LOWEST      (-128)
#define RANKS_MISSING     127
#define RANKS_BLOCK       32 /* splits, and leaves */
#define RANKS_PIECES_MAX  16
#define RANKS_LEVELS_MAX  4 /* 16 to the fourth is more than all columns have thresholds */
#define RANKS_FAN         16

/* A split sends the row to the right when rank + missing_left > threshold, as signed bytes: to
 * RANKS_MISSING one is added as to the rest, and it becomes the lowest of all. */
struct ranks_block {
    uint8_t column[RANKS_BLOCK];
    int8_t threshold[RANKS_BLOCK];
    uint8_t missing_left[RANKS_BLOCK]; /* 0 or 1 */
    uint32_t left_of[RANKS_BLOCK];     /* by place of a leaf: the splits that have it on the left */
};
_Static_assert(sizeof(struct ranks_block) == 224, "a block is 7 vectors");

/* A tree or a piece of one, in the order of the trees and of their leaves. */
struct ranks_part {
    uint32_t keep; /* its leaves in the block; 0: the tree is walked */
    uint32_t leaf; /* of the forest, what bit 0 would be; walked: which tree */
    uint16_t output;
    bool begins_block;
    uint8_t more; /* pieces of the same tree that follow */
};

/* Trees in a row that are alike; their parts begin where those of the run before end. */
struct ranks_run {
    uint32_t part_end;
    uint32_t pieces; /* of each tree, which has its blocks for itself; 0: a mixture of all else */
};

/* What ranks are taken of.  Thresholds lie in a tree of RANKS_FAN children: each level holds the
 * last threshold of each node of the level below, filled up with infinity. */
struct ranks_source {
    uint32_t feature;
    uint32_t set;  /* NODE_CATEGORICAL */
    uint8_t flags; /* without NODE_DEFAULT_LEFT, but for sets */
    uint8_t level_count;
    uint8_t column_begin, column_count;
    uint32_t threshold_count;
    uint32_t level_begin[RANKS_LEVELS_MAX]; /* from the top */
};

struct forest_ranks {
    const struct forest_fast *fast; /* borrowed */
    uint32_t source_count, column_count, block_count, part_count, run_count, threshold_count;
    struct ranks_source *source;
    struct ranks_block *block; /* aligned to 32 bytes */
    struct ranks_part *part;
    struct ranks_run *run;
    float *threshold32; /* one of the two, aligned to 64 bytes */
    double *threshold64;
};

/* Sources, their thresholds and columns: forest_ranks_columns.c.  ret_source[node of the forest].
 * False: they do not fit.  ERR_NOMEM. */
MUST_CHECK enum err_code forest_ranks_columns(struct forest_ranks *ranks, uint32_t *ret_source,
                                              bool *ret_fits, struct err *err);
/* The place of the node's threshold among those of its source. */
uint32_t forest_ranks_find(const struct forest_ranks *ranks, const struct ranks_source *source,
                           double threshold);

#endif
