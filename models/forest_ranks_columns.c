/* SPDX-License-Identifier: Apache-2.0 */
/* What ranks are taken of, the thresholds of each, and the columns of bytes they fill. */
#include <stdlib.h>
#include <string.h>

#include "models/forest_ranks_internal.h"

#define NOWHERE UINT32_MAX

struct threshold {
    double value;
    uint32_t source;
};

/* ---- sources --------------------------------------------------------------------------------- */

/* The default is the split's own matter, and XGBoost's forests have no other flags. */
static uint8_t flags_of(const struct forest_node *node)
{
    bool is_set = (node->flags & NODE_CATEGORICAL) != 0;
    return is_set ? node->flags : (uint8_t)(node->flags & ~NODE_DEFAULT_LEFT);
}

/* NOWHERE: there are too many. */
static uint32_t find_source(struct forest_ranks *ranks, const struct forest_node *node,
                            uint32_t *last_of)
{
    uint8_t flags = flags_of(node);
    uint32_t *last = &last_of[node->feature];
    bool is_set = (flags & NODE_CATEGORICAL) != 0;
    if (!is_set && *last != NOWHERE && ranks->source[*last].flags == flags)
        return *last;
    for (uint32_t s = 0; s < ranks->source_count && !is_set; s++) {
        if (ranks->source[s].feature == node->feature && ranks->source[s].flags == flags)
            return s;
    }
    if (ranks->source_count == RANKS_COLUMNS_MAX)
        return NOWHERE;
    ranks->source[ranks->source_count] =
        (struct ranks_source){.feature = node->feature, .set = node->set, .flags = flags};
    if (!is_set)
        *last = ranks->source_count;
    return ranks->source_count++;
}

/* Returns how many thresholds the trees have; NOWHERE where there are too many sources. */
static uint32_t find_sources(struct forest_ranks *ranks, uint32_t *ret_source)
{
    const struct forest_fast *fast = ranks->fast;
    uint32_t last_of[FOREST_FEATURES_MAX];
    uint32_t count = 0;
    for (uint32_t f = 0; f < FOREST_FEATURES_MAX; f++)
        last_of[f] = NOWHERE;
    for (uint32_t t = 0; t < fast->tree_count; t++) {
        const struct forest_tree *tree = &fast->forest->tree[fast->tree[t].number];
        if (fast->tree[t].piece_count == 0)
            continue;
        for (uint32_t n = tree->node_begin; n < tree->node_begin + tree->node_count; n++) {
            ret_source[n] = find_source(ranks, &fast->forest->node[n], last_of);
            if (ret_source[n] == NOWHERE)
                return NOWHERE;
            count++;
        }
    }
    return count;
}

/* ---- thresholds ------------------------------------------------------------------------------ */

static int compare_thresholds(const void *a, const void *b)
{
    const struct threshold *x = a;
    const struct threshold *y = b;
    if (x->source != y->source)
        return x->source < y->source ? -1 : 1;
    return x->value < y->value ? -1 : x->value > y->value;
}

static void collect_thresholds(const struct forest_fast *fast, const uint32_t *source,
                               struct threshold *ret_threshold)
{
    uint32_t count = 0;
    for (uint32_t t = 0; t < fast->tree_count; t++) {
        const struct forest_tree *tree = &fast->forest->tree[fast->tree[t].number];
        if (fast->tree[t].piece_count == 0)
            continue;
        for (uint32_t n = tree->node_begin; n < tree->node_begin + tree->node_count; n++) {
            ret_threshold[count++] =
                (struct threshold){forest_fast_threshold(fast, &fast->forest->node[n]), source[n]};
        }
    }
    qsort(ret_threshold, count, sizeof *ret_threshold, compare_thresholds);
}

/* Each once; returns how many stay. */
static uint32_t leave_out_repeated(struct threshold *threshold, uint32_t count)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (kept == 0 || compare_thresholds(&threshold[kept - 1], &threshold[i]) != 0)
            threshold[kept++] = threshold[i];
    }
    return kept;
}

/* The last node of the lowest level holds at least one infinity, so that every search ends within
 * a node. */
static void place_levels(struct forest_ranks *ranks, struct ranks_source *source)
{
    uint32_t nodes[RANKS_LEVELS_MAX];
    nodes[0] = source->threshold_count / RANKS_FAN + 1;
    source->level_count = 1;
    while (nodes[source->level_count - 1] > 1) {
        nodes[source->level_count] = (nodes[source->level_count - 1] + RANKS_FAN - 1) / RANKS_FAN;
        source->level_count++;
    }
    for (uint32_t l = 0; l < source->level_count; l++) {
        source->level_begin[l] = ranks->threshold_count;
        ranks->threshold_count += nodes[source->level_count - 1 - l] * RANKS_FAN;
    }
}

