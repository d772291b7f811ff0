/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/schedule.h"

#include <math.h>

#include "base/err.h"

void schedule_init(struct schedule *schedule, double rate, bool poisson, uint64_t seed,
                   uint64_t start_ns)
{
    ASSERT(rate > 0);
    *schedule =
        (struct schedule){.start_ns = start_ns, .interval_ns = 1e9 / rate, .poisson = poisson};
    rand_init(&schedule->rand, seed);
}

void schedule_advance(struct schedule *schedule)
{
    /* 1 - unit is in (0, 1], where the logarithm is finite. */
    double share = schedule->poisson ? -log(1 - rand_unit(&schedule->rand)) : 1;
    schedule->offset_ns += share * schedule->interval_ns;
}
