/* SPDX-License-Identifier: Apache-2.0 */
/* quantile - the 95th percentile of recent latencies, in one number.
 *
 * A sample above the estimate raises it by nineteen steps, one below lowers it by one; where five
 * samples of a hundred are above, the steps cancel out.  A step is a part of the estimate, so that
 * it finds its place over orders of magnitude and forgets in a few hundred samples.
 * Threads: one owner (the fleet, under its mutex). */
#ifndef CLIENT_QUANTILE_H
#define CLIENT_QUANTILE_H

#include <stdint.h>

#define CLIENT_QUANTILE_SAMPLES_MIN 20 /* before these it is not known */

struct client_quantile {
    uint64_t p95_ns;
    uint32_t sample_count; /* up to CLIENT_QUANTILE_SAMPLES_MIN */
};

static inline void client_quantile_add(struct client_quantile *quantile, uint64_t sample_ns)
{
    uint64_t step_ns = quantile->p95_ns / 256 + 1;
    if (quantile->sample_count < CLIENT_QUANTILE_SAMPLES_MIN) {
        /* The largest of the first few is a fair start. */
        quantile->sample_count++;
        if (sample_ns > quantile->p95_ns)
            quantile->p95_ns = sample_ns;
    } else if (sample_ns > quantile->p95_ns) {
        quantile->p95_ns += 19 * step_ns;
    } else if (quantile->p95_ns > step_ns) {
        quantile->p95_ns -= step_ns;
    }
}

/* UINT64_MAX when it is not known. */
static inline uint64_t client_quantile_p95_ns(const struct client_quantile *quantile)
{
    return quantile->sample_count < CLIENT_QUANTILE_SAMPLES_MIN ? UINT64_MAX : quantile->p95_ns;
}

#endif
