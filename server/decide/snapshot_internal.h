/* SPDX-License-Identifier: Apache-2.0 */
/* snapshot_internal - a snapshot while it is being built.
 *
 *   snapshot.c          models of the slots by name, and all of it together
 *   snapshot_bind.c     features of rankers by name
 *   snapshot_scratch.c  arrays of the workers
 *
 * Threads: the loader. */
#ifndef SERVER_DECIDE_SNAPSHOT_INTERNAL_H
#define SERVER_DECIDE_SNAPSHOT_INTERNAL_H

#include "server/decide/snapshot.h"

/* Binds each feature of the slot's ranker, if it has one.  ERR_BAD_INPUT names one that nothing
 * supplies; ERR_NOMEM. */
MUST_CHECK enum err_code snapshot_bind_ranker(const struct policy_slot *slot,
                                              const struct store *store, struct slot_models *models,
                                              struct err *err);

/* How many places for sums a worker needs: before the models of the slots are resolved. */
void snapshot_count_places(struct snapshot *snapshot);
/* ERR_NOMEM: what was made stays until snapshot_free_scratch. */
MUST_CHECK enum err_code snapshot_make_scratch(struct snapshot *snapshot, uint32_t item_count_max,
                                               struct err *err);
void snapshot_free_scratch(struct snapshot *snapshot);

#endif
