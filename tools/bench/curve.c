/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/curve.h"

#include <math.h>

enum { STEPS = 5, HALVINGS_MAX = 40 };

_Static_assert(STEPS *HALVINGS_MAX + 1 <= CURVE_POINTS_MAX, "every point fits");

const struct quantile quantiles[QUANTILE_COUNT] = {
    {"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}};

static double us_at(const struct hist *hist, double share)
{
    return (double)hist_quantile(hist, share) / 1000;
}

void curve_of(const struct hist *hist, struct curve *ret_curve)
{
    *ret_curve = (struct curve){0};
    double total = (double)hist_count_below(hist, UINT64_MAX);
    if (total <= 0)
        return;
    for (int i = 0; i < STEPS * HALVINGS_MAX; i++) {
        double left = ldexp(1, -(i / STEPS)); /* beyond the last halving */
        double share = 1 - left + left / 2 * (i % STEPS) / STEPS;
        if ((1 - share) * total < 1)
            break;
        ret_curve->points[ret_curve->count++] = (struct curve_point){share, us_at(hist, share)};
    }
    ret_curve->points[ret_curve->count++] = (struct curve_point){1, us_at(hist, 1)};
    for (int i = 0; i < QUANTILE_COUNT; i++)
        ret_curve->us[i] = us_at(hist, quantiles[i].share);
}
