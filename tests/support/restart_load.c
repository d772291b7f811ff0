/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/restart_load.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "base/pack.h"
#include "client/decide.h"

enum { CALLERS = 3, PHASE_S = 120 };

#define TIMEOUT_US UINT64_C(3000000) /* machines that are shared pause longer than a hand-over */

static struct decide_client *client;
static pthread_t callers[CALLERS];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool stopping; /* under the mutex, as are those below */
static uint32_t load_count;
static uint64_t call_count, failed_count, event_count, slowest_us;
static char failure[200];

static struct decide_reply *send_event(uint32_t caller, uint32_t number)
{
    uint8_t bytes[256];
    char id[40];
    struct pack pack = pack_into(bytes, sizeof bytes);
    snprintf(id, sizeof id, "%u-%u-%u", load_count, caller, number);
    pack_array(&pack, 1);
    pack_map(&pack, 4);
    pack_key(&pack, "id");
    pack_str(&pack, id);
    pack_key(&pack, "type");
    pack_str(&pack, "view");
    pack_key(&pack, "user");
    pack_str(&pack, "u");
    pack_key(&pack, "items");
    pack_array(&pack, 1);
    pack_map(&pack, 1);
    pack_key(&pack, "id");
    pack_str(&pack, "i");
    return decide_events(client, bytes, pack.used, TIMEOUT_US);
}

static void *run_caller(void *argument)
{
    uint32_t caller = (uint32_t)(uintptr_t)argument;
    for (uint32_t number = 0;; number++) {
        bool is_event = number % 4 == 0;
        struct decide_request request = {.user = "u", .n = 1, .timeout_us = TIMEOUT_US};
        struct decide_reply *reply =
            is_event ? send_event(caller, number) : decide_recommend(client, &request);
        bool good =
            reply->status == DECIDE_OK && !reply->fallback && (is_event || reply->decision != NULL);
        pthread_mutex_lock(&mutex);
        call_count++;
        event_count += is_event && good;
        if (reply->waited_us > slowest_us)
            slowest_us = reply->waited_us;
        if (!good && failed_count++ == 0)
            snprintf(failure, sizeof failure, "%s: %.150s", decide_status_name(reply->status),
                     reply->error_message == NULL ? "-" : reply->error_message);
        bool stop = stopping;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&mutex);
        decide_reply_free(reply);
        if (stop)
            return NULL;
    }
}

void restart_load_wait(uint64_t more)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PHASE_S;
    pthread_mutex_lock(&mutex);
    uint64_t wanted = call_count + more;
    int rc = 0;
    while (rc == 0 && call_count < wanted)
        rc = pthread_cond_timedwait(&changed, &mutex, &until);
    pthread_mutex_unlock(&mutex);
    assert_int_equal(rc, 0);
}

void restart_load_start(const char *url)
{
    char error[DECIDE_ERROR_BYTES];
    struct decide_options options = decide_options_default();
    options.urls = url;
    assert_int_equal(decide_client_create(&options, &client, error), DECIDE_OK);
    stopping = false;
    load_count++;
    call_count = failed_count = slowest_us = 0;
    for (uintptr_t i = 0; i < CALLERS; i++)
        assert_int_equal(pthread_create(&callers[i], NULL, run_caller, (void *)i), 0);
}

uint64_t restart_load_stop(void)
{
    pthread_mutex_lock(&mutex);
    stopping = true;
    pthread_mutex_unlock(&mutex);
    for (int i = 0; i < CALLERS; i++)
        pthread_join(callers[i], NULL);
    decide_client_destroy(&client);
    print_message("%llu calls, %llu failed, the slowest took %llu us\n",
                  (unsigned long long)call_count, (unsigned long long)failed_count,
                  (unsigned long long)slowest_us);
    if (failed_count > 0)
        fail_msg("%llu calls failed, the first one: %s", (unsigned long long)failed_count, failure);
    return event_count;
}
