/* SPDX-License-Identifier: Apache-2.0 */
/* Decisions on their way to the disk: who is sampled, what a full ring and a full disk do, what is
 * there after a stop, and that none of it costs a decision an allocation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "featurestore/decision_record.h"
#include "server/control/decision_log.h"
#include "server/metrics.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/decide_fixture.h"
#include "tests/support/disk_fault.h"
#include "tests/support/temp_dir.h"

enum { PEOPLE = 20000, RING_FULL = 0, TOO_LARGE = 1 };

static struct fixture fixture;
static struct temp_dir dir;
static struct decision_log *decisions;
static struct decision_log_options options;
static struct err err;

static int set_up(void **state)
{
    (void)state;
    temp_dir_create(&dir);
    fixture_init(&fixture);
    fixture_load_shop(&fixture);
    options = (struct decision_log_options){
        .disk = {.dir = dir.path, .bytes_max = EVENT_LOG_BYTES_MIN, .clock = clock_system()},
        .percent = 100,
        .worker_count = 1};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    disk_fault_off();
    fixture_deinit(&fixture);
    temp_dir_remove(&dir);
    return 0;
}

static void create(void)
{
    if (decision_log_create(&options, &decisions, &err) != ERR_OK)
        fail_msg("%s", err.text);
}

static void put(const char *request)
{
    (void)fixture_decide(&fixture, request);
    decision_log_put(decisions, fixture.worker, &fixture.env, &fixture.request, &fixture.decision);
}

/* A decision whose record takes a little over 3 KB. */
static const char *long_request(void)
{
    static char request[8192];
    size_t used = (size_t)snprintf(request, sizeof request,
                                   "{\"op\": \"recommend\", \"user\": \"u\", \"exclude\": [\"x\"");
    for (int i = 0; i < 30; i++)
        used += (size_t)snprintf(request + used, sizeof request - used, ", \"%0100d\"", i);
    snprintf(request + used, sizeof request - used, "]}");
    return request;
}

static uint64_t dropped(uint32_t reason)
{
    return metric_value(fixture.metrics, M_DECISION_LOG_DROPPED, reason, 0);
}

static uint64_t records(void)
{
    return metric_value(fixture.metrics, M_DECISION_LOG_RECORDS, 0, 0);
}

/* Each record on disk is one of ours; how many there are. */
static uint64_t count_on_disk(void)
{
    struct event_log_reader reader;
    struct event_record event;
    struct decision_record record;
    uint64_t count = 0;
    enum err_code rc;
    assert_int_equal(event_log_read_begin(decision_log_disk(decisions), 1, &reader, &err), ERR_OK);
    while ((rc = event_log_read_next(&reader, &event, &err)) == ERR_OK) {
        assert_int_equal(decision_record_read(event.event, &record, &err), ERR_OK);
        count++;
    }
    assert_int_equal(rc, ERR_NOT_FOUND);
    event_log_read_end(&reader);
    return count;
}

static void test_what_was_put_is_there_after_a_stop_and_a_new_start(void **state)
{
    (void)state;
    for (uint64_t round = 1; round <= 3; round++) {
        create();
        assert_int_equal(decision_log_start(decisions, &err), ERR_OK);
        for (int i = 0; i < 500; i++)
            put("{\"op\": \"recommend\", \"user\": \"u\", \"n\": 5}");
        decision_log_stop(decisions);
        assert_int_equal(count_on_disk(), 500 * round);
        decision_log_destroy(&decisions);
    }
    assert_int_equal(records(), 1500);
    assert_int_equal(dropped(RING_FULL) + dropped(TOO_LARGE), 0);
}

