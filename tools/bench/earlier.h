/* SPDX-License-Identifier: Apache-2.0 */
/* earlier - results that --json wrote, read back: to compare with, and to plan with.
 *
 * The files are input: their format, kinds, ranges and order are checked, and errors name file and
 * field.  Threads: none. */
#ifndef TOOLS_BENCH_EARLIER_H
#define TOOLS_BENCH_EARLIER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "tools/bench/curve.h"
#include "tools/bench/options.h"
#include "tools/bench/sweep.h"

#define EARLIER_FORMAT    1
#define EARLIER_BYTES_MAX (16u << 20)
#define EARLIER_US_MAX    1e10

/* The latencies of a run, or those of a sweep at half of its peak.  ERR_BAD_INPUT when it asked for
 * something else than `options` do: another op, or as far as the op has them another n or slot. */
MUST_CHECK enum err_code earlier_read_curve(const char *path, const struct bench_options *options,
                                            struct curve *ret_curve, struct err *err);

struct earlier_try {
    double rate, p99_us;
    bool failed; /* something was lost or refused, or not enough of it was achieved */
};

struct earlier_sweep {
    double limit_us, peak_rate;
    struct earlier_try tries[SWEEP_TRIES_MAX]; /* rates ascend strictly */
    uint32_t try_count;
};

/* Of two tries of one rate the later one counts. */
MUST_CHECK enum err_code earlier_read_sweep(const char *path, struct earlier_sweep *ret_sweep,
                                            struct err *err);

#endif
