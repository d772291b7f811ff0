/* SPDX-License-Identifier: Apache-2.0 */
/* hist - a histogram of durations with bounded relative error (after Gil Tene's HdrHistogram:
 * powers of two, each split into 64 equal parts; error below 1.6 %), 0 ns to about 18 minutes.
 *
 * Threads: one writer per histogram; merging and reading while it writes is safe and may miss the
 * newest values.  Size: HIST_BUCKETS * 8 bytes, no allocation. */
#ifndef BASE_HIST_H
#define BASE_HIST_H

#include <stdatomic.h>
#include <stdint.h>

#define HIST_SUB_BITS 6
#define HIST_TOP_BIT  40 /* values at or above 2^40 ns count as 2^40 - 1 */
#define HIST_BUCKETS  ((HIST_TOP_BIT - HIST_SUB_BITS + 1) << HIST_SUB_BITS)

struct hist {
    _Atomic uint64_t count;
    _Atomic uint64_t sum_ns;
    _Atomic uint64_t max_ns;
    _Atomic uint64_t bucket[HIST_BUCKETS];
};

void hist_record(struct hist *hist, uint64_t value_ns);
void hist_merge(struct hist *into, const struct hist *from);
/* Takes away what `earlier`, a state of the same histogram, held; the maximum stays. */
void hist_subtract(struct hist *from, const struct hist *earlier);
void hist_reset(struct hist *hist);
/* The smallest recorded value (upper edge of its bucket) that `share` (0..1) of values do not
 * exceed; 0 when empty. */
uint64_t hist_quantile(const struct hist *hist, double share);
/* How many recorded values are <= limit_ns (at bucket precision); for Prometheus buckets. */
uint64_t hist_count_below(const struct hist *hist, uint64_t limit_ns);
double hist_mean_ns(const struct hist *hist);

#endif
