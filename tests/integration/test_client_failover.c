/* SPDX-License-Identifier: Apache-2.0 */
/* Two daemons behind one client, killed and started again in turn under load from blocking callers
 * and from an event loop: no call fails, and none comes back after its deadline.
 *
 * FAILOVER_SECONDS and FAILOVER_EVERY_MS set how long, and the time from one kill to the next; the
 * suite takes a few seconds as fast as restarts go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "base/clock.h"
#include "base/hist.h"
#include "client/decide.h"
#include "tests/support/daemon.h"

enum { CALLERS = 2, IN_FLIGHT = 16, USERS = 1000, PHASE_S = 60, SETTLED_CALLS = 100 };

#define TIMEOUT_US UINT64_C(250000)

struct rig {
    struct decide_client *client;
    struct daemon daemons[2];
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool stopping; /* what follows under the mutex */
    uint64_t call_count, failed_count, late_count, starved_count;
    char failure[160]; /* the first of them */
    struct hist took;
    uint32_t user;
};

/* A moment of this thread: the time, and how long it has been ready and without a core so far,
 * which a busy machine does to it and not the client; 0 where the kernel does not tell. */
struct moment {
    uint64_t now_ns, starved_ns;
};

static struct moment moment_now(void)
{
    static _Thread_local int schedstat = -1;
    char line[96] = "";
    unsigned long long on_core_ns = 0, starved_ns = 0;
    if (schedstat < 0)
        schedstat = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    if (schedstat < 0 || pread(schedstat, line, sizeof line - 1, 0) <= 0 ||
        sscanf(line, "%llu %llu", &on_core_ns, &starved_ns) != 2)
        starved_ns = 0;
    return (struct moment){clock_now_ns(clock_system()), starved_ns};
}

/* One call has ended, and on the thread that began it. */
static void record(struct rig *rig, struct decide_reply *reply, struct moment begun)
{
    struct moment ended = moment_now();
    uint64_t took_ns = ended.now_ns - begun.now_ns;
    uint64_t starved_ns = ended.starved_ns - begun.starved_ns;
    bool is_starved = starved_ns > TIMEOUT_US * 1000;
    pthread_mutex_lock(&rig->mutex);
    rig->call_count++;
    hist_record(&rig->took, took_ns);
    rig->starved_count += is_starved;
    rig->late_count += took_ns > starved_ns + TIMEOUT_US * 1000;
    if (!(is_starved && reply->status == DECIDE_TIMEOUT) &&
        (reply->status != DECIDE_OK || reply->fallback || reply->decision == NULL) &&
        rig->failed_count++ == 0)
        snprintf(rig->failure, sizeof rig->failure, "%s: %.120s", decide_status_name(reply->status),
                 reply->error_message == NULL ? "-" : reply->error_message);
    pthread_cond_broadcast(&rig->changed);
    pthread_mutex_unlock(&rig->mutex);
    decide_reply_free(reply);
}

/* False when it is time to stop. */
static bool next_user(struct rig *rig, char user[16])
{
    pthread_mutex_lock(&rig->mutex);
    snprintf(user, 16, "u%u", rig->user++ % USERS);
    bool goes_on = !rig->stopping;
    pthread_mutex_unlock(&rig->mutex);
    return goes_on;
}

static void *run_caller(void *argument)
{
    struct rig *rig = argument;
    char user[16];
    while (next_user(rig, user)) {
        struct decide_request request = {.user = user, .n = 3, .timeout_us = TIMEOUT_US};
        struct moment begun = moment_now();
        struct decide_reply *reply = decide_recommend(rig->client, &request);
        record(rig, reply, begun);
    }
    return NULL;
}

/* One of the calls that the event loop has in flight all the time. */
struct flight {
    struct rig *rig;
    uint32_t *pending_count;
    struct moment begun;
};

static void on_reply(struct decide_reply *reply, void *argument);

static void take_off(struct flight *flight)
{
    char user[16];
    if (!next_user(flight->rig, user)) {
        --*flight->pending_count;
        return;
    }
    struct decide_request request = {.user = user, .n = 3, .timeout_us = TIMEOUT_US};
    flight->begun = moment_now();
    if (decide_submit(flight->rig->client, "recommend", &request, on_reply, flight) == 0)
        abort();
}

static void on_reply(struct decide_reply *reply, void *argument)
{
    struct flight *flight = argument;
    record(flight->rig, reply, flight->begun);
    take_off(flight);
}

static void *run_event_loop(void *argument)
{
    struct rig *rig = argument;
    struct flight flights[IN_FLIGHT];
    uint32_t pending_count = IN_FLIGHT;
    struct pollfd pollfd = {.fd = decide_fd(rig->client), .events = POLLIN};
    for (int i = 0; i < IN_FLIGHT; i++) {
        flights[i] = (struct flight){.rig = rig, .pending_count = &pending_count};
        take_off(&flights[i]);
    }
    while (pending_count > 0) {
        if (poll(&pollfd, 1, 1000 * PHASE_S) != 1)
            abort();
        decide_process(rig->client);
    }
    return NULL;
}

