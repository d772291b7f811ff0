/* SPDX-License-Identifier: Apache-2.0 */
/* Lays a forest out: columns first, then the splits of each tree in pieces of 32 or 64 leaves,
 * chunk by chunk of trees. */
#include "models/forest_fast.h"

#include <stdlib.h>
#include <string.h>

#include "models/forest_fast_internal.h"
#include "models/forest_ranks.h"

#define NOWHERE UINT32_MAX

/* A column while they are collected, chained by feature. */
struct found {
    uint32_t feature, set, next;
    uint8_t flags;
    uint32_t place; /* after they were ordered by feature */
};

struct plan {
    const struct forest *forest;
    struct forest_fast *fast;
    uint32_t output;
    uint32_t piece_leaves;
    struct found *found; /* owned: FAST_COLUMNS_MAX */
    uint32_t found_count;
    uint32_t first[FOREST_FEATURES_MAX]; /* by feature */
    uint32_t *column_of;                 /* owned: by node of the forest, of `found` */
    uint32_t *leaf_count;                /* owned: by node of the tree at hand */
    uint32_t *leaf_first;                /* owned */
    struct fast_key *key;                /* owned: the splits */
    uint32_t key_count, key_room;
};

/* ---- columns --------------------------------------------------------------------------------- */

/* What makes two numeric splits on a feature read the same column. */
static uint8_t flags_of(const struct forest *forest, const struct forest_node *node)
{
    uint8_t flags = node->flags;
    if (forest->family == FOREST_LIGHTGBM &&
        (flags & (NODE_MISSING_NAN | NODE_MISSING_ZERO | NODE_CATEGORICAL)) == 0)
        flags &= (uint8_t)~NODE_DEFAULT_LEFT; /* nothing is missing */
    return flags;
}

static uint32_t find_column(struct plan *plan, const struct forest_node *node)
{
    uint8_t flags = flags_of(plan->forest, node);
    uint32_t at = plan->first[node->feature];
    while (at != NOWHERE && ((flags & NODE_CATEGORICAL) != 0 || plan->found[at].flags != flags))
        at = plan->found[at].next;
    if (at != NOWHERE || plan->found_count == FAST_COLUMNS_MAX)
        return at;
    plan->found[plan->found_count] = (struct found){.feature = node->feature,
                                                    .set = node->set,
                                                    .next = plan->first[node->feature],
                                                    .flags = flags};
    plan->first[node->feature] = plan->found_count;
    return plan->found_count++;
}

/* False: the tree has to be walked. */
static bool find_columns(struct plan *plan, const struct forest_tree *tree)
{
    uint32_t before = plan->found_count;
    uint32_t set_count = 0;
    bool fits = tree->leaf_count <= FAST_PIECES_MAX * plan->piece_leaves;
    for (uint32_t n = 0; n < tree->node_count && fits; n++) {
        const struct forest_node *node = &plan->forest->node[tree->node_begin + n];
        set_count += (node->flags & NODE_CATEGORICAL) != 0;
        uint32_t column = set_count > FAST_SETS_OF_TREE_MAX ? NOWHERE : find_column(plan, node);
        plan->column_of[tree->node_begin + n] = column;
        fits = column != NOWHERE;
    }
    if (fits)
        return true;
    while (plan->found_count > before) { /* those that it alone asked for */
        plan->found_count--;
        plan->first[plan->found[plan->found_count].feature] = plan->found[plan->found_count].next;
    }
    return false;
}

