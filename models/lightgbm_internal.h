/* SPDX-License-Identifier: Apache-2.0 */
/* lightgbm_internal - the lines of a file, and one tree of it.
 *
 *   lightgbm.c         the file
 *   lightgbm_tree.c    a tree
 *   lightgbm_linear.c  its leaves, where they are linear */
#ifndef MODELS_LIGHTGBM_INTERNAL_H
#define MODELS_LIGHTGBM_INTERNAL_H

#include "base/text.h"
#include "models/forest.h"

struct lightgbm_lines {
    const char *file;
    const char *at, *end;
    uint32_t number; /* of the line that was read last, from 1 */
    struct text line;
    struct err *err;
};

/* False at the end.  Without its line end, LF or CRLF. */
bool lightgbm_next_line(struct lightgbm_lines *lines);
/* "model.txt: line 12: ...". */
enum err_code lightgbm_fail(const struct lightgbm_lines *lines, enum err_code code, const char *fmt,
                            ...) __attribute__((format(printf, 3, 4)));

/* "key=value", split at the first '='; without one, the value's pointer is NULL. */
void lightgbm_split(struct text line, struct text *ret_key, struct text *ret_value);
/* The next piece between blanks; false when there is none. */
bool lightgbm_next_token(struct text *rest, struct text *ret_token);

MUST_CHECK enum err_code lightgbm_integer(const struct lightgbm_lines *lines, const char *key,
                                          struct text value, int64_t min, int64_t max,
                                          int64_t *ret_value);

/* ---- a tree ---------------------------------------------------------------------------------- */

enum lightgbm_key {
    TREE_NUM_LEAVES,
    TREE_NUM_CAT,
    TREE_SPLIT_FEATURE,
    TREE_THRESHOLD,
    TREE_DECISION_TYPE,
    TREE_LEFT_CHILD,
    TREE_RIGHT_CHILD,
    TREE_LEAF_VALUE,
    TREE_CAT_BOUNDARIES,
    TREE_CAT_THRESHOLD,
    TREE_IS_LINEAR,
    TREE_LEAF_CONST,
    TREE_NUM_FEATURES,
    TREE_LEAF_FEATURES,
    TREE_LEAF_COEFF,
    TREE_LEAF_COUNT,
    TREE_KEY_COUNT
};

struct lightgbm_tree {
    struct lightgbm_lines *lines;
    struct forest *forest;
    uint32_t number;
    struct text value[TREE_KEY_COUNT]; /* .ptr NULL: the key is not there */
    uint32_t leaf_count, node_count, set_count, set_begin;
    struct forest_node *node; /* owned */
    double *leaf;             /* owned */
    double *cover;            /* owned: rows of the training data in each leaf */
};

/* "...: Tree=3: leaf_value: too few numbers"; ERR_CORRUPT. */
enum err_code lightgbm_tree_fail(const struct lightgbm_tree *tree, enum lightgbm_key key,
                                 const char *what);
/* The next number of a list; a fault when there is none. */
MUST_CHECK enum err_code lightgbm_tree_integer(const struct lightgbm_tree *tree,
                                               enum lightgbm_key key, struct text *rest,
                                               int64_t min, int64_t max, int64_t *ret_value);
MUST_CHECK enum err_code lightgbm_tree_real(const struct lightgbm_tree *tree, enum lightgbm_key key,
                                            struct text *rest, double *ret_value);
MUST_CHECK enum err_code lightgbm_tree_no_more(const struct lightgbm_tree *tree,
                                               enum lightgbm_key key, struct text rest);
MUST_CHECK enum err_code lightgbm_tree_require(const struct lightgbm_tree *tree,
                                               enum lightgbm_key key);

/* What the leaves of the tree that was added last are, where it says that they are linear. */
MUST_CHECK enum err_code lightgbm_add_linear(const struct lightgbm_tree *tree);

/* The tree whose "Tree=" line was read last, to its end (a blank line); its output is `output`. */
MUST_CHECK enum err_code lightgbm_read_tree(struct lightgbm_lines *lines, struct forest *forest,
                                            uint32_t output);

#endif
