/* SPDX-License-Identifier: Apache-2.0 */
/* Releases: all of it or nothing, at once and back, over restarts, beside changes of one model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "server/control/release.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/release_rig.h"

static bool exists(const struct registry_rig *rig, const char *below)
{
    char path[2 * TEMP_DIR_BYTES];
    return access(rig_path(rig, below, path), F_OK) == 0;
}

static void restart(struct registry_rig *rig)
{
    rig_stop(rig);
    rig_start(rig);
}

static void test_a_release_is_in_force_with_one_epoch(void **state)
{
    struct registry_rig *rig = *state;
    char id[MODEL_NAME_BYTES];
    uint64_t told = 0;
    struct err err = {.text = ""};
    uint64_t epoch = rig_view(rig).epoch;
    assert_int_equal(release_rollback(rig, &err), ERR_NOT_FOUND);
    assert_string_equal(err.text, "no release is in force");
    release_push(rig, "1");
    assert_string_equal(release_serving(rig), "1 1 1");
    assert_int_equal(rig_view(rig).epoch, epoch + 1);
    release_push(rig, "2");
    assert_string_equal(release_serving(rig), "2 2 2");
    assert_int_equal(rig_view(rig).epoch, epoch + 2);
    assert_string_equal(registry_release(rig->registry, id, &told), "r2");
    assert_int_equal(told, epoch + 2);
    assert_true(exists(rig, "models/a/2/manifest.json") && exists(rig, "models/b/1/manifest.json"));
    rig_scan(rig);
    assert_string_equal(release_serving(rig), "2 2 2");
    assert_int_equal(rig_view(rig).epoch, epoch + 2); /* a look changes nothing */
    restart(rig);
    assert_string_equal(release_serving(rig), "2 2 2");
    assert_int_equal(release_rollback(rig, &err), ERR_OK);
    assert_string_equal(release_serving(rig), "1 1 1");
    restart(rig);
    rig_scan(rig);
    assert_string_equal(release_serving(rig), "1 1 1");
    assert_int_equal(release_rollback(rig, &err), ERR_OK);
    assert_string_equal(release_serving(rig), "- - builtin"); /* as before the first one */
    restart(rig);
    rig_scan(rig);
    assert_string_equal(release_serving(rig), "- - builtin");
}

/* What each of these does to a good release refuses it as a whole. */
static void cut_model(const struct registry_rig *rig)
{
    char path[2 * TEMP_DIR_BYTES];
    assert_int_equal(truncate(rig_path(rig, "incoming/b/2/scores.safetensors", path), 40), 0);
}

static void break_policies(const struct registry_rig *rig)
{
    temp_dir_write_text(&rig->dir, "incoming/policies.json", "{\"version\": \"2\", \"slots\": 7}");
}

static void name_wrong_kind(const struct registry_rig *rig)
{
    temp_dir_write_text(&rig->dir, "incoming/policies.json",
                        "{\"version\": \"2\", \"default\": \"h\", \"slots\": {\"h\": {\"sources\": "
                        "[{\"source\": \"factors\", \"model\": \"b\", \"weight\": 1}]}}}");
}

static void add_a_version(const struct registry_rig *rig)
{
    char path[2 * TEMP_DIR_BYTES];
    model_sample_write(rig_path(rig, "incoming/b/3", path), "b", "3", MODEL_popularity);
}

static void add_a_file(const struct registry_rig *rig)
{
    temp_dir_write_text(&rig->dir, "incoming/README", "hello");
}

static void change_a_version(const struct registry_rig *rig)
{
    char path[2 * TEMP_DIR_BYTES];
    assert_int_equal(file_remove_tree(rig_path(rig, "incoming/a/2", path), NULL), ERR_OK);
    model_sample_write(rig_path(rig, "incoming/a/1", path), "a", "1", MODEL_popularity);
}

static void empty(const struct registry_rig *rig)
{
    char path[2 * TEMP_DIR_BYTES];
    assert_int_equal(file_remove_tree(rig_path(rig, "incoming", path), NULL), ERR_OK);
    assert_int_equal(file_make_dir(path, NULL), ERR_OK);
}

