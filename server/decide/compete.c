/* SPDX-License-Identifier: Apache-2.0 */
/* The items that were reached, which are those where an array is not zero, compete for the places.
 * Only those that may get one are looked at and, where there are factors, computed.
 *
 * Where nearly all items were reached they are taken by number, in two turns.  First come those
 * that probably are the best: what the best blocks of the arrays have above a bar, which is set so
 * that somewhat more of them than are wanted clear it.  Mostly the last of the places is taken
 * above the bar then, and the second turn finds nothing to do. */
#include <math.h>
#include <string.h>

#include "server/decide/candidates.h"

/* Looking at each place of the array costs less than half of finding it through a list. */
#define SCAN_ALL_SHARE 2

enum { AHEAD = 8 };

/* What all sources of factors add, exactly. */
static float factors_part(const struct pipeline *p, uint32_t item)
{
    float part = 0.0f;
    for (uint32_t s = 0; s < p->slot->source_count; s++) {
        if (p->vector[s] != NULL)
            part += p->slot->source[s].weight * source_value(p, s, item);
    }
    return part;
}

/* Adding rounds, but the larger summand never gives the smaller sum: no item that should be among
 * the best is left out because of its bound. */
static void compute_and_put(const struct pipeline *p, struct top *top, uint32_t item, float blend,
                            float upper)
{
    if (!eligible(p, item))
        return;
    bool is_known = p->found_is_exact && upper != 0.0f;
    float score = blend + (is_known ? upper : factors_part(p, item));
    if (score != 0.0f && top_wants(top, score, item))
        top_put(top, score, item);
}

/* Those whose turn came, and what was asked for of them may be there by now. */
enum { WAITING_MAX = 16 };
struct waiting {
    struct top *top;
    uint32_t count;
    struct reached_item {
        uint32_t item;
        float blend, upper;
    } item[WAITING_MAX];
};

static void compute_waiting(const struct pipeline *p, struct waiting *waiting)
{
    for (uint32_t i = 0; i < waiting->count; i++) {
        const struct reached_item *at = &waiting->item[i];
        if (at->blend + at->upper + p->unseen >= top_least(waiting->top))
            compute_and_put(p, waiting->top, at->item, at->blend, at->upper);
    }
    waiting->count = 0;
}

/* The item's turn; whoever comes to it again finds nothing. */
static void take_turn(const struct pipeline *p, struct waiting *waiting, uint32_t item)
{
    float blend = p->scratch->blend[item];
    float upper = p->scratch->upper[item];
    p->scratch->blend[item] = 0.0f;
    p->scratch->upper[item] = 0.0f;
    if (blend + upper + p->unseen < top_least(waiting->top) || (blend == 0.0f && upper == 0.0f))
        return;
    for (uint32_t s = 0; s < p->slot->source_count; s++) {
        if (p->vector[s] != NULL && !(p->found_is_exact && upper != 0.0f))
            naturals_fetch(p, s, item);
    }
    waiting->item[waiting->count++] = (struct reached_item){item, blend, upper};
    if (waiting->count == WAITING_MAX)
        compute_waiting(p, waiting);
}

static void fetch_sums(const struct pipeline *p, uint32_t item)
{
    __builtin_prefetch(&p->scratch->blend[item], 1);
    __builtin_prefetch(&p->scratch->upper[item], 1);
    for (uint32_t s = 0; s < p->slot->source_count; s++) {
        if (p->vector[s] != NULL)
            model_fetch_row(p->models->source[s], item);
    }
}

static void compete_found(const struct pipeline *p, struct waiting *waiting, uint32_t s)
{
    const struct top *found = &p->found[s].top;
    for (uint32_t i = 0; i < found->count; i++) {
        if (i + AHEAD < found->count)
            fetch_sums(p, found->slot[i + AHEAD].key);
        take_turn(p, waiting, found->slot[i].key);
    }
}

/* The items of one source, in any order. */
static void compete_of(struct pipeline *p, struct waiting *waiting, uint32_t s)
{
    const struct model *model = p->models->source[s];
    struct summed reached = {NULL, 0};
    switch (p->slot->source[s].kind) {
    case SOURCE_popular: {
        struct top_list list = candidates_popular(p, s);
        for (uint32_t i = 0; i < list.count; i++) {
            if (i + AHEAD < list.count)
                fetch_sums(p, list.entry[i + AHEAD].item);
            take_turn(p, waiting, list.entry[i].item);
        }
        break;
    }
    case SOURCE_model_popular:
        for (uint32_t i = 0; i < candidates_model_popular(p, s); i++)
            take_turn(p, waiting, model->item_of_row[popularity_order(model->as.popularity)[i]]);
        break;
    default:
        if (candidates_found(p, s)) {
            compete_found(p, waiting, s);
            break;
        }
        if (p->scored[s])
            reached = candidates_reached(p, s);
        for (uint32_t i = 0; i < reached.count; i++) {
            if (reached.item != NULL && i + AHEAD < reached.count)
                fetch_sums(p, reached.item[i + AHEAD]);
            take_turn(p, waiting, reached.item != NULL ? reached.item[i] : i);
        }
    }
}

/* ---- by number --------------------------------------------------------------------------------
 */

enum { BLOCK_ITEMS = 16, LANES = 4, SPARE_BLOCKS = 8 };
enum { BINS = 256, BIN_SHIFT = 19 }; /* 16 bins for each power of two */

/* Both arrays, and the best sum of each block. */
struct reached {
    const float *blend, *upper;
    float *best;
    uint32_t item_count, block_items, block_count;
};

static inline float most_of(const struct reached *reached, uint32_t item)
{
    return reached->blend[item] + reached->upper[item];
}

