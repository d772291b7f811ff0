/* SPDX-License-Identifier: Apache-2.0 */
/* Imports: each line is counted once, whatever the daemon answers and wherever one resumes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "featurestore/event.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/import_rig.h"
#include "tests/support/temp_dir.h"
#include "tools/ctl/import.h"

static void test_every_line_is_counted_once(void **state)
{
    (void)state;
    struct import_rig f;
    import_rig_create(&f, "f.csv", "n,u,q\n1,a,1\n2,,1\n3,a,0\n4,a,x\n5,a\n6,a,2\n7,,0\n6,a,2\n");
    temp_dir_write_text(
        &f.dir, "m.json",
        "{\"keep\": [{\"name\": \"known\", \"column\": \"u\", \"not_empty\": true}, "
        "{\"name\": \"some\", \"column\": \"q\", \"above\": 0}], \"events\": {\"id\": "
        "\"{n}\", \"type\": \"view\", \"user\": \"{u}\"}}");
    f.job.reader.map_path = temp_dir_path(&f.dir, "m.json", f.map_path);
    f.job.errors_path = temp_dir_path(&f.dir, "errors", f.errors_path);
    assert_int_equal(import_rig_run(&f), ERR_OK);
    assert_int_equal(f.result.lines, 8);
    assert_int_equal(f.result.kept, 3);
    assert_int_equal(f.result.rule_count, 2);
    assert_string_equal(f.result.rule[0].name, "known");
    assert_int_equal(f.result.rule[0].count, 2);
    assert_int_equal(f.result.rule[1].count, 1);
    assert_int_equal(f.result.errors, 2);
    assert_int_equal(f.result.accepted, 2);
    assert_int_equal(f.result.duplicate, 1);
    assert_int_equal(f.result.rejected, 0);
    assert_int_equal(f.result.line_done, 9); /* bad and left out or not */
    assert_non_null(strstr(f.messages, "f.csv: line 5, field q: expected a number, got 'x'\n"));
    FILE *errors = fopen(f.errors_path, "r");
    char text[256] = "";
    assert_non_null(errors);
    assert_true(fread(text, 1, sizeof text - 1, errors) > 0);
    fclose(errors);
    assert_string_equal(text, "line 5, field q: expected a number, got 'x'\n"
                              "line 6, field q: missing, the line has 2 fields of 3\n");
    import_rig_destroy(&f);
}

static void test_batches_keep_the_limits(void **state)
{
    (void)state;
    struct import_rig f;
    char *lines = import_rig_lines(2 * EVENT_BATCH_MAX + 1);
    import_rig_create(&f, "f.ndjson", lines);
    assert_int_equal(import_rig_run(&f), ERR_OK);
    assert_int_equal(f.fake.calls, 3);
    assert_int_equal(f.fake.batch_events_max, EVENT_BATCH_MAX);
    assert_int_equal(f.result.accepted, 2 * EVENT_BATCH_MAX + 1);
    assert_int_equal(f.result.line_done, 2 * EVENT_BATCH_MAX + 1);
    import_rig_destroy(&f);
    free(lines);

    struct buffer buffer = {0};
    size_t len;
    enum { BIG_COUNT = 40, BIG_BYTES = 30000 };
    char *big = malloc(BIG_BYTES + 1);
    assert_non_null(big);
    memset(big, 'x', BIG_BYTES);
    big[BIG_BYTES] = '\0';
    for (int i = 1; i <= BIG_COUNT; i++) {
        buffer_put_fmt(&buffer,
                       "{\"id\":\"%d\",\"type\":\"view\",\"user\":\"u\",\"props\":{\"x\":\"", i);
        buffer_put_str(&buffer, big);
        buffer_put_str(&buffer, "\"}}\n");
    }
    lines = buffer_take(&buffer, &len);
    import_rig_create(&f, "f.ndjson", lines);
    assert_int_equal(import_rig_run(&f), ERR_OK);
    assert_int_equal(f.result.accepted, BIG_COUNT);
    assert_true(f.fake.batch_bytes_max <= EVENT_BATCH_BYTES_MAX);
    assert_true(f.fake.batch_bytes_max > EVENT_BATCH_BYTES_MAX - BIG_BYTES - 100);
    import_rig_destroy(&f);
    free(lines);
    free(big);
}

