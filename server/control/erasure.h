/* SPDX-License-Identifier: Apache-2.0 */
/* erasure - removes erased people from the files.
 *
 * A separate thread (base/background.h) drives rounds (featurestore/erasure.h).  A round starts
 * `delay_ms` after the first pending request and covers all of them:
 *
 *   memory       cached answers, and features of pairs
 *   checkpoints  a new one is written, older ones are deleted
 *   events       the event log is rewritten without them
 *   decisions    and so is the decision log
 *   receipts     what was moved aside by `decidectl restore` is deleted; a receipt for each id goes
 *                to data_dir/erasures (base/ledger.h), and the requests are done
 *
 * Serving goes on meanwhile.  A step that fails is logged and tried again every ERASURE_RETRY_MS; a
 * round that this process does not finish is begun again by the next one.  While a successor reads
 * the files of this process nothing takes their place (erasure_hold).
 *
 * Threads: create, start, stop and destroy on main, stop before the store is stopped; erasure_wake
 * and erasure_status on any; erasure_hold on main. */
#ifndef SERVER_CONTROL_ERASURE_H
#define SERVER_CONTROL_ERASURE_H

#include "featurestore/erasure.h"
#include "server/control/decision_log.h"
#include "server/decide/answers.h"

#define ERASURE_RETRY_MS       5000
#define ERASURE_RECEIPTS_DIR   "erasures" /* in data_dir */
#define ERASURE_RECEIPTS_BYTES (UINT64_C(64) << 20)

struct erasure;

struct erasure_options {
    const char *data_dir; /* copied */
    uint64_t delay_ms;
    const struct clock *clock; /* borrowed, as are all below */
};

struct erasure_parts {
    struct store *store;
    struct decision_log *decision_log; /* NULL: none */
    struct answers *answers;
};

MUST_CHECK enum err_code erasure_create(const struct erasure_options *options,
                                        struct erasure **ret_erasure, struct err *err);
/* The store is recovered, and this process alone writes the logs. */
MUST_CHECK enum err_code erasure_start(struct erasure *erasure, const struct erasure_parts *parts,
                                       struct err *err);
void erasure_stop(struct erasure *erasure); /* at the end of the step that is under way */
void erasure_destroy(struct erasure **erasure);

void erasure_wake(void *erasure); /* there is something to do */
/* Held: no file takes the place of another.  Waits for one that is just being replaced. */
void erasure_hold(void *erasure, bool held);

enum erasure_stage {
    ERASURE_IDLE,
    ERASURE_WAITING, /* for others to join in, or for the next try */
    ERASURE_MEMORY,
    ERASURE_CHECKPOINTS,
    ERASURE_EVENTS,
    ERASURE_DECISIONS,
    ERASURE_RECEIPTS
};

struct erasure_status {
    enum erasure_stage stage;
    uint64_t rounds;      /* that were finished by this process */
    uint64_t failures;    /* since the last one that was */
    uint64_t at, records; /* of the log that is written anew: how far, and of how many */
    struct err error;     /* why it has to be tried again; .code ERR_OK: it has not */
};
void erasure_status(struct erasure *erasure, struct erasure_status *ret_status);
const char *erasure_stage_name(enum erasure_stage stage);

/* The directory of receipts. */
const char *erasure_receipts_dir(const struct erasure *erasure);

/* ---- erasure_receipts.c: what a round has done, and what is left lying about */

/* A line for each id of the round. */
MUST_CHECK enum err_code erasure_write_receipts(const char *dir, const struct clock *clock,
                                                const struct erasure_round *round, struct err *err);
/* Deletes data_dir/before-restore-*, which hold what a restore moved aside. */
MUST_CHECK enum err_code erasure_remove_moved(const char *data_dir, struct err *err);

#endif
