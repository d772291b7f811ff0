/* SPDX-License-Identifier: Apache-2.0 */
/* fleet - one measured run by one process or by several at once.
 *
 * With several, rate and connections are divided among them, each has arrivals and requests of its
 * own, all start when the last one is connected, and what they counted is put together.
 * Threads: the caller must have no others when processes > 1, since it forks.
 * Errors: a process that fails or dies ends the run of the others and is an error, never a part
 * that is missing. */
#ifndef TOOLS_BENCH_FLEET_H
#define TOOLS_BENCH_FLEET_H

#include "base/err.h"
#include "tools/bench/options.h"
#include "tools/bench/result.h"
#include "tools/bench/traffic.h"

/* *result is overwritten, also on an error. */
MUST_CHECK enum err_code fleet_run(const struct bench_options *options, struct traffic *traffic,
                                   struct load_result *result, struct err *err);

/* The part of process `index`: of rate and connections, with a seed of its own. */
struct bench_options fleet_part(const struct bench_options *options, uint32_t index);

#endif
