/* SPDX-License-Identifier: Apache-2.0 */
/* text_service - a service for the tests of transports, which does what the text of a request says.
 *
 *   "local"      "yes" or "no": call.local
 *   "worker"     one byte: the index of the worker that serves
 *   "big:N"      N bytes
 *   "later..."   is deferred until text_service_complete, then sent back
 *   "early..."   sent back as deferred, completed before the service says that it is
 *   "allocs"     eight bytes: how many allocations this thread has tried
 *   "nomem:N"    sent back; after it this thread's allocations fail, once N have succeeded
 *   other        sent back
 * Threads: any. */
#ifndef TESTS_SUPPORT_TEXT_SERVICE_H
#define TESTS_SUPPORT_TEXT_SERVICE_H

#include <pthread.h>
#include <stdbool.h>

#include "base/metrics.h"
#include "server/protocol/call.h"

#define TEXT_SERVICE_DEFERRED_MAX 1024
#define TEXT_SERVICE_WORKERS_MAX  64

struct text_service {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct call *deferred[TEXT_SERVICE_DEFERRED_MAX];
    uint32_t deferred_count;
    uint32_t workers_max; /* how many claims succeed */
    _Atomic uint32_t claimed_count;
    _Atomic uint64_t last_arrived_ns, last_whole_ns; /* of the call that was served last */
};

void text_service_init(struct text_service *service, uint32_t workers_max);
void text_service_deinit(struct text_service *service);

enum call_state text_service_call(void *service, struct worker *worker, struct call *call);
struct worker *text_service_claim(void *service); /* never looked into */

/* Within ten seconds. */
bool text_service_wait_deferred(struct text_service *service, uint32_t count);
uint32_t text_service_deferred_count(struct text_service *service);
/* Completes what is deferred, newest first. */
void text_service_complete(struct text_service *service);
/* The one that was deferred first; false when there is none. */
bool text_service_complete_oldest(struct text_service *service);

/* True when the metric has that value within ten seconds. */
bool text_service_metric_becomes(const struct metrics *metrics, uint32_t family, uint32_t l0,
                                 uint64_t value);

#endif
