/* SPDX-License-Identifier: Apache-2.0 */
/* quality_report - the result of "decide-bench quality" for people and for programs
 * (docs/benchmarks.md describes the JSON).  Threads: one. */
#ifndef TOOLS_BENCH_QUALITY_REPORT_H
#define TOOLS_BENCH_QUALITY_REPORT_H

#include "tools/bench/quality.h"
#include "tools/bench/quality_command.h"

void quality_print_table(const struct quality_options *options, const struct quality *quality,
                         const struct evaluation *evaluation, FILE *out);
void quality_print_json(const struct quality_options *options, const struct quality *quality,
                        const struct evaluation *evaluation, FILE *out);

#endif
