/* SPDX-License-Identifier: Apache-2.0 */
/* identity_rig - a store that takes events of people and links between them; one in a program.  The
 * test's own thread is the writer. */
#ifndef TESTS_SUPPORT_IDENTITY_RIG_H
#define TESTS_SUPPORT_IDENTITY_RIG_H

#include "featurestore/store_internal.h"
#include "tests/support/events.h"

#define NOW_MS INT64_C(1700000000000)
#define NOBODY ((struct text){NULL, 0})

extern const struct store_limits identity_rig_limits;
extern struct store *identity_rig_store;
extern struct events identity_rig_events;
struct store *identity_rig_make_store(const struct store_limits *with);
int identity_rig_set_up(void **state);
int identity_rig_tear_down(void **state);
/* Applies what was added; "accepted", or why its one event was not. */
const char *identity_rig_rejection(void);
/* Adds an event `identify`, for the next apply. */
void identity_rig_add(const char *user, const char *anon, int64_t ts_ms, bool undo);
void identity_rig_undo(const char *user, const char *anon);
void identity_rig_act(const char *type, const char *kind, const char *who, const char *item,
                      int64_t ts_ms);
/* Of the state of the store. */
uint64_t identity_rig_hash(void);

#endif
