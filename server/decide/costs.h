/* SPDX-License-Identifier: Apache-2.0 */
/* costs - recent durations of the stages of a decision, so that a deadline is met by skipping a
 * stage in advance rather than by noticing too late.
 *
 * One estimate for each operation, slot and stage: a running 0.9 quantile.  A sample above the
 * estimate raises it by nine steps, one below lowers it by one (frugal streaming, Ma et al. 2013,
 * with steps of 1 % of the estimate); in equilibrium a tenth of the samples lie above.  Skipping a
 * stage because of its estimate lowers the estimate a little, so that it is eventually tried again.
 *
 * Threads: each worker has its own. */
#ifndef SERVER_DECIDE_COSTS_H
#define SERVER_DECIDE_COSTS_H

#include <stdint.h>

#include "server/decide/policy.h"

enum cost {
    COST_NEIGHBORS,
    COST_FACTORS,        /* the person's vector */
    COST_CHOOSE_FULL,    /* with factors */
    COST_CHOOSE_REDUCED, /* without */
    COST_RANK,
    COST_RANK_ITEM, /* picoseconds */
    COST_MMR_ITEM,  /* picoseconds */
    COST_FINISH,    /* prices and the reply */
    COST_COUNT
};

enum cost_op { COST_OP_RECOMMEND, COST_OP_SIMILAR, COST_OP_RANK, COST_OP_PRICE, COST_OP_COUNT };

#define COST_NS_MAX 1000000000u

struct costs {
    uint32_t ns[COST_OP_COUNT][POLICY_SLOTS_MAX][COST_COUNT]; /* 0: unknown */
};

static inline void cost_learn(uint32_t *estimate, uint64_t ns)
{
    uint32_t sample = ns < COST_NS_MAX ? (uint32_t)ns : COST_NS_MAX;
    if (*estimate == 0)
        *estimate = sample;
    else if (sample > *estimate)
        *estimate += (uint32_t)(*estimate * UINT64_C(9) / 100) + 1;
    else if (sample < *estimate)
        *estimate -= *estimate / 100;
    if (*estimate > COST_NS_MAX)
        *estimate = COST_NS_MAX;
}

/* To be called when the stage is skipped. */
static inline void cost_fade(uint32_t *estimate)
{
    *estimate -= *estimate / 256;
}

#endif
