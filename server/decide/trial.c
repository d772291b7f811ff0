/* SPDX-License-Identifier: Apache-2.0 */
#include "server/decide/trial.h"

#include "base/hash.h"
#include "server/decide/tally.h"

#define TRIAL_SEED UINT64_C(0x63616e6172792121) /* fixed: who is in stays in */

uint64_t trial_seed(const char *model_name)
{
    return hash_text(text_of(model_name), TRIAL_SEED);
}

bool trial_takes(const struct snapshot_trial *trial, struct text person)
{
    uint64_t upper_half = hash_text(person, trial->seed) >> 32;
    return upper_half * TRIAL_SHARE_ALL >> 32 < trial->share_e4;
}

static struct text person_of(const struct pipeline *p)
{
    const struct request *request = p->request;
    if (request->user.ptr != NULL)
        return request->user;
    if (request->anon.ptr != NULL)
        return request->anon;
    return request->session.ptr != NULL ? request->session : text_of(p->out->id);
}

uint32_t trial_choose(const struct pipeline *p)
{
    const struct snapshot *snapshot = p->env->snapshot;
    uint32_t trials = 0;
    if (p->env->aside != 0)
        return p->env->aside;
    if (snapshot->trial_count == 0 || p->is_hidden)
        return 0;
    struct text person = person_of(p);
    for (uint32_t t = 0; t < snapshot->trial_count; t++)
        trials |= trial_takes(&snapshot->trial[t], person) ? 1u << t : 0;
    return trials;
}

void trial_count_use(const struct pipeline *p, const struct model *model, uint64_t took_ns,
                     bool good)
{
    const struct snapshot *snapshot = p->env->snapshot;
    for (uint32_t t = 0; t < snapshot->trial_count; t++) {
        const struct snapshot_trial *trial = &snapshot->trial[t];
        if (trial->tally == NULL || (model != trial->model && model != trial->stable))
            continue;
        enum tally_side side = model == trial->model ? TALLY_TRIAL : TALLY_STABLE;
        tally_use(tally_counts(trial->tally, p->worker->index, side), took_ns, good);
    }
}

void trial_count_decision(const struct pipeline *p)
{
    const struct snapshot *snapshot = p->env->snapshot;
    if (p->env->aside != 0 || p->is_hidden)
        return;
    for (uint32_t t = 0; t < snapshot->trial_count; t++) {
        const struct snapshot_trial *trial = &snapshot->trial[t];
        if (trial->tally == NULL || (p->models->trials >> t & 1) == 0)
            continue;
        enum tally_side side = (p->trials >> t & 1) != 0 ? TALLY_TRIAL : TALLY_STABLE;
        tally_decision(tally_counts(trial->tally, p->worker->index, side),
                       p->out->level > LEVEL_full, p->out->count == 0);
    }
}
