/* SPDX-License-Identifier: Apache-2.0 */
/* schedule - when each request of an open loop is meant to leave, whatever the replies do.
 *
 * Constant arrivals keep one distance; Poisson arrivals, which independent callers make, have
 * distances with an exponential distribution.  Times are computed from the start, so that rounding
 * does not add up.  Threads: one owner. */
#ifndef TOOLS_BENCH_SCHEDULE_H
#define TOOLS_BENCH_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rand.h"

struct schedule {
    uint64_t start_ns;
    double interval_ns; /* on average */
    double offset_ns;   /* of the next request, from the start */
    bool poisson;
    struct rand rand;
};

void schedule_init(struct schedule *schedule, double rate, bool poisson, uint64_t seed,
                   uint64_t start_ns);
static inline uint64_t schedule_next_ns(const struct schedule *schedule)
{
    return schedule->start_ns + (uint64_t)schedule->offset_ns;
}
void schedule_advance(struct schedule *schedule);

#endif
