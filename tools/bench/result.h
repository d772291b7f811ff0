/* SPDX-License-Identifier: Apache-2.0 */
/* result - what a run counted, and how runs are put together.
 *
 * Threads: one writer; it holds no pointers, so that it can lie in memory shared by processes. */
#ifndef TOOLS_BENCH_RESULT_H
#define TOOLS_BENCH_RESULT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/hist.h"
#include "tools/bench/tally.h"

/* Of requests that were due after the warm-up.  Each of them is in `latency`: one that was lost or
 * never left counts with the time until it was given up. */
struct load_result {
    struct hist latency, lag; /* lag: how long after it was due a request was sent */
    struct hist refusal;      /* how long after it was sent a refusal came */
    uint64_t due_count;
    uint64_t answered_in_time; /* replies that arrived between warm-up and end */
    uint64_t ok_count, refused_count, malformed_count;
    uint64_t in_budget_count; /* of the ok, within budget_us (if any) of when they were sent */
    uint64_t lost_count;      /* the connection went, or no reply until the end */
    uint64_t unsent_count; /* no connection, too many on their way, or the generator was too slow */
    uint64_t reply_bytes;
    uint64_t measured_ns;     /* from warm-up to end; shorter than wished after a Ctrl-C */
    uint64_t cpu_ns, wall_ns; /* of the generator, warm-up included */
    struct tally levels, errors;
};

/* LOAD_AT_ONCE: processes of one run, times overlap; LOAD_IN_TURN: times add up. */
enum load_merge { LOAD_AT_ONCE, LOAD_IN_TURN };
void load_result_merge(struct load_result *into, const struct load_result *from,
                       enum load_merge how);

/* What is due and answered per second, and the share of the former that was answered in time. */
double load_due_rate(const struct load_result *result);
double load_achieved_rate(const struct load_result *result);
double load_in_budget_rate(const struct load_result *result);
double load_achieved_share(const struct load_result *result);
uint64_t load_failed_count(const struct load_result *result);

/* Of the p99 of latency, how much the generator's own lag can account for at most (0..1). */
double load_lag_share(const struct load_result *result);
/* False when that is more than LOAD_LAG_SHARE_MAX: then latencies say as much of the generator as
 * of what it measures. */
#define LOAD_LAG_SHARE_MAX 0.5
bool load_kept_up(const struct load_result *result);
double load_cpu_share(const struct load_result *result); /* of one core; above 1 with processes */

#endif
