/* SPDX-License-Identifier: Apache-2.0 */
/* curve - the percentiles of a histogram, denser towards the end (five for each halving of what is
 * left, as HdrHistogram prints them), for tables, JSON and charts.  Threads: no state. */
#ifndef TOOLS_BENCH_CURVE_H
#define TOOLS_BENCH_CURVE_H

#include <stdint.h>

#include "base/hist.h"

#define CURVE_POINTS_MAX 256

/* The percentiles that reports name. */
enum { QUANTILE_P50, QUANTILE_P90, QUANTILE_P99, QUANTILE_P999, QUANTILE_COUNT };
extern const struct quantile {
    const char *name; /* "p99.9" */
    double share;     /* 0.999 */
} quantiles[QUANTILE_COUNT];

struct curve_point {
    double share; /* 0..1 */
    double us;    /* that this share of requests did not exceed */
};

struct curve {
    struct curve_point points[CURVE_POINTS_MAX]; /* both ascending; the last share is 1 */
    uint32_t count;                              /* 0: of nothing */
    double us[QUANTILE_COUNT];
};

void curve_of(const struct hist *hist, struct curve *ret_curve);

#endif
