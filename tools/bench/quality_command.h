/* SPDX-License-Identifier: Apache-2.0 */
/* quality_command - "decide-bench quality": what a running daemon recommends people of the past,
 * against what they did next.  Threads: one, which starts those that ask. */
#ifndef TOOLS_BENCH_QUALITY_COMMAND_H
#define TOOLS_BENCH_QUALITY_COMMAND_H

#include <stdbool.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/err.h"

struct quality_options {
    const char *url;
    const char *events, *map, *eval; /* map NULL: none; eval: "time:2011-11-01" */
    const char *slot_new, *slot_any;
    const char *outcomes; /* where to write them; NULL: nowhere */
    uint32_t k, threads;
    bool json, help;
};

/* argv[1] is "quality". */
MUST_CHECK enum err_code
quality_options_parse(int argc, char **argv, struct quality_options *ret_options, struct err *err);
void quality_options_help(FILE *out);

/* The table or JSON goes to `out`, the progress to `messages`.  Ends at the first call that fails.
 */
MUST_CHECK enum err_code quality_command(const struct quality_options *options,
                                         const struct clock *clock, FILE *out, FILE *messages,
                                         struct err *err);

#endif