static bool both_are_fine(struct rig *rig)
{
    struct decide_endpoint endpoints[2];
    assert_int_equal(decide_client_endpoints(rig->client, endpoints, 2), 2);
    return endpoints[0].state == DECIDE_ENDPOINT_FINE && endpoints[1].state == DECIDE_ENDPOINT_FINE;
}

/* Until the client serves from both daemons again and the time has come, with calls going on. */
static void wait_until_settled(struct rig *rig, uint64_t not_before_ns)
{
    uint64_t end_ns = clock_now_ns(clock_system()) + PHASE_S * UINT64_C(1000000000);
    pthread_mutex_lock(&rig->mutex);
    uint64_t wanted = rig->call_count + SETTLED_CALLS;
    uint64_t now_ns = clock_now_ns(clock_system());
    while (rig->call_count < wanted || now_ns < not_before_ns || !both_are_fine(rig)) {
        if (now_ns > end_ns)
            fail_msg("the client did not come back to both daemons");
        pthread_cond_wait(&rig->changed, &rig->mutex); /* calls end all the time */
        now_ns = clock_now_ns(clock_system());
    }
    pthread_mutex_unlock(&rig->mutex);
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

static void report(struct rig *rig, uint32_t kill_count)
{
    struct decide_counters counters;
    decide_client_counters(rig->client, &counters);
    print_message(
        "%llu calls over %u kills: %llu failed, %llu late, %llu without a core for their timeout; "
        "took p50 %.3f ms, p99 %.3f ms, "
        "worst %.3f ms; %llu retries, %llu hedges, %llu connects, %llu ejections\n",
        (unsigned long long)rig->call_count, kill_count, (unsigned long long)rig->failed_count,
        (unsigned long long)rig->late_count, (unsigned long long)rig->starved_count,
        1e-6 * (double)hist_quantile(&rig->took, 0.5),
        1e-6 * (double)hist_quantile(&rig->took, 0.99), 1e-6 * (double)hist_quantile(&rig->took, 1),
        (unsigned long long)counters.retries, (unsigned long long)counters.hedges,
        (unsigned long long)counters.connects, (unsigned long long)counters.ejections);
    if (rig->failed_count > 0)
        print_error("%s\n", rig->failure);
    assert_int_equal(counters.timeouts, 0);
    assert_true(counters.retries > 0);
}

static void no_call_fails_while_one_daemon_is_left(void **state)
{
    (void)state;
    static struct rig rig = {.mutex = PTHREAD_MUTEX_INITIALIZER,
                             .changed = PTHREAD_COND_INITIALIZER};
    uint64_t length_ns = number_from("FAILOVER_SECONDS", 4) * UINT64_C(1000000000);
    uint64_t every_ns = number_from("FAILOVER_EVERY_MS", 0) * UINT64_C(1000000);
    pthread_t callers[CALLERS + 1];
    char urls[600];
    char error[DECIDE_ERROR_BYTES];
    for (int i = 0; i < 2; i++) {
        daemon_start(&rig.daemons[i], NULL);
        daemon_keep_port(&rig.daemons[i], NULL);
    }
    snprintf(urls, sizeof urls, "%s,%s", rig.daemons[0].url, rig.daemons[1].url);
    struct decide_options options = decide_options_default();
    options.urls = urls;
    assert_int_equal(decide_client_create(&options, &rig.client, error), DECIDE_OK);
    for (int i = 0; i < CALLERS; i++)
        assert_int_equal(pthread_create(&callers[i], NULL, run_caller, &rig), 0);
    assert_int_equal(pthread_create(&callers[CALLERS], NULL, run_event_loop, &rig), 0);

    uint32_t kill_count = 0;
    uint64_t begun_ns = clock_now_ns(clock_system());
    for (uint64_t now_ns = begun_ns; now_ns - begun_ns < length_ns;
         now_ns = clock_now_ns(clock_system())) {
        wait_until_settled(&rig, begun_ns + kill_count * every_ns);
        struct daemon *daemon = &rig.daemons[kill_count++ % 2];
        daemon_signal(daemon, SIGKILL);
        assert_true(WIFSIGNALED(daemon_wait(daemon)));
        daemon_restart(daemon);
    }
    wait_until_settled(&rig, 0);
    pthread_mutex_lock(&rig.mutex);
    rig.stopping = true;
    pthread_mutex_unlock(&rig.mutex);
    for (int i = 0; i <= CALLERS; i++)
        pthread_join(callers[i], NULL);
    report(&rig, kill_count);
    assert_int_equal(rig.failed_count, 0);
    assert_int_equal(rig.late_count, 0);
    decide_client_destroy(&rig.client);
    for (int i = 0; i < 2; i++)
        daemon_stop(&rig.daemons[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_call_fails_while_one_daemon_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