static void test_full_ring_drops_and_counts(void **state)
{
    (void)state;
    uint64_t put_count = 0;
    create(); /* and nobody takes */
    while (dropped(RING_FULL) < 3 && put_count < 100000) {
        put(long_request());
        put_count++;
    }
    assert_int_equal(dropped(RING_FULL), 3);
    assert_int_equal(records() + 3, put_count);
    assert_true(records() * 4096 > DECISION_LOG_RING_BYTES); /* it holds that much */
    assert_int_equal(decision_log_start(decisions, &err), ERR_OK);
    decision_log_stop(decisions);
    assert_int_equal(count_on_disk(), records());
    struct decision_log_status status;
    decision_log_status(decisions, &status);
    assert_int_equal(status.state, DECISION_LOG_ON_DISK);
    assert_int_equal(status.dropped, 3);
    assert_true(status.committed_ms > 0);
    put(long_request()); /* there is room again */
    assert_int_equal(dropped(RING_FULL), 3);
    decision_log_destroy(&decisions);
}

static void test_a_decision_that_does_not_fit_is_counted(void **state)
{
    (void)state;
    create();
    (void)fixture_decide(&fixture, "{\"op\": \"recommend\", \"user\": \"u\"}");
    struct arena *arena = &fixture.worker->arena;
    size_t whole = arena->capacity_bytes, used = arena->used_bytes;
    arena->capacity_bytes = used + 10;
    decision_log_put(decisions, fixture.worker, &fixture.env, &fixture.request, &fixture.decision);
    arena->capacity_bytes = whole;
    assert_int_equal(arena->used_bytes, used);
    assert_int_equal(dropped(TOO_LARGE), 1);
    assert_int_equal(records(), 0);
    decision_log_destroy(&decisions);
}

static bool wants(const char *key, uint32_t number)
{
    char id[32];
    struct request request = {.op = OP_recommend};
    snprintf(id, sizeof id, "person-%u", number);
    struct text text = text_of(id);
    if (strcmp(key, "user") == 0)
        request.user = text;
    else if (strcmp(key, "anon") == 0)
        request.anon = text;
    else
        request.session = text;
    return decision_log_wants(decisions, &request);
}

static void test_samples_are_near_their_share_and_nested(void **state)
{
    (void)state;
    static const uint32_t percents[] = {0, 1, 10, 50, 90, 100};
    static bool was_in[PEOPLE];
    memset(was_in, 0, sizeof was_in);
    for (size_t p = 0; p < sizeof percents / sizeof percents[0]; p++) {
        uint32_t count = 0, expected = percents[p] * (PEOPLE / 100);
        options.percent = percents[p];
        create();
        for (uint32_t i = 0; i < PEOPLE; i++) {
            bool in = wants("user", i);
            assert_int_equal(wants("anon", i), in);
            assert_int_equal(wants("session", i), in);
            assert_true(in || !was_in[i]); /* who is in stays in */
            was_in[i] = in;
            count += in;
        }
        decision_log_destroy(&decisions);
        /* Five deviations of a fair draw at most. */
        assert_in_range(count, expected - (expected > 400 ? 400 : expected), expected + 400);
        if (percents[p] == 0 || percents[p] == 100)
            assert_int_equal(count, expected);
    }
}

/* As they have always been: who is sampled must not change from release to release. */
static void test_the_sample_is_the_same_everywhere(void **state)
{
    (void)state;
    char in[33] = "";
    options.percent = 50;
    create();
    for (uint32_t i = 0; i < 32; i++)
        in[i] = wants("user", i) ? '1' : '0';
    assert_string_equal(in, "01010100101100010111110001101010");
    decision_log_destroy(&decisions);
}

static void test_all_of_a_person_or_nothing(void **state)
{
    (void)state;
    options.percent = 50;
    create();
    for (uint32_t i = 0; i < 200; i++) {
        char request[128];
        uint64_t before = records();
        snprintf(request, sizeof request,
                 "{\"op\": \"recommend\", \"user\": \"person-%u\", \"anon\": \"a%u\", \"n\": 1}",
                 i % 50, i);
        put(request);
        assert_int_equal(records() - before, wants("user", i % 50));
    }
    uint64_t before = records();
    for (uint32_t i = 0; i < 1000; i++) /* of nobody: by the decision */
        put("{\"op\": \"recommend\", \"n\": 1}");
    assert_in_range(records() - before, 400, 600);
    decision_log_destroy(&decisions);
}