static void test_rejections_name_their_lines(void **state)
{
    (void)state;
    struct import_rig f;
    char *lines = import_rig_lines(1000);
    char *bad = malloc(strlen(lines) + 64);
    strcpy(stpcpy(bad, "\n{\"id\":\"x\",\"type\":\"viev\"}\n"),
           lines); /* two lines before event 1 */
    import_rig_create(&f, "f.ndjson", bad);
    f.fake.reject_every = 7;
    f.job.errors_path = temp_dir_path(&f.dir, "errors", f.errors_path);
    assert_int_equal(import_rig_run(&f), ERR_OK);
    assert_int_equal(f.result.rejected, 142);
    assert_int_equal(f.result.errors, 143);
    assert_int_equal(f.result.accepted, 1000 - 142);
    assert_non_null(strstr(f.messages, ": line 2, field type: there is no type 'viev'\n"));
    assert_non_null(strstr(f.messages, ": line 9, rejected: items: no place left\n"));
    assert_non_null(strstr(f.messages, ": line 16, rejected: items: no place left\n"));
    char *text = calloc(1, 65536);
    FILE *errors = fopen(f.errors_path, "r");
    assert_true(text != NULL && errors != NULL && fread(text, 1, 65535, errors) > 0);
    fclose(errors);
    assert_non_null(strstr(text, "line 702, rejected: items: no place left\n"));
    assert_non_null(strstr(text, "lines 3 to 1002: 42 more were rejected\n"));
    free(text);
    size_t shown = 0;
    for (const char *at = f.messages; (at = strstr(at, "decidectl: ")) != NULL; at++)
        shown++;
    assert_int_equal(shown, IMPORT_SHOWN_MAX + 1);
    import_rig_destroy(&f);
    free(bad);
    free(lines);
}

static void test_overload_is_waited_out(void **state)
{
    (void)state;
    struct import_rig f;
    import_rig_create(&f, "f.ndjson", "{\"id\":\"1\",\"type\":\"view\",\"user\":\"u\"}\n");
    for (uint32_t i = 0; i < 10; i++)
        f.fake.script[i] = IMPORT_LATER;
    f.fake.script_count = 10;
    assert_int_equal(import_rig_run(&f), ERR_OK);
    assert_int_equal(f.fake.pauses, 10);
    assert_int_equal(f.fake.paused_us, 10000 * 127 + 3 * 1000000);
    assert_int_equal(f.result.accepted, 1);
    import_rig_destroy(&f);
}

static void test_what_cannot_be_sent_ends_the_import(void **state)
{
    (void)state;
    static const struct {
        enum import_answer first, second;
        uint32_t calls, pauses;
    } cases[] = {
        {IMPORT_REFUSED, IMPORT_TAKEN, 1, 0},
        {IMPORT_LATER, IMPORT_REFUSED, 2, 1},
    };
    char *lines = import_rig_lines(3 * EVENT_BATCH_MAX);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct import_rig f;
        import_rig_create(&f, "f.ndjson", lines);
        f.fake.script[0] = cases[i].first;
        f.fake.script[1] = cases[i].second;
        f.fake.script_count = 2;
        assert_int_equal(import_rig_run(&f), ERR_IO);
        assert_non_null(strstr(f.err.text, "f.ndjson: answer"));
        assert_int_equal(f.fake.calls, cases[i].calls);
        assert_int_equal(f.fake.pauses, cases[i].pauses);
        assert_int_equal(f.result.accepted, 0);
        assert_int_equal(f.result.line_done, 0);
        import_rig_destroy(&f);
    }
    free(lines);
}

static void test_patience_ends_after_a_minute(void **state)
{
    (void)state;
    struct import_rig f;
    import_rig_create(&f, "f.ndjson", "{\"id\":\"1\",\"type\":\"view\",\"user\":\"u\"}\n");
    f.fake.is_overloaded = true;
    assert_int_equal(import_rig_run(&f), ERR_IO);
    assert_in_range(f.fake.paused_us * 1000, IMPORT_PATIENCE_NS,
                    IMPORT_PATIENCE_NS + UINT64_C(1000000000));
    assert_int_equal(f.result.accepted, 0);
    import_rig_destroy(&f);
}

/* Stopped in the middle and begun again: nothing is lost, nothing counts twice. */
static void test_resumes_from_a_line_or_from_the_start(void **state)
{
    (void)state;
    enum { COUNT = 2 * EVENT_BATCH_MAX + 500 };
    char *lines = import_rig_lines(COUNT);
    for (int from_start = 0; from_start < 2; from_start++) {
        struct import_rig f;
        import_rig_create(&f, "f.ndjson", lines);
        f.fake.stop_after_calls = 1;
        assert_int_equal(import_rig_run(&f), ERR_IO);
        assert_non_null(strstr(f.err.text, "interrupted"));
        uint64_t done = f.result.line_done;
        assert_in_range(done, EVENT_BATCH_MAX, COUNT - 1);
        assert_int_equal(f.fake.count, done);
        assert_int_equal(f.result.accepted, done);

        f.fake.stop = 0;
        f.fake.stop_after_calls = 0;
        f.job.from_line = from_start ? 0 : done + 1;
        assert_int_equal(import_rig_run(&f), ERR_OK);
        assert_int_equal(f.fake.count, COUNT);
        assert_int_equal(f.result.accepted, COUNT - done);
        assert_int_equal(f.result.duplicate, from_start ? done : 0);
        assert_int_equal(f.result.lines, from_start ? COUNT : COUNT - done);
        import_rig_destroy(&f);
    }
    free(lines);
}

