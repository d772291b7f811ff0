/* SPDX-License-Identifier: Apache-2.0 */
#include "server/decide/shadow_compare.h"

#include <math.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/idmap.h"

#define KEY_OF_UNKNOWN 0x80000000U /* numbers of items are below */

uint32_t shadow_key(uint32_t item, struct text id)
{
    if (item != IDMAP_NONE)
        return item;
    return KEY_OF_UNKNOWN | (uint32_t)(hash_bytes(id.ptr, id.len, 0) >> 33);
}

/* An item in both answers: its places and the difference in score. */
struct common {
    uint32_t served_place, shadow_place;
    double drift;
};

/* An item of the shadow's answer, for lookup by number. */
struct place {
    uint32_t item, place;
};

static int by_item(const void *left, const void *right)
{
    const struct place *a = left, *b = right;
    if (a->item != b->item)
        return a->item < b->item ? -1 : 1;
    return a->place < b->place ? -1 : a->place > b->place;
}

static int by_shadow_place(const void *left, const void *right)
{
    const struct common *a = left, *b = right;
    return a->shadow_place < b->shadow_place ? -1 : a->shadow_place > b->shadow_place;
}

/* The first place of the item; NULL: absent. */
static const struct place *find(const struct place *places, uint32_t count, uint32_t item)
{
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (places[middle].item < item)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && places[low].item == item ? &places[low] : NULL;
}

static uint32_t find_common(const struct shadow_answer *served, const struct shadow_answer *shadow,
                            struct common *ret_common)
{
    struct place places[SHADOW_ITEMS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < shadow->count; i++)
        places[i] = (struct place){shadow->item[i].item, i};
    qsort(places, shadow->count, sizeof places[0], by_item);
    for (uint32_t i = 0; i < served->count; i++) {
        const struct place *at = find(places, shadow->count, served->item[i].item);
        if (at == NULL)
            continue;
        double score = (double)shadow->item[at->place].score;
        ret_common[count++] =
            (struct common){i, at->place, fabs(score - (double)served->item[i].score)};
    }
    return count;
}

/* Spearman's rank correlation over the common items; there are no ties, since answers are ordered.
 * `common` is in the order of the served answer. */
static double correlate(struct common *common, uint32_t count)
{
    double squares = 0, n = count;
    if (count < 2)
        return NAN;
    for (uint32_t i = 0; i < count; i++)
        common[i].served_place = i;
    qsort(common, count, sizeof common[0], by_shadow_place);
    for (uint32_t i = 0; i < count; i++) {
        double difference = (double)common[i].served_place - i;
        squares += difference * difference;
    }
    return 1 - 6 * squares / (n * (n * n - 1));
}

void shadow_compare(const struct shadow_answer *served, const struct shadow_answer *shadow,
                    struct shadow_difference *ret_difference)
{
    struct common common[SHADOW_ITEMS_MAX];
    ASSERT(served->count <= SHADOW_ITEMS_MAX && shadow->count <= SHADOW_ITEMS_MAX);
    uint32_t longer = served->count > shadow->count ? served->count : shadow->count;
    uint32_t count = find_common(served, shadow, common);
    struct shadow_difference difference = {.overlap = longer == 0 ? 1.0 : (double)count / longer,
                                           .common_count = count};
    for (uint32_t i = 0; i < count; i++) {
        difference.score_drift_sum += common[i].drift;
        difference.score_drift_max = fmax(difference.score_drift_max, common[i].drift);
    }
    difference.rank_correlation = correlate(common, count);
    *ret_difference = difference;
}
