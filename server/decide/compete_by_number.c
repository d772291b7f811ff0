/* SPDX-License-Identifier: Apache-2.0 */
/* Choosing by scanning the arrays, in two passes.  The first takes the items above a bar, which is
 * set so that a few more blocks of the arrays reach it than there are places.  That usually fills
 * every place with an item above the bar, and the second pass, over all items below, has nothing to
 * do. */
#include <math.h>
#include <string.h>

#include "server/decide/candidates.h"

enum { LANES = 4, BLOCK_ITEMS = 16, SPARE_BLOCKS = 8 };
enum { BINS = 256, BIN_SHIFT = 19 }; /* 16 bins for each power of two */

/* Vectors of 16 bytes: every x86-64 and aarch64 has them. */
typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));
typedef int32_t mask __attribute__((vector_size(LANES * sizeof(int32_t))));

/* Both arrays, and the largest sum in each block. */
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

static inline lanes lanes_at(const float *at)
{
    lanes four;
    memcpy(&four, at, sizeof four);
    return four;
}

static inline lanes larger_lanes(lanes a, lanes b)
{
    mask is_larger = a > b;
    return (lanes)((is_larger & (mask)a) | (~is_larger & (mask)b));
}

static inline float best_of_block(const float *blend, const float *upper)
{
    lanes best = lanes_at(blend) + lanes_at(upper);
    for (uint32_t first = LANES; first < BLOCK_ITEMS; first += LANES)
        best = larger_lanes(lanes_at(blend + first) + lanes_at(upper + first), best);
    return larger(larger(best[0], best[1]), larger(best[2], best[3]));
}

/* The arrays are padded with zeros to whole blocks.  Returns the largest sum of all. */
static float find_best(struct reached *reached)
{
    float best_of_all = 0.0f;
    for (uint32_t b = 0; b < reached->block_count; b++) {
        uint32_t first = b * reached->block_items;
        float best = reached->block_items == 1
                         ? most_of(reached, first)
                         : best_of_block(reached->blend + first, reached->upper + first);
        reached->best[b] = best;
        best_of_all = larger(best, best_of_all);
    }
    return best_of_all;
}

/* The bit patterns of positive floats sort like the floats. */
static uint32_t bits_of(float positive)
{
    uint32_t bits;
    memcpy(&bits, &positive, sizeof bits);
    return bits >> BIN_SHIFT;
}

/* A bar that at least `wanted` blocks reach, but not many more, by a histogram of the blocks'
 * largest sums; 0 if fewer are above zero. */
static float likely_bar(const struct reached *reached, float best, uint32_t wanted)
{
    uint32_t bin[BINS] = {0};
    float bar = 0.0f;
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

/* The items of a block in [low, high).  Branch-free: which ones they are is unpredictable. */
static uint32_t items_between(const struct reached *reached, uint32_t block, float low, float high,
                              uint32_t ret_item[BLOCK_ITEMS])
{
    uint32_t first = block * reached->block_items, count = 0;
    uint32_t end = first + reached->block_items;
    end = end < reached->item_count ? end : reached->item_count;
    for (uint32_t item = first; item < end; item++) {
        float most = most_of(reached, item);
        ret_item[count] = item;
        count += (most >= low) & (most < high);
    }
    return count;
}

/* Puts into `top` those items in [low, high) that win a place. */
static void compete_between(const struct pipeline *p, struct top *top,
                            const struct reached *reached, float low, float high)
{
    uint32_t item[BLOCK_ITEMS];
    float least = top_least(top);
    for (uint32_t b = 0; b < reached->block_count; b++) {
        if (reached->best[b] < low || reached->best[b] + p->unseen < least)
            continue;
        uint32_t count = items_between(reached, b, low, high, item);
        for (uint32_t i = 0; i < count; i++) {
            float blend = reached->blend[item[i]], upper = reached->upper[item[i]];
            if (blend + upper + p->unseen < least || (blend == 0.0f && upper == 0.0f))
                continue;
            compete_item(p, top, item[i], blend, upper);
            least = top_least(top);
        }
    }
}

/* Blocked items, bought before, are often those that score best. */
static void take_out_blocked(const struct pipeline *p, uint32_t item_count)
{
    for (uint32_t at = 0; at <= p->blocked.mask; at++) {
        uint32_t item = p->blocked.slot[at] - 1; /* a free place has none: UINT32_MAX */
        if (item < item_count)
            p->scratch->blend[item] = p->scratch->upper[item] = 0.0f;
    }
}

void compete_by_number(const struct pipeline *p, struct top *top, uint32_t item_count)
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
    float best = find_best(&reached);
    float bar = likely_bar(&reached, best, wanted);
    if (bar > 0.0f)
        compete_between(p, top, &reached, bar, INFINITY);
    else
        bar = INFINITY;
    if (top_least(top) <= bar + p->unseen)
        compete_between(p, top, &reached, -INFINITY, bar);
    memset(blend, 0, item_count * sizeof blend[0]);
    memset(upper, 0, item_count * sizeof upper[0]);
}
