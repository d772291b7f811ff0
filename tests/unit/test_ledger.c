/* SPDX-License-Identifier: Apache-2.0 */
/* A ledger: chained lines, full disks, crashes, several writers, and whoever edits it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <errno.h>

#include "base/file.h"
#include "base/json_line.h"
#include "base/ledger.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/disk_fault.h"
#include "tests/support/temp_dir.h"

#define FIRST_FILE "ledger/0000000000000001.jsonl"

struct bench {
    struct temp_dir dir;
    struct clock_manual clock;
    char path[2 * TEMP_DIR_BYTES];
    struct ledger *ledger;
    char fault[ERR_TEXT_BYTES]; /* the first one of the last verification */
};

static struct ledger *open_ledger(struct bench *bench)
{
    struct ledger *ledger = NULL;
    const struct ledger_options options = {
        .dir = bench->path, .bytes_max = 2 * LEDGER_FILE_BYTES, .clock = &bench->clock.clock};
    assert_int_equal(ledger_create(&options, &ledger, NULL), ERR_OK);
    return ledger;
}

static int setup(void **state)
{
    struct bench *bench = calloc(1, sizeof *bench);
    temp_dir_create(&bench->dir);
    clock_manual_init(&bench->clock, 1, INT64_C(1700000000000));
    temp_dir_path(&bench->dir, "ledger", bench->path);
    bench->ledger = open_ledger(bench);
    *state = bench;
    return 0;
}

static int teardown(void **state)
{
    struct bench *bench = *state;
    disk_fault_off();
    ledger_destroy(&bench->ledger);
    temp_dir_remove(&bench->dir);
    free(bench);
    return 0;
}

static enum err_code append(struct ledger *ledger, const char *text, struct err *err)
{
    struct ledger_head head;
    bool tampered = false;
    enum err_code rc = ledger_append(ledger, &LOG_STR("act", text), 1, &head, &tampered, err);
    assert_false(tampered);
    return rc;
}

static void add(struct bench *bench, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(append(bench->ledger, "mode", NULL), ERR_OK);
}

static void note_fault(void *ctx, const struct err *err)
{
    struct bench *bench = ctx;
    if (bench->fault[0] == '\0')
        snprintf(bench->fault, sizeof bench->fault, "%s", err->text);
}

static struct ledger_report verify(struct bench *bench)
{
    struct ledger_report report = {0};
    struct err err = {.text = ""};
    bench->fault[0] = '\0';
    if (ledger_verify(bench->path, note_fault, bench, &report, &err) != ERR_OK)
        fail_msg("%s", err.text);
    return report;
}

static void is_whole(struct bench *bench, uint64_t lines)
{
    struct ledger_report report = verify(bench);
    if (report.faults != 0)
        fail_msg("%s", bench->fault);
    assert_int_equal(report.lines, lines);
    assert_int_equal(report.head.sequence, report.first + lines - 1);
}

/* The first file, for the test to change; the caller frees it. */
static char *take_file(struct bench *bench, size_t *ret_len)
{
    char path[2 * TEMP_DIR_BYTES];
    uint8_t *bytes = NULL;
    assert_int_equal(
        file_read(temp_dir_path(&bench->dir, FIRST_FILE, path), 1 << 22, &bytes, ret_len, NULL),
        ERR_OK);
    return (char *)bytes;
}

/* The place of line n, from 0. */
static size_t line_at(const char *bytes, uint32_t n)
{
    const char *at = bytes;
    for (; n > 0; n--)
        at = strchr(at, '\n') + 1;
    return (size_t)(at - bytes);
}

