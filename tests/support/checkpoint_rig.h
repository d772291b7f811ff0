/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint_rig - a durable store with features of every kind, random events for it, and starts
 * from its checkpoints; one in a program.  What is not as it must be fails the test. */
#ifndef TESTS_SUPPORT_CHECKPOINT_RIG_H
#define TESTS_SUPPORT_CHECKPOINT_RIG_H

#include "base/rand.h"
#include "featurestore/store.h"
#include "tests/support/durable_rig.h"

#define DAY_MS INT64_C(86400000)

extern struct durable_rig checkpoint_rig;
extern struct rand checkpoint_rig_rand;
extern const char checkpoint_rig_features[];
int checkpoint_rig_set_up(void **state);
int checkpoint_rig_tear_down(void **state);
/* Closes and opens the store, until it has recovered. */
void checkpoint_rig_restart(struct store_recovery *ret_recovery);
/* Adds random events of so many people; fill: in batches, which are applied. */
void checkpoint_rig_add(uint32_t count, uint32_t people);
void checkpoint_rig_fill(uint32_t batches, uint32_t people);

/* Until that many were written, or one failed. */
struct store_checkpoint_stats checkpoint_rig_wait(uint64_t written);

/* How many files a folder holds. */
uint32_t checkpoint_rig_files(const char *path);
/* A restart gives the same state, from that checkpoint. */
void checkpoint_rig_check(uint64_t want_checkpoint);

#endif