static void test_any_doubt_refuses_all_of_it(void **state)
{
    static const struct {
        void (*spoil)(const struct registry_rig *rig);
        const char *message;
    } cases[] = {
        {cut_model, "b/2: scores.safetensors"},
        {break_policies, "policies.json"},
        {name_wrong_kind, "expected kind factors"},
        {add_a_version, "b: expected one version"},
        {add_a_file, "'README': a release holds"},
        {change_a_version, "a/1: it exists with other content"},
        {empty, "neither models nor policies"},
    };
    struct registry_rig *rig = *state;
    release_push(rig, "1");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err err = {.text = ""};
        uint64_t epoch = rig_view(rig).epoch;
        char path[2 * TEMP_DIR_BYTES];
        release_write(rig, "incoming", "2");
        cases[i].spoil(rig);
        assert_int_not_equal(release_install(rig, "incoming", "r2", &err), ERR_OK);
        if (strstr(err.text, cases[i].message) == NULL)
            fail_msg("case %zu: %s", i, err.text);
        assert_string_equal(release_serving(rig), "1 1 1");
        assert_int_equal(rig_view(rig).epoch, epoch);
        assert_false(exists(rig, "models/a/2") || exists(rig, "models/b/2"));
        assert_false(exists(rig, "models/.releases/r2"));
        assert_int_equal(file_remove_tree(rig_path(rig, "incoming", path), NULL), ERR_OK);
        rig_scan(rig);
        restart(rig);
        assert_string_equal(release_serving(rig), "1 1 1");
    }
    release_push(rig, "2"); /* and a good one under that name is taken */
    assert_string_equal(release_serving(rig), "2 2 2");
    struct err err = {.text = ""};
    release_write(rig, "incoming", "3");
    assert_int_equal(release_install(rig, "incoming", "r2", &err), ERR_EXISTS);
}

static void remove_incoming(const struct registry_rig *rig)
{
    char path[2 * TEMP_DIR_BYTES];
    assert_int_equal(file_remove_tree(rig_path(rig, "incoming", path), NULL), ERR_OK);
}

static void expect_another(struct registry_rig *rig)
{
    struct err err = {.text = ""};
    assert_int_equal(release_install(rig, "incoming", "r2", &err), ERR_EXISTS);
    remove_incoming(rig);
    release_write(rig, "incoming", "2");
}

/* Whoever did not get the answer asks again. */
static void test_the_release_in_force_may_come_again(void **state)
{
    struct registry_rig *rig = *state;
    struct err err = {.text = ""};
    char path[2 * TEMP_DIR_BYTES];
    release_push(rig, "1");
    release_push(rig, "2");
    uint64_t epoch = rig_view(rig).epoch;
    release_push(rig, "2");
    assert_int_equal(rig_view(rig).epoch, epoch);
    remove_incoming(rig);
    restart(rig);
    release_push(rig, "2");
    assert_string_equal(release_serving(rig), "2 2 2");
    /* With other content, or less of it, it is another one. */
    release_write_policies(rig, "incoming", "3");
    expect_another(rig);
    assert_int_equal(unlink(rig_path(rig, "incoming/features.json", path)), 0);
    expect_another(rig);
    assert_int_equal(file_remove_tree(rig_path(rig, "incoming/b", path), NULL), ERR_OK);
    expect_another(rig);
    assert_int_equal(rig_rollback(rig, "a", &err), ERR_OK); /* altered */
    expect_another(rig);
    assert_int_equal(release_rollback(rig, &err), ERR_OK); /* it stood in the line once */
    assert_string_equal(release_serving(rig), "1 1 1");
}

static void test_a_part_leaves_the_rest_as_it_is(void **state)
{
    struct registry_rig *rig = *state;
    struct err err = {.text = ""};
    char path[2 * TEMP_DIR_BYTES];
    release_push(rig, "1");
    model_sample_write(rig_path(rig, "incoming/a/7", path), "a", "7", MODEL_neighbors);
    assert_int_equal(release_install(rig, "incoming", "a-alone", &err), ERR_OK);
    assert_string_equal(release_serving(rig), "7 1 1");
    release_write_policies(rig, "incoming", "9");
    assert_int_equal(release_install(rig, "incoming", "policies-alone", &err), ERR_OK);
    assert_string_equal(release_serving(rig), "7 1 9");
    restart(rig);
    assert_string_equal(release_serving(rig), "7 1 9");
    assert_int_equal(release_rollback(rig, &err), ERR_OK);
    assert_string_equal(release_serving(rig), "7 1 1"); /* the policies of r1 */
    restart(rig);
    assert_int_equal(release_rollback(rig, &err), ERR_OK);
    assert_string_equal(release_serving(rig), "1 1 1");
}

