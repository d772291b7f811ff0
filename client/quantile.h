/* SPDX-License-Identifier: Apache-2.0 */
/* quantile - a running estimate of the 95th percentile of latency, in one number.
 *
 * Frugal streaming (Ma et al. 2013): a sample above the estimate raises it by nineteen steps, one
 * below lowers it by one, so it is stable when five samples of a hundred are above.  A step is
 * 1/256 of the estimate, so that it converges over orders of magnitude and forgets within a few
 * hundred samples.
 * Threads: one owner (the fleet, under its mutex). */
#ifndef CLIENT_QUANTILE_H
#define CLIENT_QUANTILE_H

#include <stdint.h>

#define CLIENT_QUANTILE_SAMPLES_MIN 20 /* unknown with fewer */

struct client_quantile {
    uint64_t p95_ns;
    uint32_t sample_count; /* up to CLIENT_QUANTILE_SAMPLES_MIN */
};

static inline void client_quantile_add(struct client_quantile *quantile, uint64_t sample_ns)
{
    uint64_t step_ns = quantile->p95_ns / 256 + 1;
    if (quantile->sample_count < CLIENT_QUANTILE_SAMPLES_MIN) {
        /* Start from the largest of the first few. */
        quantile->sample_count++;
        if (sample_ns > quantile->p95_ns)
            quantile->p95_ns = sample_ns;
    } else if (sample_ns > quantile->p95_ns) {
        quantile->p95_ns += 19 * step_ns;
    } else if (quantile->p95_ns > step_ns) {
        quantile->p95_ns -= step_ns;
    }
}

/* UINT64_MAX: unknown. */
static inline uint64_t client_quantile_p95_ns(const struct client_quantile *quantile)
{
    return quantile->sample_count < CLIENT_QUANTILE_SAMPLES_MIN ? UINT64_MAX : quantile->p95_ns;
}

#endif
