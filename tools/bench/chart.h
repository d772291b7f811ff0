/* SPDX-License-Identifier: Apache-2.0 */
/* chart - percentiles of latency as an SVG picture that needs nothing beside itself.
 *
 * Across: the percentile, each nine as wide as the last (0, 90, 99, 99.9 ...).  Upwards: latency,
 * logarithmic, so that equal distances are equal ratios.  Threads: none. */
#ifndef TOOLS_BENCH_CHART_H
#define TOOLS_BENCH_CHART_H

#include "base/buffer.h"
#include "base/err.h"
#include "tools/bench/curve.h"

#define CHART_SERIES_MAX 4

enum chart_role { CHART_DECIDED, CHART_BEFORE, CHART_RAW, CHART_NNG };

struct chart_series {
    enum chart_role role; /* gives name and colour */
    struct curve curve;
};

struct chart {
    char title[160], subtitle[160];
    struct chart_series series[CHART_SERIES_MAX]; /* those without points are left out */
    uint32_t count;
};

void chart_render(const struct chart *chart, struct buffer *out);
/* Whether chart_write could write there; a file that is there stays as it is. */
MUST_CHECK enum err_code chart_check_path(const char *path, struct err *err);
/* The file is replaced as a whole. */
MUST_CHECK enum err_code chart_write(const struct chart *chart, const char *path, struct err *err);

#endif
