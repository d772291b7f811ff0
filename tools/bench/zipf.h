/* SPDX-License-Identifier: Apache-2.0 */
/* zipf - draws ranks 0..count-1 where rank r has a share proportional to 1 / (r + 1)^exponent.
 *
 * By an alias table (Walker 1977, built after Vose 1991): two table reads for a draw.  Exponent 0
 * is uniform.  Threads: one owner. */
#ifndef TOOLS_BENCH_ZIPF_H
#define TOOLS_BENCH_ZIPF_H

#include <stdint.h>

#include "base/err.h"
#include "base/rand.h"

#define ZIPF_COUNT_MAX    10000000
#define ZIPF_EXPONENT_MAX 10

struct zipf {
    float *keep;     /* owned; the share of draws of a column that stay in it */
    uint32_t *alias; /* owned; where the others go */
    uint32_t count;
};

MUST_CHECK enum err_code zipf_init(struct zipf *zipf, uint32_t count, double exponent,
                                   struct err *err);
void zipf_deinit(struct zipf *zipf); /* fine on a zeroed zipf */
uint32_t zipf_draw(const struct zipf *zipf, struct rand *rand);

#endif
