/* SPDX-License-Identifier: Apache-2.0 */
/* Folders that are copied into models_dir in place: nothing is refused while they grow, what stays
 * incomplete is told once, and what is renamed in is looked at at once. */
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
#include "tests/support/registry_rig.h"

#define S UINT64_C(1000000000)
/* The rig looks once an hour by itself. */
#define SETTLE_S     3605
#define INCOMPLETE_S 3660

#define FILE_BYTES_MAX ((size_t)1 << 20)

static const char *const files[] = {"manifest.json", "scores.safetensors", "golden.json",
                                    "item_ids.txt"};
enum { FILE_COUNT = sizeof files / sizeof files[0] };

struct copies {
    struct registry_rig rig;
    struct clock_manual clock;
};

static int setup(void **state)
{
    struct copies *copies = malloc(sizeof *copies);
    if (copies == NULL)
        return -1;
    rig_create(&copies->rig);
    clock_manual_init(&copies->clock, S, clock_wall_ms(clock_system()));
    copies->rig.clock = &copies->clock.clock;
    rig_start(&copies->rig);
    *state = copies;
    return 0;
}

static int teardown(void **state)
{
    struct copies *copies = *state;
    rig_destroy(&copies->rig);
    free(copies);
    return 0;
}

static void pass(struct copies *copies, uint64_t s)
{
    clock_manual_advance_ns(&copies->clock, s * S);
    rig_scan(&copies->rig);
}

