/* SPDX-License-Identifier: Apache-2.0 */
/* metrics_internal - the layout shared by creation, the hot-path writers and rendering.
 *
 * A row is one combination of label values of one family; rows are numbered through all families.
 * All counters are atomics with relaxed order: nothing is published through them. */
#ifndef BASE_METRICS_INTERNAL_H
#define BASE_METRICS_INTERNAL_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/metrics.h"

struct metric_layout {
    uint32_t row_first;
    uint32_t value_count[2]; /* of each label; 1 where there is none */
    uint32_t hist_first;     /* into metric_slot.hist, for histograms */
};

struct metric_slot {
    const struct metrics *metrics; /* borrowed */
    struct hist *hist;             /* within the same allocation */
    _Atomic uint64_t count[];      /* by row */
};

struct metric_shared {
    _Atomic uint64_t count;    /* metric_add_shared */
    _Atomic uint64_t set_bits; /* the double of metric_set */
    _Atomic uint32_t is_set;
};

struct metrics {
    const struct metric_family *families; /* borrowed */
    uint32_t family_count;
    uint32_t row_count;
    uint32_t hist_count;
    uint32_t slot_count_max;
    _Atomic uint32_t slot_count;
    struct metric_layout *layout;         /* owned, by family */
    struct metric_shared *shared;         /* owned, by row */
    _Atomic(struct metric_slot *) slot[]; /* owned; the first slot_count may be NULL for a moment */
};

static inline uint32_t metric_row(const struct metrics *metrics, uint32_t family, uint32_t l0,
                                  uint32_t l1)
{
    ASSERT(family < metrics->family_count);
    const struct metric_layout *layout = &metrics->layout[family];
    ASSERT(l0 < layout->value_count[0] && l1 < layout->value_count[1]);
    return layout->row_first + l0 * layout->value_count[1] + l1;
}

/* The histogram of a row within a slot. */
static inline struct hist *metric_slot_hist(const struct metric_slot *slot, uint32_t family,
                                            uint32_t row)
{
    const struct metric_layout *layout = &slot->metrics->layout[family];
    return &slot->hist[layout->hist_first + row - layout->row_first];
}

#endif
