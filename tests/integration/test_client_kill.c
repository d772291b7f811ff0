/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon is stopped, killed and started again under callers that give it 5 ms: every call comes
 * back in its time, with an answer or with the fallback, and answers return with the daemon. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "base/clock.h"
#include "base/hist.h"
#include "client/decide.h"
#include "tests/support/daemon.h"

enum { CALLERS = 3, PHASE_S = 60 };

#define DEADLINE_NS UINT64_C(5000000)
/* A machine that is shared may not run a thread for a while.  A call that waits for something else
 * than its deadline is late every time, and one that hangs is late by more than any pause. */
#define LATE_NS  UINT64_C(5000000)
#define HANGS_NS UINT64_C(1000000000)
#define ON_TIME  0.9

struct rig {
    struct decide_client *client;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool stopping;                        /* these five under the mutex */
    uint64_t answered_count, local_count; /* local: the fallback, flagged */
    uint64_t wrong_count;
    char wrong[128];  /* the first of them */
    struct hist late; /* calls whose time ran out: by how much */
};

static bool is_flagged_fallback(const struct decide_reply *reply)
{
    return reply->status == DECIDE_OK && reply->fallback && strcmp(reply->level, "fallback") == 0 &&
           reply->reason != NULL && reply->item_count == 1 &&
           strcmp(reply->items[0].id, "fallback") == 0;
}

static bool is_answer(const struct decide_reply *reply)
{
    return reply->status == DECIDE_OK && !reply->fallback && reply->decision != NULL;
}

static void *run_caller(void *argument)
{
    struct rig *rig = argument;
    for (bool stopping = false; !stopping;) {
        struct decide_request request = {.user = "u1", .n = 1, .timeout_us = DEADLINE_NS / 1000};
        uint64_t before_ns = clock_now_ns(clock_system());
        struct decide_reply *reply = decide_recommend(rig->client, &request);
        uint64_t took_ns = clock_now_ns(clock_system()) - before_ns;
        pthread_mutex_lock(&rig->mutex);
        if (took_ns >= DEADLINE_NS)
            hist_record(&rig->late, took_ns - DEADLINE_NS);
        if (is_answer(reply))
            rig->answered_count++;
        else if (is_flagged_fallback(reply))
            rig->local_count++;
        else if (rig->wrong_count++ == 0)
            snprintf(rig->wrong, sizeof rig->wrong, "%s: %.80s", decide_status_name(reply->status),
                     reply->error_message == NULL ? "-" : reply->error_message);
        stopping = rig->stopping;
        pthread_cond_broadcast(&rig->changed);
        pthread_mutex_unlock(&rig->mutex);
        decide_reply_free(reply);
    }
    return NULL;
}

/* Waits for `count` more calls that were answered, or that got the fallback. */
static void wait_for_more(struct rig *rig, uint64_t *counter, uint64_t count, const char *phase)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PHASE_S;
    pthread_mutex_lock(&rig->mutex);
    uint64_t wanted = *counter + count;
    int rc = 0;
    while (rc == 0 && *counter < wanted)
        rc = pthread_cond_timedwait(&rig->changed, &rig->mutex, &until);
    pthread_mutex_unlock(&rig->mutex);
    if (rc != 0)
        print_error("%s: too few calls of the expected kind in %d s\n", phase, PHASE_S);
    assert_int_equal(rc, 0);
}

/* No call but the few that were on their way is answered while nobody is there. */
static void expect_only_fallbacks(struct rig *rig, const char *phase)
{
    wait_for_more(rig, &rig->local_count, 2 * CALLERS, phase);
    pthread_mutex_lock(&rig->mutex);
    uint64_t answered_before = rig->answered_count;
    pthread_mutex_unlock(&rig->mutex);
    wait_for_more(rig, &rig->local_count, 200, phase);
    pthread_mutex_lock(&rig->mutex);
    assert_int_equal(rig->answered_count, answered_before);
    pthread_mutex_unlock(&rig->mutex);
}

static double late_ms(const struct rig *rig, double share)
{
    return 1e-6 * (double)hist_quantile(&rig->late, share);
}

static void every_call_returns_in_time_whatever_happens_to_the_daemon(void **state)
{
    (void)state;
    static const char *const fallback[] = {"fallback"};
    static struct rig rig = {.mutex = PTHREAD_MUTEX_INITIALIZER,
                             .changed = PTHREAD_COND_INITIALIZER};
    struct daemon daemon;
    pthread_t callers[CALLERS];
    char error[DECIDE_ERROR_BYTES];
    daemon_start(&daemon, NULL);
    daemon_keep_port(&daemon, NULL);
    struct decide_options options = decide_options_default();
    options.urls = daemon.url;
    options.fallback_items = fallback;
    options.fallback_count = 1;
    assert_int_equal(decide_client_create(&options, &rig.client, error), DECIDE_OK);
    for (int i = 0; i < CALLERS; i++)
        assert_int_equal(pthread_create(&callers[i], NULL, run_caller, &rig), 0);

    wait_for_more(&rig, &rig.answered_count, 200, "serving");
    daemon_signal(&daemon, SIGSTOP); /* connected, and silent */
    expect_only_fallbacks(&rig, "stopped");
    daemon_signal(&daemon, SIGCONT);
    wait_for_more(&rig, &rig.answered_count, 200, "going on");
    daemon_signal(&daemon, SIGKILL);
    assert_true(WIFSIGNALED(daemon_wait(&daemon)));
    expect_only_fallbacks(&rig, "killed");
    daemon_restart(&daemon);
    wait_for_more(&rig, &rig.answered_count, 200, "back again");

    pthread_mutex_lock(&rig.mutex);
    rig.stopping = true;
    pthread_mutex_unlock(&rig.mutex);
    for (int i = 0; i < CALLERS; i++)
        pthread_join(callers[i], NULL);
    uint64_t call_count = rig.answered_count + rig.local_count + rig.wrong_count;
    print_message("%llu calls with 5 ms: %llu answered, %llu fallbacks; time ran out %llu times, "
                  "late by p50 %.3f ms, p99 %.3f ms, worst %.3f ms\n",
                  (unsigned long long)call_count, (unsigned long long)rig.answered_count,
                  (unsigned long long)rig.local_count,
                  (unsigned long long)hist_count_below(&rig.late, UINT64_MAX), late_ms(&rig, 0.5),
                  late_ms(&rig, 0.99), late_ms(&rig, 1));
    if (rig.wrong_count > 0)
        print_error("%s\n", rig.wrong);
    assert_int_equal(rig.wrong_count, 0);
    assert_true(hist_quantile(&rig.late, 0.5) < LATE_NS);
    assert_true(hist_quantile(&rig.late, 1) < HANGS_NS);
    decide_client_destroy(&rig.client);
    daemon_stop(&daemon);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_returns_in_time_whatever_happens_to_the_daemon),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
