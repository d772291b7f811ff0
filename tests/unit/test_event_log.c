/* SPDX-License-Identifier: Apache-2.0 */
/* The log on disk: what was committed is read back, in order, after it was opened again; a full or
 * failing disk loses nothing that was committed; a changed byte is found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "featurestore/event_log.h"
#include "tests/support/disk_fault.h"
#include "tests/support/temp_dir.h"

#define NOW_MS INT64_C(1700000000000)
#define DAY_MS INT64_C(86400000)

static struct clock_manual now;
static struct temp_dir dir;
static struct event_log *event_log;
static struct event_log_options options;
static struct err err;

static int set_up(void **state)
{
    (void)state;
    temp_dir_create(&dir);
    clock_manual_init(&now, 1, NOW_MS);
    options = (struct event_log_options){
        .dir = dir.path, .bytes_max = EVENT_LOG_BYTES_MIN, .clock = &now.clock};
    return event_log_open(&options, &event_log, &err) == ERR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    disk_fault_off();
    event_log_close(&event_log);
    temp_dir_remove(&dir);
    return 0;
}

static void reopen(void)
{
    event_log_close(&event_log);
    assert_int_equal(event_log_open(&options, &event_log, &err), ERR_OK);
}

/* An event whose bytes and fields follow from its number. */
static void make(uint64_t number, char *bytes, struct event_record *ret_record)
{
    size_t len = 20 + number % 700;
    memset(bytes, (int)('a' + number % 26), len);
    *ret_record = (struct event_record){.arrival_ms = NOW_MS + (int64_t)number,
                                        .skew_ms = (int32_t)(number % 2000) - 1000,
                                        .type = (enum event_type)(number % EVENT_TYPE_COUNT),
                                        .event = {bytes, (uint32_t)len}};
}

static void add(uint64_t first, uint64_t count)
{
    char bytes[1000];
    struct event_record record;
    for (uint64_t i = first; i < first + count; i++) {
        make(i, bytes, &record);
        assert_int_equal(event_log_reserve(event_log, record.event.len, &err), ERR_OK);
        event_log_add(event_log, &record);
    }
}

/* The log holds the records first..last and nothing else. */
static void check_holds(uint64_t first, uint64_t last)
{
    struct event_log_reader reader;
    char bytes[1000];
    assert_int_equal(event_log_read_begin(event_log, 1, &reader, &err), ERR_OK);
    for (uint64_t i = first; i <= last; i++) {
        struct event_record want, got;
        make(i, bytes, &want);
        assert_int_equal(event_log_read_next(&reader, &got, &err), ERR_OK);
        assert_int_equal(got.sequence, i);
        assert_int_equal(got.arrival_ms, want.arrival_ms);
        assert_int_equal(got.skew_ms, want.skew_ms);
        assert_int_equal(got.origin, 0);
        assert_int_equal(got.type, want.type);
        assert_int_equal(got.event.len, want.event.len);
        assert_memory_equal(got.event.ptr, want.event.ptr, want.event.len);
    }
    struct event_record none;
    assert_int_equal(event_log_read_next(&reader, &none, &err), ERR_NOT_FOUND);
    event_log_read_end(&reader);
    struct event_log_stats stats;
    event_log_stats(event_log, &stats);
    assert_int_equal(stats.first_sequence, last == 0 ? 0 : first);
    assert_int_equal(stats.last_sequence, last);
}

static void test_committed_records_are_read_back(void **state)
{
    (void)state;
    check_holds(1, 0);
    add(1, 1);
    check_holds(1, 0); /* only gathered */
    assert_int_equal(event_log_gathered_count(event_log), 1);
    assert_int_equal(event_log_commit(event_log, &err), ERR_OK);
    add(2, 500);
    assert_int_equal(event_log_commit(event_log, &err), ERR_OK);
    assert_int_equal(event_log_gathered_count(event_log), 0);
    check_holds(1, 501);
    add(502, 10); /* and lost */
    reopen();
    check_holds(1, 501);
    add(502, 3);
    assert_int_equal(event_log_commit(event_log, &err), ERR_OK);
    check_holds(1, 504);
}

