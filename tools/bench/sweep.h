/* SPDX-License-Identifier: Apache-2.0 */
/* sweep - finds the peak: the highest rate whose p99 stays under the limit, of which 99 % is
 * achieved and nothing fails.
 *
 * The rate doubles until a try fails, then the interval between the last good and the first bad
 * rate is halved until they are SWEEP_PRECISION apart.  A rate that fails is tried once more, since
 * a shared machine has bad moments.  How a rate is tried is the caller's, so that tests need no
 * daemon.  Threads: one. */
#ifndef TOOLS_BENCH_SWEEP_H
#define TOOLS_BENCH_SWEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "tools/bench/options.h"

#define SWEEP_PRECISION    1.05
#define SWEEP_TRIES_MAX    64
#define SWEEP_ACHIEVED_MIN 0.99
#define SWEEP_RATE_MIN     10.0
#define SWEEP_TRY_S_MIN    1.0
#define SWEEP_TRY_S_MAX    5.0
#define SWEEP_TRY_WARMUP_S 0.3

struct sweep_try {
    double rate, achieved_rate, achieved_share;
    uint64_t p99_ns, failed_count;
    bool good;
};

struct sweep {
    struct sweep_try tries[SWEEP_TRIES_MAX];
    uint32_t try_count;
    double peak_rate; /* 0: not even SWEEP_RATE_MIN was good */
};

/* Fills all but `good`. */
typedef enum err_code (*sweep_fn)(void *ctx, double rate, struct sweep_try *ret_try,
                                  struct err *err);

MUST_CHECK enum err_code sweep_run(double first_rate, uint64_t limit_ns, sweep_fn fn, void *ctx,
                                   struct sweep *ret_sweep, struct err *err);

#endif
