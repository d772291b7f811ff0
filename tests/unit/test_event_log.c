/* SPDX-License-Identifier: Apache-2.0 */
/* The log on disk: what was committed is read back, in order, after it was opened again; what is
 * old is pruned.  See test_event_log_damage.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "featurestore/event_log.h"
#include "tests/support/log_rig.h"
#include "tests/support/temp_dir.h"

#define DAY_MS INT64_C(86400000)

static void test_committed_records_are_read_back(void **state)
{
    (void)state;
    log_rig_check(1, 0);
    log_rig_add(1, 1);
    log_rig_check(1, 0); /* only gathered */
    assert_int_equal(event_log_gathered_count(log_rig_log), 1);
    assert_int_equal(event_log_commit(log_rig_log, &log_rig_err), ERR_OK);
    log_rig_add(2, 500);
    assert_int_equal(event_log_commit(log_rig_log, &log_rig_err), ERR_OK);
    assert_int_equal(event_log_gathered_count(log_rig_log), 0);
    log_rig_check(1, 501);
    log_rig_add(502, 10); /* and lost */
    log_rig_reopen();
    log_rig_check(1, 501);
    log_rig_add(502, 3);
    assert_int_equal(event_log_commit(log_rig_log, &log_rig_err), ERR_OK);
    log_rig_check(1, 504);
}

static void test_reading_begins_anywhere(void **state)
{
    (void)state;
    struct event_log_reader reader;
    struct event_record record;
    log_rig_add(1, 20);
    assert_int_equal(event_log_commit(log_rig_log, &log_rig_err), ERR_OK);
    assert_int_equal(event_log_read_begin(log_rig_log, 13, &reader, &log_rig_err), ERR_OK);
    log_rig_add(21, 5); /* a reader sees what was there when it began */
    assert_int_equal(event_log_commit(log_rig_log, &log_rig_err), ERR_OK);
    for (uint64_t i = 13; i <= 20; i++) {
        assert_int_equal(event_log_read_next(&reader, &record, &log_rig_err), ERR_OK);
        assert_int_equal(record.sequence, i);
    }
    assert_int_equal(event_log_read_next(&reader, &record, &log_rig_err), ERR_NOT_FOUND);
    event_log_read_end(&reader);
    assert_int_equal(event_log_read_begin(log_rig_log, 26, &reader, &log_rig_err), ERR_OK);
    assert_int_equal(event_log_read_next(&reader, &record, &log_rig_err), ERR_NOT_FOUND);
    event_log_read_end(&reader);
}

static void test_only_what_a_checkpoint_covers_is_pruned(void **state)
{
    (void)state;
    struct event_log_stats stats;
    log_rig_options.retain_ms = DAY_MS;
    log_rig_reopen();
    log_rig_add(1, 1000);
    assert_int_equal(event_log_commit(log_rig_log, &log_rig_err), ERR_OK);
    clock_manual_advance_ns(&log_rig_clock, UINT64_C(2) * DAY_MS * 1000000);
    log_rig_add(1001, 10);
    assert_int_equal(event_log_commit(log_rig_log, &log_rig_err), ERR_OK);
    log_rig_check(1, 1010); /* old, but no checkpoint */
    event_log_allow_prune(log_rig_log, 300, 300);
    for (uint64_t i = 1011; i <= 1030; i++) {
        log_rig_add(i, 1);
        assert_int_equal(event_log_commit(log_rig_log, &log_rig_err), ERR_OK);
    }
    log_rig_check(301, 1030);
    event_log_stats(log_rig_log, &stats);
    assert_int_equal(stats.pruned, 300);
    log_rig_reopen();
    log_rig_check(301, 1030);
}

static void test_old_records_go_also_when_nothing_is_added(void **state)
{
    (void)state;
    struct event_log_stats stats;
    log_rig_options.retain_ms = DAY_MS;
    log_rig_reopen();
    log_rig_add(1, 1000);
    assert_int_equal(event_log_commit(log_rig_log, &log_rig_err), ERR_OK);
    event_log_allow_prune(log_rig_log, UINT64_MAX, UINT64_MAX);
    assert_int_equal(event_log_prune(log_rig_log, &log_rig_err), ERR_OK);
    log_rig_check(1, 1000); /* not old yet */
    clock_manual_advance_ns(&log_rig_clock, UINT64_C(2) * DAY_MS * 1000000);
    for (int i = 0; i < 20; i++)
        assert_int_equal(event_log_prune(log_rig_log, &log_rig_err), ERR_OK);
    event_log_stats(log_rig_log, &stats);
    assert_int_equal(stats.pruned, 999);
    log_rig_check(1000, 1000); /* the last one stays, and with it the sequence */
}

static void test_notes(void **state)
{
    (void)state;
    char text[16];
    size_t len = 0;
    assert_int_equal(event_log_get_note(log_rig_log, "x", text, sizeof text, &len, &log_rig_err),
                     ERR_NOT_FOUND);
    assert_int_equal(event_log_put_note(log_rig_log, "x", "hello", 5, &log_rig_err), ERR_OK);
    log_rig_reopen();
    assert_int_equal(event_log_get_note(log_rig_log, "x", text, sizeof text, &len, &log_rig_err),
                     ERR_OK);
    assert_int_equal(len, 5);
    assert_memory_equal(text, "hello", 5);
    assert_int_equal(event_log_get_note(log_rig_log, "x", text, 4, &len, &log_rig_err),
                     ERR_CORRUPT);
}

static void test_what_cannot_be_opened(void **state)
{
    (void)state;
    struct event_log *other = NULL;
    struct event_log_options bad = log_rig_options;
    bad.bytes_max = EVENT_LOG_BYTES_MIN - 1;
    assert_int_equal(event_log_open(&bad, &other, &log_rig_err), ERR_LIMIT);
    event_log_close(&log_rig_log);
    assert_int_equal(event_log_open(&log_rig_options, &log_rig_log, &log_rig_err), ERR_OK);
    assert_int_equal(
        event_log_put_note(log_rig_log, "format", "decided event log 9", 19, &log_rig_err), ERR_OK);
    event_log_close(&log_rig_log);
    assert_int_equal(event_log_open(&log_rig_options, &log_rig_log, &log_rig_err), ERR_UNSUPPORTED);
    assert_non_null(strstr(log_rig_err.text, "log 9"));
    temp_dir_write_text(&log_rig_dir, "data.mdb",
                        "this is no database, whatever its name says it should be");
    assert_int_not_equal(event_log_open(&log_rig_options, &log_rig_log, &log_rig_err), ERR_OK);
    bad = log_rig_options;
    bad.dir = "/proc/no/such";
    assert_int_not_equal(event_log_open(&bad, &log_rig_log, &log_rig_err), ERR_OK);
    bad = log_rig_options;
    bad.read_only = true;
    bad.dir = "/nonexistent";
    assert_int_equal(event_log_open(&bad, &log_rig_log, &log_rig_err), ERR_NOT_FOUND);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, log_rig_set_up, log_rig_tear_down)
    const struct CMUnitTest tests[] = {
        T(test_committed_records_are_read_back),
        T(test_reading_begins_anywhere),
        T(test_only_what_a_checkpoint_covers_is_pruned),
        T(test_old_records_go_also_when_nothing_is_added),
        T(test_notes),
        T(test_what_cannot_be_opened),
    };
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