static void test_reading_begins_anywhere(void **state)
{
    (void)state;
    struct event_log_reader reader;
    struct event_record record;
    add(1, 20);
    assert_int_equal(event_log_commit(event_log, &err), ERR_OK);
    assert_int_equal(event_log_read_begin(event_log, 13, &reader, &err), ERR_OK);
    add(21, 5); /* a reader sees what was there when it began */
    assert_int_equal(event_log_commit(event_log, &err), ERR_OK);
    for (uint64_t i = 13; i <= 20; i++) {
        assert_int_equal(event_log_read_next(&reader, &record, &err), ERR_OK);
        assert_int_equal(record.sequence, i);
    }
    assert_int_equal(event_log_read_next(&reader, &record, &err), ERR_NOT_FOUND);
    event_log_read_end(&reader);
    assert_int_equal(event_log_read_begin(event_log, 26, &reader, &err), ERR_OK);
    assert_int_equal(event_log_read_next(&reader, &record, &err), ERR_NOT_FOUND);
    event_log_read_end(&reader);
}

static void test_only_what_a_checkpoint_covers_is_pruned(void **state)
{
    (void)state;
    struct event_log_stats stats;
    options.retain_ms = DAY_MS;
    reopen();
    add(1, 1000);
    assert_int_equal(event_log_commit(event_log, &err), ERR_OK);
    clock_manual_advance_ns(&now, UINT64_C(2) * DAY_MS * 1000000);
    add(1001, 10);
    assert_int_equal(event_log_commit(event_log, &err), ERR_OK);
    check_holds(1, 1010); /* old, but no checkpoint */
    event_log_allow_prune(event_log, 300, 300);
    for (uint64_t i = 1011; i <= 1030; i++) {
        add(i, 1);
        assert_int_equal(event_log_commit(event_log, &err), ERR_OK);
    }
    check_holds(301, 1030);
    event_log_stats(event_log, &stats);
    assert_int_equal(stats.pruned, 300);
    reopen();
    check_holds(301, 1030);
}

static void test_old_records_go_also_when_nothing_is_added(void **state)
{
    (void)state;
    struct event_log_stats stats;
    options.retain_ms = DAY_MS;
    reopen();
    add(1, 1000);
    assert_int_equal(event_log_commit(event_log, &err), ERR_OK);
    event_log_allow_prune(event_log, UINT64_MAX, UINT64_MAX);
    assert_int_equal(event_log_prune(event_log, &err), ERR_OK);
    check_holds(1, 1000); /* not old yet */
    clock_manual_advance_ns(&now, UINT64_C(2) * DAY_MS * 1000000);
    for (int i = 0; i < 20; i++)
        assert_int_equal(event_log_prune(event_log, &err), ERR_OK);
    event_log_stats(event_log, &stats);
    assert_int_equal(stats.pruned, 999);
    check_holds(1000, 1000); /* the last one stays, and with it the sequence */
}

static void test_full_log_refuses_until_it_may_be_pruned(void **state)
{
    (void)state;
    struct event_log_stats stats;
    uint64_t last = 0;
    enum err_code rc = ERR_OK;
    while (rc == ERR_OK && last < 1000000) {
        add(last + 1, 256);
        rc = event_log_commit(event_log, &err);
        last += 256;
    }
    assert_int_equal(rc, ERR_DISK_FULL);
    assert_non_null(strstr(err.text, "checkpoint"));
    check_holds(1, last - 256);
    assert_int_equal(event_log_commit(event_log, &err),
                     ERR_DISK_FULL); /* still, and nothing changes */
    event_log_allow_prune(event_log, last - 256, last - 256);
    assert_int_equal(event_log_commit(event_log, &err), ERR_OK);
    event_log_stats(event_log, &stats);
    assert_true(stats.bytes_used <= stats.bytes_max);
    check_holds(stats.first_sequence, last);
    for (int i = 0; i < 300; i++) { /* and it goes on like that */
        event_log_allow_prune(event_log, last - 100, last - 100);
        add(last + 1, 256);
        assert_int_equal(event_log_commit(event_log, &err), ERR_OK);
        last += 256;
    }
    event_log_stats(event_log, &stats);
    check_holds(stats.first_sequence, last);
}