static inline float larger(float a, float b)
{
    return a > b ? a : b;
}

/* Lanes side by side keep the compiler from waiting for one maximum. */
static inline float best_of_block(const float *restrict blend, const float *restrict upper)
{
    float best[LANES];
    for (uint32_t lane = 0; lane < LANES; lane++)
        best[lane] = blend[lane] + upper[lane];
    for (uint32_t first = LANES; first < BLOCK_ITEMS; first += LANES) {
        for (uint32_t lane = 0; lane < LANES; lane++)
            best[lane] = larger(blend[first + lane] + upper[first + lane], best[lane]);
    }
    return larger(larger(best[0], best[1]), larger(best[2], best[3]));
}

/* The arrays are whole blocks long, and zero behind the last item. */
static void find_best(struct reached *reached)
{
    for (uint32_t b = 0; b < reached->block_count; b++) {
        uint32_t first = b * reached->block_items;
        reached->best[b] = reached->block_items == 1
                               ? most_of(reached, first)
                               : best_of_block(reached->blend + first, reached->upper + first);
    }
}

/* Positive floats are in the order of their bits. */
static uint32_t bits_of(float positive)
{
    uint32_t bits;
    memcpy(&bits, &positive, sizeof bits);
    return bits >> BIN_SHIFT;
}

/* A bar that at least `wanted` blocks clear, but not many more; 0 when fewer are above zero. */
static float likely_bar(const struct reached *reached, uint32_t wanted)
{
    uint32_t bin[BINS] = {0};
    float best = 0.0f, bar = 0.0f;
    for (uint32_t b = 0; b < reached->block_count; b++)
        best = larger(reached->best[b], best);
    uint32_t highest = bits_of(best);
    for (uint32_t b = 0; b < reached->block_count; b++) {
        uint32_t below = reached->best[b] > 0.0f ? highest - bits_of(reached->best[b]) : BINS;
        if (below < BINS)
            bin[below]++;
    }
    uint32_t clear = 0, last = 0;
    while (last < BINS && last <= highest && clear + bin[last] < wanted)
        clear += bin[last++];
    if (last == BINS || last > highest)
        return 0.0f;
    uint32_t bits = (highest - last) << BIN_SHIFT;
    memcpy(&bar, &bits, sizeof bar);
    return bar;
}

/* Of the items that reach `low` but not `high`, those that may get a place. */
static void compete_between(const struct pipeline *p, struct top *top,
                            const struct reached *reached, float low, float high)
{
    float least = top_least(top);
    for (uint32_t b = 0; b < reached->block_count; b++) {
        if (reached->best[b] < low || reached->best[b] + p->unseen < least)
            continue;
        uint32_t end = (b + 1) * reached->block_items;
        end = end < reached->item_count ? end : reached->item_count;
        for (uint32_t item = b * reached->block_items; item < end; item++) {
            float most = most_of(reached, item);
            if (most < low || most >= high || most + p->unseen < least ||
                (reached->blend[item] == 0.0f && reached->upper[item] == 0.0f))
                continue;
            compute_and_put(p, top, item, reached->blend[item], reached->upper[item]);
            least = top_least(top);
        }
    }
}

/* What is blocked is often what scored best: bought before. */
static void take_out_blocked(const struct pipeline *p, uint32_t item_count)
{
    for (uint32_t at = 0; at <= p->blocked.mask; at++) {
        uint32_t item = p->blocked.slot[at] - 1; /* a free place has none: UINT32_MAX */
        if (item < item_count)
            p->scratch->blend[item] = p->scratch->upper[item] = 0.0f;
    }
}

static void compete_by_number(const struct pipeline *p, struct top *top, uint32_t item_count)
{
    float *blend = p->scratch->blend, *upper = p->scratch->upper;
    uint32_t wanted = top->capacity + top->capacity / 4 + SPARE_BLOCKS;
    uint32_t block_items = item_count / BLOCK_ITEMS >= 2 * wanted ? BLOCK_ITEMS : 1;
    struct reached reached = {.blend = blend,
                              .upper = upper,
                              .best = p->scratch->block_best,
                              .item_count = item_count,
                              .block_items = block_items,
                              .block_count = (item_count + block_items - 1) / block_items};
    take_out_blocked(p, item_count);
    find_best(&reached);
    float bar = likely_bar(&reached, wanted);
    if (bar > 0.0f)
        compete_between(p, top, &reached, bar, INFINITY);
    else
        bar = INFINITY;
    if (top_least(top) <= bar + p->unseen)
        compete_between(p, top, &reached, -INFINITY, bar);
    memset(blend, 0, item_count * sizeof blend[0]);
    memset(upper, 0, item_count * sizeof upper[0]);
}

void compete(struct pipeline *p, struct top *top)
{
    uint32_t item_count = store_item_count(p->env->store);
    uint64_t dense_count = 0;
    for (uint32_t s = 0; s < p->slot->source_count; s++)
        dense_count += p->scored[s] && !candidates_found(p, s) ? candidates_reached(p, s).count : 0;
    if (SCAN_ALL_SHARE * dense_count >= item_count) {
        compete_by_number(p, top, item_count);
        return;
    }
    /* What was found comes first: it fills the heap with what is hard to beat. */
    struct waiting waiting = {.top = top};
    for (uint32_t s = 0; s < p->slot->source_count; s++) {
        if (candidates_found(p, s))
            compete_of(p, &waiting, s);
    }
    for (uint32_t s = 0; s < p->slot->source_count; s++) {
        if (!candidates_found(p, s))
            compete_of(p, &waiting, s);
    }
    compute_waiting(p, &waiting);
}
