/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints that were interrupted at every write or damaged at any byte, and the log behind them:
 * the state after a start is always the state before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/rand.h"
#include "featurestore/store.h"
#include "tests/support/checkpoint_rig.h"
#include "tests/support/disk_fault.h"
#include "tests/support/durable_rig.h"

/* Nothing of what was submitted waits for its commit any more. */
static void settle(void)
{
    struct event_log_stats stats;
    (void)durable_rig_hash(&checkpoint_rig);
    do {
        sched_yield();
        event_log_stats(store_log(checkpoint_rig.store), &stats);
    } while (stats.gathered > 0);
}

static void test_interrupted_at_every_write(void **state)
{
    (void)state;
    checkpoint_rig_fill(2, 1000);
    settle();
    uint64_t before = durable_rig_hash(&checkpoint_rig), at = durable_rig_sequence(&checkpoint_rig),
             failures = 0;
    for (uint32_t n = 0;; n++) {
        disk_fault_after(DISK_FAULT_WRITE, n, ENOSPC);
        enum err_code rc = store_checkpoint(checkpoint_rig.store, &checkpoint_rig.err);
        struct store_checkpoint_stats stats = {0};
        if (rc == ERR_OK)
            stats = checkpoint_rig_wait(1);
        disk_fault_off();
        if (stats.written == 1)
            break;
        failures++;
        assert_true(rc == ERR_DISK_FULL || stats.failures > 0);
        assert_int_equal(store_durability(checkpoint_rig.store, NULL), STORE_ON_DISK);
        struct store_recovery recovery;
        checkpoint_rig_restart(&recovery);
        if (recovery.state != STORE_RECOVERED)
            fail_msg("write %u: %s", n, checkpoint_rig.err.text);
        assert_int_equal(recovery.checkpoint_sequence, 0);
        assert_int_equal(checkpoint_rig_files(checkpoint_rig.checkpoint_dir),
                         0); /* no piece stays behind */
        assert_true(durable_rig_hash(&checkpoint_rig) == before);
        assert_true(n < 100);
    }
    assert_true(failures > 3);
    checkpoint_rig_check(at);
}

static void newest_file(char *path, size_t path_bytes)
{
    char best[256] = "";
    DIR *stream = opendir(checkpoint_rig.checkpoint_dir);
    assert_non_null(stream);
    for (struct dirent *entry; (entry = readdir(stream)) != NULL;)
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, best) > 0)
            snprintf(best, sizeof best, "%s", entry->d_name);
    closedir(stream);
    snprintf(path, path_bytes, "%s/%s", checkpoint_rig.checkpoint_dir, best);
}

static void flip(const char *path, off_t at)
{
    uint8_t byte = 0;
    int fd = open(path, O_RDWR);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

static void test_a_damaged_one_is_not_used(void **state)
{
    (void)state;
    struct stat info;
    char path[4096];
    uint64_t sequence[2];
    for (int i = 0; i < 2; i++) {
        checkpoint_rig_fill(2, 200);
        sequence[i] = durable_rig_sequence(&checkpoint_rig);
        assert_int_equal(store_checkpoint(checkpoint_rig.store, &checkpoint_rig.err), ERR_OK);
        assert_int_equal(checkpoint_rig_wait((uint64_t)i + 1).written, i + 1);
    }
    checkpoint_rig_fill(1, 200);
    newest_file(path, sizeof path);
    assert_int_equal(stat(path, &info), 0);
    for (int i = 0; i < 20; i++) {
        off_t at = i < 12 ? i * 4 : (off_t)rand_below(&checkpoint_rig_rand, (uint64_t)info.st_size);
        flip(path, at);
        checkpoint_rig_check(sequence[0]); /* the older one serves */
        flip(path, at);
    }
    checkpoint_rig_check(sequence[1]);
    assert_int_equal(truncate(path, info.st_size - 1), 0);
    checkpoint_rig_check(sequence[0]);
    assert_int_equal(truncate(path, 0), 0);
    checkpoint_rig_check(sequence[0]);
    assert_int_equal(unlink(path), 0);
    checkpoint_rig_check(sequence[0]);
    newest_file(path, sizeof path);
    flip(path, 40);
    checkpoint_rig_check(0); /* all of the log is there */
}

static void test_the_log_is_pruned_behind_it(void **state)
{
    (void)state;
    struct event_log_stats stats;
    struct store_recovery recovery;
    char path[4096];
    checkpoint_rig.log.retain_ms = DAY_MS;
    checkpoint_rig.limits.dedup_events_max = 500;
    checkpoint_rig_restart(&recovery);
    for (int i = 0; i < 4; i++) {
        checkpoint_rig_fill(3, 300);
        (void)durable_rig_hash(&checkpoint_rig);
        assert_int_equal(store_checkpoint(checkpoint_rig.store, &checkpoint_rig.err), ERR_OK);
        assert_int_equal(checkpoint_rig_wait((uint64_t)i + 1).written, i + 1);
        clock_manual_advance_ns(&checkpoint_rig.clock, (uint64_t)DAY_MS * 2000000);
    }
    checkpoint_rig_fill(6, 300);
    (void)durable_rig_hash(&checkpoint_rig);
    event_log_stats(store_log(checkpoint_rig.store), &stats);
    assert_true(stats.first_sequence > 3000);
    assert_true(stats.first_sequence <= 9000 + 1); /* the older of two covers 9,000 */
    checkpoint_rig_check(12000);
    /* Without them the beginning is lost, and the daemon says so instead of serving less. */
    durable_rig_close(&checkpoint_rig);
    for (int i = 0; i < 2; i++) {
        newest_file(path, sizeof path);
        assert_int_equal(unlink(path), 0);
    }
    durable_rig_open(&checkpoint_rig, checkpoint_rig_features);
    checkpoint_rig_restart(&recovery);
    assert_int_equal(recovery.state, STORE_RECOVERY_FAILED);
    assert_non_null(strstr(checkpoint_rig.err.text, "begins at record"));
}

int main(void)
{
#define T(name) \
    cmocka_unit_test_setup_teardown(name, checkpoint_rig_set_up, checkpoint_rig_tear_down)
    const struct CMUnitTest tests[] = {
        T(test_interrupted_at_every_write),
        T(test_a_damaged_one_is_not_used),
        T(test_the_log_is_pruned_behind_it),
    };
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
