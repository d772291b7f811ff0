/* SPDX-License-Identifier: Apache-2.0 */
/* shadow_compare - measures how two answers to the same request differ.
 *
 * Items are matched by shadow_key.
 * Threads: no state.  Limits: SHADOW_ITEMS_MAX items a side. */
#ifndef SERVER_DECIDE_SHADOW_COMPARE_H
#define SERVER_DECIDE_SHADOW_COMPARE_H

#include <stdint.h>

#include "base/text.h"
#include "server/protocol/request.h"

#define SHADOW_ITEMS_MAX REQUEST_ITEMS_MAX

struct shadow_item { /* in order, best first */
    uint32_t item;   /* its key */
    float score;
};

struct shadow_answer {
    const struct shadow_item *item;
    uint32_t count;
};

struct shadow_difference {
    double overlap;          /* items in both, as a share of the longer answer; 1 for two empty */
    uint32_t common_count;   /* items in both */
    double rank_correlation; /* Spearman's over the items in both; NaN for fewer than two */
    double score_drift_sum;  /* of the absolute differences of score over the items in both */
    double score_drift_max;
};

/* A key for the item: its number, or a hash of its id if the store does not know it (IDMAP_NONE),
 * as for a caller's own items in `rank`.  Two of the latter collide with probability 1 in two
 * billion.
 */
uint32_t shadow_key(uint32_t item, struct text id);

void shadow_compare(const struct shadow_answer *served, const struct shadow_answer *shadow,
                    struct shadow_difference *ret_difference);

#endif
