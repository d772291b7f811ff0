/* SPDX-License-Identifier: Apache-2.0 */
/* mmr - maximal marginal relevance (Carbonell and Goldstein 1998) over the best candidates.
 *
 * The worth of a candidate is lambda * relevance - (1 - lambda) * likeness: relevance is its score
 * scaled from the worst (0) to the best (1) participating candidate; likeness is its largest
 * similarity, 0 to 1, to any item already taken.  Costs depth comparisons per item taken.
 *
 * Threads: one owner; all memory is the arena's. */
#ifndef SERVER_DECIDE_MMR_H
#define SERVER_DECIDE_MMR_H

#include "featurestore/store_kind.h"
#include "server/decide/pipeline.h"

struct mmr {
    const struct pipeline *p;
    uint32_t count; /* participating candidates */
    const struct candidate *const *candidate;
    float *relevance, *likeness;
    struct store_kind *kind; /* LIKE_CATEGORY */
    const float **vector;    /* LIKE_FACTORS: NULL for an item without one */
    float *scale;            /* LIKE_FACTORS: 1 / its length */
};

/* False: no room, and no effect.  `candidate`: best first; borrowed. */
bool mmr_begin(struct pipeline *p, const struct candidate *const *candidate, uint32_t count,
               struct mmr *ret_mmr);
static inline float mmr_worth(const struct mmr *mmr, uint32_t index)
{
    float lambda = mmr->p->slot->mmr.lambda;
    return lambda * mmr->relevance[index] - (1.0f - lambda) * mmr->likeness[index];
}
/* To be called when the candidate is taken into the answer. */
void mmr_note(struct mmr *mmr, uint32_t index);

#endif