static void test_lines_are_chained_and_private(void **state)
{
    struct bench *bench = *state;
    struct stat info;
    size_t len = 0;
    char path[2 * TEMP_DIR_BYTES];
    add(bench, 10);
    is_whole(bench, 10);
    char *bytes = take_file(bench, &len);
    assert_non_null(strstr(bytes, "{\"seq\":10,\"prev\":\""));
    assert_non_null(
        strstr(bytes, "\"ts\":\"2023-11-14T22:13:20.000Z\",\"act\":\"mode\",\"hash\":\""));
    free(bytes);
    assert_int_equal(stat(temp_dir_path(&bench->dir, FIRST_FILE, path), &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
}

static void test_every_changed_byte_is_found(void **state)
{
    struct bench *bench = *state;
    size_t len = 0;
    add(bench, 3);
    char *bytes = take_file(bench, &len);
    size_t last = line_at(bytes, 2);
    for (size_t i = 0; i < len; i++) {
        char before = bytes[i];
        bytes[i] ^= 1;
        temp_dir_write(&bench->dir, FIRST_FILE, bytes, len);
        struct ledger_report report = verify(bench);
        /* What is left of the last line (or of two that became one) looks like the work of a crash;
         * its hash, kept elsewhere, would say otherwise. */
        bool found =
            report.faults > 0 || (i + 1 >= last && (report.fragments == 1 || i + 1 == len));
        if (!found)
            fail_msg("byte %zu", i);
        bytes[i] = before;
    }
    free(bytes);
}

static void test_a_line_or_file_that_is_gone_is_found(void **state)
{
    struct bench *bench = *state;
    size_t len = 0;
    add(bench, 5);
    char *bytes = take_file(bench, &len);
    for (uint32_t n = 0; n < 4; n++) {
        char *copy = malloc(len);
        size_t from = line_at(bytes, n), to = line_at(bytes, n + 1);
        memcpy(copy, bytes, from);
        memcpy(copy + from, bytes + to, len - to);
        temp_dir_write(&bench->dir, FIRST_FILE, copy, len - (to - from));
        assert_int_equal(verify(bench).faults, 1);
        assert_non_null(strstr(bench->fault, "lines are missing or were changed"));
        free(copy);
    }
    free(bytes);
}

static void test_lines_taken_out_while_it_runs_are_noticed(void **state)
{
    struct bench *bench = *state;
    struct ledger_head head;
    bool tampered = false;
    size_t len = 0;
    add(bench, 3);
    char *bytes = take_file(bench, &len);
    temp_dir_write(&bench->dir, FIRST_FILE, bytes, line_at(bytes, 2));
    free(bytes);
    assert_int_equal(ledger_append(bench->ledger, &LOG_STR("act", "x"), 1, &head, &tampered, NULL),
                     ERR_OK);
    assert_true(tampered);
    assert_int_equal(head.sequence, 4);
    assert_int_equal(verify(bench).faults, 1);
    add(bench, 1);
    assert_int_equal(verify(bench).faults, 1);
}

static void test_a_full_disk_refuses_and_recovers(void **state)
{
    struct bench *bench = *state;
    struct err err = {.text = ""};
    add(bench, 2);
    disk_fault_after(DISK_FAULT_WRITE, 0, ENOSPC);
    assert_int_equal(append(bench->ledger, "x", &err), ERR_DISK_FULL);
    assert_non_null(strstr(err.text, "No space left"));
    disk_fault_after(DISK_FAULT_WRITE, 0, EIO);
    assert_int_equal(append(bench->ledger, "x", &err), ERR_IO);
    disk_fault_off();
    is_whole(bench, 2);
    disk_fault_after(DISK_FAULT_SYNC, 0, EIO);
    assert_int_equal(append(bench->ledger, "x", &err), ERR_IO); /* it may be there, or not */
    disk_fault_off();
    add(bench, 1);
    is_whole(bench, 4);
}

static void test_a_line_that_a_crash_cut_is_left_behind(void **state)
{
    struct bench *bench = *state;
    size_t len = 0;
    add(bench, 3);
    char *bytes = take_file(bench, &len);
    size_t last = line_at(bytes, 2);
    for (size_t cut = last; cut < len; cut += 40) {
        temp_dir_write(&bench->dir, FIRST_FILE, bytes, cut);
        struct ledger *after = open_ledger(bench); /* the next process */
        assert_int_equal(append(after, "next", NULL), ERR_OK);
        ledger_destroy(&after);
        is_whole(bench, 3);
        assert_int_equal(verify(bench).fragments, cut > last);
    }
    temp_dir_write(&bench->dir, FIRST_FILE, bytes, len - 1); /* whole but for its line feed */
    struct ledger *after = open_ledger(bench);
    assert_int_equal(append(after, "next", NULL), ERR_OK);
    ledger_destroy(&after);
    is_whole(bench, 4);
    free(bytes);
}

static void test_two_writers_share_one_chain(void **state)
{
    struct bench *bench = *state;
    struct ledger *other = open_ledger(bench);
    for (uint32_t i = 0; i < 10; i++) {
        add(bench, 1 + i % 2);
        assert_int_equal(append(other, "other", NULL), ERR_OK);
    }
    is_whole(bench, 25);
    ledger_destroy(&other);
}

static bool count_line(void *ctx, uint64_t sequence, struct text line)
{
    uint64_t *next = ctx;
    if (*next != 0)
        assert_int_equal(sequence, *next);
    assert_true(line.len > 0 && line.ptr[0] == '{');
    *next = sequence + 1;
    return true;
}

static void test_files_are_bounded_and_the_oldest_goes(void **state)
{
    struct bench *bench = *state;
    static char text[8000];
    char path[2 * TEMP_DIR_BYTES];
    uint64_t next = 0, late = 0;
    memset(text, 'x', sizeof text - 1); /* more than a line takes: it is cut */
    const uint32_t per_file = (uint32_t)(LEDGER_FILE_BYTES / JSON_LINE_BYTES);
    for (uint32_t i = 0; i < 2 * per_file + per_file / 2; i++)
        assert_int_equal(append(bench->ledger, text, NULL), ERR_OK);
    struct ledger_report report = verify(bench);
    assert_int_equal(report.faults, 0);
    assert_int_equal(report.files, 2);
    assert_true(report.first > 1);
    assert_int_equal(report.head.sequence, 2 * per_file + per_file / 2);
    assert_int_not_equal(access(temp_dir_path(&bench->dir, FIRST_FILE, path), F_OK), 0);
    assert_int_equal(ledger_read(bench->path, 1, count_line, &next, NULL), ERR_OK);
    assert_int_equal(next, report.head.sequence + 1);
    assert_int_equal(ledger_read(bench->path, report.head.sequence, count_line, &late, NULL),
                     ERR_OK);
    assert_int_equal(late, report.head.sequence + 1);
}

static void test_nothing_is_read_where_nothing_is(void **state)
{
    struct bench *bench = *state;
    struct ledger_report report;
    uint64_t next = 0;
    assert_int_equal(ledger_read(bench->path, 1, count_line, &next, NULL), ERR_OK);
    assert_int_equal(next, 0);
    assert_int_equal(ledger_verify(bench->path, note_fault, bench, &report, NULL), ERR_NOT_FOUND);
}

static void test_out_of_memory_is_an_error(void **state)
{
    struct bench *bench = *state;
    const struct ledger_options options = {
        .dir = bench->path, .bytes_max = 1 << 22, .clock = &bench->clock.clock};
    add(bench, 1);
    for (uint32_t n = 0;; n++) {
        struct ledger *ledger = NULL;
        alloc_fail_after(n);
        enum err_code rc = ledger_create(&options, &ledger, NULL);
        if (rc == ERR_OK)
            rc = append(ledger, "x", NULL);
        bool failed = alloc_fail_off();
        ledger_destroy(&ledger);
        assert_int_equal(rc, failed ? ERR_NOMEM : ERR_OK);
        if (!failed)
            break;
    }
    is_whole(bench, 2);
}

#define WITH_BENCH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_BENCH(test_lines_are_chained_and_private),
        WITH_BENCH(test_every_changed_byte_is_found),
        WITH_BENCH(test_a_line_or_file_that_is_gone_is_found),
        WITH_BENCH(test_lines_taken_out_while_it_runs_are_noticed),
        WITH_BENCH(test_a_full_disk_refuses_and_recovers),
        WITH_BENCH(test_a_line_that_a_crash_cut_is_left_behind),
        WITH_BENCH(test_two_writers_share_one_chain),
        WITH_BENCH(test_files_are_bounded_and_the_oldest_goes),
        WITH_BENCH(test_nothing_is_read_where_nothing_is),
        WITH_BENCH(test_out_of_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
