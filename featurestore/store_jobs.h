/* SPDX-License-Identifier: Apache-2.0 */
/* store_jobs - batches in progress: the queue, the store thread, and the commits that follow.
 *
 * A batch goes from the queue to the store thread, which applies it (store_apply.h); with
 * STORE_ACK_DISK it then waits for the commit that covers it.  Then `done` is called and the batch
 * is freed.  Commits are written by a separate thread, one at a time, while the next batches are
 * applied.
 *
 * Threads: queue, flags and the committer's state are protected by store->mutex; everything else
 * belongs to the writer.  Limits: queue_events_max events in the queue. */
#ifndef FEATURESTORE_STORE_JOBS_H
#define FEATURESTORE_STORE_JOBS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "featurestore/event.h"
#include "featurestore/store.h"

/* A batch in the queue, or waiting for its commit; or somebody who waits for the store thread. */
struct store_job {
    struct store_job *next;
    struct store_ask *ask; /* on the stack of who waits for it; NULL for a batch */
    /* a batch */
    uint32_t event_count;
    struct event_rules rules;
    enum store_ack ack;
    store_done_fn done;
    void *ctx;
    uint32_t accepted, duplicate, rejected; /* once it was applied */
    uint32_t described;
    struct store_rejection *rejection; /* owned; `described` of them */
    size_t len;
    uint8_t bytes[];
};

/* Something that is done on the store thread for somebody who waits. */
struct store_ask {
    void (*run)(struct store *store, void *ctx);
    void *ctx;
    bool is_done; /* under the mutex */
};

struct store_jobs {
    struct store_job *first, *last;
};

/* The thread that writes the log: store_committer.c. */
struct store_committer {
    pthread_t thread;
    pthread_cond_t wake;
    bool runs; /* like the state under the mutex */
    enum { COMMIT_NONE, COMMIT_ASKED, COMMIT_ENDED } state;
    struct store_jobs jobs; /* that wait for it; owned */
    enum err_code code;     /* how it went, when it ended */
    struct err err;
};

/* ---- store_queue.c */
void store_jobs_push(struct store_jobs *jobs, struct store_job *job);
struct store_job *store_jobs_pop(struct store_jobs *jobs); /* NULL when there is none */
void store_job_free(struct store_job *job);
/* The time of conditions, which no test replaces. */
static inline uint64_t store_wait_clock_ns(void)
{
    return clock_now_ns(clock_system());
}
/* Does at once what somebody waits for, when that comes next in the queue. */
void store_serve_asks(struct store *store);

/* On the store thread, or here while none runs: then the caller is the writer. */
void store_ask(struct store *store, void (*run)(struct store *, void *), void *ctx);

/* ---- store_commit.c, on the writer */
/* The batch was applied, with store->result: completes it now or when it is committed; owns it. */
void store_batch_applied(struct store *store, struct store_job *job);
/* The log takes nothing: the batch is not applied.  Owns it. */
void store_batch_refused(struct store *store, struct store_job *job);
bool store_takes_events(const struct store *store);
/* So much is gathered that the commit should not wait for the queue to run empty. */
bool store_commit_is_due(const struct store *store);
bool store_has_uncommitted(const struct store *store);
void store_commit(struct store *store);
/* While a commit is under way: so much more may be applied before it has ended. */
bool store_commit_may_lag(const struct store *store);
/* Tells those who waited for it. */
void store_commit_ended(struct store *store, enum err_code code, const struct err *err,
                        struct store_jobs *jobs);

/* ---- store_committer.c, on the writer, but for start and stop */
MUST_CHECK enum err_code store_committer_start(struct store *store, struct err *err);
void store_committer_stop(struct store *store);
/* Begins a commit of what was gathered.  False when that has to be done by store_commit. */
bool store_commit_begin(struct store *store);
/* Under the mutex, which it leaves in between: takes the outcome. */
void store_commit_end(struct store *store);

#endif
