/* SPDX-License-Identifier: Apache-2.0 */
/* targets - the daemon and the yardsticks beside it, measured in turn under the same load.
 *
 * Each turn is a part of the duration (and of the warm-up); who begins changes from round to round,
 * so that the noise of a machine meets all alike.  Threads: the caller must have no others. */
#ifndef TOOLS_BENCH_TARGETS_H
#define TOOLS_BENCH_TARGETS_H

#include "base/err.h"
#include "tools/bench/options.h"
#include "tools/bench/result.h"
#include "tools/bench/traffic.h"
#include "tools/bench/yardstick.h"

#define TARGETS_MAX 3

struct target {
    const char *name; /* "decided", "raw" or "nng" */
    const char *url;
    struct yardstick yardstick; /* not of the daemon */
};

struct targets {
    struct target list[TARGETS_MAX]; /* the daemon first */
    uint32_t count;
    uint8_t *reply; /* owned: what the yardsticks answer with */
    size_t reply_bytes;
};

/* Yardsticks answer with a usual reply of the daemon, over the same kind of socket as its. */
MUST_CHECK enum err_code targets_start(struct targets *targets, const struct bench_options *options,
                                       struct traffic *traffic, struct err *err);
void targets_stop(struct targets *targets); /* fine on zeroed ones */

/* results[i] is of list[i], overwritten.  Ends early when a stop is requested. */
MUST_CHECK enum err_code targets_measure(struct targets *targets,
                                         const struct bench_options *options,
                                         struct traffic *traffic,
                                         struct load_result results[TARGETS_MAX], struct err *err);
/* One turn of one of them. */
MUST_CHECK enum err_code targets_turn(struct targets *targets, uint32_t index,
                                      const struct bench_options *options, struct traffic *traffic,
                                      struct load_result *result, struct err *err);

#endif
