/* SPDX-License-Identifier: Apache-2.0 */
/* forget_rig - a store with event log, checkpoints and ledger, and two people: Alice, who is going
 * to be forgotten, and Bob, who stays.  What fails ends the test.  Threads: one owner. */
#ifndef TESTS_SUPPORT_FORGET_RIG_H
#define TESTS_SUPPORT_FORGET_RIG_H

#include "featurestore/store_erase.h"
#include "tests/support/durable_rig.h"

#define NOW_MS DURABLE_RIG_NOW_MS
#define NOBODY ((struct text){NULL, 0})
#define ALICE  "alice-4711-zanzibar"
#define DEVICE "device-of-alice-0815"
#define BOB    "bob-1234-timbuktu"

extern struct durable_rig forget_rig;
extern const char forget_rig_features[];

int forget_rig_set_up(void **state);
int forget_rig_tear_down(void **state);
void forget_rig_add(const char *json);        /* an event, for the next commit */
void forget_rig_commit(void);                 /* what was added is on disk */
uint32_t forget_rig_search(const char *text); /* how often the files hold it */
void forget_rig_reopen(void);
uint64_t forget_rig_hash_of_replay(void); /* as it is now, by a replay of the log alone */
void forget_rig_bob_lives(void);
void forget_rig_alice_lives(void);
void forget_rig_assert_unknown(const char *user, const char *anon);
uint64_t forget_rig_forget(const char *user, const char *anon); /* the number of the request */

#endif
