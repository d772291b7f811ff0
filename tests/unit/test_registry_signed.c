/* SPDX-License-Identifier: Apache-2.0 */
/* Registries with keys: what is not signed, or comes again after newer ones, does not serve. */
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
#include "server/control/ratchet.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/registry_rig.h"
#include "tests/support/signing.h"

static struct signer signer;
static struct minisign_keys keys;

static int setup(void **state)
{
    struct registry_rig *rig = malloc(sizeof *rig);
    if (rig == NULL)
        return -1;
    signer_create(&signer, 7);
    keys = (struct minisign_keys){.count = 1, .key = {signer.public_key}};
    rig_create(rig);
    rig->keys = &keys;
    rig_start(rig);
    *state = rig;
    return 0;
}

static void write_signed(const struct registry_rig *rig, const char *version, char *ret_work)
{
    model_sample_write(rig_path(rig, "work", ret_work), "m", version, MODEL_popularity);
    signer_sign_bundle(&signer, ret_work);
}

/* By hand, as it is renamed into place. */
static void publish(struct registry_rig *rig, const char *version)
{
    char work[2 * TEMP_DIR_BYTES];
    write_signed(rig, version, work);
    rig_move_in(rig, "m", version);
}

static void remove_version(const struct registry_rig *rig, const char *version)
{
    char place[2 * TEMP_DIR_BYTES], below[256];
    snprintf(below, sizeof below, "models/m/%s", version);
    assert_int_equal(file_remove_tree(rig_path(rig, below, place), NULL), ERR_OK);
}

static enum err_code install(struct registry_rig *rig, const char *version, struct err *err)
{
    char work[2 * TEMP_DIR_BYTES];
    write_signed(rig, version, work);
    enum err_code rc = rig_install(rig, work, "m", version, err);
    assert_int_equal(file_remove_tree(work, NULL), ERR_OK);
    return rc;
}

static void restart(struct registry_rig *rig)
{
    rig_stop(rig);
    rig_start(rig);
}

static void test_only_what_is_signed_serves(void **state)
{
    struct registry_rig *rig = *state;
    char work[2 * TEMP_DIR_BYTES], path[2 * TEMP_DIR_BYTES];
    struct err err = {.text = ""};
    struct signer other;
    assert_int_equal(install(rig, "1", &err), ERR_OK);
    assert_string_equal(rig_serving(rig, "m"), "1");

    rig_publish(rig, "m", "2", MODEL_popularity); /* unsigned */
    rig_scan(rig);
    assert_string_equal(rig_refusal(rig, "m", "2"),
                        "manifest.json.minisig: missing: the bundle is not signed");

    signer_create(&other, 9);
    model_sample_write(rig_path(rig, "work", work), "m", "3", MODEL_popularity);
    signer_sign_bundle(&other, work);
    assert_int_equal(rig_install(rig, work, "m", "3", &err), ERR_DENIED);
    assert_non_null(strstr(err.text, "0909090909090909"));
    assert_int_equal(access(rig_path(rig, "models/m/3", path), F_OK), -1);

    /* Signed, then changed: the manifest, and a file that it names. */
    write_signed(rig, "4", work);
    model_sample_seal(work, "m", "04", MODEL_popularity);
    assert_int_equal(rig_install(rig, work, "m", "4", &err), ERR_DENIED);
    assert_non_null(strstr(err.text, "does not hold"));
    write_signed(rig, "5", work);
    temp_dir_write_text(&rig->dir, "work/golden.json", "{\"rows\": []}");
    assert_int_equal(rig_install(rig, work, "m", "5", &err), ERR_CORRUPT);
    assert_non_null(strstr(err.text, "golden.json: incomplete"));
    write_signed(rig, "6", work);
    temp_dir_write_text(&rig->dir, "work/more.txt", "more");
    assert_int_equal(rig_install(rig, work, "m", "6", &err), ERR_CORRUPT);
    assert_string_equal(rig_serving(rig, "m"), "1");

    /* The signature comes later: the folder has changed, so it is tried again. */
    signer_sign_bundle(&signer, rig_path(rig, "models/m/2", path));
    rig_scan(rig);
    assert_string_equal(rig_serving(rig, "m"), "2");
}

static void test_old_versions_do_not_come_back_as_new_ones(void **state)
{
    struct registry_rig *rig = *state;
    struct err err = {.text = ""};
    assert_int_equal(install(rig, "9", &err), ERR_OK);
    assert_int_equal(install(rig, "10", &err), ERR_OK); /* ten, after nine */
    for (int again = 0; again < 2; again++) {
        assert_int_equal(install(rig, "8", &err), ERR_DENIED);
        assert_string_equal(err.text,
                            "version 8 of 'm' arrives anew and is lower than 10, which has served: "
                            "an old bundle may be replayed; publish under a higher version");
        publish(rig, "8");
        rig_scan(rig);
        assert_non_null(strstr(rig_refusal(rig, "m", "8"), "lower than 10"));
        assert_int_equal(rig_promote(rig, "m", "8", &err), ERR_DENIED);
        assert_string_equal(rig_serving(rig, "m"), "10");
        remove_version(rig, "8");
        rig_scan(rig);
        restart(rig); /* and it remembers */
    }
    /* What is there may serve again. */
    assert_int_equal(rig_rollback(rig, "m", &err), ERR_OK);
    assert_string_equal(rig_serving(rig, "m"), "9");
    restart(rig);
    assert_string_equal(rig_serving(rig, "m"), "9");
    assert_int_equal(rig_promote(rig, "m", "10", &err), ERR_OK);
    assert_int_equal(rig_promote(rig, "m", "9", &err), ERR_OK);
    assert_int_equal(install(rig, "8", &err), ERR_DENIED); /* though a lower one serves now */
    assert_int_equal(install(rig, "11", &err), ERR_OK);
}