/* False: too many columns. */
static bool place_columns(struct forest_ranks *ranks, const struct threshold *threshold,
                          uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        ranks->source[threshold[i].source].threshold_count++;
    for (uint32_t s = 0; s < ranks->source_count; s++) {
        struct ranks_source *source = &ranks->source[s];
        uint32_t columns = (source->threshold_count + RANKS_OF_COLUMN - 1) / RANKS_OF_COLUMN;
        if (columns > RANKS_COLUMNS_MAX - ranks->column_count)
            return false;
        source->column_begin = (uint8_t)ranks->column_count;
        source->column_count = (uint8_t)columns;
        ranks->column_count += columns;
        place_levels(ranks, source);
    }
    return true;
}

static double threshold_at(const struct forest_ranks *ranks, uint32_t place)
{
    return ranks->fast->has_floats ? (double)ranks->threshold32[place] : ranks->threshold64[place];
}

static void set_threshold(struct forest_ranks *ranks, uint32_t place, double value)
{
    if (ranks->fast->has_floats)
        ranks->threshold32[place] = (float)value;
    else
        ranks->threshold64[place] = value;
}

static uint32_t level_end(const struct forest_ranks *ranks, const struct ranks_source *source,
                          uint32_t level)
{
    if (level + 1 < source->level_count)
        return source->level_begin[level + 1];
    return source + 1 < ranks->source + ranks->source_count ? source[1].level_begin[0]
                                                            : ranks->threshold_count;
}

static void fill_levels(struct forest_ranks *ranks, const struct ranks_source *source,
                        const struct threshold *threshold)
{
    uint32_t level = source->level_count - 1U;
    uint32_t begin = source->level_begin[level];
    uint32_t end = level_end(ranks, source, level);
    for (uint32_t i = begin; i < end; i++)
        set_threshold(ranks, i,
                      i - begin < source->threshold_count ? threshold[i - begin].value : INFINITY);
    while (level-- > 0) {
        uint32_t below = source->level_begin[level + 1];
        begin = source->level_begin[level];
        for (uint32_t i = 0; begin + i < level_end(ranks, source, level); i++) {
            uint32_t last = below + i * RANKS_FAN + RANKS_FAN - 1;
            bool is_there = last < level_end(ranks, source, level + 1);
            set_threshold(ranks, begin + i, is_there ? threshold_at(ranks, last) : INFINITY);
        }
    }
}

static enum err_code lay_thresholds_out(struct forest_ranks *ranks,
                                        const struct threshold *threshold, struct err *err)
{
    bool has_floats = ranks->fast->has_floats;
    size_t bytes = ranks->threshold_count * (has_floats ? sizeof(float) : sizeof(double));
    void *made = aligned_alloc(64, bytes + (bytes == 0 ? 64 : 0)); /* RANKS_FAN floats are 64 */
    if (made == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for a forest");
    if (has_floats)
        ranks->threshold32 = made;
    else
        ranks->threshold64 = made;
    for (uint32_t s = 0; s < ranks->source_count; s++) {
        fill_levels(ranks, &ranks->source[s], threshold);
        threshold += ranks->source[s].threshold_count;
    }
    return ERR_OK;
}

/* ---- all ------------------------------------------------------------------------------------- */

enum err_code forest_ranks_columns(struct forest_ranks *ranks, uint32_t *ret_source, bool *ret_fits,
                                   struct err *err)
{
    ranks->source = calloc(RANKS_COLUMNS_MAX, sizeof *ranks->source);
    if (ranks->source == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for a forest");
    uint32_t count = find_sources(ranks, ret_source);
    if (count == NOWHERE) {
        *ret_fits = false;
        return ERR_OK;
    }
    struct threshold *threshold = malloc((count + 1ULL) * sizeof *threshold);
    if (threshold == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for a forest");
    collect_thresholds(ranks->fast, ret_source, threshold);
    count = leave_out_repeated(threshold, count);
    *ret_fits = place_columns(ranks, threshold, count);
    enum err_code rc = *ret_fits ? lay_thresholds_out(ranks, threshold, err) : ERR_OK;
    free(threshold);
    return rc;
}

uint32_t forest_ranks_find(const struct forest_ranks *ranks, const struct ranks_source *source,
                           double threshold)
{
    uint32_t begin = source->level_begin[source->level_count - 1];
    uint32_t low = 0;
    uint32_t high = source->threshold_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (threshold_at(ranks, begin + middle) < threshold)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}
