/* SPDX-License-Identifier: Apache-2.0 */
/* measure - what the options ask for, from the first connection to the report.
 *
 * Threads: the caller must have no others, since it may fork. */
#ifndef TOOLS_BENCH_MEASURE_H
#define TOOLS_BENCH_MEASURE_H

#include <stdio.h>

#include "base/err.h"
#include "tools/bench/options.h"

/* Of a try of a sweep: a third of the duration within these, but no more than all of it. */
#define MEASURE_TRY_S_MIN    1.0
#define MEASURE_TRY_S_MAX    5.0
#define MEASURE_TRY_WARMUP_S 0.3

/* Whether the report was printed is told for failures, too: an SVG may fail behind it. */
MUST_CHECK enum err_code measure(const struct bench_options *options, FILE *out, bool *ret_reported,
                                 struct err *err);

#endif
