/* SPDX-License-Identifier: Apache-2.0 */
/* canary - decides when a version on trial must be rolled back: bounds, and a test of the counts.
 *
 * A share exceeds its bound only if that is statistically significant: the bound is widened by
 * CANARY_DEVIATIONS standard deviations of the count.  So a canary within its bounds is practically
 * never ended, one far beyond them is ended within the first decisions, and one slightly beyond
 * them once there are enough decisions to tell.
 *
 *   errors     share of the uses in which the version could not be evaluated
 *   latency    share of the uses that took longer than `latency_ratio_max` times the stable
 *              version's 0.99 quantile and `latency_floor_ns` on top, which may be 1 %
 *   degraded   share of the decisions below `full`, beyond that of the stable version
 *   empty      likewise of the decisions without an item; same bound
 *
 * Errors are tested from the first use on; everything else from `decisions_min` decisions on.
 *
 * Threads: no state. */
#ifndef SERVER_CONTROL_CANARY_H
#define SERVER_CONTROL_CANARY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "server/decide/tally.h"

#define CANARY_DEVIATIONS 3.0

struct canary_bounds {
    double errors_max;         /* share, 0..1 */
    double latency_ratio_max;  /* of the stable version's 0.99 quantile, 1..1000 */
    uint64_t latency_floor_ns; /* added to that */
    double degraded_max;       /* share beyond that of the stable version, 0..1 */
    uint32_t decisions_min;    /* and uses, of each side, before they are compared */
};

#define CANARY_RATIO_MAX     1000.0
#define CANARY_FLOOR_US_MAX  60000000
#define CANARY_DECISIONS_MAX 1000000000

struct canary_settings {
    uint32_t share_e4; /* of the people, in parts of 10,000; 1..10,000 */
    struct canary_bounds bounds;
};

#define CANARY_BOUNDS_DEFAULT                            \
    ((struct canary_bounds){.errors_max = 0.01,          \
                            .latency_ratio_max = 1.5,    \
                            .latency_floor_ns = 1000000, \
                            .degraded_max = 0.02,        \
                            .decisions_min = 200})

#define CANARY_REASON_BYTES 160

enum canary_end { CANARY_PROMOTED, CANARY_STOPPED, CANARY_ROLLED_BACK };

/* False when it crossed a bound; ret_reason then says which, and by how much. */
bool canary_judge(const struct canary_bounds *bounds, const struct tally_counts *stable,
                  const struct tally_counts *trial, char ret_reason[CANARY_REASON_BYTES]);

#endif