/* The first `share` quarters of a file of work/ into models/m/VERSION, as a copy that goes on. */
static void copy(const struct copies *copies, const char *version, const char *file, size_t share)
{
    char below[TEMP_DIR_BYTES], path[2 * TEMP_DIR_BYTES];
    uint8_t *bytes = NULL;
    size_t len = 0;
    snprintf(below, sizeof below, "work/%s", file);
    assert_int_equal(
        file_read(rig_path(&copies->rig, below, path), FILE_BYTES_MAX, &bytes, &len, NULL), ERR_OK);
    snprintf(below, sizeof below, "models/m/%s", version);
    assert_int_equal(file_make_dir(rig_path(&copies->rig, below, path), NULL), ERR_OK);
    snprintf(below, sizeof below, "models/m/%s/%s", version, file);
    FILE *out = fopen(rig_path(&copies->rig, below, path), "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, len * share / 4, out), len * share / 4);
    assert_int_equal(fclose(out), 0);
    free(bytes);
}

static void write_work(const struct copies *copies, const char *version)
{
    char work[2 * TEMP_DIR_BYTES];
    model_sample_write(rig_path(&copies->rig, "work", work), "m", version, MODEL_popularity);
}

/* As writers make it that know of no sizes. */
static void forget_sizes(const struct copies *copies)
{
    char path[2 * TEMP_DIR_BYTES];
    uint8_t *bytes = NULL;
    size_t len = 0;
    rig_path(&copies->rig, "work/manifest.json", path);
    assert_int_equal(file_read(path, FILE_BYTES_MAX, &bytes, &len, NULL), ERR_OK);
    cJSON *root = cJSON_ParseWithLength((const char *)bytes, len);
    cJSON *file = NULL;
    cJSON_ArrayForEach(file, cJSON_GetObjectItem(root, "files"))
        cJSON_DeleteItemFromObject(file, "bytes");
    cJSON_DeleteItemFromObject(cJSON_GetObjectItem(root, "golden"), "bytes");
    char *text = cJSON_Print(root);
    assert_int_equal(file_write_atomic(path, text, strlen(text), NULL), ERR_OK);
    cJSON_free(text);
    cJSON_Delete(root);
    free(bytes);
}

static void assert_state(const struct copies *copies, const char *serving, uint64_t refused)
{
    assert_string_equal(rig_serving(&copies->rig, "m"), serving);
    assert_int_equal(rig_refused_count(&copies->rig), refused);
}

static void test_nothing_is_refused_while_a_folder_is_copied(void **state)
{
    struct copies *copies = *state;
    write_work(copies, "1");
    for (size_t i = 0; i < FILE_COUNT; i++) {
        for (size_t share = 1; share <= 4; share++) {
            assert_state(copies, "", 0);
            copy(copies, "1", files[i], share);
            pass(copies, INCOMPLETE_S / 2);
        }
    }
    assert_state(copies, "1", 0); /* at the next look */
    /* Over one that was refused, too. */
    write_work(copies, "2");
    for (size_t i = 0; i < FILE_COUNT - 1; i++)
        copy(copies, "2", files[i], 4);
    copy(copies, "2", files[FILE_COUNT - 1], 1);
    pass(copies, 0);
    pass(copies, INCOMPLETE_S);
    assert_state(copies, "1", 1);
    for (size_t share = 1; share <= 4; share++) {
        assert_state(copies, "1", 1);
        copy(copies, "2", "scores.safetensors", share);
        pass(copies, INCOMPLETE_S / 2);
    }
    copy(copies, "2", files[FILE_COUNT - 1], 4);
    pass(copies, 0);
    assert_state(copies, "2", 1);
}

static void test_what_stays_incomplete_is_told_once(void **state)
{
    struct copies *copies = *state;
    write_work(copies, "1");
    for (size_t i = 0; i < FILE_COUNT; i++)
        copy(copies, "1", files[i], i == 1 ? 3 : 4);
    pass(copies, 0);
    pass(copies, INCOMPLETE_S - 1);
    assert_state(copies, "", 0);
    pass(copies, 2);
    assert_state(copies, "", 1);
    assert_non_null(strstr(rig_refusal(&copies->rig, "m", "1"),
                           "scores.safetensors: incomplete: the manifest states "));
    pass(copies, 24 * INCOMPLETE_S);
    rig_scan(&copies->rig);
    assert_state(copies, "", 1);
    copy(copies, "1", files[1], 4);
    pass(copies, 0);
    assert_state(copies, "1", 1);
    /* A missing file, which is forgotten with its folder. */
    write_work(copies, "2");
    copy(copies, "2", files[0], 4);
    pass(copies, 0);
    pass(copies, INCOMPLETE_S);
    assert_state(copies, "1", 2);
    assert_non_null(strstr(rig_refusal(&copies->rig, "m", "2"), "missing in the folder"));
}

static void test_without_sizes_a_folder_settles_first(void **state)
{
    struct copies *copies = *state;
    write_work(copies, "1");
    forget_sizes(copies);
    for (size_t i = 0; i < FILE_COUNT; i++)
        copy(copies, "1", files[i], i == 1 ? 3 : 4);
    pass(copies, 0);
    pass(copies, SETTLE_S - 1);
    assert_state(copies, "", 0);
    copy(copies, "1", files[1], 4); /* it goes on, and so does the wait */
    pass(copies, 0);
    pass(copies, SETTLE_S - 1);
    assert_state(copies, "", 0);
    pass(copies, 1);
    assert_state(copies, "1", 0);
    /* Half a manifest is none. */
    write_work(copies, "2");
    copy(copies, "2", files[0], 2);
    pass(copies, 0);
    pass(copies, SETTLE_S - 1);
    assert_state(copies, "1", 0);
    pass(copies, 1);
    assert_state(copies, "1", 1);
}

static void test_what_is_renamed_in_is_looked_at_at_once(void **state)
{
    struct copies *copies = *state;
    char path[2 * TEMP_DIR_BYTES];
    write_work(copies, "1");
    forget_sizes(copies);
    rig_move_in(&copies->rig, "m", "1");
    pass(copies, 0);
    assert_state(copies, "1", 0);
    write_work(copies, "2");
    assert_int_equal(unlink(rig_path(&copies->rig, "work/item_ids.txt", path)), 0);
    rig_move_in(&copies->rig, "m", "2");
    pass(copies, 0);
    assert_state(copies, "1", 1);
}

/* What came while nobody looked, by the times of the files: here long ago, and just now. */
static void test_a_start_waits_for_what_is_young_alone(void **state)
{
    struct copies *copies = *state;
    write_work(copies, "1");
    forget_sizes(copies);
    rig_stop(&copies->rig);
    for (size_t i = 0; i < FILE_COUNT; i++)
        copy(copies, "1", files[i], 4);
    rig_start(&copies->rig);
    assert_state(copies, "", 0);
    rig_stop(&copies->rig);
    clock_manual_advance_ns(&copies->clock, (SETTLE_S + 60) * S);
    rig_start(&copies->rig);
    assert_state(copies, "1", 0);
}

#define WITH_COPIES(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_COPIES(test_nothing_is_refused_while_a_folder_is_copied),
        WITH_COPIES(test_what_stays_incomplete_is_told_once),
        WITH_COPIES(test_without_sizes_a_folder_settles_first),
        WITH_COPIES(test_what_is_renamed_in_is_looked_at_at_once),
        WITH_COPIES(test_a_start_waits_for_what_is_young_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