static void test_putting_allocates_nothing(void **state)
{
    (void)state;
    create();
    (void)fixture_decide(&fixture, "{\"op\": \"recommend\", \"user\": \"u\", \"n\": 5}");
    uint64_t before = alloc_count();
    for (int i = 0; i < 100; i++)
        decision_log_put(decisions, fixture.worker, &fixture.env, &fixture.request,
                         &fixture.decision);
    assert_int_equal(alloc_count(), before);
    assert_int_equal(records(), 100);
    assert_false(decision_log_wants(NULL, &fixture.request));
    decision_log_put(NULL, fixture.worker, &fixture.env, &fixture.request, &fixture.decision);
    decision_log_destroy(&decisions);
}

static void test_a_disk_without_room_loses_nothing_that_was_gathered(void **state)
{
    (void)state;
    create();
    for (int i = 0; i < 100; i++)
        put("{\"op\": \"recommend\", \"user\": \"u\", \"n\": 5}");
    disk_fault_after(DISK_FAULT_WRITE, 0, ENOSPC);
    assert_int_equal(decision_log_start(decisions, &err), ERR_OK);
    decision_log_stop(decisions);
    struct event_log_stats stats;
    event_log_stats(decision_log_disk(decisions), &stats);
    assert_true(stats.commit_failures >= 1);
    assert_false(stats.failed);
    struct decision_log_status status;
    decision_log_status(decisions, &status);
    assert_int_equal(status.state, DECISION_LOG_DISK_FULL);
    assert_int_equal(status.err.code, ERR_DISK_FULL);
    assert_int_equal(status.committed_ms, 0);
    assert_int_equal(stats.gathered, 100);
    assert_int_equal(count_on_disk(), 0);
    disk_fault_off();
    assert_int_equal(event_log_commit(decision_log_disk(decisions), &err), ERR_OK);
    assert_int_equal(count_on_disk(), 100);
    decision_log_destroy(&decisions);
}

static void test_the_log_stays_within_its_size(void **state)
{
    (void)state;
    struct event_log_stats stats;
    create();
    for (int round = 0; round < 8; round++) {
        for (int i = 0; i < 1000; i++)
            put(long_request());
        assert_int_equal(decision_log_start(decisions, &err), ERR_OK);
        decision_log_stop(decisions);
        decision_log_destroy(&decisions);
        create();
    }
    event_log_stats(decision_log_disk(decisions), &stats);
    assert_true(stats.bytes_used <= stats.bytes_max);
    assert_true(stats.first_sequence > 1 && stats.last_sequence == 8000);
    assert_int_equal(count_on_disk(), stats.last_sequence - stats.first_sequence + 1);
    decision_log_destroy(&decisions);
}

static void test_an_event_log_is_no_decision_log(void **state)
{
    (void)state;
    struct event_log *events = NULL;
    assert_int_equal(event_log_open(&options.disk, &events, &err), ERR_OK);
    event_log_close(&events);
    assert_int_equal(decision_log_create(&options, &decisions, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "decided decision log 1"));
}

static void test_without_memory(void **state)
{
    (void)state;
    for (uint32_t n = 0; n < 10; n++) {
        alloc_fail_after(n);
        enum err_code rc = decision_log_create(&options, &decisions, &err);
        bool failed = alloc_fail_off();
        assert_int_equal(rc, failed ? ERR_NOMEM : ERR_OK);
        if (!failed) {
            assert_true(n >= 3);
            decision_log_destroy(&decisions);
            return;
        }
    }
    fail();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_what_was_put_is_there_after_a_stop_and_a_new_start),
        TEST(test_full_ring_drops_and_counts),
        TEST(test_a_decision_that_does_not_fit_is_counted),
        TEST(test_samples_are_near_their_share_and_nested),
        TEST(test_the_sample_is_the_same_everywhere),
        TEST(test_all_of_a_person_or_nothing),
        TEST(test_putting_allocates_nothing),
        TEST(test_a_disk_without_room_loses_nothing_that_was_gathered),
        TEST(test_the_log_stays_within_its_size),
        TEST(test_an_event_log_is_no_decision_log),
        TEST(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
