/* SPDX-License-Identifier: Apache-2.0 */
/* What is put into models_dir by hand, which no call tells of, is in the audit log, once; and every
 * load is listed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/ledger.h"
#include "tests/support/registry_rig.h"

static int setup(void **state)
{
    struct registry_rig *rig = malloc(sizeof *rig);
    if (rig == NULL)
        return -1;
    rig_create(rig);
    const struct audit_options options = {
        .data_dir = rig->dir.path, .bytes_max = 2 * LEDGER_FILE_BYTES, .clock = clock_system()};
    if (audit_create(&options, &rig->audit, NULL) != ERR_OK)
        return -1;
    rig_start(rig);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct registry_rig *rig = *state;
    struct audit *audit = rig->audit;
    rig_destroy(rig);
    audit_destroy(&audit);
    free(rig);
    return 0;
}

/* Lines that hold all of it. */
struct wanted {
    const char *version, *outcome, *reason;
    int found, all;
};

static bool look(void *ctx, uint64_t sequence, struct text line)
{
    struct wanted *wanted = ctx;
    char text[2048], version[64], outcome[64];
    (void)sequence;
    text_copy(line, text, sizeof text);
    snprintf(version, sizeof version, "\"version\":\"%s\"", wanted->version);
    snprintf(outcome, sizeof outcome, "\"outcome\":\"%s\"", wanted->outcome);
    wanted->all++;
    wanted->found += strstr(text, "\"act\":\"model_arrival\"") != NULL &&
                     strstr(text, "\"peer\":\"models_dir\"") != NULL &&
                     strstr(text, "\"name\":\"m\"") != NULL && strstr(text, version) != NULL &&
                     strstr(text, outcome) != NULL && strstr(text, wanted->reason) != NULL;
    return true;
}

static void expect(const struct registry_rig *rig, const char *version, const char *outcome,
                   const char *reason, int all)
{
    struct wanted wanted = {version, outcome, reason, 0, 0};
    assert_int_equal(ledger_read(audit_dir(rig->audit), 1, look, &wanted, NULL), ERR_OK);
    assert_int_equal(wanted.found, 1);
    assert_int_equal(wanted.all, all);
}

static void test_arrivals_by_hand_are_audited_once(void **state)
{
    struct registry_rig *rig = *state;
    char work[2 * TEMP_DIR_BYTES], path[2 * TEMP_DIR_BYTES];
    struct err err;
    rig_publish(rig, "m", "1", MODEL_popularity);
    rig_scan(rig);
    rig_scan(rig);
    expect(rig, "1", "ok", "", 1);
    /* Damaged before it is there, and taken away as a whole: the registry looks by itself, too. */
    model_sample_write(rig_path(rig, "work", work), "m", "2", MODEL_popularity);
    assert_int_equal(truncate(rig_path(rig, "work/scores.safetensors", path), 40), 0);
    rig_move_in(rig, "m", "2");
    rig_scan(rig);
    rig_scan(rig); /* its bytes are the same: not tried again */
    expect(rig, "2", "failed", "scores.safetensors", 2);
    assert_int_equal(rig_refused_count(rig), 1);
    /* Other bytes are another arrival. */
    rig_path(rig, "models/m/2", path);
    assert_int_equal(rename(path, rig_path(rig, "gone", work)), 0);
    rig_scan(rig);
    rig_publish(rig, "m", "2", MODEL_popularity);
    rig_scan(rig);
    expect(rig, "2", "ok", "", 3);
    /* Who calls is audited as a caller, not here; and a restart brings nothing new. */
    model_sample_write(rig_path(rig, "work", work), "m", "3", MODEL_popularity);
    assert_int_equal(rig_install(rig, work, "m", "3", &err), ERR_OK);
    rig_stop(rig);
    rig_start(rig);
    rig_scan(rig);
    assert_string_equal(rig_serving(rig, "m"), "3");
    expect(rig, "1", "ok", "", 3);
    /* What came while nobody looked did come. */
    rig_stop(rig);
    rig_publish(rig, "m", "4", MODEL_popularity);
    rig_start(rig);
    expect(rig, "4", "ok", "", 4);
}

static void test_versions_that_are_kept_are_listed_as_loads(void **state)
{
    struct registry_rig *rig = *state;
    rig_publish(rig, "m", "1", MODEL_popularity);
    rig_publish(rig, "m", "2", MODEL_popularity);
    rig_scan(rig);
    assert_string_equal(rig_serving(rig, "m"), "2");
    assert_int_equal(rig_loaded_count(rig), 2); /* one serves, one is there for a rollback */
    expect(rig, "1", "ok", "", 2);
    rig_stop(rig);
    rig_start(rig);
    assert_int_equal(rig_loaded_count(rig), 4);
}

static void flip(const char *path, long at)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    int byte = fgetc(file);
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    assert_int_equal(fputc(byte ^ 1, file), byte ^ 1);
    assert_int_equal(fclose(file), 0);
}

static void test_what_was_refused_is_tried_again_when_its_bytes_are_others(void **state)
{
    struct registry_rig *rig = *state;
    char path[2 * TEMP_DIR_BYTES], place[2 * TEMP_DIR_BYTES], work[2 * TEMP_DIR_BYTES];
    struct stat info;
    model_sample_write(rig_path(rig, "work", work), "m", "1", MODEL_popularity);
    flip(rig_path(rig, "work/item_ids.txt", path), 1);
    assert_int_equal(file_make_dir(rig_path(rig, "models/m", path), NULL), ERR_OK);
    assert_int_equal(rename(work, rig_path(rig, "models/m/1", place)), 0);
    rig_scan(rig);
    assert_int_equal(rig_refused_count(rig), 1);
    /* Touched: its bytes are the same. */
    rig_path(rig, "models/m/1/item_ids.txt", path);
    assert_int_equal(utimensat(AT_FDCWD, path, NULL, 0), 0);
    rig_scan(rig);
    assert_int_equal(chmod(path, 0600), 0);
    rig_scan(rig);
    assert_int_equal(rig_refused_count(rig), 1);
    /* Mended, with the size and the time that it had. */
    assert_int_equal(stat(path, &info), 0);
    flip(path, 1);
    const struct timespec times[2] = {info.st_atim, info.st_mtim};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    rig_scan(rig);
    assert_string_equal(rig_serving(rig, "m"), "1");
    assert_int_equal(rig_refused_count(rig), 1);
}

#define WITH_RIG(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_RIG(test_arrivals_by_hand_are_audited_once),
        WITH_RIG(test_versions_that_are_kept_are_listed_as_loads),
        WITH_RIG(test_what_was_refused_is_tried_again_when_its_bytes_are_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
