/* SPDX-License-Identifier: Apache-2.0 */
/* trial - whose decisions use a version on trial in the place of the stable one.
 *
 * Each trial takes its share of the people by a keyed hash of the person (user, else anonymous id,
 * else session, else the decision) and the name of its model: the same people over restarts and
 * machines, independent from name to name; a larger share keeps those of a smaller one.  People who
 * do not allow `personalize` are never in, so that nothing depends on who they are.
 *
 * Threads: as decide.h. */
#ifndef SERVER_DECIDE_TRIAL_H
#define SERVER_DECIDE_TRIAL_H

#include "server/decide/pipeline.h"

#define TRIAL_SHARE_ALL 10000 /* of snapshot_trial.share_e4 */

uint64_t trial_seed(const char *model_name);
bool trial_takes(const struct snapshot_trial *trial, struct text person);

/* ---- hot path */

/* Bits: the trials that the decision is made with. */
uint32_t trial_choose(const struct pipeline *p);
/* A use of a model ended; the decision is made.  Both count where a trial compares. */
void trial_count_use(const struct pipeline *p, const struct model *model, uint64_t took_ns,
                     bool good);
void trial_count_decision(const struct pipeline *p);

#endif
