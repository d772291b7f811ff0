/* SPDX-License-Identifier: Apache-2.0 */
/* service - what stands behind every transport: request bytes in, reply bytes out.
 *
 * service.c runs for every request: decode, gate, decide, encode, count.  It allocates nothing,
 * takes no lock and does no I/O; operations that do have files of their own (service_*.c).
 *
 * Life of a call: it is answered on the thread that calls (CALL_DONE), or deferred to the store,
 * the loader or the thread of jobs, which completes it.  Once service_drain was called everything
 * new but `status` is answered `draining`.
 *
 * Threads: create and destroy on main, destroy after every deferred call was completed;
 * service_call on any serving thread with its own worker; the others on any. */
#ifndef SERVER_CONTROL_SERVICE_H
#define SERVER_CONTROL_SERVICE_H

#include "base/clock.h"
#include "base/err.h"
#include "base/metrics.h"
#include "featurestore/store.h"
#include "server/control/access.h"
#include "server/control/admission.h"
#include "server/control/audit.h"
#include "server/control/changes.h"
#include "server/control/decision_log.h"
#include "server/control/effort.h"
#include "server/control/erasure.h"
#include "server/control/jobs.h"
#include "server/control/model_ops.h"
#include "server/control/modes.h"
#include "server/control/reload.h"
#include "server/control/shadow.h"
#include "server/decide/answers.h"
#include "server/decide/snapshot.h"
#include "server/decide/worker.h"
#include "server/protocol/call.h"

struct service;

/* ERR_OK: the new process takes over from now on; or why not, and this one serves on. */
typedef void (*service_restart_done_fn)(void *arg, enum err_code rc, int64_t process_id,
                                        const struct err *err);

struct service_options { /* all borrowed */
    struct store *store;
    const struct serving *serving; /* a snapshot is published before the first call */
    struct answers *answers;
    struct erasure *erasure;
    struct decision_log *decision_log; /* NULL: decisions are not logged */
    struct audit *audit;               /* NULL: acts are not recorded */
    struct changes *changes;           /* NULL: nobody asks whether there was any */
    struct shadow *shadow;             /* NULL: none */
    struct modes *modes;
    struct access *access;
    const struct admission *admission;
    uint64_t latency_target_ns; /* 0: none */
    uint64_t model_slow_ns; /* a use of a model that takes longer counts against it; 0: none does */
    bool events_strict;     /* unless a request says otherwise */
    struct jobs *jobs;
    struct jobs *maintenance; /* for what takes long: exports, snapshots */
    struct reload *reload;
    struct model_ops *model_ops;
    struct metrics *metrics; /* one slot is taken for calls that complete later */
    const struct clock *clock;
    void (*drain)(void *ctx); /* starts a drain; from any thread */
    bool (*is_leaving)(
        void *ctx); /* from the start of a drain on, its delay included; any thread */
    /* Starts a successor; from any thread.  False when one is being started already or the daemon
     * is about to stop: `done` is not called then. */
    bool (*restart)(void *ctx, service_restart_done_fn done, void *arg);
    void *lifecycle;
};

MUST_CHECK enum err_code service_create(const struct service_options *options,
                                        struct service **ret_service, struct err *err);
void service_destroy(struct service **service);

/* A call_fn; `service` is a struct service. */
enum call_state service_call(void *service, struct worker *worker, struct call *call);

void service_drain(struct service *service);
bool service_is_draining(const struct service *service);
/* Requests that were answered `draining`. */
uint64_t service_turned_away_count(const struct service *service);
/* Calls that were deferred and are not complete. */
uint32_t service_deferred_count(const struct service *service);

#endif
