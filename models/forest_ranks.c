/* SPDX-License-Identifier: Apache-2.0 */
/* Lays a forest out in blocks of 32 splits and 32 leaves. */
#include "models/forest_ranks.h"

#include <stdlib.h>
#include <string.h>

#include "models/forest_ranks_internal.h"

/* First it only counts, then there is room and it fills. */
struct build {
    const struct forest_fast *fast;
    struct forest_ranks *ranks;
    uint32_t *source; /* owned: by node of the forest */
    bool fills;
    uint32_t split_used, leaf_used; /* of the last block */
    uint32_t leaf_count[FAST_LEAVES_MAX], leaf_first[FAST_LEAVES_MAX];
    uint32_t begins[FAST_LEAVES_MAX]; /* nodes whose first leaf is this one */
};

/* ---- pieces ---------------------------------------------------------------------------------- */

/* The end of the longest piece that begins at a leaf; `from` itself where none does.  A split
 * belongs to it when one of its leaves is on the left side. */
static uint32_t end_of_piece(const struct build *build, const struct forest_tree *tree,
                             uint32_t from)
{
    const struct forest_node *nodes = fast_nodes(build->fast->forest, tree);
    uint32_t splits = 0;
    for (uint32_t n = 0; n < tree->node_count; n++) {
        uint32_t lo = build->leaf_first[n];
        splits += lo <= from && from < lo + fast_left_leaves(nodes, n, build->leaf_count);
    }
    if (splits > RANKS_BLOCK)
        return from;
    uint32_t end = from + 1;
    while (end < tree->leaf_count && end - from < RANKS_BLOCK &&
           splits + build->begins[end] <= RANKS_BLOCK)
        splits += build->begins[end++];
    return end;
}

/* Returns how many pieces; 0: the tree is walked. */
static uint32_t cut(struct build *build, const struct forest_tree *tree, uint32_t *ret_end)
{
    uint32_t count = 0;
    forest_fast_count_leaves(build->fast->forest, tree, build->leaf_count, build->leaf_first);
    memset(build->begins, 0, sizeof build->begins);
    for (uint32_t n = 0; n < tree->node_count; n++)
        build->begins[build->leaf_first[n]]++;
    for (uint32_t from = 0; from < tree->leaf_count; from = ret_end[count++]) {
        uint32_t end = count == RANKS_PIECES_MAX ? from : end_of_piece(build, tree, from);
        if (end == from)
            return 0;
        ret_end[count] = end;
    }
    return count;
}

/* ---- blocks ---------------------------------------------------------------------------------- */

static void add_block(struct build *build)
{
    struct forest_ranks *ranks = build->ranks;
    if (build->fills) {
        struct ranks_block *block = &ranks->block[ranks->block_count];
        memset(block, 0, sizeof *block);
        memset(block->threshold, RANKS_MISSING, sizeof block->threshold);
    }
    ranks->block_count++;
    build->split_used = 0;
    build->leaf_used = 0;
}

static void add_part(struct build *build, struct ranks_part part)
{
    struct forest_ranks *ranks = build->ranks;
    if (build->fills)
        ranks->part[ranks->part_count] = part;
    ranks->part_count++;
}

/* Where leaf `at` of a block stands, so that packing two vectors into one brings them in order. */
static uint32_t place_of(uint32_t at)
{
    return at % 16 / 4 * 8 + at / 16 * 4 + at % 4;
}

static void fill_split(struct build *build, const struct forest_tree *tree, uint32_t n,
                       uint32_t bit)
{
    const struct forest_ranks *ranks = build->ranks;
    const struct forest_node *node = fast_nodes(build->fast->forest, tree) + n;
    const struct ranks_source *source = &ranks->source[build->source[tree->node_begin + n]];
    struct ranks_block *block = &ranks->block[ranks->block_count - 1];
    uint32_t place = forest_ranks_find(ranks, source, forest_fast_threshold(build->fast, node));
    bool missing_left = (node->flags & (NODE_CATEGORICAL | NODE_DEFAULT_LEFT)) == NODE_DEFAULT_LEFT;
    block->column[bit] = (uint8_t)(source->column_begin + place / RANKS_OF_COLUMN);
    block->threshold[bit] =
        (int8_t)(RANKS_LOWEST + (int32_t)(place % RANKS_OF_COLUMN) + missing_left);
    block->missing_left[bit] = missing_left;
}

/* Leaves from..end-1 of a tree go into the last block. */
static void add_leaves(struct build *build, const struct forest_tree *tree, uint32_t from,
                       uint32_t end)
{
    const struct forest_node *nodes = fast_nodes(build->fast->forest, tree);
    for (uint32_t n = 0; n < tree->node_count; n++) {
        uint32_t lo = build->leaf_first[n];
        uint32_t hi = lo + fast_left_leaves(nodes, n, build->leaf_count);
        if (hi <= from || lo >= end)
            continue;
        ASSERT(build->split_used < RANKS_BLOCK);
        uint32_t bit = build->split_used++;
        if (!build->fills)
            continue;
        fill_split(build, tree, n, bit);
        struct ranks_block *block = &build->ranks->block[build->ranks->block_count - 1];
        for (uint32_t leaf = lo < from ? from : lo; leaf < hi && leaf < end; leaf++)
            block->left_of[place_of(build->leaf_used + leaf - from)] |= (uint32_t)1 << bit;
    }
    build->leaf_used += end - from;
}