static void test_disk_full_is_over_when_there_is_room(void **state)
{
    (void)state;
    struct event_log_stats stats;
    add(1, 10);
    assert_int_equal(event_log_commit(event_log, &err), ERR_OK);
    add(11, 10);
    disk_fault_after(DISK_FAULT_WRITE, 0, ENOSPC);
    assert_int_equal(event_log_commit(event_log, &err), ERR_DISK_FULL);
    assert_true(disk_fault_count(DISK_FAULT_WRITE) > 0);
    add(21, 1); /* gathering goes on */
    assert_int_equal(event_log_commit(event_log, &err), ERR_DISK_FULL);
    disk_fault_off();
    check_holds(1, 10);
    assert_int_equal(event_log_commit(event_log, &err), ERR_OK);
    check_holds(1, 21);
    event_log_stats(event_log, &stats);
    assert_int_equal(stats.commit_failures, 2);
    assert_false(stats.failed);
}

static void test_reserve_is_left_alone(void **state)
{
    (void)state;
    options.disk_reserve_bytes = UINT64_MAX;
    reopen();
    assert_int_equal(event_log_check_room(event_log, &err), ERR_DISK_FULL);
    add(1, 1);
    assert_int_equal(event_log_commit(event_log, &err), ERR_DISK_FULL);
    assert_int_equal(event_log_put_note(event_log, "n", "x", 1, &err), ERR_DISK_FULL);
    check_holds(1, 0);
}

/* Whichever write or sync fails: the commit says so, the log takes nothing more, and what is on
 * disk is either the state before or the state after. */
static void check_failing(enum disk_fault_call call, uint64_t committed)
{
    for (uint32_t n = 0;; n++) {
        uint64_t last = committed;
        add(last + 1, 50);
        disk_fault_after(call, n, EIO);
        enum err_code rc = event_log_commit(event_log, &err);
        disk_fault_off();
        if (rc == ERR_OK) {
            assert_true(n > 0);
            return;
        }
        assert_int_equal(rc, ERR_IO);
        assert_int_equal(event_log_commit(event_log, &err), ERR_IO); /* never again, silently */
        assert_int_equal(event_log_check_room(event_log, &err), ERR_IO);
        reopen();
        struct event_log_stats stats;
        event_log_stats(event_log, &stats);
        assert_true(stats.last_sequence == last || stats.last_sequence == last + 50);
        check_holds(1, stats.last_sequence);
        committed = stats.last_sequence;
        assert_true(n < 100);
    }
}

static void test_failing_disk(void **state)
{
    (void)state;
    struct event_log_stats stats;
    add(1, 10);
    assert_int_equal(event_log_commit(event_log, &err), ERR_OK);
    check_failing(DISK_FAULT_WRITE, 10);
    event_log_stats(event_log, &stats);
    check_failing(DISK_FAULT_SYNC, stats.last_sequence);
}

/* Turns one byte of data.mdb that holds `text`. */
static void flip_byte(const char *text, size_t offset)
{
    char path[2 * TEMP_DIR_BYTES];
    uint8_t *bytes = NULL;
    size_t len = 0;
    assert_int_equal(
        file_read(temp_dir_path(&dir, "data.mdb", path), SIZE_MAX / 2, &bytes, &len, &err), ERR_OK);
    uint8_t *at = memmem(bytes, len, text, strlen(text));
    assert_non_null(at);
    int fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    uint8_t flipped = at[offset] ^ 1;
    assert_int_equal(pwrite(fd, &flipped, 1, at + offset - bytes), 1);
    close(fd);
    free(bytes);
}

static void test_flipped_byte_is_found(void **state)
{
    (void)state;
    struct event_log_reader reader;
    struct event_record record;
    add(1, 30);
    assert_int_equal(event_log_commit(event_log, &err), ERR_OK);
    event_log_close(&event_log);
    char needle[38];
    memset(needle, 'a' + 17, sizeof needle - 1); /* record 17, and no other */
    needle[sizeof needle - 1] = '\0';
    flip_byte(needle, 5);
    assert_int_equal(event_log_open(&options, &event_log, &err), ERR_OK);
    assert_int_equal(event_log_read_begin(event_log, 1, &reader, &err), ERR_OK);
    for (int i = 1; i <= 16; i++)
        assert_int_equal(event_log_read_next(&reader, &record, &err), ERR_OK);
    assert_int_equal(event_log_read_next(&reader, &record, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.text, "record 17"));
    event_log_read_end(&reader);
}

