/* SPDX-License-Identifier: Apache-2.0 */
/* The contribution of each ranker feature to an item's score, for explained decisions. */
#include "models/contributions.h"

#include <math.h>

#include "server/decide/pipeline.h"

/* The remaining contribution with the largest magnitude. */
static uint32_t strongest(const double *adds, uint32_t count)
{
    uint32_t best = count;
    for (uint32_t i = 0; i < count; i++) {
        if (adds[i] != 0.0 && (best == count || fabs(adds[i]) > fabs(adds[best])))
            best = i;
    }
    return best;
}

static void take_top(const struct model *ranker, const double *values, double *adds,
                     struct decision_contributions *told)
{
    uint32_t next = 0;
    while (told->count < DECISION_CONTRIBUTIONS_MAX &&
           (next = strongest(adds, ranker->feature_count)) < ranker->feature_count) {
        told->top[told->count++] =
            (struct decision_contribution){ranker->feature[next].name, values[next], adds[next]};
        adds[next] = 0.0;
    }
    for (uint32_t i = 0; i < ranker->feature_count; i++)
        told->rest += adds[i];
}

void contributions_tell(struct pipeline *p, struct decision_item *item)
{
    const struct model *ranker = p->models->ranker;
    if (!p->explains || ranker == NULL || item->features == NULL)
        return;
    double *room = ARENA_NEW(p->arena, double, 2 * (size_t)ranker->feature_count + 1);
    struct decision_contributions *told = ARENA_NEW(p->arena, struct decision_contributions, 1);
    if (room == NULL || told == NULL)
        return;
    double *adds = room + ranker->feature_count;
    *told = (struct decision_contributions){.model = ranker->label};
    if (!ranker_contributions(ranker, item->features, room, adds, &told->base))
        return;
    take_top(ranker, item->features, adds, told);
    item->contributions = told;
}
