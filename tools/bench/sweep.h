/* SPDX-License-Identifier: Apache-2.0 */
/* sweep - finds the knee: the highest rate whose p99 stays under the limit, of which 99 % is
 * achieved and nothing fails.  Then it tries rates around it, so that the whole curve is known.
 *
 * The rate doubles until a try fails, then the interval between the last good and the first bad
 * rate is halved until they are SWEEP_PRECISION apart; after that come the rates of SWEEP_SHARES.
 * A rate that fails is tried once more, since a shared machine has bad moments.
 *
 * It only says which rate comes next, so that several can be driven in turn, and tests need no
 * daemon:   for (sweep_begin(&sweep, 1000, limit_ns); sweep_next(&sweep, &rate);)
 *               sweep_take(&sweep, &try);
 * Threads: one. */
#ifndef TOOLS_BENCH_SWEEP_H
#define TOOLS_BENCH_SWEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "tools/bench/tally.h"

#define SWEEP_PRECISION    1.05
#define SWEEP_TRIES_MAX    80
#define SWEEP_ACHIEVED_MIN 0.99
#define SWEEP_RATE_MIN     10.0
#define SWEEP_SHARES       0.1, 0.25, 0.5, 0.75, 0.9, 1.1 /* of the peak */

struct sweep_try {
    double rate, achieved_rate, achieved_share;
    uint64_t p50_ns, p99_ns, p999_ns, failed_count;
    double lag_share; /* load_lag_share */
    struct tally levels;
    bool good; /* set by the sweep */
};

enum sweep_phase { SWEEP_BRACKETS, SWEEP_HALVES, SWEEP_AROUND, SWEEP_DONE };

struct sweep {
    struct sweep_try tries[SWEEP_TRIES_MAX]; /* in order of their rates once it is done */
    uint32_t try_count;
    double peak_rate; /* 0: not even SWEEP_RATE_MIN was good, or it is not done */

    enum sweep_phase phase;
    uint64_t limit_ns;
    double rate, best, bad; /* the next one; the highest good and the lowest bad one, 0: none */
    bool repeated;
    uint32_t share_index;
};

void sweep_begin(struct sweep *sweep, double first_rate, uint64_t limit_ns);
bool sweep_next(const struct sweep *sweep, double *ret_rate); /* false: done */
void sweep_take(struct sweep *sweep, const struct sweep_try *one);

#endif
