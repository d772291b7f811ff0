/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/plan.h"

#include <math.h>

/* The highest rate that keeps the target, as far as it was measured. */
static enum err_code find_machine_rate(const struct earlier_sweep *curve, double target_us,
                                       double *ret_rate, struct err *err)
{
    uint32_t good_count = 0;
    while (good_count < curve->try_count && !curve->tries[good_count].failed &&
           curve->tries[good_count].p99_us <= target_us)
        good_count++;
    if (good_count == 0 && curve->tries[0].failed)
        return err_set(err, ERR_UNSUPPORTED,
                       "requests failed at its lowest rate (%.0f/s): it says of no rate that a "
                       "machine carries it",
                       curve->tries[0].rate);
    if (good_count == 0)
        return err_set(err, ERR_UNSUPPORTED,
                       "a p99 of %.6g ms is not reached: at its lowest rate (%.0f/s) it is %.6g ms",
                       target_us / 1000, curve->tries[0].rate, curve->tries[0].p99_us / 1000);
    const struct earlier_try *last = &curve->tries[good_count - 1];
    if (good_count == curve->try_count)
        return err_set(err, ERR_UNSUPPORTED,
                       "the curve ends at %.0f/s with a p99 of %.6g ms and says nothing of where "
                       "%.6g ms is reached: measure with --sweep --limit %.0f",
                       last->rate, last->p99_us / 1000, target_us / 1000, target_us);
    const struct earlier_try *next = &curve->tries[good_count];
    *ret_rate = last->rate;
    if (!next->failed)
        *ret_rate +=
            (next->rate - last->rate) * (target_us - last->p99_us) / (next->p99_us - last->p99_us);
    return ERR_OK;
}

static double p99_us_at(const struct earlier_sweep *curve, double rate)
{
    if (rate < curve->tries[0].rate)
        return -1;
    for (uint32_t i = 1; i < curve->try_count; i++) {
        const struct earlier_try *low = &curve->tries[i - 1];
        const struct earlier_try *high = &curve->tries[i];
        if (rate <= high->rate)
            return low->p99_us +
                   (high->p99_us - low->p99_us) * (rate - low->rate) / (high->rate - low->rate);
    }
    return curve->tries[curve->try_count - 1].p99_us;
}

static struct plan_share share_of(const struct earlier_sweep *curve, double rate,
                                  double machine_count, double machine_rate)
{
    double each = rate / machine_count;
    return (struct plan_share){
        .rate = each, .use = each / machine_rate, .p99_us = p99_us_at(curve, each)};
}

enum err_code plan_make(const struct earlier_sweep *curve, double rate, double target_us,
                        uint32_t spare, struct plan *ret_plan, struct err *err)
{
    struct plan plan = {.target_us = target_us};
    ASSERT(curve->try_count > 0 && rate > 0 && target_us > 0);
    enum err_code rc = find_machine_rate(curve, target_us, &plan.machine_rate, err);
    if (rc != ERR_OK)
        return rc;
    double needed = ceil(rate / plan.machine_rate - 1e-9);
    if (needed + spare > PLAN_MACHINES_MAX)
        return err_set(
            err, ERR_UNSUPPORTED,
            "%.0f/s are %.0f times what one machine carries (%.0f/s): beyond %d machines "
            "the curve of one says nothing",
            rate, rate / plan.machine_rate, plan.machine_rate, PLAN_MACHINES_MAX);
    plan.machine_count = (uint32_t)needed + spare;
    plan.all_up = share_of(curve, rate, plan.machine_count, plan.machine_rate);
    plan.with_lost = share_of(curve, rate, needed, plan.machine_rate);
    plan.headroom = 1 / plan.with_lost.use - 1;
    if (plan.headroom < 0)
        plan.headroom = 0; /* rounding */
    *ret_plan = plan;
    return ERR_OK;
}
