/* SPDX-License-Identifier: Apache-2.0 */
/* store_rig - a store without a thread, for tests whose own thread is the writer: nothing is freed
 * while they read, and they need no rcu_read_begin.  Failures are those of the test. */
#ifndef TESTS_SUPPORT_STORE_RIG_H
#define TESTS_SUPPORT_STORE_RIG_H

#include "featurestore/store_internal.h"
#include "tests/support/events.h"

#define STORE_RIG_NOW_MS INT64_C(1700000000000) /* 2023-11-14T22:13:20Z */

struct store_rig {
    struct clock_manual clock; /* begins at STORE_RIG_NOW_MS */
    struct store *store;
    struct events events; /* the batch that is being made */
    struct err err;
};

void store_rig_create(struct store_rig *rig, const struct store_limits *limits);
void store_rig_destroy(struct store_rig *rig);
/* Applies what was added, as of now, and begins the next batch. */
const struct store_batch_result *store_rig_apply(struct store_rig *rig);
/* One event, which must be accepted. */
void store_rig_apply_json(struct store_rig *rig, const char *json);
/* The number of an item that must be known. */
uint32_t store_rig_item(const struct store_rig *rig, const char *id);

#endif
