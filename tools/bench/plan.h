/* SPDX-License-Identifier: Apache-2.0 */
/* plan - from the measured curve of one machine to how many of them a load needs.
 *
 * Between measured rates p99 is taken from the straight line, which is on the safe side where a
 * curve bends upwards.  Nothing is said about rates that were not measured.  The load is thought to
 * be spread evenly over like machines that share nothing.  Threads: no state.
 * Limits: PLAN_MACHINES_MAX machines. */
#ifndef TOOLS_BENCH_PLAN_H
#define TOOLS_BENCH_PLAN_H

#include <stdint.h>

#include "base/err.h"
#include "tools/bench/earlier.h"

#define PLAN_MACHINES_MAX 10000

/* Each machine's part of the load. */
struct plan_share {
    double rate;
    double use;    /* of machine_rate, 0..1 */
    double p99_us; /* below 0: the rate is lower than any that was measured */
};

struct plan {
    double target_us;
    double machine_rate; /* one machine carries it with a p99 of target_us */
    uint32_t machine_count;
    struct plan_share all_up, with_lost; /* `spare` machines lost */
    double headroom; /* how much the load may grow, as a part of it, with `spare` lost */
};

/* ERR_UNSUPPORTED, and what to measure, when the curve does not say it. */
MUST_CHECK enum err_code plan_make(const struct earlier_sweep *curve, double rate, double target_us,
                                   uint32_t spare, struct plan *ret_plan, struct err *err);

#endif