static uint32_t bits(uint32_t begin, uint32_t count)
{
    return (count == 32 ? UINT32_MAX : ((uint32_t)1 << count) - 1) << begin;
}

/* Small trees share the last block with those before them. */
static void add_tree(struct build *build, uint32_t number)
{
    const struct fast_tree *made = &build->fast->tree[number];
    const struct forest_tree *tree = &build->fast->forest->tree[made->number];
    uint32_t end[RANKS_PIECES_MAX];
    struct ranks_part part = {.leaf = made->number, .output = (uint16_t)made->output};
    uint32_t pieces = made->piece_count == 0 ? 0 : cut(build, tree, end);
    if (pieces == 0)
        add_part(build, part);
    for (uint32_t p = 0; p < pieces; p++) {
        uint32_t from = p == 0 ? 0 : end[p - 1];
        part.begins_block = pieces > 1 || build->leaf_used + tree->leaf_count > RANKS_BLOCK ||
                            build->split_used + tree->node_count > RANKS_BLOCK;
        if (part.begins_block)
            add_block(build);
        part.keep = bits(build->leaf_used, end[p] - from);
        part.leaf = tree->leaf_begin + from - build->leaf_used;
        part.more = (uint8_t)(pieces - 1 - p);
        add_leaves(build, tree, from, end[p]);
        add_part(build, part);
    }
    if (pieces != 1)
        build->leaf_used = RANKS_BLOCK; /* trees that follow do not share the last block */
}

static void add_trees(struct build *build, bool fills)
{
    build->fills = fills;
    build->ranks->block_count = 0;
    build->ranks->part_count = 0;
    build->leaf_used = RANKS_BLOCK; /* there is no block yet */
    for (uint32_t t = 0; t < build->fast->tree_count; t++)
        add_tree(build, t);
}

/* ---- runs ------------------------------------------------------------------------------------ */

/* Of the tree whose first part it is. */
static uint32_t pieces_of(const struct forest_ranks *ranks, uint32_t number)
{
    const struct ranks_part *part = &ranks->part[number];
    bool is_last = number + 1 == ranks->part_count;
    if (part->more > 0)
        return 1U + part->more;
    return part->begins_block && (is_last || part[1].begins_block || part[1].keep == 0);
}

static enum err_code make_runs(struct forest_ranks *ranks, struct err *err)
{
    ranks->run = malloc((ranks->part_count + 1ULL) * sizeof *ranks->run);
    if (ranks->run == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for a forest");
    for (uint32_t p = 0; p < ranks->part_count; p += 1U + ranks->part[p].more) {
        uint32_t pieces = pieces_of(ranks, p);
        if (ranks->run_count == 0 || ranks->run[ranks->run_count - 1].pieces != pieces)
            ranks->run[ranks->run_count++].pieces = pieces;
        ranks->run[ranks->run_count - 1].part_end = p + 1 + ranks->part[p].more;
    }
    return ERR_OK;
}

/* ---- all ------------------------------------------------------------------------------------- */

static enum err_code lay_out(struct build *build, struct err *err)
{
    struct forest_ranks *ranks = build->ranks;
    add_trees(build, false);
    ranks->block = aligned_alloc(32, (ranks->block_count + 1ULL) * sizeof *ranks->block);
    ranks->part = malloc((ranks->part_count + 1ULL) * sizeof *ranks->part);
    if (ranks->block == NULL || ranks->part == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for a forest");
    add_trees(build, true);
    return make_runs(ranks, err);
}

enum err_code forest_ranks_create(const struct forest_fast *fast, struct forest_ranks **ret_ranks,
                                  struct err *err)
{
    struct forest_ranks *ranks = calloc(1, sizeof *ranks);
    struct build *build = calloc(1, sizeof *build);
    uint32_t *source = malloc((fast->forest->node_count + 1ULL) * sizeof *source);
    enum err_code rc = ERR_OK;
    bool fits = false;
    if (ranks == NULL || build == NULL || source == NULL) {
        rc = err_set(err, ERR_NOMEM, "out of memory for a forest");
        goto out;
    }
    ranks->fast = fast;
    *build = (struct build){.fast = fast, .ranks = ranks, .source = source};
    rc = forest_ranks_columns(ranks, source, &fits, err);
    if (rc == ERR_OK && fits)
        rc = lay_out(build, err);
    if (rc == ERR_OK && fits) {
        *ret_ranks = ranks;
        ranks = NULL;
    }
out:
    forest_ranks_destroy(&ranks);
    free(source);
    free(build);
    return rc;
}

void forest_ranks_destroy(struct forest_ranks **ranks)
{
    struct forest_ranks *old = *ranks;
    if (old == NULL)
        return;
    free(old->source);
    free(old->block);
    free(old->part);
    free(old->run);
    free(old->threshold32);
    free(old->threshold64);
    free(old);
    *ranks = NULL;
}

uint64_t forest_ranks_bytes(const struct forest_ranks *ranks)
{
    uint64_t threshold = ranks->fast->has_floats ? sizeof(float) : sizeof(double);
    return sizeof *ranks + RANKS_COLUMNS_MAX * sizeof *ranks->source +
           ranks->block_count * sizeof *ranks->block + ranks->part_count * sizeof *ranks->part +
           ranks->run_count * sizeof *ranks->run + ranks->threshold_count * threshold;
}