static enum err_code place_columns(struct plan *plan, struct err *err)
{
    struct forest_fast *fast = plan->fast;
    fast->column_count = plan->found_count;
    fast->column = malloc((plan->found_count + 1ULL) * sizeof *fast->column);
    fast->feature = malloc((plan->forest->feature_count + 1ULL) * sizeof *fast->feature);
    if (fast->column == NULL || fast->feature == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for a forest");
    uint32_t place = 0;
    for (uint32_t f = 0; f < plan->forest->feature_count; f++) {
        uint32_t begin = place;
        for (uint32_t at = plan->first[f]; at != NOWHERE; at = plan->found[at].next) {
            plan->found[at].place = place;
            fast->column[place++] =
                (struct fast_column){.set = plan->found[at].set, .flags = plan->found[at].flags};
        }
        if (place > begin)
            fast->feature[fast->feature_count++] = (struct fast_feature){f, begin, place - begin};
    }
    return ERR_OK;
}

/* ---- splits ---------------------------------------------------------------------------------- */

static bool make_room(struct plan *plan)
{
    if (plan->key_count < plan->key_room)
        return true;
    uint32_t wanted = plan->key_room == 0 ? 256 : 2 * plan->key_room;
    void *grown = realloc(plan->key, wanted * sizeof *plan->key);
    if (grown == NULL)
        return false;
    plan->key = grown;
    plan->key_room = wanted;
    return true;
}

/* Bits lo..hi-1. */
static uint64_t bits(uint32_t lo, uint32_t hi)
{
    uint64_t below = hi == 64 ? UINT64_MAX : ((uint64_t)1 << hi) - 1;
    return below & ~(((uint64_t)1 << lo) - 1);
}

double forest_fast_threshold(const struct forest_fast *fast, const struct forest_node *node)
{
    if ((node->flags & NODE_CATEGORICAL) != 0)
        return 0.0;
    if (fast->has_floats)
        return (double)nextafterf((float)node->threshold, -INFINITY);
    return node->threshold;
}

/* `left`: the leaves of the piece that hang on the left side of the node. */
static bool add_split(struct plan *plan, const struct forest_tree *tree, uint32_t n,
                      struct fast_key where, uint64_t left)
{
    const struct forest_node *node = &plan->forest->node[tree->node_begin + n];
    if (!make_room(plan))
        return false;
    where.threshold = forest_fast_threshold(plan->fast, node);
    where.keep = ~left;
    where.column = plan->found[plan->column_of[tree->node_begin + n]].place;
    where.number = plan->key_count;
    plan->key[plan->key_count++] = where;
    return true;
}

/* The splits that take leaves from..from+piece_leaves-1 away. */
static bool add_piece(struct plan *plan, const struct forest_tree *tree, struct fast_key where,
                      uint32_t from)
{
    const struct forest_node *nodes = fast_nodes(plan->forest, tree);
    uint32_t end = from + plan->piece_leaves;
    for (uint32_t n = 0; n < tree->node_count; n++) {
        uint32_t lo = plan->leaf_first[n];
        uint32_t hi = lo + fast_left_leaves(nodes, n, plan->leaf_count);
        if (hi <= from || lo >= end)
            continue;
        uint64_t left = bits(lo < from ? 0 : lo - from, hi > end ? plan->piece_leaves : hi - from);
        if (!add_split(plan, tree, n, where, left))
            return false;
    }
    return true;
}

/* The tree becomes the last of its chunk, or the first of the next. */
static void put_into_chunk(struct forest_fast *fast, struct fast_tree *made, uint32_t number)
{
    struct fast_chunk *chunk = &fast->chunk[fast->chunk_count - 1];
    if (chunk->piece_count + made->piece_count > FAST_CHUNK_PIECES) {
        chunk++;
        fast->chunk_count++;
    }
    made->piece_begin = chunk->piece_count;
    chunk->piece_count += made->piece_count;
    chunk->tree_end = number + 1;
    if (chunk->piece_count > fast->chunk_pieces)
        fast->chunk_pieces = chunk->piece_count;
}

static bool add_tree(struct plan *plan, uint32_t number)
{
    struct forest_fast *fast = plan->fast;
    struct fast_tree *made = &fast->tree[number];
    const struct forest_tree *tree = &plan->forest->tree[made->number];
    put_into_chunk(fast, made, number);
    if (made->piece_count == 0)
        return true; /* it may have more leaves than there is room to count them */
    forest_fast_count_leaves(plan->forest, tree, plan->leaf_count, plan->leaf_first);
    for (uint32_t p = 0; p < made->piece_count; p++) {
        const struct fast_key where = {.chunk = fast->chunk_count - 1,
                                       .piece = made->piece_begin + p};
        if (!add_piece(plan, tree, where, p * plan->piece_leaves))
            return false;
    }
    return true;
}

/* ---- all ------------------------------------------------------------------------------------- */

static enum err_code plan_init(struct plan *plan, struct err *err)
{
    const struct forest *forest = plan->forest;
    uint32_t leaves = FAST_LEAVES_MAX;
    plan->found = malloc(FAST_COLUMNS_MAX * sizeof *plan->found);
    plan->column_of = malloc((forest->node_count + 1ULL) * sizeof *plan->column_of);
    plan->leaf_count = malloc(leaves * sizeof *plan->leaf_count);
    plan->leaf_first = malloc(leaves * sizeof *plan->leaf_first);
    if (plan->found == NULL || plan->column_of == NULL || plan->leaf_count == NULL ||
        plan->leaf_first == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for a forest");
    for (uint32_t f = 0; f < FOREST_FEATURES_MAX; f++)
        plan->first[f] = NOWHERE;
    return ERR_OK;
}

/* Each but the last is full but for a tree that did not fit. */
static enum err_code make_chunks(struct forest_fast *fast, uint64_t pieces, struct err *err)
{
    uint64_t chunks = pieces / (FAST_CHUNK_PIECES - FAST_PIECES_MAX) + 1;
    fast->chunk = calloc(chunks, sizeof *fast->chunk);
    if (fast->chunk == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for a forest");
    fast->chunk_count = 1;
    return ERR_OK;
}

static enum err_code lay_out(struct plan *plan, struct err *err)
{
    const struct forest *forest = plan->forest;
    struct forest_fast *fast = plan->fast;
    fast->tree = calloc(forest->tree_count + 1ULL, sizeof *fast->tree);
    if (fast->tree == NULL || !make_room(plan)) /* a place also for no splits at all */
        return err_set(err, ERR_NOMEM, "out of memory for a forest");
    uint64_t pieces = 0;
    for (uint32_t t = 0; t < forest->tree_count; t++) {
        const struct forest_tree *tree = &forest->tree[t];
        if (plan->output != FOREST_ALL_OUTPUTS && tree->output != plan->output)
            continue;
        struct fast_tree *made = &fast->tree[fast->tree_count++];
        made->leaf_begin = tree->leaf_begin;
        made->output = tree->output;
        made->number = t;
        if (find_columns(plan, tree))
            made->piece_count = (tree->leaf_count + plan->piece_leaves - 1) / plan->piece_leaves;
        pieces += made->piece_count;
    }
    enum err_code rc = place_columns(plan, err);
    if (rc == ERR_OK)
        rc = make_chunks(fast, pieces, err);
    for (uint32_t t = 0; t < fast->tree_count && rc == ERR_OK; t++) {
        if (!add_tree(plan, t))
            rc = err_set(err, ERR_NOMEM, "out of memory for a forest");
    }
    return rc == ERR_OK ? forest_fast_order(fast, plan->key, plan->key_count, err) : rc;
}

static enum err_code copy_leaves(struct forest_fast *fast, struct err *err)
{
    const struct forest *forest = fast->forest;
    if (!fast->has_floats)
        return ERR_OK;
    fast->leaf32 = calloc(forest->leaf_count + 32ULL, sizeof *fast->leaf32); /* 32 are read */
    if (fast->leaf32 == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for a forest");
    for (uint32_t leaf = 0; leaf < forest->leaf_count; leaf++)
        fast->leaf32[leaf] = (float)forest->leaf_value[leaf];
    return ERR_OK;
}

static bool has_avx2(void)
{
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx2") != 0;
#else
    return false;
#endif
}

enum err_code forest_fast_create(const struct forest *forest, uint32_t output,
                                 struct forest_fast **ret_fast, struct err *err)
{
    ASSERT(forest->linear_weight == NULL);
    struct forest_fast *fast = calloc(1, sizeof *fast);
    struct plan *plan = calloc(1, sizeof *plan);
    enum err_code rc = ERR_OK;
    if (fast == NULL || plan == NULL) {
        rc = err_set(err, ERR_NOMEM, "out of memory for a forest");
        goto out;
    }
    fast->forest = forest;
    fast->has_floats = forest->family == FOREST_XGBOOST;
    fast->has_avx2 = has_avx2();
    *plan = (struct plan){.forest = forest,
                          .fast = fast,
                          .output = output,
                          .piece_leaves = fast->has_floats ? 32 : 64};
    rc = plan_init(plan, err);
    if (rc == ERR_OK)
        rc = lay_out(plan, err);
    if (rc == ERR_OK)
        rc = copy_leaves(fast, err);
    if (rc == ERR_OK && fast->has_avx2)
        rc = forest_ranks_create(fast, &fast->ranks, err);
    free(plan->key);
    free(plan->found);
    free(plan->column_of);
    free(plan->leaf_count);
    free(plan->leaf_first);
    if (rc == ERR_OK) {
        *ret_fast = fast;
        fast = NULL;
    }
out:
    free(plan);
    forest_fast_destroy(&fast);
    return rc;
}

void forest_fast_destroy(struct forest_fast **fast)
{
    struct forest_fast *old = *fast;
    if (old == NULL)
        return;
    free(old->tree);
    free(old->split32);
    free(old->split64);
    free(old->run);
    free(old->chunk);
    free(old->feature);
    free(old->column);
    free(old->leaf32);
    forest_ranks_destroy(&old->ranks);
    free(old);
    *fast = NULL;
}

uint64_t forest_fast_bytes(const struct forest_fast *fast)
{
    uint64_t split = fast->has_floats ? sizeof *fast->split32 : sizeof *fast->split64;
    return sizeof *fast + fast->tree_count * sizeof *fast->tree + fast->split_count * split +
           fast->run_count * sizeof *fast->run + fast->chunk_count * sizeof *fast->chunk +
           fast->feature_count * sizeof *fast->feature + fast->column_count * sizeof *fast->column +
           (fast->has_floats ? fast->forest->leaf_count * sizeof *fast->leaf32 : 0) +
           (fast->ranks == NULL ? 0 : forest_ranks_bytes(fast->ranks));
}