static void test_one_model_may_change_in_between(void **state)
{
    struct registry_rig *rig = *state;
    struct err err = {.text = ""};
    char work[2 * TEMP_DIR_BYTES];
    release_push(rig, "1");
    release_push(rig, "2");
    model_sample_write(rig_path(rig, "work", work), "b", "5", MODEL_popularity);
    assert_int_equal(rig_install(rig, work, "b", "5", &err), ERR_OK);
    assert_string_equal(release_serving(rig), "2 5 2");
    restart(rig); /* the release is not applied again */
    assert_string_equal(release_serving(rig), "2 5 2");
    assert_int_equal(rig_rollback(rig, "b", &err), ERR_OK);
    assert_string_equal(release_serving(rig), "2 2 2");
    assert_int_equal(rig_promote(rig, "b", "5", &err), ERR_OK);
    assert_int_equal(release_rollback(rig, &err), ERR_OK);
    assert_string_equal(release_serving(rig), "1 1 1");
    rig_scan(rig);
    restart(rig);
    assert_string_equal(release_serving(rig), "1 1 1");
}

static void test_a_version_of_before_that_is_gone_refuses_the_way_back(void **state)
{
    struct registry_rig *rig = *state;
    struct err err = {.text = ""};
    char path[2 * TEMP_DIR_BYTES];
    release_push(rig, "1");
    release_push(rig, "2");
    rig_stop(rig);
    assert_int_equal(file_remove_tree(rig_path(rig, "models/b/1", path), NULL), ERR_OK);
    rig_start(rig);
    uint64_t epoch = rig_view(rig).epoch;
    assert_int_equal(release_rollback(rig, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "1 of 'b'"));
    assert_string_equal(release_serving(rig), "2 2 2");
    assert_int_equal(rig_view(rig).epoch, epoch);
}

/* Whether the policies that answer are those of that file. */
static bool answers_by(const struct registry_rig *rig, const char *below)
{
    char path[2 * TEMP_DIR_BYTES], wanted[SHA256_HEX_BYTES], got[SHA256_HEX_BYTES];
    uint8_t digest[SHA256_BYTES];
    uint8_t *bytes = NULL;
    size_t len = 0;
    assert_int_equal(file_read(rig_path(rig, below, path), 65536, &bytes, &len, NULL), ERR_OK);
    sha256_of(bytes, len, digest);
    sha256_hex(digest, wanted);
    free(bytes);
    return strcmp(registry_policies_sha256(rig->registry, got), wanted) == 0;
}

static void test_policies_of_a_release_outlive_a_reload(void **state)
{
    static const struct text no_ids[1];
    struct registry_rig *rig = *state;
    struct outcome outcome;
    struct err err = {.text = ""};
    char path[2 * TEMP_DIR_BYTES], hex[SHA256_HEX_BYTES];
    assert_string_equal(registry_policies_sha256(rig->registry, hex), "none");
    release_push(rig, "1");
    assert_true(answers_by(rig, "models/.releases/r1/policies.json"));
    release_write_policies(rig, "own", "own");
    outcome_init(&outcome);
    registry_reload(rig->registry, rig_path(rig, "own/policies.json", path), NULL, no_ids, 0,
                    rig->previous_bytes_max, outcome_done, &outcome);
    assert_int_equal(outcome_wait(&outcome), ERR_OK);
    assert_string_equal(release_serving(rig), "1 1 1");
    assert_true(answers_by(rig, "models/.releases/r1/policies.json"));
    assert_int_equal(release_rollback(rig, &err), ERR_OK);
    assert_string_equal(release_serving(rig), "- - own");
    assert_true(answers_by(rig, "own/policies.json"));
    outcome_init(&outcome);
    registry_reload(rig->registry, NULL, NULL, no_ids, 0, rig->previous_bytes_max, outcome_done,
                    &outcome);
    assert_int_equal(outcome_wait(&outcome), ERR_OK);
    assert_string_equal(registry_policies_sha256(rig->registry, hex), "none");
}

static void test_many_releases_leave_nothing_behind(void **state)
{
    struct registry_rig *rig = *state;
    struct err err = {.text = ""};
    for (int i = 1; i <= RELEASES_MAX + 4; i++) {
        char version[16];
        snprintf(version, sizeof version, "%d", i);
        release_push(rig, version);
    }
    assert_false(exists(rig, "models/.releases/r1") || exists(rig, "models/.releases/r4"));
    assert_true(exists(rig, "models/.releases/r5/policies.json"));
    int steps = 0;
    while (release_rollback(rig, &err) == ERR_OK)
        steps++;
    assert_int_equal(steps, RELEASES_MAX);
    assert_string_equal(release_serving(rig), "4 4 builtin"); /* r4 itself is forgotten */
    assert_false(exists(rig, "models/.releases/r5"));
}

