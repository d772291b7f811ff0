/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "server/control/service.h"
#include "server/control/service_internal.h"

enum err_code service_create(const struct service_options *options, struct service **ret_service,
                             struct err *err)
{
    struct service *service = calloc(1, sizeof *service);
    if (service == NULL)
        return err_set(err, ERR_NOMEM, "no memory for the service");
    service->with = *options;
    service->started_ns = clock_now_ns(options->clock);
    enum err_code rc = metrics_slot(options->metrics, &service->deferred_metrics, err);
    if (rc != ERR_OK) {
        free(service);
        return rc;
    }
    pthread_mutex_init(&service->deferred_lock, NULL);
    *ret_service = service;
    return ERR_OK;
}

void service_destroy(struct service **service)
{
    if (*service == NULL)
        return;
    ASSERT(service_deferred_count(*service) == 0);
    pthread_mutex_destroy(&(*service)->deferred_lock);
    free(*service);
    *service = NULL;
}

void service_drain(struct service *service)
{
    atomic_store(&service->draining, true);
}

uint32_t service_deferred_count(const struct service *service)
{
    return atomic_load(&service->deferred_count);
}

/* Gives the call back to the transport it came from. */
static void hand_back(struct deferred *deferred)
{
    deferred->call->complete = deferred->complete;
    deferred->call->owner = deferred->owner;
    atomic_fetch_sub(&deferred->service->deferred_count, 1);
    free(deferred->path);
    free(deferred);
}

/* In the place of the transport's call->complete. */
static void deferred_complete(struct call *call)
{
    struct deferred *deferred = call->owner;
    struct service *service = deferred->service;
    uint64_t now_ns = clock_now_ns(service->with.clock);
    pthread_mutex_lock(&service->deferred_lock);
    metric_add(service->deferred_metrics, M_REQUESTS, deferred->op, call->code, 1);
    metric_observe(service->deferred_metrics, M_REQUEST_DURATION, deferred->op, 0,
                   now_ns > call->arrived_ns ? now_ns - call->arrived_ns : 0);
    pthread_mutex_unlock(&service->deferred_lock);
    hand_back(deferred);
    call->complete(call);
}

struct deferred *deferred_begin(struct service *service, struct call *call,
                                const struct request *request)
{
    struct deferred *deferred = calloc(1, sizeof *deferred);
    if (deferred == NULL) {
        reply_error(call, request->id_raw, service->with.clock, REPLY_overloaded, "out of memory",
                    NULL);
        return NULL;
    }
    *deferred = (struct deferred){.service = service,
                                  .call = call,
                                  .op = request->op,
                                  .id_raw = request->id_raw,
                                  .complete = call->complete,
                                  .owner = call->owner};
    call->owner = deferred;
    call->complete = deferred_complete;
    atomic_fetch_add(&service->deferred_count, 1);
    if (!service_is_draining(service))
        return deferred;
    hand_back(deferred);
    reply_error(call, request->id_raw, service->with.clock, REPLY_draining,
                "this daemon is about to stop: use another one", NULL);
    return NULL;
}

void deferred_undo(struct deferred *deferred)
{
    hand_back(deferred);
}

enum call_state deferred_submit_to(struct jobs *jobs, struct deferred *deferred,
                                   const struct request *request, job_fn run)
{
    struct service *service = deferred->service;
    struct call *call = deferred->call;
    if (jobs_submit(jobs, run, deferred))
        return CALL_DEFERRED;
    deferred_undo(deferred);
    reply_error(call, request->id_raw, service->with.clock, REPLY_overloaded,
                "too many operations of administration are waiting", NULL);
    return CALL_DONE;
}

enum call_state deferred_submit(struct deferred *deferred, const struct request *request,
                                job_fn run)
{
    return deferred_submit_to(deferred->service->with.jobs, deferred, request, run);
}
