/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/sweep.h"

#include "base/err.h"
#include "tools/bench/options.h"

static const double shares[] = {SWEEP_SHARES};

enum { SHARE_COUNT = sizeof shares / sizeof shares[0] };

void sweep_begin(struct sweep *sweep, double first_rate, uint64_t limit_ns)
{
    *sweep = (struct sweep){.limit_ns = limit_ns, .rate = first_rate};
}

bool sweep_next(const struct sweep *sweep, double *ret_rate)
{
    if (sweep->phase == SWEEP_DONE)
        return false;
    *ret_rate = sweep->rate;
    return true;
}

/* Stable: the later of two tries of one rate, which counts, stays the later one. */
static void finish(struct sweep *sweep)
{
    sweep->phase = SWEEP_DONE;
    for (uint32_t i = 1; i < sweep->try_count; i++) {
        struct sweep_try moved = sweep->tries[i];
        uint32_t at = i;
        for (; at > 0 && sweep->tries[at - 1].rate > moved.rate; at--)
            sweep->tries[at] = sweep->tries[at - 1];
        sweep->tries[at] = moved;
    }
}

static void go_around(struct sweep *sweep)
{
    sweep->peak_rate = sweep->best;
    sweep->phase = SWEEP_AROUND;
    sweep->share_index = 0;
    sweep->rate = shares[0] * sweep->best;
    if (sweep->best <= 0)
        finish(sweep);
}

static void halve(struct sweep *sweep)
{
    sweep->phase = SWEEP_HALVES;
    sweep->rate = (sweep->best + sweep->bad) / 2;
    if (sweep->best <= 0 || sweep->bad <= SWEEP_PRECISION * sweep->best)
        go_around(sweep);
}

/* Doubles or halves from the first rate until one try was good and another is not. */
static void widen(struct sweep *sweep)
{
    if (sweep->best > 0 && sweep->bad > 0) {
        halve(sweep);
        return;
    }
    double next = sweep->best > 0 ? 2 * sweep->rate : sweep->rate / 2;
    if (next > BENCH_RATE_MAX)
        next = BENCH_RATE_MAX;
    if (next < SWEEP_RATE_MIN)
        next = SWEEP_RATE_MIN;
    if (sweep->best > 0 ? next <= sweep->rate : next >= sweep->rate)
        go_around(sweep);
    else
        sweep->rate = next;
}

void sweep_take(struct sweep *sweep, const struct sweep_try *one)
{
    ASSERT(sweep->phase != SWEEP_DONE && sweep->try_count < SWEEP_TRIES_MAX);
    struct sweep_try *kept = &sweep->tries[sweep->try_count++];
    *kept = *one;
    kept->good = one->p99_ns <= sweep->limit_ns && one->achieved_share >= SWEEP_ACHIEVED_MIN &&
                 one->failed_count == 0;
    bool once_more = !kept->good && !sweep->repeated;
    sweep->repeated = once_more;
    if (sweep->try_count == SWEEP_TRIES_MAX) {
        sweep->peak_rate = sweep->best;
        finish(sweep);
        return;
    }
    if (once_more)
        return;
    if (sweep->phase == SWEEP_AROUND) {
        if (++sweep->share_index == SHARE_COUNT)
            finish(sweep);
        else
            sweep->rate = shares[sweep->share_index] * sweep->peak_rate;
        return;
    }
    if (kept->good)
        sweep->best = sweep->rate;
    else
        sweep->bad = sweep->rate;
    if (sweep->phase == SWEEP_BRACKETS)
        widen(sweep);
    else
        halve(sweep);
}
