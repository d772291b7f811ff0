/* SPDX-License-Identifier: Apache-2.0 */
/* trial - selects the people whose decisions use a version on trial instead of the stable one.
 *
 * Each trial takes its share by a keyed hash of the person (user, else anonymous id, else session,
 * else the decision) and the model name: the same people across restarts and machines, and
 * independent between model names; raising the share keeps those already in.  People who do not
 * allow `personalize` are never in, so that nothing depends on who they are.
 *
 * Threads: as decide.h. */
#ifndef SERVER_DECIDE_TRIAL_H
#define SERVER_DECIDE_TRIAL_H

#include "server/decide/pipeline.h"

#define TRIAL_SHARE_ALL 10000 /* of snapshot_trial.share_e4 */

uint64_t trial_seed(const char *model_name);
bool trial_takes(const struct snapshot_trial *trial, struct text person);

/* ---- hot path */

/* Bit set of the trials that take part in the decision. */
uint32_t trial_choose(const struct pipeline *p);
/* To be called after a use of a model, and after the decision; no effect without a trial. */
void trial_count_use(const struct pipeline *p, const struct model *model, uint64_t took_ns,
                     bool good);
void trial_count_decision(const struct pipeline *p);

#endif
