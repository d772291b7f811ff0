/* SPDX-License-Identifier: Apache-2.0 */
/* decision_log - logs decisions to disk, so that training sees what serving saw.
 *
 * A worker packs each decision to be logged (server/decide/decision_write.h) and puts it into its
 * own ring.  One thread (base/background.h) collects them from all rings a few milliseconds later
 * and commits them together to a log of the kind "decision" (featurestore/event_log.h).  A full
 * ring drops the decision and counts it: a slow, full or failing disk never affects decisions.  If
 * the process dies, uncommitted decisions are lost: at most DECISION_LOG_COMMIT_MS of them, if the
 * disk keeps up.
 *
 * Sampling is by a hash of the user, else of the anonymous id, else of the session, else of the
 * decision's id: either all or none of a person's decisions are logged, across restarts and
 * machines, and raising the percentage only adds people.
 *
 * Decisions about people who do not allow `process` (store_consent) are not logged.
 *
 * Threads: create, start, stop and destroy on main; decision_log_wants and decision_log_put on any
 * serving thread with its own worker; the others on any. */
#ifndef SERVER_CONTROL_DECISION_LOG_H
#define SERVER_CONTROL_DECISION_LOG_H

#include "base/clock.h"
#include "base/err.h"
#include "featurestore/event_log_rebuild.h"
#include "server/decide/decide.h"

#define DECISION_LOG_RING_BYTES (UINT64_C(4) << 20) /* for each worker */
#define DECISION_LOG_COMMIT_MS  1000

struct decision_log;

struct decision_log_options {
    struct event_log_options disk;
    uint32_t percent; /* of the keys, 0..100 */
    uint32_t worker_count;
};

MUST_CHECK enum err_code decision_log_create(const struct decision_log_options *options,
                                             struct decision_log **ret_log, struct err *err);
/* From here on this process alone writes the log; what was put before waits in the rings. */
MUST_CHECK enum err_code decision_log_start(struct decision_log *log, struct err *err);
/* Commits what is in the rings.  What is put later stays there. */
void decision_log_stop(struct decision_log *log);
void decision_log_destroy(struct decision_log **log);

/* For reading and for its statistics. */
struct event_log *decision_log_disk(struct decision_log *log);

enum decision_log_state {
    DECISION_LOG_ON_DISK,
    DECISION_LOG_DISK_FULL, /* tried again until there is room */
    DECISION_LOG_FAILED     /* what a disk holds after a failed sync nobody knows */
};

struct decision_log_status {
    enum decision_log_state state;
    struct err err;       /* why, for the last two */
    int64_t committed_ms; /* wall clock, the last commit of this process; 0: none yet */
    uint64_t dropped;     /* decisions that should be in it, and are not */
};
const char *decision_log_state_name(enum decision_log_state state); /* "disk_full" */
void decision_log_status(struct decision_log *log, struct decision_log_status *ret_status);

/* For one other thread, which waits for that of the log; ERR_BUSY when it does not run.  What was
 * put before is committed, up to *ret_last. */
MUST_CHECK enum err_code decision_log_settle(struct decision_log *log, uint64_t *ret_last,
                                             struct err *err);
/* event_log_rebuild_swap. */
MUST_CHECK enum err_code decision_log_swap(struct decision_log *log,
                                           struct event_log_rebuild *rebuild, struct err *err);

/* ---- hot path (decision_log_put.c); `log` may be NULL everywhere */

/* False when a decision on the request will surely not be logged. */
bool decision_log_wants(const struct decision_log *log, const struct request *request);
/* Logs the decision, or counts that it could not; inside rcu_read_begin/end.  Takes what it needs
 * from the worker's arena and gives it back. */
void decision_log_put(struct decision_log *log, struct worker *worker, const struct decide_env *env,
                      const struct request *request, const struct decision *decision);

#endif
