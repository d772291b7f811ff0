/* SPDX-License-Identifier: Apache-2.0 */
/* registry_trials - versions on trial: canaries, which answer a share of the decisions, and
 * shadows, which are asked and do not answer.
 *
 * A name has at most one of each, and a stable version that it is compared with.  A trial ends when
 * somebody stops it or when its version becomes stable; a canary also when it crosses a bound
 * (server/control/canary.h).
 *
 * Threads: the loader (main before start and after stop); no locks.  Workers count into the
 * tally of a canary, so one is replaced with a change and freed when no snapshot counts in it.
 * Limits: SNAPSHOT_TRIALS_MAX names with a canary, and with a shadow. */
#ifndef SERVER_CONTROL_REGISTRY_TRIALS_H
#define SERVER_CONTROL_REGISTRY_TRIALS_H

#include "base/err.h"
#include "base/pack.h"
#include "server/control/registry_table.h"

/* ---- registry_canary.c */
MUST_CHECK enum err_code reg_canary_start(struct registry *registry, struct reg_name *name,
                                          const char *version_text,
                                          const struct canary_settings *settings, struct err *err);
MUST_CHECK enum err_code reg_canary_stop(struct registry *registry, struct reg_name *name,
                                         struct err *err);
/* Goes on with the canary that .serving remembers. */
void reg_canary_resume(struct registry *registry, struct reg_name *name);
/* Makes a canary fit a change of the stable version: one that becomes stable is none any more, and
 * what is compared with another version is counted anew. */
MUST_CHECK enum err_code reg_canary_follow(const struct registry *registry, struct reg_name *name,
                                           struct err *err);
/* Judges those that run, when it is time; ends what crossed a bound. */
void reg_canaries_check(struct registry *registry);
/* When to judge next; UINT64_MAX while none runs. */
uint64_t reg_canaries_due_ns(const struct registry *registry);
/* Whether a version may stand where the other does: rankers of both kinds may. */
bool reg_can_replace(const struct model *model, const struct model *stable);
MUST_CHECK enum err_code reg_check_kind(const struct reg_name *name,
                                        const struct reg_version *version, struct err *err);
void reg_canary_destroy(struct reg_canary **canary);
void reg_canary_pack(struct pack *pack, const struct reg_canary *canary);

/* ---- registry_shadow.c; as for canaries */
MUST_CHECK enum err_code reg_shadow_start(struct registry *registry, struct reg_name *name,
                                          const char *version_text, uint32_t share_e4,
                                          struct err *err);
MUST_CHECK enum err_code reg_shadow_stop(struct registry *registry, struct reg_name *name,
                                         struct err *err);
void reg_shadow_resume(struct registry *registry, struct reg_name *name);
void reg_shadow_follow(struct reg_name *name);
void reg_shadow_pack(const struct registry *registry, const struct reg_name *name,
                     struct pack *pack);

#endif
