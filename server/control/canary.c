/* SPDX-License-Identifier: Apache-2.0 */
#include "server/control/canary.h"

#include <math.h>
#include <stdio.h>

#define LATENCY_QUANTILE 0.99

static double share_of(uint64_t part, uint64_t all)
{
    return all == 0 ? 0.0 : (double)part / (double)all;
}

/* Of a share that is `share` among so many. */
static double deviation(double share, uint64_t count)
{
    return sqrt(share * (1.0 - share) / (double)count);
}

static bool errors_pass(const struct canary_bounds *bounds, const struct tally_counts *trial,
                        char *ret_reason)
{
    uint64_t uses = trial->latency.count, errors = trial->errors;
    /* What would cross the bound even if all uses up to the least number were good. */
    uint64_t among = uses > bounds->decisions_min ? uses : bounds->decisions_min;
    double most = bounds->errors_max + CANARY_DEVIATIONS * deviation(bounds->errors_max, among);
    if (errors == 0 || share_of(errors, among) <= most)
        return true;
    snprintf(ret_reason, CANARY_REASON_BYTES,
             "errors: %llu of %llu uses could not be evaluated, at most %g %% may",
             (unsigned long long)errors, (unsigned long long)uses, 100 * bounds->errors_max);
    return false;
}

static bool latency_passes(const struct canary_bounds *bounds, const struct tally_counts *stable,
                           const struct tally_counts *trial, char *ret_reason)
{
    uint64_t uses = trial->latency.count;
    if (uses < bounds->decisions_min || stable->latency.count < bounds->decisions_min)
        return true;
    double stable_ns = (double)hist_quantile(&stable->latency, LATENCY_QUANTILE);
    uint64_t limit_ns =
        (uint64_t)(bounds->latency_ratio_max * stable_ns) + bounds->latency_floor_ns;
    uint64_t slow = uses - hist_count_below(&trial->latency, limit_ns);
    double may = 1.0 - LATENCY_QUANTILE;
    if (share_of(slow, uses) <= may + CANARY_DEVIATIONS * deviation(may, uses))
        return true;
    snprintf(ret_reason, CANARY_REASON_BYTES,
             "latency: %llu of %llu uses took longer than %.3f ms, which 1 %% may; the stable "
             "version's p99 is %.3f ms",
             (unsigned long long)slow, (unsigned long long)uses, (double)limit_ns / 1e6,
             stable_ns / 1e6);
    return false;
}

struct guard {
    const char *what;
    uint64_t stable, trial; /* decisions of each side of which that holds */
};

static bool guard_passes(const struct canary_bounds *bounds, const struct guard *guard,
                         uint64_t stable_count, uint64_t trial_count, char *ret_reason)
{
    if (stable_count < bounds->decisions_min || trial_count < bounds->decisions_min)
        return true;
    double stable = share_of(guard->stable, stable_count);
    double trial = share_of(guard->trial, trial_count);
    double both = share_of(guard->stable + guard->trial, stable_count + trial_count);
    double chance = hypot(deviation(both, stable_count), deviation(both, trial_count));
    if (trial - stable <= bounds->degraded_max + CANARY_DEVIATIONS * chance)
        return true;
    snprintf(ret_reason, CANARY_REASON_BYTES,
             "%s: %.1f %% of %llu decisions, %.1f %% with the stable version; at most %g points "
             "more may be",
             guard->what, 100 * trial, (unsigned long long)trial_count, 100 * stable,
             100 * bounds->degraded_max);
    return false;
}

bool canary_judge(const struct canary_bounds *bounds, const struct tally_counts *stable,
                  const struct tally_counts *trial, char ret_reason[CANARY_REASON_BYTES])
{
    const struct guard degraded = {"below full", stable->degraded, trial->degraded};
    const struct guard empty = {"empty", stable->empty, trial->empty};
    return errors_pass(bounds, trial, ret_reason) &&
           latency_passes(bounds, stable, trial, ret_reason) &&
           guard_passes(bounds, &degraded, stable->decisions, trial->decisions, ret_reason) &&
           guard_passes(bounds, &empty, stable->decisions, trial->decisions, ret_reason);
}
