/* SPDX-License-Identifier: Apache-2.0 */
/* load - one measured run against a daemon.
 *
 * Open loop: each request has a time at which it is due and its latency counts from then, so a
 * stall of the daemon (or of this program) is seen in full by every request it delayed.  What was
 * lost or never answered counts with the time until it was given up.  Closed loop: one request at a
 * time per connection, latency from when it was sent.
 * Threads: one, the caller's; one epoll loop serves every connection.
 * Limits: LOAD_IN_FLIGHT_MAX requests on their way; those due beyond are counted as unsent. */
#ifndef TOOLS_BENCH_LOAD_H
#define TOOLS_BENCH_LOAD_H

#include <stdint.h>

#include "base/err.h"
#include "base/hist.h"
#include "tools/bench/options.h"
#include "tools/bench/traffic.h"

#define LOAD_IN_FLIGHT_MAX 65536
#define LOAD_DRAIN_NS      UINT64_C(2000000000) /* how long replies are waited for at the end */
#define LOAD_RECONNECT_NS  UINT64_C(100000000)

/* Of requests that were due after the warm-up. */
struct load_result {
    struct hist latency, lag; /* lag: how long after it was due a request was sent */
    uint64_t due_count;
    uint64_t answered_in_time; /* replies that arrived between warm-up and end */
    uint64_t ok_count, refused_count, malformed_count;
    uint64_t lost_count;   /* the connection went, or no reply until the end */
    uint64_t unsent_count; /* no connection, or too many on their way */
    uint64_t reply_bytes;
    double generator_cpu_share; /* of one core */
    struct tally levels, errors;
};

/* What is due and answered per second, and the share of the former that was answered in time. */
double load_due_rate(const struct load_result *result, double duration_s);
double load_achieved_rate(const struct load_result *result, double duration_s);
double load_achieved_share(const struct load_result *result);
uint64_t load_failed_count(const struct load_result *result);

/* Connects, runs for warm-up and duration, waits for what is on its way.  *result is overwritten.
 * ERR_IO when the daemon cannot be reached at the start. */
MUST_CHECK enum err_code load_run(const struct bench_options *options, struct traffic *traffic,
                                  struct load_result *result, struct err *err);

#endif
