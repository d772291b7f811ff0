/* SPDX-License-Identifier: Apache-2.0 */
/* service_internal - what the files of the service share.
 *
 *   service.c          dispatch, ping and the decisions: the hot path
 *   service_setup.c    creation, draining, and calls that complete later
 *   service_events.c   events
 *   service_features.c features
 *   service_query.c    status
 *   service_prices.c   the history of a price
 *   service_log.c      export, checkpoint, snapshot, state_hash
 *   service_audit.c    audit, and who acts
 *   service_person.c   all that is known of one person
 *   service_erase.c    erase, erasures
 *   service_admin.c    mode, reload, drain and the operations on models */
#ifndef SERVER_CONTROL_SERVICE_INTERNAL_H
#define SERVER_CONTROL_SERVICE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "server/control/service.h"
#include "server/metrics.h"
#include "server/protocol/reply.h"
#include "server/protocol/request.h"

enum person_part { PERSON_PROFILE, PERSON_HISTORY, PERSON_FEATURES };

#define SERVICE_EXPORTS_MAX 16

/* An export under way, known by who reads what; the next page of it is nothing new. */
struct export_under_way {
    uint64_t key;  /* 0: none */
    uint64_t next; /* where it goes on */
};

struct service {
    struct service_options with;
    uint64_t started_ns;
    /* Sequentially consistent, both: a call that is being deferred either sees the drain or is
     * counted before the drain looks. */
    _Atomic bool draining;
    _Atomic uint32_t deferred_count;
    _Atomic uint64_t turned_away_count; /* relaxed: a number by itself */
    pthread_mutex_t deferred_lock;      /* guards deferred_metrics: its writers change */
    struct metric_slot *deferred_metrics;
    struct export_under_way exports[SERVICE_EXPORTS_MAX]; /* the thread of maintenance's own */
    uint32_t export_oldest;                               /* makes room for the next one */
};

/* A call that somebody else will complete.  It stands in for the transport until then. */
struct deferred {
    struct service *service;
    struct call *call;
    enum op op;
    struct text id_raw; /* in the request bytes */
    void (*complete)(struct call *call);
    void *owner;
    struct audit_who who;         /* of an act that is recorded */
    struct text model;            /* OP_breaker: in the request bytes */
    enum breaker_hold model_hold; /* OP_breaker */
    struct mode mode;             /* OP_mode: what was asked for */
    int64_t mode_for_ms;
    struct text user, anon;       /* OP_person, OP_export, OP_erase: in the request bytes */
    enum person_part part;        /* OP_person */
    struct event_log *export_log; /* OP_export */
    const char *export_key;       /* what its records hold: "event", "decision" */
    bool export_trainable;        /* decisions: only of people who allow `train` */
    uint64_t export_from;
    int64_t erasure_request; /* OP_erasures */
    char *path;              /* owned; OP_snapshot */
    uint32_t export_limit;
};

/* NULL when the call was answered instead (out of memory, draining).  Afterwards exactly one of:
 * call->complete (by whoever finishes it), or deferred_undo. */
struct deferred *deferred_begin(struct service *service, struct call *call,
                                const struct request *request);
/* The same for an act of administration that is recorded: with `who`. */
struct deferred *deferred_begin_act(struct service *service, struct call *call,
                                    const struct request *request);
/* Hands the call to the thread of jobs; answers it when that cannot take it. */
enum call_state deferred_submit(struct deferred *deferred, const struct request *request,
                                job_fn run);
/* The same with other jobs. */
enum call_state deferred_submit_to(struct jobs *jobs, struct deferred *deferred,
                                   const struct request *request, job_fn run);
/* The call is answered at once after all. */
void deferred_undo(struct deferred *deferred);

enum call_state service_events(struct service *service, struct call *call,
                               const struct request *request);
void service_features(struct service *service, struct call *call, const struct request *request);
/* The key `prices`: how the price of the item changed, newest first. */
void service_pack_prices(struct reply *reply, const struct item *record);
void service_status(struct service *service, struct call *call, const struct request *request);
enum call_state service_export(struct service *service, struct call *call,
                               const struct request *request);
enum call_state service_checkpoint(struct service *service, struct call *call,
                                   const struct request *request);
enum call_state service_snapshot(struct service *service, struct call *call,
                                 const struct request *request);
enum call_state service_state_hash(struct service *service, struct call *call,
                                   const struct request *request);
enum call_state service_audit(struct service *service, struct call *call,
                              const struct request *request);
enum call_state service_person(struct service *service, struct call *call,
                               const struct request *request);
/* The key `features`: all that need nothing but the person, whatever they allow. */
void service_pack_person_features(struct reply *reply, const struct store *store, struct text user,
                                  struct text anon);
/* An export is many calls; it is recorded as one act, when the first page is asked for.  Both on
 * the thread of maintenance. */
MUST_CHECK enum err_code service_export_begins(struct deferred *deferred, struct err *err);
void service_export_goes_on(struct deferred *deferred, uint64_t next, bool there_is_more);
/* The caller was not allowed to. */
void service_note_refused(struct service *service, const struct call *call,
                          const struct request *request, enum reply_code code);
/* The key `warning`, when an act that is done could not be recorded. */
void service_pack_unaudited(struct reply *reply, enum err_code rc, const struct err *err);
enum call_state service_erase(struct service *service, struct call *call,
                              const struct request *request);
enum call_state service_erasures(struct service *service, struct call *call,
                                 const struct request *request);
/* A map: what is pending, and how far it is. */
void service_pack_erasures(struct pack *pack, const struct service *service);
/* Any operation of administration. */
enum call_state service_admin(struct service *service, struct call *call,
                              const struct request *request);

#endif
