/* SPDX-License-Identifier: Apache-2.0 */
/* report - a run or a sweep on stdout: lines for people, or one JSON object.  Threads: none. */
#ifndef TOOLS_BENCH_REPORT_H
#define TOOLS_BENCH_REPORT_H

#include <stdio.h>

#include "tools/bench/load.h"
#include "tools/bench/options.h"
#include "tools/bench/sweep.h"

void report_run(const struct bench_options *options, const struct load_result *result, FILE *out);
/* `at_half`: the run at half of the peak with its options; NULL when there is no peak. */
void report_sweep(const struct bench_options *options, const struct sweep *sweep,
                  const struct bench_options *half_options, const struct load_result *at_half,
                  FILE *out);

#endif