static void test_a_file_that_says_nonsense_is_named(void **state)
{
    static const char *const bad[] = {
        "",
        "[]",
        "{\"format\": 2}",
        "{\"format\": 1, \"change\": -1, \"line\": [], \"apply\": {}}",
        "{\"format\": 1, \"change\": 1, \"line\": [{\"id\": \"../x\"}], \"apply\": {}}",
        "{\"format\": 1, \"change\": 1, \"line\": [{\"id\": \"x\", \"policies\": \"\", \"at_ms\": "
        "1,"
        " \"models\": {\"m\": {\"version\": \"\", \"before\": \"\"}}}], \"apply\": {}}",
        "{\"format\": 1, \"change\": 1, \"line\": [], \"apply\": {\"m\": {\"serve\": \"/\"}}}",
        ("{\"format\": 1, \"change\": 1, \"line\": [{\"id\": \"x\", \"policies\": \"\", \"at_ms\": "
         "1, \"features\": \"../x\", \"models\": {}}], \"apply\": {}}"),
        "{\"format\": 1, \"change\": 1, \"line\": [], \"apply\": {}, \"left\": 1}",
        "{\"format\": 1, \"change\": 1, \"line\": [], \"apply\": {}, \"left\": [\"..\"]}"};
    struct registry_rig *rig = *state;
    struct release_state *read = calloc(1, sizeof *read);
    assert_non_null(read);
    char path[2 * TEMP_DIR_BYTES];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct err err = {.text = ""};
        temp_dir_write_text(&rig->dir, "state.json", bad[i]);
        assert_int_equal(release_state_read(rig_path(rig, "state.json", path), read, &err),
                         ERR_CORRUPT);
        assert_non_null(strstr(err.text, "state.json"));
    }
    free(read);
}

static void test_without_memory_nothing_changes(void **state)
{
    (void)state; /* an allocation fails on its own thread alone: the loader's are those of others */
    struct temp_dir dir;
    char path[2 * TEMP_DIR_BYTES];
    struct release_state *written = calloc(1, sizeof *written), *read = calloc(1, sizeof *read);
    assert_true(written != NULL && read != NULL);
    temp_dir_create(&dir);
    temp_dir_path(&dir, "state", path);
    *written = (struct release_state){.change = 3, .count = 1, .apply_count = 1, .left_count = 1};
    text_copy(TEXT_LITERAL("r0"), written->left[0], sizeof written->left[0]);
    written->line[0] = (struct release){.id = "r1", .policies = "r1", .at_ms = 5, .count = 1};
    written->line[0].model[0] = (struct release_model){"m", "2", ""};
    written->apply[0] = (struct release_apply){"m", "2", "1"};
    for (uint32_t n = 0;; n++) {
        alloc_fail_after(n);
        enum err_code rc = release_state_write(path, written, NULL);
        if (rc == ERR_OK)
            rc = release_state_read(path, read, NULL);
        if (!alloc_fail_off()) {
            assert_int_equal(rc, ERR_OK);
            break;
        }
        assert_int_equal(rc, ERR_NOMEM);
    }
    assert_int_equal(read->change, 3);
    assert_string_equal(read->line[0].model[0].version, "2");
    assert_string_equal(read->apply[0].aside, "1");
    assert_int_equal(read->left_count, 1);
    assert_string_equal(read->left[0], "r0");
    assert_true(release_is_kept(read, "r0") && release_is_kept(read, "r1"));
    assert_false(release_is_kept(read, "r2"));
    free(written);
    free(read);
    temp_dir_remove(&dir);
}

#define WITH_RIG(test) cmocka_unit_test_setup_teardown(test, rig_set_up_started, rig_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_RIG(test_a_release_is_in_force_with_one_epoch),
        WITH_RIG(test_any_doubt_refuses_all_of_it),
        WITH_RIG(test_the_release_in_force_may_come_again),
        WITH_RIG(test_a_part_leaves_the_rest_as_it_is),
        WITH_RIG(test_one_model_may_change_in_between),
        WITH_RIG(test_a_version_of_before_that_is_gone_refuses_the_way_back),
        WITH_RIG(test_policies_of_a_release_outlive_a_reload),
        WITH_RIG(test_many_releases_leave_nothing_behind),
        WITH_RIG(test_a_file_that_says_nonsense_is_named),
        cmocka_unit_test(test_without_memory_nothing_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
