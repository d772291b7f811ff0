/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/text_service.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "tests/support/alloc_fail.h"

#define WAIT_S 10

static void must(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "text_service: %s\n", what);
        abort();
    }
}

void text_service_init(struct text_service *service, uint32_t workers_max)
{
    *service = (struct text_service){.workers_max = workers_max};
    pthread_mutex_init(&service->mutex, NULL);
    pthread_cond_init(&service->changed, NULL);
}

void text_service_deinit(struct text_service *service)
{
    pthread_cond_destroy(&service->changed);
    pthread_mutex_destroy(&service->mutex);
}

static char workers[TEXT_SERVICE_WORKERS_MAX];

struct worker *text_service_claim(void *ctx)
{
    struct text_service *service = ctx;
    uint32_t index = service->claimed_count++;
    return index < service->workers_max ? (struct worker *)&workers[index] : NULL;
}

static void reply_with(struct call *call, const void *bytes, size_t len)
{
    must(len <= call->reply_capacity, "the reply is longer than its buffer");
    memcpy(call->reply, bytes, len);
    call->reply_bytes = len;
    call->code = REPLY_ok;
}

static bool starts_with(const struct call *call, const char *text)
{
    return call->request_bytes >= strlen(text) && memcmp(call->request, text, strlen(text)) == 0;
}

static size_t number_behind(const struct call *call, size_t skip)
{
    char digits[16] = {0};
    size_t len = call->request_bytes - skip;
    memcpy(digits, call->request + skip, len < sizeof digits - 1 ? len : sizeof digits - 1);
    return strtoul(digits, NULL, 10);
}

enum call_state text_service_call(void *ctx, struct worker *worker, struct call *call)
{
    struct text_service *service = ctx;
    must(worker != NULL && call->arrived_ns > 0 && call->whole_ns >= call->arrived_ns,
         "a call lacks its worker or its times");
    must(call->reply_capacity >= CALL_REPLY_BYTES, "the reply buffer is small");
    atomic_store(&service->last_arrived_ns, call->arrived_ns);
    atomic_store(&service->last_whole_ns, call->whole_ns);
    if (starts_with(call, "local")) {
        reply_with(call, call->local ? "yes" : "no", call->local ? 3 : 2);
    } else if (starts_with(call, "worker")) {
        uint8_t index = (uint8_t)((char *)worker - workers);
        reply_with(call, &index, 1);
    } else if (starts_with(call, "big:")) {
        call->reply_bytes = number_behind(call, 4);
        must(call->reply_bytes <= call->reply_capacity, "the reply is longer than its buffer");
        memset(call->reply, 'b', call->reply_bytes);
    } else if (starts_with(call, "later")) {
        pthread_mutex_lock(&service->mutex);
        must(service->deferred_count < TEXT_SERVICE_DEFERRED_MAX, "too many deferred calls");
        service->deferred[service->deferred_count++] = call;
        pthread_cond_broadcast(&service->changed);
        pthread_mutex_unlock(&service->mutex);
        return CALL_DEFERRED;
    } else if (starts_with(call, "early")) {
        reply_with(call, call->request, call->request_bytes);
        call->complete(call);
        return CALL_DEFERRED;
    } else if (starts_with(call, "allocs")) {
        uint64_t count = alloc_count();
        reply_with(call, &count, sizeof count);
    } else if (starts_with(call, "nomem:")) {
        reply_with(call, call->request, call->request_bytes);
        alloc_fail_after((uint32_t)number_behind(call, 6));
    } else {
        reply_with(call, call->request, call->request_bytes);
    }
    return CALL_DONE;
}

bool text_service_wait_deferred(struct text_service *service, uint32_t count)
{
    struct timespec deadline;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += WAIT_S;
    int rc = 0;
    pthread_mutex_lock(&service->mutex);
    while (service->deferred_count < count && rc == 0)
        rc = pthread_cond_timedwait(&service->changed, &service->mutex, &deadline);
    bool enough = service->deferred_count >= count;
    pthread_mutex_unlock(&service->mutex);
    return enough;
}

uint32_t text_service_deferred_count(struct text_service *service)
{
    pthread_mutex_lock(&service->mutex);
    uint32_t count = service->deferred_count;
    pthread_mutex_unlock(&service->mutex);
    return count;
}

void text_service_complete(struct text_service *service)
{
    for (;;) {
        pthread_mutex_lock(&service->mutex);
        struct call *call =
            service->deferred_count > 0 ? service->deferred[--service->deferred_count] : NULL;
        pthread_mutex_unlock(&service->mutex);
        if (call == NULL)
            return;
        reply_with(call, call->request, call->request_bytes);
        call->complete(call);
    }
}

bool text_service_complete_oldest(struct text_service *service)
{
    pthread_mutex_lock(&service->mutex);
    struct call *call = service->deferred_count > 0 ? service->deferred[0] : NULL;
    if (call != NULL)
        memmove(service->deferred, service->deferred + 1,
                --service->deferred_count * sizeof service->deferred[0]);
    pthread_mutex_unlock(&service->mutex);
    if (call == NULL)
        return false;
    reply_with(call, call->request, call->request_bytes);
    call->complete(call);
    return true;
}

bool text_service_metric_becomes(const struct metrics *metrics, uint32_t family, uint32_t l0,
                                 uint64_t value)
{
    uint64_t deadline_ns = clock_now_ns(clock_system()) + WAIT_S * UINT64_C(1000000000);
    while (metric_value(metrics, family, l0, 0) != value) {
        if (clock_now_ns(clock_system()) > deadline_ns)
            return false;
        poll(NULL, 0, 1);
    }
    return true;
}