static void test_since_and_before_choose_by_event_time(void **state)
{
    (void)state;
    struct import_rig f;
    char *lines = import_rig_lines(100);
    import_rig_create(&f, "f.ndjson", lines);
    f.job.since_ms = INT64_C(1577836810000);
    f.job.before_ms = INT64_C(1577836815000);
    assert_int_equal(import_rig_run(&f), ERR_OK);
    assert_int_equal(f.result.kept, 5);
    assert_int_equal(f.result.outside, 95);
    assert_int_equal(f.fake.ids[0], 10);
    assert_int_equal(f.fake.ids[4], 14);
    import_rig_destroy(&f);
    free(lines);
}

static void test_too_many_errors_end_the_import(void **state)
{
    (void)state;
    struct import_rig f;
    import_rig_create(&f, "f.ndjson",
                      "{\"id\":\"1\",\"type\":\"view\",\"user\":\"u\"}\nx\nx\nx\n"
                      "{\"id\":\"2\",\"type\":\"view\",\"user\":\"u\"}\n");
    f.job.errors_max = 0;
    f.job.from_line = 2; /* nothing to send before it ends */
    assert_int_equal(import_rig_run(&f), ERR_LIMIT);
    assert_int_equal(f.result.line_done, 2);
    f.job.from_line = 0;
    f.job.errors_max = 2;
    assert_int_equal(import_rig_run(&f), ERR_LIMIT);
    assert_non_null(strstr(f.err.text, "stopped after 3 errors"));
    assert_int_equal(f.result.accepted, 1); /* what was good before is not lost */
    assert_int_equal(f.result.line_done, 4);
    f.job.errors_max = 3;
    assert_int_equal(import_rig_run(&f), ERR_OK);
    assert_int_equal(f.result.line_done, 5);
    assert_int_equal(f.result.accepted, 1);
    assert_int_equal(f.result.duplicate, 1);
    import_rig_destroy(&f);
}

static void test_a_file_that_cannot_be_read(void **state)
{
    (void)state;
    struct import_rig f;
    import_rig_create(&f, "f.ndjson.gz", "\x1f\x8b\x08");
    assert_int_equal(import_rig_run(&f), ERR_BAD_INPUT);
    assert_non_null(strstr(f.err.text, "the gzip data breaks off at byte 3"));
    f.job.path = "/nonexistent.ndjson";
    assert_int_equal(import_rig_run(&f), ERR_NOT_FOUND);
    f.job.path = f.path;
    temp_dir_write_text(&f.dir, "f.ndjson.gz", "");
    f.job.errors_path = "/nonexistent/errors";
    assert_int_equal(import_rig_run(&f), ERR_IO);
    assert_int_equal(f.fake.calls, 0);
    import_rig_destroy(&f);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct import_rig f;
    import_rig_create(&f, "f.ndjson", "{\"id\":\"1\",\"type\":\"view\",\"user\":\"u\"}\n");
    struct import_link link = {&f.fake, &f.fake.clock.clock, import_rig_send, import_rig_pause};
    f.job.messages = stderr;
    for (uint32_t n = 0;; n++) {
        struct progress progress;
        progress_start_on(&progress, "", "", stderr, false, &f.fake.clock.clock);
        alloc_fail_after(n);
        enum err_code rc = import_run(&f.job, &link, &progress, &f.result, &f.err);
        bool failed = alloc_fail_off();
        if (!failed) {
            assert_int_equal(rc, ERR_OK);
            assert_true(n >= 4);
            break;
        }
        assert_int_equal(rc, ERR_NOMEM);
        assert_int_equal(f.fake.calls, 0);
    }
    import_rig_destroy(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_line_is_counted_once),
        cmocka_unit_test(test_batches_keep_the_limits),
        cmocka_unit_test(test_rejections_name_their_lines),
        cmocka_unit_test(test_overload_is_waited_out),
        cmocka_unit_test(test_what_cannot_be_sent_ends_the_import),
        cmocka_unit_test(test_patience_ends_after_a_minute),
        cmocka_unit_test(test_resumes_from_a_line_or_from_the_start),
        cmocka_unit_test(test_since_and_before_choose_by_event_time),
        cmocka_unit_test(test_too_many_errors_end_the_import),
        cmocka_unit_test(test_a_file_that_cannot_be_read),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
