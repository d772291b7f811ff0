/* SPDX-License-Identifier: Apache-2.0 */
/* How uploads end when nobody finishes them: by time, by the disk, by a stop, by a new start; and
 * that a slow disk holds up nobody. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/rand.h"
#include "server/control/model_ops.h"
#include "tests/support/registry_rig.h"
#include "tests/support/upload_rig.h"

static void test_an_upload_that_nobody_goes_on_with_is_removed(void **state)
{
    struct upload_rig *bench = *state;
    char idle[ULID_BYTES], busy[ULID_BYTES];
    assert_int_equal(upload_rig_begin(bench, "m", "1", idle), REPLY_ok);
    assert_int_equal(upload_rig_begin(bench, "m", "2", busy), REPLY_ok);
    clock_manual_advance_ns(&bench->clock, (MODEL_UPLOAD_IDLE_MS - 1) * UINT64_C(1000000));
    assert_int_equal(upload_rig_chunk(bench, busy, "a", 0, "x", 1), REPLY_ok);
    model_ops_expire(bench->ops);
    assert_int_equal(upload_rig_entries(bench, "models/.incoming"), 2);
    clock_manual_advance_ns(&bench->clock, 1000000);
    model_ops_expire(bench->ops);
    assert_int_equal(upload_rig_entries(bench, "models/.incoming"), 1);
    assert_int_equal(upload_rig_chunk(bench, idle, "a", 0, "x", 1), REPLY_not_found);
    assert_int_equal(upload_rig_chunk(bench, busy, "a", 1, "x", 1), REPLY_ok);
}

static void test_a_full_disk_ends_the_upload_and_is_said(void **state)
{
    struct upload_rig *bench = *state;
    char upload[ULID_BYTES];
    uint8_t bytes[2048] = {0};
    struct rlimit was, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    small = was;
    small.rlim_cur = 1024;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(upload_rig_begin(bench, "m", "1", upload), REPLY_ok);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    enum reply_code code = upload_rig_chunk(bench, upload, "a", 0, bytes, sizeof bytes);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    signal(SIGXFSZ, handler);
    assert_int_equal(code, REPLY_disk_full);
    assert_int_equal(upload_rig_entries(bench, "models/.incoming"), 0);
    assert_int_equal(upload_rig_chunk(bench, upload, "a", 0, bytes, 1), REPLY_not_found);
}

/* A pipe stands for a disk that is slow: opening it waits for a reader. */
static void test_a_slow_disk_holds_up_nobody_who_serves(void **state)
{
    struct upload_rig *bench = *state;
    char upload[ULID_BYTES], place[3 * TEMP_DIR_BYTES];
    assert_int_equal(upload_rig_begin(bench, "m", "1", upload), REPLY_ok);
    snprintf(place, sizeof place, "%s/models/.incoming/%s/a", bench->rig.dir.path, upload);
    assert_int_equal(mkfifo(place, 0600), 0);
    struct upload_ask ask = upload_ask_chunk(bench, upload, "a", 0, "x", 1);
    assert_int_equal(upload_ask_start(&ask), CALL_DEFERRED);
    int reader = open(place, O_RDONLY | O_CLOEXEC);
    assert_true(reader >= 0);
    assert_int_equal(upload_ask_finish(&ask), REPLY_internal); /* a pipe has no offsets */
    close(reader);
    assert_int_equal(upload_rig_entries(bench, "models/.incoming"), 0);
}

/* After the stop nothing is taken that would never be answered. */
static void test_uploads_are_refused_after_the_stop(void **state)
{
    struct upload_rig *bench = *state;
    char upload[ULID_BYTES];
    assert_int_equal(upload_rig_begin(bench, "m", "1", upload), REPLY_ok);
    model_ops_stop(bench->ops);
    assert_int_equal(upload_rig_chunk(bench, upload, "a", 0, "x", 1), REPLY_overloaded);
}

static void test_what_an_earlier_daemon_left_is_removed(void **state)
{
    struct upload_rig *bench = *state;
    struct model_ops *second = NULL;
    char models[2 * TEMP_DIR_BYTES];
    temp_dir_write_text(&bench->rig.dir, "models/.incoming/OLD/a", "x");
    assert_int_equal(model_ops_create(rig_path(&bench->rig, "models", models), bench->rig.registry,
                                      NULL, &bench->clock.clock, &second, NULL),
                     ERR_OK);
    assert_int_equal(upload_rig_entries(bench, "models/.incoming"), -1);
    model_ops_destroy(&second);
}

#define WITH_BENCH(test) \
    cmocka_unit_test_setup_teardown(test, upload_rig_set_up, upload_rig_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_BENCH(test_an_upload_that_nobody_goes_on_with_is_removed),
        WITH_BENCH(test_a_full_disk_ends_the_upload_and_is_said),
        WITH_BENCH(test_a_slow_disk_holds_up_nobody_who_serves),
        WITH_BENCH(test_uploads_are_refused_after_the_stop),
        WITH_BENCH(test_what_an_earlier_daemon_left_is_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
