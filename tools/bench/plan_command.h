/* SPDX-License-Identifier: Apache-2.0 */
/* plan_command - "decide-bench plan": its options, and its table.  Threads: none. */
#ifndef TOOLS_BENCH_PLAN_COMMAND_H
#define TOOLS_BENCH_PLAN_COMMAND_H

#include <stdbool.h>
#include <stdio.h>

#include "base/err.h"
#include "tools/bench/arguments.h"

#define PLAN_RATE_MAX  1e9
#define PLAN_SPARE_MAX 100

struct plan_options {
    struct argument_list curves; /* results of --sweep --json */
    double rate;
    double p99_ms; /* 0: the limit of each sweep */
    uint32_t spare;
    bool json, help;
};

/* argv[1] is "plan". */
MUST_CHECK enum err_code plan_options_parse(int argc, char **argv, struct plan_options *ret_options,
                                            struct err *err);
void plan_options_help(FILE *out);
/* Prints nothing when one of the curves does not say what is asked: the error names it. */
MUST_CHECK enum err_code plan_command(const struct plan_options *options, FILE *out,
                                      struct err *err);

#endif
