/* SPDX-License-Identifier: Apache-2.0 */
/* report - what was measured: lines for people, one JSON object (docs/benchmarks.md has its
 * schema), or a chart.  Threads: none. */
#ifndef TOOLS_BENCH_REPORT_H
#define TOOLS_BENCH_REPORT_H

#include <stdio.h>

#include "tools/bench/curve.h"
#include "tools/bench/options.h"
#include "tools/bench/result.h"
#include "tools/bench/sweep.h"
#include "tools/bench/targets.h"

struct report {
    const struct bench_options *options;
    const struct targets *targets;
    const struct load_result *results; /* one for each target; NULL: no peak was found */
    const struct sweep *sweeps;        /* one for each target; NULL: this is no sweep */
    const struct curve *before;        /* NULL: nothing to compare with */
};

void report_text(const struct report *report, FILE *out);
void report_json(const struct report *report, FILE *out);
/* To options->svg_file. */
MUST_CHECK enum err_code report_svg(const struct report *report, struct err *err);

/* "poisson", "constant" or "closed loop". */
const char *report_arrivals(const struct bench_options *options);
/* a / b, 0 when b is. */
double report_ratio(double a, double b);

#endif
