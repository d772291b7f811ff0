/* SPDX-License-Identifier: Apache-2.0 */
/* forest - the trees of one model, from either library, and a plain evaluator.
 *
 * A loader (xgboost.h, lightgbm.h) adds trees and forest_add_tree validates their structure; then
 * the forest is immutable.  The arithmetic is the library's own: an XGBoost forest compares and
 * adds in float, a LightGBM forest in double, both in tree order, so that margins are
 * bit-identical to the library's.
 *
 * forest_margins walks one row through one tree after the other and is the reference for the fast
 * evaluator (trees_score.c).
 *
 * Threads: adding on one thread; evaluation on any, without allocation.
 * Limits: below; exceeding one is ERR_LIMIT. */
#ifndef MODELS_FOREST_H
#define MODELS_FOREST_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define FOREST_FEATURES_MAX 1024
#define FOREST_OUTPUTS_MAX  256
#define FOREST_TREES_MAX    100000
#define FOREST_NODES_MAX    (1u << 26) /* of all trees */
#define FOREST_DEPTH_MAX    512
#define FOREST_CATEGORY_MAX 65535
#define FOREST_SET_WORDS    (1u << 25) /* of all sets of categories */
#define FOREST_TERMS_MAX    (1u << 26) /* of all linear leaves */
#define FOREST_NAME_BYTES   128

enum forest_family { FOREST_XGBOOST, FOREST_LIGHTGBM };

enum forest_node_flags {
    NODE_DEFAULT_LEFT = 1, /* where a missing value goes */
    NODE_CATEGORICAL = 2,
    NODE_MISSING_ZERO = 4, /* LightGBM: zero is missing; XGBoost has neither of the two, NaN is */
    NODE_MISSING_NAN = 8,  /* LightGBM: NaN is missing; without a flag NaN counts as 0 */
};

struct forest_node {
    double mean;      /* of what its leaves give; see forest_set_means */
    double threshold; /* XGBoost: a float; left when x < threshold.  LightGBM: x <= threshold */
    uint32_t feature;
    int32_t left, right; /* node of the tree, or ~leaf of the tree */
    uint32_t set;        /* categorical: of forest->set_begin */
    uint8_t flags;
};

struct forest_tree {
    uint32_t node_begin, node_count;
    uint32_t leaf_begin, leaf_count; /* leaves stand in the order of the tree, left to right */
    uint32_t output;                 /* whose sum it adds to */
};

/* A leaf of a LightGBM linear tree: constant + sum of coefficient * x[feature]; its plain value
 * where one of those is NaN. */
struct forest_linear_leaf {
    double constant;
    uint32_t term_begin, term_count;
};

struct forest_term {
    uint32_t feature;
    double coefficient;
};

/* From margins to what the library's predict returns. */
enum forest_transform {
    TRANSFORM_NONE,
    TRANSFORM_SIGMOID, /* 1 / (1 + exp(-scale x)) */
    TRANSFORM_EXP,
    TRANSFORM_SOFTMAX,
    TRANSFORM_CLASS,     /* number of the largest margin: one output instead of many */
    TRANSFORM_SIGN,      /* 1 where x > 0, else 0 */
    TRANSFORM_SQUARE,    /* sign(x) x^2 */
    TRANSFORM_LOG1P_EXP, /* log(1 + exp(x)) */
};

/* All arrays are owned. */
struct forest {
    enum forest_family family;
    uint32_t feature_count;
    char (*feature_name)[FOREST_NAME_BYTES]; /* feature_count of them; NULL: the file has none */
    uint32_t output_count;                   /* margins */
    double base[FOREST_OUTPUTS_MAX];         /* where each margin begins */
    enum forest_transform transform;
    double scale;  /* TRANSFORM_SIGMOID */
    bool averages; /* LightGBM's random forests: the transform divides by the rounds first */
    uint32_t round_count;
    uint32_t *round_end; /* trees after each round; XGBoost's rounds may differ in trees */

    uint32_t tree_count, node_count, leaf_count, linear_count, set_count, set_word_count,
        term_count;
    struct forest_tree *tree;
    struct forest_node *node;
    double *leaf_value;                     /* XGBoost: floats, with the weight of their tree */
    struct forest_linear_leaf *linear_leaf; /* linear_count; the leaves behind are not linear */
    struct forest_term *term;
    uint32_t *set_begin; /* set_count + 1 places in set_word; bit c says whether c is in the set */
    uint32_t *set_word;

    float *linear_weight; /* XGBoost's gblinear, which has no trees: [feature][output] */

    uint32_t tree_room, node_room, leaf_room, set_room, set_word_room, linear_room, term_room;
    uint32_t *leaf_from; /* of the tree that was added last: which leaf of the file each one was */
    uint32_t leaf_from_room;
};

