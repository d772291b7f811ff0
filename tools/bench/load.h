/* SPDX-License-Identifier: Apache-2.0 */
/* load - one measured run against a daemon, by this process.
 *
 * Open loop: each request has a time at which it is due and its latency counts from then, so a
 * stall of the daemon (or of this program) is seen in full by every request it delayed.  What was
 * lost, never answered or never sent counts with the time until it was given up.  A request takes
 * the first connection with the least on its way, as in a pool.  Closed loop: one request at a time
 * per connection, latency from when it was sent.
 *
 * Threads: one, the caller's; one epoll loop serves every connection.
 * Limits: LOAD_IN_FLIGHT_MAX requests on their way; those due beyond are counted as unsent.
 */
#ifndef TOOLS_BENCH_LOAD_H
#define TOOLS_BENCH_LOAD_H

#include <stdint.h>

#include "base/err.h"
#include "tools/bench/options.h"
#include "tools/bench/result.h"
#include "tools/bench/traffic.h"

#define LOAD_IN_FLIGHT_MAX 65536
#define LOAD_DRAIN_NS      UINT64_C(2000000000) /* how long replies are waited for at the end */
#define LOAD_RECONNECT_NS  UINT64_C(100000000)

struct load;

/* Connects.  ERR_IO when the daemon cannot be reached, ERR_BAD_INPUT for a malformed URL. */
MUST_CHECK enum err_code load_create(const struct bench_options *options, struct traffic *traffic,
                                     struct load **ret_load, struct err *err);
/* Once: runs for warm-up and duration, or until a stop is requested, and waits for what is on its
 * way.  *result is overwritten. */
void load_run(struct load *load, struct load_result *result);
void load_destroy(struct load **load); /* NULL is fine; sets NULL */

#endif
