/* SPDX-License-Identifier: Apache-2.0 */
/* What workers hand to the shadows' thread: which decisions, how many, and what is dropped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "server/control/shadow.h"
#include "server/decide/tally.h"
#include "server/metrics.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/decide_fixture.h"
#include "tests/support/small_models.h"

#define REQUEST "{\"op\": \"recommend\", \"session\": \"s\", \"seeds\": [\"a\"], \"n\": 2}"

static struct fixture fixture;
static struct metrics *metrics;
static struct shadow *shadow;

static int setup(void **state)
{
    static const float stable[9] = {0, 2, 1, 0, 0, 0, 0, 0, 0};
    static const float other[9] = {0, 1, 3, 0, 0, 0, 0, 0, 0};
    struct shadow_options options = {.clock = clock_system(), .worker_count = 1};
    (void)state;
    fixture_init(&fixture);
    fixture_load_shop(&fixture);
    fixture_add_model(&fixture, small_neighbors("near", "1", "a b c", stable));
    fixture_add_trial(&fixture, small_neighbors("near", "2", "a b c", other), 10000, NULL);
    fixture_serve(&fixture, NULL);
    options.store = fixture.store;
    if (metrics_create(server_metric_families, M_COUNT, 2, &metrics, NULL) != ERR_OK)
        return -1;
    options.metrics = metrics;
    return shadow_create(&options, &shadow, NULL) == ERR_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    (void)shadow_publish(shadow, NULL); /* the fixture's */
    shadow_stop(shadow);
    shadow_destroy(&shadow);
    metrics_destroy(&metrics);
    fixture_deinit(&fixture);
    return 0;
}

/* As the stable version answers while the trial is only a shadow. */
static struct decision served(void)
{
    struct decision decision = *fixture_decide(&fixture, REQUEST);
    for (uint32_t i = 0; i < decision.model_count; i++) {
        if (decision.models[i] == fixture.trial_model[0]->label)
            decision.models[i] = fixture.model[0]->label;
    }
    decision.trials = 0;
    return decision;
}

static void put(const struct decision *decision, size_t request_bytes)
{
    const struct call call = {.request = fixture.request_bytes, .request_bytes = request_bytes};
    shadow_put(shadow, fixture.worker, &fixture.env,
               &(struct shadow_served){&call, decision, 1000, NULL});
}

static struct shadow_stats stats(void)
{
    struct shadow_stats seen;
    assert_true(shadow_stats(shadow, "near", &seen));
    return seen;
}

static void test_a_full_ring_drops_and_counts(void **state)
{
    (void)state;
    struct decision decision = served();
    put(&decision, 4096); /* there are no shadows yet */
    (void)shadow_publish(shadow, fixture.snapshot);
    assert_int_equal(stats().dropped, 0);
    for (int i = 0; i < 1000; i++) /* nobody takes them: 4 KiB each into 1 MiB */
        put(&decision, 4096);
    uint64_t dropped = stats().dropped;
    assert_in_range(dropped, 1000 - 256, 1000 - 200);
    put(&decision, SHADOW_REQUEST_BYTES_MAX + 1);
    assert_int_equal(stats().dropped, dropped + 1);
    assert_int_equal(metric_value(fixture.metrics, M_SHADOW_DECISIONS, SHADOW_DROPPED, 0),
                     dropped + 1);
    assert_int_equal(stats().compared, 0);
}

static void test_only_full_answers_of_the_stable_version_are_sampled(void **state)
{
    (void)state;
    struct decision decision = served();
    (void)shadow_publish(shadow, fixture.snapshot);
    struct decision other = decision;
    other.level = LEVEL_reduced;
    put(&other, SIZE_MAX); /* whatever is sampled is dropped, and counted */
    other = decision;
    other.trials = 1;
    put(&other, SIZE_MAX);
    other = decision;
    other.model_count = 0;
    put(&other, SIZE_MAX);
    shadow_put(NULL, fixture.worker, &fixture.env,
               &(struct shadow_served){NULL, &decision, 0, NULL});
    assert_int_equal(stats().dropped, 0);
    put(&decision, SIZE_MAX);
    assert_int_equal(stats().dropped, 1);
}

static void test_no_memory(void **state)
{
    (void)state;
    const struct shadow_options options = {
        .clock = clock_system(), .worker_count = 2, .store = fixture.store};
    for (uint32_t n = 0; n < 64; n++) {
        struct shadow *made = NULL;
        struct metrics *own = NULL;
        struct shadow_options with = options;
        struct tally *tally = NULL;
        assert_int_equal(metrics_create(server_metric_families, M_COUNT, 1, &own, NULL), ERR_OK);
        with.metrics = own;
        alloc_fail_after(n);
        enum err_code rc = shadow_create(&with, &made, NULL);
        bool failed = alloc_fail_off();
        assert_int_equal(rc, failed ? ERR_NOMEM : ERR_OK);
        shadow_destroy(&made);
        metrics_destroy(&own);
        alloc_fail_after(0);
        assert_int_equal(tally_create(2, &tally, NULL), ERR_NOMEM);
        assert_true(alloc_fail_off());
        if (!failed) {
            assert_true(n >= 6);
            return;
        }
    }
    fail();
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_full_ring_drops_and_counts),
        TEST(test_only_full_answers_of_the_stable_version_are_sampled),
        TEST(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
