/* SPDX-License-Identifier: Apache-2.0 */
/* mmr - maximal marginal relevance (Carbonell and Goldstein 1998) over the best candidates.
 *
 * The worth of a candidate is lambda * relevance - (1 - lambda) * likeness, where relevance is its
 * score between those of the best (1) and the worst (0) that take part, and likeness the largest to
 * any item that was taken before, 0 to 1.  Costs depth comparisons for each item that is taken.
 *
 * Threads: one owner; all memory is the arena's. */
#ifndef SERVER_DECIDE_MMR_H
#define SERVER_DECIDE_MMR_H

#include "featurestore/store_kind.h"
#include "server/decide/pipeline.h"

struct mmr {
    const struct pipeline *p;
    uint32_t count; /* that take part: the first of the order */
    const struct candidate *const *candidate;
    float *relevance, *likeness;
    struct store_kind *kind; /* LIKE_CATEGORY */
    const float **vector;    /* LIKE_FACTORS: NULL for an item without one */
    float *scale;            /* LIKE_FACTORS: 1 / its length */
};

/* False without room, and then without effect.  `candidate`: best first, stays with the caller. */
bool mmr_begin(struct pipeline *p, const struct candidate *const *candidate, uint32_t count,
               struct mmr *ret_mmr);
static inline float mmr_worth(const struct mmr *mmr, uint32_t index)
{
    float lambda = mmr->p->slot->mmr.lambda;
    return lambda * mmr->relevance[index] - (1.0f - lambda) * mmr->likeness[index];
}
/* The candidate is in the answer now. */
void mmr_note(struct mmr *mmr, uint32_t index);

#endif
