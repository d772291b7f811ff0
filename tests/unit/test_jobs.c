/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/background.h"
#include "server/control/jobs.h"
#include "tests/support/alloc_fail.h"

struct record {
    pthread_mutex_t gate;
    uint32_t order[JOBS_MAX + 2];
    uint32_t count;
};

struct numbered {
    struct record *record;
    uint32_t number;
};

static void note(void *ctx)
{
    struct numbered *numbered = ctx;
    pthread_mutex_lock(&numbered->record->gate);
    numbered->record->order[numbered->record->count++] = numbered->number;
    pthread_mutex_unlock(&numbered->record->gate);
}

static void test_jobs_run_in_order_and_the_queue_is_bounded(void **state)
{
    (void)state;
    struct record record = {.gate = PTHREAD_MUTEX_INITIALIZER};
    struct numbered numbered[JOBS_MAX + 2];
    struct jobs *jobs = NULL;
    struct err err;
    assert_int_equal(jobs_create("jobs", JOBS_ORDINARY, &jobs, &err), ERR_OK);
    pthread_mutex_lock(&record.gate);
    assert_int_equal(jobs_start(jobs, &err), ERR_OK);
    uint32_t taken = 0;
    for (uint32_t i = 0; i < JOBS_MAX + 2; i++) {
        numbered[i] = (struct numbered){&record, i};
        if (!jobs_submit(jobs, note, &numbered[i]))
            break;
        taken++;
    }
    /* One may be out of the queue, waiting at the gate. */
    assert_in_range(taken, JOBS_MAX, JOBS_MAX + 1);
    pthread_mutex_unlock(&record.gate);
    jobs_stop(jobs); /* what was taken is run */
    assert_int_equal(record.count, taken);
    for (uint32_t i = 0; i < taken; i++)
        assert_int_equal(record.order[i], i);
    assert_false(jobs_submit(jobs, note, &numbered[0]));
    jobs_destroy(&jobs);
    assert_null(jobs);
    jobs_destroy(&jobs);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct jobs *jobs = NULL;
    struct err err;
    alloc_fail_after(0);
    enum err_code rc = jobs_create("jobs", JOBS_ORDINARY, &jobs, &err);
    assert_true(alloc_fail_off());
    assert_int_equal(rc, ERR_NOMEM);
    assert_null(jobs);
}

struct priority {
    int policy, nice;
    uint64_t slice_ns;
};

static void note_priority(void *ctx)
{
    struct priority *priority = ctx;
    uint64_t attributes[6] = {0}; /* of 48 bytes, the slice from the 24th on */
    priority->policy = sched_getscheduler(0);
    priority->nice = getpriority(PRIO_PROCESS, (id_t)gettid());
    assert_int_equal(syscall(SYS_sched_getattr, 0, attributes, sizeof attributes, 0), 0);
    priority->slice_ns = attributes[3];
}

static struct priority priority_of_jobs(enum jobs_priority priority)
{
    struct priority noted = {0};
    struct jobs *jobs = NULL;
    struct err err;
    assert_int_equal(jobs_create("jobs", priority, &jobs, &err), ERR_OK);
    assert_int_equal(jobs_start(jobs, &err), ERR_OK);
    assert_true(jobs_submit(jobs, note_priority, &noted));
    jobs_stop(jobs);
    jobs_destroy(&jobs);
    return noted;
}

static void test_what_may_wait_gives_way(void **state)
{
    (void)state;
    struct priority here, ordinary, background;
    note_priority(&here);
    ordinary = priority_of_jobs(JOBS_ORDINARY);
    background = priority_of_jobs(JOBS_BACKGROUND);
    assert_int_equal(ordinary.policy, here.policy);
    assert_int_equal(ordinary.nice, here.nice);
    assert_int_equal(ordinary.slice_ns, here.slice_ns);
    assert_int_equal(background.policy, SCHED_BATCH);
    assert_true(background.nice >= 10);
    /* Kernels before 6.12 have none. */
    if (background.slice_ns != 0)
        assert_int_equal(background.slice_ns, BACKGROUND_SLICE_NS);
}

static void test_nobody_rests_for_long(void **state)
{
    (void)state;
    assert_int_equal(background_rest_ns(0), 0);
    assert_int_equal(background_rest_ns(BACKGROUND_WORK_NS - 1), 0);
    assert_int_equal(background_rest_ns(BACKGROUND_WORK_NS), BACKGROUND_REST_NS);
    assert_int_equal(background_rest_ns(3 * BACKGROUND_WORK_NS), 3 * BACKGROUND_REST_NS);
    assert_int_equal(background_rest_ns(UINT64_C(3600000000000)), BACKGROUND_REST_NS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jobs_run_in_order_and_the_queue_is_bounded),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_what_may_wait_gives_way),
        cmocka_unit_test(test_nobody_rests_for_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
