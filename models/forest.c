/* SPDX-License-Identifier: Apache-2.0 */
#include "models/forest.h"

#include <stdlib.h>
#include <string.h>

#define ROOM_LEAST 64

enum err_code forest_create(enum forest_family family, struct forest **ret_forest, struct err *err)
{
    struct forest *forest = calloc(1, sizeof *forest);
    if (forest != NULL) {
        forest->family = family;
        forest->scale = 1.0;
        forest->set_room = ROOM_LEAST;
        forest->set_begin = calloc(forest->set_room, sizeof *forest->set_begin);
    }
    if (forest == NULL || forest->set_begin == NULL) {
        forest_destroy(&forest);
        return err_set(err, ERR_NOMEM, "out of memory for a forest");
    }
    *ret_forest = forest;
    return ERR_OK;
}

void forest_destroy(struct forest **forest)
{
    struct forest *old = *forest;
    if (old == NULL)
        return;
    free(old->feature_name);
    free(old->round_end);
    free(old->tree);
    free(old->node);
    free(old->leaf_value);
    free(old->linear_leaf);
    free(old->term);
    free(old->set_begin);
    free(old->set_word);
    free(old->linear_weight);
    free(old->leaf_from);
    free(old);
    *forest = NULL;
}

/* Makes room for `needed` elements in all; `array` is the address of the pointer. */
static enum err_code make_room(void *array, uint32_t *room, uint64_t needed, size_t element_bytes,
                               struct err *err)
{
    void *old = NULL;
    if (needed <= *room)
        return ERR_OK;
    uint64_t wanted = *room < ROOM_LEAST ? ROOM_LEAST : *room;
    while (wanted < needed)
        wanted *= 2;
    memcpy(&old, array, sizeof old);
    void *grown = realloc(old, wanted * element_bytes);
    if (grown == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for a forest");
    memcpy(array, &grown, sizeof grown);
    *room = (uint32_t)wanted;
    return ERR_OK;
}

static enum err_code limit(const char *where, const char *what, unsigned long most, struct err *err)
{
    return err_set(err, ERR_LIMIT, "%s: more than %lu %s", where, most, what);
}

/* ---- one tree -------------------------------------------------------------------------------- */

/* A place that is still to be visited: who points there, and from which side. */
struct pending {
    int32_t raw;     /* child as the file gives it */
    uint32_t parent; /* new number of the node that points there; UINT32_MAX for the root */
    uint32_t depth;
    bool is_left;
};

struct walk {
    struct forest *forest;
    const struct forest_raw_tree *raw;
    const char *where;
    struct forest_tree *tree;
    uint8_t *seen; /* owned: of nodes, then of leaves */
    uint32_t depth_count;
    struct pending pending[FOREST_DEPTH_MAX + 2];
    struct err *err;
};

static void set_child(const struct walk *w, const struct pending *from, int32_t child)
{
    if (from->parent == UINT32_MAX)
        return;
    struct forest_node *parent = &w->forest->node[w->tree->node_begin + from->parent];
    if (from->is_left)
        parent->left = child;
    else
        parent->right = child;
}

static enum err_code take_leaf(struct walk *w, const struct pending *at)
{
    struct forest *forest = w->forest;
    uint32_t leaf = (uint32_t)~at->raw;
    if (leaf >= w->raw->leaf_count)
        return err_set(w->err, ERR_CORRUPT, "%s: leaf %u: there are %u leaves", w->where, leaf,
                       w->raw->leaf_count);
    if (w->seen[w->raw->node_count + leaf]++ != 0)
        return err_set(w->err, ERR_CORRUPT, "%s: leaf %u: reached twice, this is no tree", w->where,
                       leaf);
    if (!isfinite(w->raw->leaf_value[leaf]))
        return err_set(w->err, ERR_CORRUPT, "%s: leaf %u: expected a finite value, got %g",
                       w->where, leaf, w->raw->leaf_value[leaf]);
    set_child(w, at, ~(int32_t)w->tree->leaf_count);
    forest->leaf_value[forest->leaf_count + w->tree->leaf_count] = w->raw->leaf_value[leaf];
    forest->leaf_from[w->tree->leaf_count++] = leaf;
    return ERR_OK;
}

static enum err_code check_node(const struct walk *w, uint32_t number)
{
    const struct forest *forest = w->forest;
    const struct forest_node *node = &w->raw->node[number];
    if (node->feature >= forest->feature_count)
        return err_set(w->err, ERR_CORRUPT, "%s: node %u: feature %u: the model has %u", w->where,
                       number, node->feature, forest->feature_count);
    if ((node->flags & NODE_CATEGORICAL) != 0) {
        ASSERT(node->set < forest->set_count);
        return ERR_OK;
    }
    /* LightGBM writes infinite thresholds, XGBoost none. */
    if (isnan(node->threshold) || (forest->family == FOREST_XGBOOST && !isfinite(node->threshold)))
        return err_set(w->err, ERR_CORRUPT, "%s: node %u: expected a number as threshold, got %g",
                       w->where, number, node->threshold);
    return ERR_OK;
}

static enum err_code take_node(struct walk *w, const struct pending *at)
{
    struct forest *forest = w->forest;
    uint32_t number = (uint32_t)at->raw;
    if (number >= w->raw->node_count)
        return err_set(w->err, ERR_CORRUPT, "%s: node %u: there are %u nodes", w->where, number,
                       w->raw->node_count);
    if (w->seen[number]++ != 0)
        return err_set(w->err, ERR_CORRUPT, "%s: node %u: reached twice, this is no tree", w->where,
                       number);
    if (at->depth == FOREST_DEPTH_MAX)
        return err_set(w->err, ERR_LIMIT, "%s: node %u: deeper than %d", w->where, number,
                       FOREST_DEPTH_MAX);
    enum err_code rc = check_node(w, number);
    if (rc != ERR_OK)
        return rc;
    uint32_t made = w->tree->node_count++;
    set_child(w, at, (int32_t)made);
    forest->node[w->tree->node_begin + made] = w->raw->node[number];
    struct pending child = {w->raw->node[number].right, made, at->depth + 1, false};
    w->pending[w->depth_count++] = child;
    child.raw = w->raw->node[number].left;
    child.is_left = true;
    w->pending[w->depth_count++] = child;
    return ERR_OK;
}

/* Left before right, so that leaves come in the order of the tree.  Each visit marks its node, so
 * the walk ends; at most one place per level is pending. */
static enum err_code walk_all(struct walk *w)
{
    enum err_code rc = ERR_OK;
    w->pending[0] =
        (struct pending){w->raw->node_count == 0 ? ~(int32_t)0 : 0, UINT32_MAX, 0, false};
    w->depth_count = 1;
    while (w->depth_count > 0 && rc == ERR_OK) {
        struct pending at = w->pending[--w->depth_count];
        rc = at.raw < 0 ? take_leaf(w, &at) : take_node(w, &at);
    }
    if (rc != ERR_OK || !w->raw->is_whole)
        return rc;
    if (w->tree->node_count != w->raw->node_count)
        return err_set(w->err, ERR_CORRUPT, "%s: %u of %u nodes are out of reach", w->where,
                       w->raw->node_count - w->tree->node_count, w->raw->node_count);
    if (w->tree->leaf_count != w->raw->leaf_count)
        return err_set(w->err, ERR_CORRUPT, "%s: %u of %u leaves are out of reach", w->where,
                       w->raw->leaf_count - w->tree->leaf_count, w->raw->leaf_count);
    return ERR_OK;
}

static enum err_code room_for_tree(struct forest *forest, const struct forest_raw_tree *raw,
                                   const char *where, struct err *err)
{
    uint64_t nodes = (uint64_t)forest->node_count + raw->node_count;
    uint64_t leaves = (uint64_t)forest->leaf_count + raw->leaf_count;
    if (forest->tree_count == FOREST_TREES_MAX)
        return limit(where, "trees", FOREST_TREES_MAX, err);
    if (nodes > FOREST_NODES_MAX || leaves > FOREST_NODES_MAX)
        return limit(where, "nodes in all trees", FOREST_NODES_MAX, err);
    enum err_code rc = make_room(&forest->tree, &forest->tree_room, forest->tree_count + 1ULL,
                                 sizeof *forest->tree, err);
    if (rc == ERR_OK)
        rc = make_room(&forest->node, &forest->node_room, nodes, sizeof *forest->node, err);
    if (rc == ERR_OK)
        rc = make_room(&forest->leaf_value, &forest->leaf_room, leaves, sizeof *forest->leaf_value,
                       err);
    if (rc == ERR_OK)
        rc = make_room(&forest->leaf_from, &forest->leaf_from_room, raw->leaf_count,
                       sizeof *forest->leaf_from, err);
    return rc;
}

enum err_code forest_add_tree(struct forest *forest, const struct forest_raw_tree *raw,
                              const char *where, struct err *err)
{
    struct forest_tree tree = {
        .node_begin = forest->node_count, .leaf_begin = forest->leaf_count, .output = raw->output};
    enum err_code rc = room_for_tree(forest, raw, where, err);
    if (rc != ERR_OK)
        return rc;
    struct walk *walk = calloc(1, sizeof *walk);
    uint8_t *seen = calloc((size_t)raw->node_count + raw->leaf_count + 1, 1);
    if (walk == NULL || seen == NULL) {
        rc = err_set(err, ERR_NOMEM, "%s: out of memory", where);
    } else {
        walk->forest = forest;
        walk->raw = raw;
        walk->where = where;
        walk->tree = &tree;
        walk->seen = seen;
        walk->err = err;
        rc = walk_all(walk);
    }
    if (rc == ERR_OK) {
        forest->tree[forest->tree_count++] = tree;
        forest->node_count += tree.node_count;
        forest->leaf_count += tree.leaf_count;
    }
    free(seen);
    free(walk);
    return rc;
}

/* ---- sets and linear leaves ------------------------------------------------------------------ */

enum err_code forest_add_set(struct forest *forest, const uint32_t *word, uint32_t word_count,
                             uint32_t *ret_set, struct err *err)
{
    uint64_t words = (uint64_t)forest->set_word_count + word_count;
    if (words > FOREST_SET_WORDS)
        return limit("categories", "words of sets", FOREST_SET_WORDS, err);
    enum err_code rc = make_room(&forest->set_begin, &forest->set_room, forest->set_count + 2ULL,
                                 sizeof *forest->set_begin, err);
    if (rc == ERR_OK)
        rc = make_room(&forest->set_word, &forest->set_word_room, words, sizeof *forest->set_word,
                       err);
    if (rc != ERR_OK)
        return rc;
    if (word_count > 0)
        memcpy(forest->set_word + forest->set_word_count, word, word_count * sizeof *word);
    forest->set_word_count = (uint32_t)words;
    *ret_set = forest->set_count++;
    forest->set_begin[forest->set_count] = forest->set_word_count;
    return ERR_OK;
}

/* Leaves of trees before this one that are not linear have no terms. */
static void fill_linear(struct forest *forest, uint32_t leaf_count)
{
    while (forest->linear_count < leaf_count) {
        double value = forest->leaf_value[forest->linear_count];
        forest->linear_leaf[forest->linear_count++] =
            (struct forest_linear_leaf){value, forest->term_count, 0};
    }
}

enum err_code forest_add_linear_leaf(struct forest *forest, double constant,
                                     const struct forest_term *term, uint32_t term_count,
                                     struct err *err)
{
    uint64_t terms = (uint64_t)forest->term_count + term_count;
    if (terms > FOREST_TERMS_MAX)
        return limit("leaf_coeff", "terms of linear leaves", FOREST_TERMS_MAX, err);
    enum err_code rc = make_room(&forest->linear_leaf, &forest->linear_room, forest->leaf_count,
                                 sizeof *forest->linear_leaf, err);
    if (rc == ERR_OK)
        rc = make_room(&forest->term, &forest->term_room, terms, sizeof *forest->term, err);
    if (rc != ERR_OK)
        return rc;
    fill_linear(forest, forest->tree[forest->tree_count - 1].leaf_begin);
    ASSERT(forest->linear_count < forest->leaf_count);
    forest->linear_leaf[forest->linear_count++] =
        (struct forest_linear_leaf){constant, forest->term_count, term_count};
    if (term_count > 0)
        memcpy(forest->term + forest->term_count, term, term_count * sizeof *term);
    forest->term_count = (uint32_t)terms;
    return ERR_OK;
}

/* ---- the whole ------------------------------------------------------------------------------- */

enum err_code forest_limit_rounds(struct forest *forest, uint32_t rounds, struct err *err)
{
    if (rounds > forest->round_count)
        return err_set(err, ERR_CORRUPT, "manifest.json: params.rounds: expected 1..%u, got %u",
                       forest->round_count, rounds);
    forest->round_count = rounds;
    forest->tree_count = forest->round_end[rounds - 1];
    return ERR_OK;
}

uint64_t forest_bytes(const struct forest *forest)
{
    uint64_t bytes = sizeof *forest + forest->tree_room * sizeof *forest->tree +
                     forest->node_room * sizeof *forest->node +
                     forest->leaf_room * sizeof *forest->leaf_value +
                     forest->linear_room * sizeof *forest->linear_leaf +
                     forest->term_room * sizeof *forest->term;
    bytes += (forest->set_room + (uint64_t)forest->set_word_room) * sizeof *forest->set_word;
    bytes += forest->round_count * sizeof *forest->round_end;
    if (forest->feature_name != NULL)
        bytes += forest->feature_count * sizeof *forest->feature_name;
    if (forest->linear_weight != NULL)
        bytes += (uint64_t)forest->feature_count * forest->output_count * sizeof(float);
    return bytes;
}
