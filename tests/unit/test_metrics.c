/* SPDX-License-Identifier: Apache-2.0 */
/* Counters per thread add up on the page; the page is Prometheus text. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/metrics.h"
#include "tests/support/alloc_fail.h"

static const char *const ops[] = {"ping", "price", NULL};
static const char *const odd[] = {"a\"b\\c\nd", NULL};

enum { REQUESTS, USERS, LATENCY, ODD };

static const struct metric_family families[] = {
    {"t_requests_total", METRIC_COUNTER, "Requests.", {{"op", ops}}},
    {"t_users", METRIC_GAUGE, "Users\nknown.", {{NULL, NULL}}},
    {"t_seconds", METRIC_HISTOGRAM, "Time.", {{"op", ops}}},
    {"t_odd_total", METRIC_COUNTER, "Odd.", {{"name", odd}}},
};

static void has(const char *page, const char *line)
{
    if (strstr(page, line) == NULL)
        fail_msg("not on the page: %s\n%s", line, page);
}

static void the_page_adds_up(void **state)
{
    (void)state;
    struct metrics *metrics = NULL;
    struct metric_slot *slot[2];
    struct err err;
    assert_int_equal(metrics_create(families, 4, 2, &metrics, &err), ERR_OK);
    assert_int_equal(metrics_slot(metrics, &slot[0], &err), ERR_OK);
    assert_int_equal(metrics_slot(metrics, &slot[1], &err), ERR_OK);
    struct metric_slot *third = NULL;
    assert_int_equal(metrics_slot(metrics, &third, &err), ERR_LIMIT);

    metric_add(slot[0], REQUESTS, 1, 0, 3);
    metric_add(slot[1], REQUESTS, 1, 0, 4);
    metric_add_shared(metrics, REQUESTS, 1, 0, 5);
    metric_set(metrics, USERS, 0, 0, 2.5);
    metric_observe(slot[0], LATENCY, 0, 0, 20000);
    metric_observe(slot[1], LATENCY, 0, 0, 3000000);
    metric_add(slot[0], ODD, 0, 0, 1);
    assert_int_equal(metric_value(metrics, REQUESTS, 1, 0), 12);
    assert_int_equal(metric_value(metrics, LATENCY, 0, 0), 2);
    static struct hist hist;
    metric_hist(metrics, LATENCY, UINT32_MAX, 0, &hist);
    assert_int_equal(atomic_load(&hist.count), 2);

    char *page = NULL;
    size_t len = 0;
    assert_int_equal(metrics_render(metrics, &page, &len, &err), ERR_OK);
    assert_int_equal(strlen(page), len);
    has(page, "# HELP t_requests_total Requests.\n# TYPE t_requests_total counter\n");
    has(page, "\nt_requests_total{op=\"price\"} 12\n");
    assert_null(strstr(page, "t_requests_total{op=\"ping\"}"));
    has(page, "# HELP t_users Users\\nknown.\n# TYPE t_users gauge\nt_users 2.5\n");
    has(page, "t_seconds_bucket{op=\"ping\",le=\"0.000025\"} 1\n");
    has(page, "t_seconds_bucket{op=\"ping\",le=\"0.0025\"} 1\n");
    has(page, "t_seconds_bucket{op=\"ping\",le=\"0.005\"} 2\n");
    has(page, "t_seconds_bucket{op=\"ping\",le=\"+Inf\"} 2\n");
    has(page, "t_seconds_count{op=\"ping\"} 2\n");
    has(page, "t_seconds_sum{op=\"ping\"} 0.00302\n");
    has(page, "t_odd_total{name=\"a\\\"b\\\\c\\nd\"} 1\n");
    free(page);
    metrics_destroy(&metrics);
}

static void bad_tables_are_refused(void **state)
{
    (void)state;
    static const char *const empty[] = {NULL};
    const struct metric_family bad[] = {
        {"1x", METRIC_COUNTER, "h", {{NULL, NULL}}},
        {"a b", METRIC_COUNTER, "h", {{NULL, NULL}}},
        {NULL, METRIC_COUNTER, "h", {{NULL, NULL}}},
        {"a", METRIC_COUNTER, NULL, {{NULL, NULL}}},
        {"a", METRIC_COUNTER, "h", {{"l", empty}}},
        {"a", METRIC_COUNTER, "h", {{NULL, NULL}, {"l", ops}}},
    };
    struct err err;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct metrics *metrics = NULL;
        assert_int_equal(metrics_create(&bad[i], 1, 1, &metrics, &err), ERR_BAD_INPUT);
        assert_null(metrics);
    }
    struct metrics *metrics = NULL;
    assert_int_equal(metrics_create(families, 4, 0, &metrics, &err), ERR_LIMIT);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    for (uint32_t n = 0;; n++) {
        struct metrics *metrics = NULL;
        struct metric_slot *slot = NULL;
        struct err err;
        char *page = NULL;
        size_t len = 0;
        alloc_fail_after(n);
        enum err_code rc = metrics_create(families, 4, 1, &metrics, &err);
        if (rc == ERR_OK)
            rc = metrics_slot(metrics, &slot, &err);
        if (rc == ERR_OK)
            rc = metrics_render(metrics, &page, &len, &err);
        bool failed = alloc_fail_off();
        free(page);
        metrics_destroy(&metrics);
        if (!failed) {
            assert_int_equal(rc, ERR_OK);
            assert_true(n >= 5);
            break;
        }
        assert_int_equal(rc, ERR_NOMEM);
    }
}

enum { THREADS = 3, ADDS = 20000 };

static void *count_up(void *arg)
{
    struct metrics *metrics = arg;
    struct metric_slot *slot = NULL;
    if (metrics_slot(metrics, &slot, NULL) != ERR_OK)
        return NULL;
    for (int i = 0; i < ADDS; i++) {
        metric_add(slot, REQUESTS, 0, 0, 1);
        metric_add_shared(metrics, REQUESTS, 0, 0, 1);
        metric_observe(slot, LATENCY, 0, 0, (uint64_t)i);
    }
    return metrics;
}

static void threads_lose_nothing(void **state)
{
    (void)state;
    struct metrics *metrics = NULL;
    struct err err;
    pthread_t threads[THREADS];
    assert_int_equal(metrics_create(families, 4, THREADS, &metrics, &err), ERR_OK);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_up, metrics), 0);
    char *page = NULL;
    size_t len = 0;
    assert_int_equal(metrics_render(metrics, &page, &len, &err), ERR_OK); /* beside the writers */
    free(page);
    for (int i = 0; i < THREADS; i++) {
        void *done = NULL;
        pthread_join(threads[i], &done);
        assert_ptr_equal(done, metrics);
    }
    assert_int_equal(metric_value(metrics, REQUESTS, 0, 0), 2 * THREADS * ADDS);
    assert_int_equal(metric_value(metrics, LATENCY, 0, 0), THREADS * ADDS);
    metrics_destroy(&metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_adds_up),
        cmocka_unit_test(bad_tables_are_refused),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(threads_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
