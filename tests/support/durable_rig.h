/* SPDX-License-Identifier: Apache-2.0 */
/* durable_rig - a store with its thread, its log and its checkpoints in a temporary directory, that
 * is opened again and again.  Failures are those of the test. */
#ifndef TESTS_SUPPORT_DURABLE_RIG_H
#define TESTS_SUPPORT_DURABLE_RIG_H

#include "featurestore/erasure.h"
#include "tests/support/events.h"
#include "tests/support/temp_dir.h"

#define DURABLE_RIG_NOW_MS INT64_C(1700000000000)

struct durable_rig {
    struct temp_dir dir;
    char log_dir[2 * TEMP_DIR_BYTES], checkpoint_dir[2 * TEMP_DIR_BYTES];
    char ledger_path[2 * TEMP_DIR_BYTES];
    struct clock_manual clock; /* begins at DURABLE_RIG_NOW_MS */
    struct events events;      /* the batch that is being made */
    struct err err;
    /* For the next open; a test may change them. */
    struct store_limits limits;
    struct event_log_options log;                /* 256 MiB */
    struct store_checkpoint_options checkpoints; /* only when asked for */
    bool has_ledger;                             /* of erasures; false */
    bool gives_up;                               /* recovery, before it begins; false */
    struct store *store;                         /* NULL while it is closed */
};

/* Closed. */
void durable_rig_create(struct durable_rig *rig, const struct store_limits *limits);
void durable_rig_destroy(struct durable_rig *rig); /* open or closed */
/* `features`: members of "features"; NULL: none are defined.  It may be recovering. */
void durable_rig_open(struct durable_rig *rig, const char *features);
void durable_rig_close(struct durable_rig *rig);
/* Until recovery has ended, well or not: rig->err says why not. */
void durable_rig_recover(struct durable_rig *rig, struct store_recovery *ret_recovery);
/* The batch goes on its way, to be acknowledged on disk; there is room for it before long. */
void durable_rig_submit(struct durable_rig *rig);
/* One round of erasures, all of its steps; what became of it. */
enum err_code durable_rig_erase(struct durable_rig *rig);
/* Of all that was submitted. */
uint64_t durable_rig_hash(struct durable_rig *rig);
uint64_t durable_rig_sequence(struct durable_rig *rig);

#endif