MUST_CHECK enum err_code forest_create(enum forest_family family, struct forest **ret_forest,
                                       struct err *err);
void forest_destroy(struct forest **forest);

/* One tree as a file gives it: children are numbers of this array or ~leaf, node 0 is the root (a
 * tree without nodes is leaf 0). */
struct forest_raw_tree {
    const struct forest_node *node;
    uint32_t node_count;
    const double *leaf_value;
    uint32_t leaf_count;
    uint32_t output;
    bool is_whole; /* every node and leaf must be reached; else what is not is left out */
};

/* Checks and adds it; nodes and leaves are brought into the order of the tree.  ERR_CORRUPT
 * "WHERE: node 3: ..." for what is no tree, a feature or child that is not there, a leaf that is no
 * number. */
MUST_CHECK enum err_code forest_add_tree(struct forest *forest, const struct forest_raw_tree *raw,
                                         const char *where, struct err *err);

/* Means below the nodes of the tree that was added last.  leaf_cover[leaf of the file]: how much of
 * the training data ended there; where nothing did, or with NULL, both sides of a split count the
 * same.  ERR_NOMEM. */
MUST_CHECK enum err_code forest_set_means(struct forest *forest, const double *leaf_cover,
                                          struct err *err);

/* A set of categories as words of bits; *ret_set is its number. */
MUST_CHECK enum err_code forest_add_set(struct forest *forest, const uint32_t *word,
                                        uint32_t word_count, uint32_t *ret_set, struct err *err);

/* Linear leaves of the tree that was added last, one call a leaf, in the order of
 * forest->leaf_from. */
MUST_CHECK enum err_code forest_add_linear_leaf(struct forest *forest, double constant,
                                                const struct forest_term *term, uint32_t term_count,
                                                struct err *err);

/* Uses the first `rounds` alone.  ERR_CORRUPT when there are not so many. */
MUST_CHECK enum err_code forest_limit_rounds(struct forest *forest, uint32_t rounds,
                                             struct err *err);

uint64_t forest_bytes(const struct forest *forest);

/* values[feature_count] in the order of the file, NaN where missing; ret_margin[output_count]. */
void forest_margins(const struct forest *forest, const double *values, double *ret_margin);

/* The leaf of the forest that the row ends in, and what it adds. */
uint32_t forest_leaf(const struct forest *forest, const struct forest_tree *tree,
                     const double *values);
double forest_leaf_output(const struct forest *forest, uint32_t leaf, const double *values);

/* Outputs after the transform: output_count, or 1 for TRANSFORM_CLASS. */
uint32_t forest_transformed_count(const struct forest *forest);
/* In place. */
void forest_transform(const struct forest *forest, double *margin);
/* Whether an output depends on the margins of the others. */
bool forest_mixes_outputs(const struct forest *forest);
/* That output alone; the margins may be changed, and without mixing only its own counts. */
double forest_transform_one(const struct forest *forest, double *margin, uint32_t output);

/* ---- decisions, shared by the evaluators ----------------------------------------------------- */

#define FOREST_ZERO 1.0000000180025095e-35 /* (double)1e-35f: LightGBM's zero */

static inline bool forest_in_set(const struct forest *forest, uint32_t set, uint32_t category)
{
    uint32_t begin = forest->set_begin[set];
    return category / 32 < forest->set_begin[set + 1] - begin &&
           (forest->set_word[begin + category / 32] >> (category % 32) & 1) != 0;
}

static inline bool forest_xgboost_left(const struct forest *forest, const struct forest_node *node,
                                       double x)
{
    float value = (float)x;
    if (isnan(value))
        return (node->flags & NODE_DEFAULT_LEFT) != 0;
    if ((node->flags & NODE_CATEGORICAL) == 0)
        return value < (float)node->threshold;
    /* In the set goes right; what is no category goes left. */
    return !(value >= 0.0f && value < 16777216.0f &&
             forest_in_set(forest, node->set, (uint32_t)value));
}

static inline bool forest_lightgbm_left(const struct forest *forest, const struct forest_node *node,
                                        double x)
{
    if ((node->flags & NODE_CATEGORICAL) != 0) /* in the set goes left, without a default */
        return x > -1.0 && x < 2147483648.0 && forest_in_set(forest, node->set, (uint32_t)x);
    bool is_nan = isnan(x);
    if (is_nan && (node->flags & NODE_MISSING_NAN) == 0)
        x = 0.0;
    if (x >= -FOREST_ZERO && x <= FOREST_ZERO)
        x = 0.0; /* as its C API does to each row */
    if ((is_nan && (node->flags & NODE_MISSING_NAN) != 0) ||
        (x == 0.0 && (node->flags & NODE_MISSING_ZERO) != 0))
        return (node->flags & NODE_DEFAULT_LEFT) != 0;
    return x <= node->threshold;
}

#endif
