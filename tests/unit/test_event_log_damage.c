/* SPDX-License-Identifier: Apache-2.0 */
/* A full or failing disk loses nothing of the log that was committed; a changed byte and a cut file
 * are found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "featurestore/event_log.h"
#include "tests/support/disk_fault.h"
#include "tests/support/log_rig.h"
#include "tests/support/temp_dir.h"

static void test_full_log_refuses_until_it_may_be_pruned(void **state)
{
    (void)state;
    struct event_log_stats stats;
    uint64_t last = 0;
    enum err_code rc = ERR_OK;
    while (rc == ERR_OK && last < 1000000) {
        log_rig_add(last + 1, 256);
        rc = event_log_commit(log_rig_log, &log_rig_err);
        last += 256;
    }
    assert_int_equal(rc, ERR_DISK_FULL);
    assert_non_null(strstr(log_rig_err.text, "checkpoint"));
    log_rig_check(1, last - 256);
    assert_int_equal(event_log_commit(log_rig_log, &log_rig_err),
                     ERR_DISK_FULL); /* still, and nothing changes */
    event_log_allow_prune(log_rig_log, last - 256, last - 256);
    assert_int_equal(event_log_commit(log_rig_log, &log_rig_err), ERR_OK);
    event_log_stats(log_rig_log, &stats);
    assert_true(stats.bytes_used <= stats.bytes_max);
    log_rig_check(stats.first_sequence, last);
    for (int i = 0; i < 300; i++) { /* and it goes on like that */
        event_log_allow_prune(log_rig_log, last - 100, last - 100);
        log_rig_add(last + 1, 256);
        assert_int_equal(event_log_commit(log_rig_log, &log_rig_err), ERR_OK);
        last += 256;
    }
    event_log_stats(log_rig_log, &stats);
    log_rig_check(stats.first_sequence, last);
}

static void test_disk_full_is_over_when_there_is_room(void **state)
{
    (void)state;
    struct event_log_stats stats;
    log_rig_add(1, 10);
    assert_int_equal(event_log_commit(log_rig_log, &log_rig_err), ERR_OK);
    log_rig_add(11, 10);
    disk_fault_after(DISK_FAULT_WRITE, 0, ENOSPC);
    assert_int_equal(event_log_commit(log_rig_log, &log_rig_err), ERR_DISK_FULL);
    assert_true(disk_fault_count(DISK_FAULT_WRITE) > 0);
    log_rig_add(21, 1); /* gathering goes on */
    assert_int_equal(event_log_commit(log_rig_log, &log_rig_err), ERR_DISK_FULL);
    disk_fault_off();
    log_rig_check(1, 10);
    assert_int_equal(event_log_commit(log_rig_log, &log_rig_err), ERR_OK);
    log_rig_check(1, 21);
    event_log_stats(log_rig_log, &stats);
    assert_int_equal(stats.commit_failures, 2);
    assert_false(stats.failed);
}

static void test_reserve_is_left_alone(void **state)
{
    (void)state;
    log_rig_options.disk_reserve_bytes = UINT64_MAX;
    log_rig_reopen();
    assert_int_equal(event_log_check_room(log_rig_log, &log_rig_err), ERR_DISK_FULL);
    log_rig_add(1, 1);
    assert_int_equal(event_log_commit(log_rig_log, &log_rig_err), ERR_DISK_FULL);
    assert_int_equal(event_log_put_note(log_rig_log, "n", "x", 1, &log_rig_err), ERR_DISK_FULL);
    log_rig_check(1, 0);
}

/* Whichever write or sync fails: the commit says so, the log takes nothing more, and what is on
 * disk is either the state before or the state after. */
static void check_failing(enum disk_fault_call call, uint64_t committed)
{
    for (uint32_t n = 0;; n++) {
        uint64_t last = committed;
        log_rig_add(last + 1, 50);
        disk_fault_after(call, n, EIO);
        enum err_code rc = event_log_commit(log_rig_log, &log_rig_err);
        disk_fault_off();
        if (rc == ERR_OK) {
            assert_true(n > 0);
            return;
        }
        assert_int_equal(rc, ERR_IO);
        assert_int_equal(event_log_commit(log_rig_log, &log_rig_err),
                         ERR_IO); /* never again, silently */
        assert_int_equal(event_log_check_room(log_rig_log, &log_rig_err), ERR_IO);
        log_rig_reopen();
        struct event_log_stats stats;
        event_log_stats(log_rig_log, &stats);
        assert_true(stats.last_sequence == last || stats.last_sequence == last + 50);
        log_rig_check(1, stats.last_sequence);
        committed = stats.last_sequence;
        assert_true(n < 100);
    }
}