/* Wherever the file was cut: an error, no death. */
static void test_cut_file_is_found(void **state)
{
    (void)state;
    char path[2 * TEMP_DIR_BYTES];
    struct stat whole;
    temp_dir_path(&dir, "data.mdb", path);
    for (uint64_t last = 0; last < 3000; last += 300) {
        add(last + 1, 300);
        assert_int_equal(event_log_commit(event_log, &err), ERR_OK);
    }
    event_log_close(&event_log);
    assert_int_equal(stat(path, &whole), 0);
    uint8_t *bytes = NULL;
    size_t len = 0;
    assert_int_equal(file_read(path, SIZE_MAX / 2, &bytes, &len, &err), ERR_OK);
    for (int i = 1; i < 40; i++) {
        off_t cut = whole.st_size * i / 40;
        for (int read_only = 0; read_only <= 1; read_only++) {
            temp_dir_write(&dir, "data.mdb", bytes, (size_t)cut);
            options.read_only = read_only == 1;
            struct event_log_reader reader;
            struct event_record record;
            enum err_code rc = event_log_open(&options, &event_log, &err);
            if (rc == ERR_OK &&
                (rc = event_log_read_begin(event_log, 1, &reader, &err)) == ERR_OK) {
                while ((rc = event_log_read_next(&reader, &record, &err)) == ERR_OK)
                    continue;
                event_log_read_end(&reader);
            }
            assert_true(rc == ERR_CORRUPT || rc == ERR_IO);
            event_log_close(&event_log);
        }
    }
    free(bytes);
    options.read_only = false;
}

static void test_notes(void **state)
{
    (void)state;
    char text[16];
    size_t len = 0;
    assert_int_equal(event_log_get_note(event_log, "x", text, sizeof text, &len, &err),
                     ERR_NOT_FOUND);
    assert_int_equal(event_log_put_note(event_log, "x", "hello", 5, &err), ERR_OK);
    reopen();
    assert_int_equal(event_log_get_note(event_log, "x", text, sizeof text, &len, &err), ERR_OK);
    assert_int_equal(len, 5);
    assert_memory_equal(text, "hello", 5);
    assert_int_equal(event_log_get_note(event_log, "x", text, 4, &len, &err), ERR_CORRUPT);
}

static void test_what_cannot_be_opened(void **state)
{
    (void)state;
    struct event_log *other = NULL;
    struct event_log_options bad = options;
    bad.bytes_max = EVENT_LOG_BYTES_MIN - 1;
    assert_int_equal(event_log_open(&bad, &other, &err), ERR_LIMIT);
    event_log_close(&event_log);
    assert_int_equal(event_log_open(&options, &event_log, &err), ERR_OK);
    assert_int_equal(event_log_put_note(event_log, "format", "decided event log 9", 19, &err),
                     ERR_OK);
    event_log_close(&event_log);
    assert_int_equal(event_log_open(&options, &event_log, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "log 9"));
    temp_dir_write_text(&dir, "data.mdb",
                        "this is no database, whatever its name says it should be");
    assert_int_not_equal(event_log_open(&options, &event_log, &err), ERR_OK);
    bad = options;
    bad.dir = "/proc/no/such";
    assert_int_not_equal(event_log_open(&bad, &event_log, &err), ERR_OK);
    bad = options;
    bad.read_only = true;
    bad.dir = "/nonexistent";
    assert_int_equal(event_log_open(&bad, &event_log, &err), ERR_NOT_FOUND);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(test_committed_records_are_read_back),
        T(test_reading_begins_anywhere),
        T(test_only_what_a_checkpoint_covers_is_pruned),
        T(test_old_records_go_also_when_nothing_is_added),
        T(test_full_log_refuses_until_it_may_be_pruned),
        T(test_disk_full_is_over_when_there_is_room),
        T(test_reserve_is_left_alone),
        T(test_failing_disk),
        T(test_flipped_byte_is_found),
        T(test_cut_file_is_found),
        T(test_notes),
        T(test_what_cannot_be_opened),
    };
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
