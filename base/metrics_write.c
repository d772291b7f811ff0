/* SPDX-License-Identifier: Apache-2.0 */
/* What the hot path calls of metrics: plain loads and stores into the thread's own slot. */
#include <string.h>

#include "base/metrics_internal.h"

void metric_add(struct metric_slot *slot, uint32_t family, uint32_t l0, uint32_t l1, uint64_t n)
{
    _Atomic uint64_t *count = &slot->count[metric_row(slot->metrics, family, l0, l1)];
    uint64_t before = atomic_load_explicit(count, memory_order_relaxed);
    atomic_store_explicit(count, before + n, memory_order_relaxed);
}

void metric_observe(struct metric_slot *slot, uint32_t family, uint32_t l0, uint32_t l1,
                    uint64_t value_ns)
{
    uint32_t row = metric_row(slot->metrics, family, l0, l1);
    ASSERT(slot->metrics->families[family].kind == METRIC_HISTOGRAM);
    hist_record(metric_slot_hist(slot, family, row), value_ns);
}

void metric_set(struct metrics *metrics, uint32_t family, uint32_t l0, uint32_t l1, double value)
{
    struct metric_shared *shared = &metrics->shared[metric_row(metrics, family, l0, l1)];
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    atomic_store_explicit(&shared->set_bits, bits, memory_order_relaxed);
    atomic_store_explicit(&shared->is_set, 1, memory_order_relaxed);
}

void metric_add_shared(struct metrics *metrics, uint32_t family, uint32_t l0, uint32_t l1,
                       uint64_t n)
{
    struct metric_shared *shared = &metrics->shared[metric_row(metrics, family, l0, l1)];
    atomic_fetch_add_explicit(&shared->count, n, memory_order_relaxed);
}
