/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/result.h"

void load_result_merge(struct load_result *into, const struct load_result *from,
                       enum load_merge how)
{
    hist_merge(&into->latency, &from->latency);
    hist_merge(&into->lag, &from->lag);
    hist_merge(&into->refusal, &from->refusal);
    into->due_count += from->due_count;
    into->answered_in_time += from->answered_in_time;
    into->ok_count += from->ok_count;
    into->in_budget_count += from->in_budget_count;
    into->refused_count += from->refused_count;
    into->malformed_count += from->malformed_count;
    into->lost_count += from->lost_count;
    into->unsent_count += from->unsent_count;
    into->reply_bytes += from->reply_bytes;
    into->cpu_ns += from->cpu_ns;
    if (how == LOAD_IN_TURN) {
        into->measured_ns += from->measured_ns;
        into->wall_ns += from->wall_ns;
    } else {
        if (from->measured_ns > into->measured_ns)
            into->measured_ns = from->measured_ns;
        if (from->wall_ns > into->wall_ns)
            into->wall_ns = from->wall_ns;
    }
    tally_merge(&into->levels, &from->levels);
    tally_merge(&into->errors, &from->errors);
}

static double per_second(uint64_t count, const struct load_result *result)
{
    return result->measured_ns == 0 ? 0 : 1e9 * (double)count / (double)result->measured_ns;
}

double load_due_rate(const struct load_result *result)
{
    return per_second(result->due_count, result);
}

double load_achieved_rate(const struct load_result *result)
{
    return per_second(result->answered_in_time, result);
}

double load_in_budget_rate(const struct load_result *result)
{
    return per_second(result->in_budget_count, result);
}

double load_achieved_share(const struct load_result *result)
{
    return result->due_count == 0 ? 0
                                  : (double)result->answered_in_time / (double)result->due_count;
}

uint64_t load_failed_count(const struct load_result *result)
{
    return result->refused_count + result->malformed_count + result->lost_count +
           result->unsent_count;
}

double load_lag_share(const struct load_result *result)
{
    double latency = (double)hist_quantile(&result->latency, 0.99);
    double share = latency > 0 ? (double)hist_quantile(&result->lag, 0.99) / latency : 0;
    return share < 1 ? share : 1;
}

bool load_kept_up(const struct load_result *result)
{
    return load_lag_share(result) <= LOAD_LAG_SHARE_MAX;
}

double load_cpu_share(const struct load_result *result)
{
    return result->wall_ns == 0 ? 0 : (double)result->cpu_ns / (double)result->wall_ns;
}