static void test_failing_disk(void **state)
{
    (void)state;
    struct event_log_stats stats;
    log_rig_add(1, 10);
    assert_int_equal(event_log_commit(log_rig_log, &log_rig_err), ERR_OK);
    check_failing(DISK_FAULT_WRITE, 10);
    event_log_stats(log_rig_log, &stats);
    check_failing(DISK_FAULT_SYNC, stats.last_sequence);
}

/* Turns one byte of data.mdb that holds `text`. */
static void flip_byte(const char *text, size_t offset)
{
    char path[2 * TEMP_DIR_BYTES];
    uint8_t *bytes = NULL;
    size_t len = 0;
    assert_int_equal(file_read(temp_dir_path(&log_rig_dir, "data.mdb", path), SIZE_MAX / 2, &bytes,
                               &len, &log_rig_err),
                     ERR_OK);
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
    log_rig_add(1, 30);
    assert_int_equal(event_log_commit(log_rig_log, &log_rig_err), ERR_OK);
    event_log_close(&log_rig_log);
    char needle[38];
    memset(needle, 'a' + 17, sizeof needle - 1); /* record 17, and no other */
    needle[sizeof needle - 1] = '\0';
    flip_byte(needle, 5);
    assert_int_equal(event_log_open(&log_rig_options, &log_rig_log, &log_rig_err), ERR_OK);
    assert_int_equal(event_log_read_begin(log_rig_log, 1, &reader, &log_rig_err), ERR_OK);
    for (int i = 1; i <= 16; i++)
        assert_int_equal(event_log_read_next(&reader, &record, &log_rig_err), ERR_OK);
    assert_int_equal(event_log_read_next(&reader, &record, &log_rig_err), ERR_CORRUPT);
    assert_non_null(strstr(log_rig_err.text, "record 17"));
    event_log_read_end(&reader);
}

/* Wherever the file was cut: an error, no death. */
static void test_cut_file_is_found(void **state)
{
    (void)state;
    char path[2 * TEMP_DIR_BYTES];
    struct stat whole;
    temp_dir_path(&log_rig_dir, "data.mdb", path);
    for (uint64_t last = 0; last < 3000; last += 300) {
        log_rig_add(last + 1, 300);
        assert_int_equal(event_log_commit(log_rig_log, &log_rig_err), ERR_OK);
    }
    event_log_close(&log_rig_log);
    assert_int_equal(stat(path, &whole), 0);
    uint8_t *bytes = NULL;
    size_t len = 0;
    assert_int_equal(file_read(path, SIZE_MAX / 2, &bytes, &len, &log_rig_err), ERR_OK);
    for (int i = 1; i < 40; i++) {
        off_t cut = whole.st_size * i / 40;
        for (int read_only = 0; read_only <= 1; read_only++) {
            temp_dir_write(&log_rig_dir, "data.mdb", bytes, (size_t)cut);
            log_rig_options.read_only = read_only == 1;
            struct event_log_reader reader;
            struct event_record record;
            enum err_code rc = event_log_open(&log_rig_options, &log_rig_log, &log_rig_err);
            if (rc == ERR_OK &&
                (rc = event_log_read_begin(log_rig_log, 1, &reader, &log_rig_err)) == ERR_OK) {
                while ((rc = event_log_read_next(&reader, &record, &log_rig_err)) == ERR_OK)
                    continue;
                event_log_read_end(&reader);
            }
            assert_true(rc == ERR_CORRUPT || rc == ERR_IO);
            event_log_close(&log_rig_log);
        }
    }
    free(bytes);
    log_rig_options.read_only = false;
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, log_rig_set_up, log_rig_tear_down)
    const struct CMUnitTest tests[] = {
        T(test_full_log_refuses_until_it_may_be_pruned),
        T(test_disk_full_is_over_when_there_is_room),
        T(test_reserve_is_left_alone),
        T(test_failing_disk),
        T(test_flipped_byte_is_found),
        T(test_cut_file_is_found),
    };
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