static void test_what_was_removed_is_new_when_it_comes_back(void **state)
{
    struct registry_rig *rig = *state;
    struct err err = {.text = ""};
    rig->previous_bytes_max = 0;
    restart(rig);
    assert_int_equal(install(rig, "1", &err), ERR_OK);
    assert_int_equal(install(rig, "2", &err), ERR_OK);
    assert_int_equal(install(rig, "3", &err), ERR_OK);
    rig_scan(rig);
    remove_version(rig, "1"); /* it is not loaded */
    rig_scan(rig);
    publish(rig, "1");
    rig_scan(rig);
    assert_non_null(strstr(rig_refusal(rig, "m", "1"), "lower than 3"));
    /* Nor does it help to remove everything, or what .serving says. */
    rig_remove(rig, "m");
    rig_scan(rig);
    assert_string_equal(rig_serving(rig, "m"), "");
    publish(rig, "2");
    restart(rig);
    assert_string_equal(rig_serving(rig, "m"), "");
    assert_non_null(strstr(rig_refusal(rig, "m", "2"), "lower than 3"));
    publish(rig, "3");
    rig_scan(rig);
    assert_string_equal(rig_serving(rig, "m"), "3");
}

static void test_versions_that_come_together_are_all_known(void **state)
{
    struct registry_rig *rig = *state;
    char path[2 * TEMP_DIR_BYTES];
    struct err err = {.text = ""};
    publish(rig, "1");
    publish(rig, "2");
    publish(rig, "3");
    rig_scan(rig);
    assert_string_equal(rig_serving(rig, "m"), "3");
    assert_int_equal(rig_rollback(rig, "m", &err), ERR_OK);
    assert_int_equal(rig_rollback(rig, "m", &err), ERR_OK);
    assert_string_equal(rig_serving(rig, "m"), "1");
    rig_stop(rig);
    /* Keys that are given later: what is there already is known. */
    assert_int_equal(unlink(rig_path(rig, "versions.json", path)), 0);
    rig_start(rig);
    assert_int_equal(rig_promote(rig, "m", "3", &err), ERR_OK);
    assert_int_equal(rig_promote(rig, "m", "2", &err), ERR_OK);
}

static void test_a_ratchet_that_says_nonsense_ends_the_start(void **state)
{
    static const char *const bad[] = {
        "",
        "{}",
        "[]",
        "{\"format\": 2, \"models\": {}}",
        "{\"format\": 1, \"models\": {\"m\": {}}}",
        "{\"format\": 1, \"models\": {\"m\": {\"highest\": \"../x\", \"known\": {}}}}",
        "{\"format\": 1, \"models\": {\"m\": {\"highest\": \"1\", \"known\": {\"1\": \"ab\"}}}}"};
    struct registry_rig *rig = *state;
    char path[2 * TEMP_DIR_BYTES];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct ratchet *ratchet = NULL;
        struct err err = {.text = ""};
        temp_dir_write_text(&rig->dir, "other.json", bad[i]);
        assert_int_equal(ratchet_open(rig_path(rig, "other.json", path), &ratchet, &err),
                         ERR_CORRUPT);
        assert_null(ratchet);
        assert_non_null(strstr(err.text, "other.json"));
        assert_non_null(strstr(err.text, "put a copy back"));
    }
}

static void test_a_ratchet_is_whole_or_not_there_without_memory(void **state)
{
    struct registry_rig *rig = *state;
    char path[2 * TEMP_DIR_BYTES];
    struct err err = {.text = ""};
    assert_int_equal(install(rig, "1", &err), ERR_OK);
    assert_int_equal(install(rig, "2", &err), ERR_OK);
    rig_path(rig, "versions.json", path);
    for (uint32_t n = 0;; n++) {
        struct ratchet *ratchet = NULL;
        alloc_fail_after(n);
        enum err_code rc = ratchet_open(path, &ratchet, &err);
        if (!alloc_fail_off()) {
            assert_int_equal(rc, ERR_OK);
            assert_int_equal(ratchet_check(ratchet, "m", "1", "another", &err), ERR_DENIED);
            ratchet_close(&ratchet);
            break;
        }
        assert_int_equal(rc, ERR_NOMEM);
        assert_null(ratchet);
    }
}

#define WITH_RIG(test) cmocka_unit_test_setup_teardown(test, setup, rig_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_RIG(test_only_what_is_signed_serves),
        WITH_RIG(test_old_versions_do_not_come_back_as_new_ones),
        WITH_RIG(test_what_was_removed_is_new_when_it_comes_back),
        WITH_RIG(test_versions_that_come_together_are_all_known),
        WITH_RIG(test_a_ratchet_that_says_nonsense_ends_the_start),
        WITH_RIG(test_a_ratchet_is_whole_or_not_there_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
