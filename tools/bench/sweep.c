/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/sweep.h"

struct search {
    uint64_t limit_ns;
    sweep_fn fn;
    void *ctx;
    struct sweep *sweep;
};

static enum err_code try_rate(struct search *search, double rate, bool *ret_good, struct err *err)
{
    struct sweep *sweep = search->sweep;
    bool good = false;
    for (int i = 0; i < 2 && !good && sweep->try_count < SWEEP_TRIES_MAX; i++) {
        struct sweep_try *one = &sweep->tries[sweep->try_count];
        enum err_code rc = search->fn(search->ctx, rate, one, err);
        if (rc != ERR_OK)
            return rc;
        good = one->p99_ns <= search->limit_ns && one->achieved_share >= SWEEP_ACHIEVED_MIN &&
               one->failed_count == 0;
        one->good = good;
        sweep->try_count++;
    }
    *ret_good = good;
    return ERR_OK;
}

/* Doubles or halves from the first rate until one try was good and the next is not. */
static enum err_code bracket(struct search *search, double first_rate, double *ret_good,
                             double *ret_bad, struct err *err)
{
    bool good = false;
    double rate = first_rate;
    enum err_code rc = try_rate(search, rate, &good, err);
    bool upwards = good;
    while (rc == ERR_OK && good == upwards) {
        if (good)
            *ret_good = rate;
        else
            *ret_bad = rate;
        if (search->sweep->try_count == SWEEP_TRIES_MAX)
            return ERR_OK;
        double next = upwards ? 2 * rate : rate / 2;
        if (next > BENCH_RATE_MAX)
            next = BENCH_RATE_MAX;
        if (next < SWEEP_RATE_MIN)
            next = SWEEP_RATE_MIN;
        if (upwards ? next <= rate : next >= rate)
            return ERR_OK;
        rate = next;
        rc = try_rate(search, rate, &good, err);
    }
    if (good)
        *ret_good = rate;
    else
        *ret_bad = rate;
    return rc;
}

enum err_code sweep_run(double first_rate, uint64_t limit_ns, sweep_fn fn, void *ctx,
                        struct sweep *ret_sweep, struct err *err)
{
    struct search search = {limit_ns, fn, ctx, ret_sweep};
    double best = 0;
    double bad = 0;
    *ret_sweep = (struct sweep){0};
    enum err_code rc = bracket(&search, first_rate, &best, &bad, err);
    while (rc == ERR_OK && best > 0 && bad > SWEEP_PRECISION * best &&
           ret_sweep->try_count < SWEEP_TRIES_MAX) {
        bool good = false;
        double middle = (best + bad) / 2;
        rc = try_rate(&search, middle, &good, err);
        if (good)
            best = middle;
        else
            bad = middle;
    }
    ret_sweep->peak_rate = best;
    return rc;
}
