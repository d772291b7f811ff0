/* SPDX-License-Identifier: Apache-2.0 */
/* Bundles of a release that cannot be moved to their places: they serve, and are never lost. */
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
#include "tests/support/release_rig.h"

/* A file stands where the folder of a model belongs. */
static int setup(void **state)
{
    struct registry_rig *rig = malloc(sizeof *rig);
    if (rig == NULL)
        return -1;
    rig_create(rig);
    temp_dir_write_text(&rig->dir, "models/b", "in the way");
    rig_start(rig);
    *state = rig;
    return 0;
}

static bool exists(const struct registry_rig *rig, const char *below)
{
    char path[2 * TEMP_DIR_BYTES];
    return access(rig_path(rig, below, path), F_OK) == 0;
}

static void clear_the_way(const struct registry_rig *rig)
{
    char path[2 * TEMP_DIR_BYTES];
    assert_int_equal(unlink(rig_path(rig, "models/b", path)), 0);
}

static void test_what_is_in_force_serves_until_it_can_be_moved(void **state)
{
    struct registry_rig *rig = *state;
    release_push(rig, "1");
    assert_string_equal(release_serving(rig), "1 1 1");
    assert_true(exists(rig, "models/a/1/manifest.json"));
    assert_true(exists(rig, "models/.releases/r1/b/1/manifest.json"));
    rig_scan(rig);
    assert_string_equal(release_serving(rig), "1 1 1"); /* not retired: it is not gone */
    clear_the_way(rig);
    rig_scan(rig);
    assert_string_equal(release_serving(rig), "1 1 1");
    assert_true(exists(rig, "models/b/1/manifest.json"));
    assert_false(exists(rig, "models/.releases/r1/b/1"));
    rig_stop(rig);
    rig_start(rig);
    assert_string_equal(release_serving(rig), "1 1 1");
}

static void test_no_release_follows_one_that_would_be_lost(void **state)
{
    struct registry_rig *rig = *state;
    struct err err = {.text = ""};
    release_push(rig, "1");
    release_write(rig, "incoming", "2");
    assert_int_not_equal(release_install(rig, "incoming", "r2", &err), ERR_OK);
    assert_non_null(strstr(err.text, "b/1 of the release 'r1' is not in its place yet: "));
    assert_string_equal(release_serving(rig), "1 1 1");
    assert_true(exists(rig, "models/.releases/r1/b/1/manifest.json"));
    assert_false(exists(rig, "models/.releases/r2"));
    clear_the_way(rig);
    assert_int_equal(release_install(rig, "incoming", "r2", &err), ERR_OK);
    assert_string_equal(release_serving(rig), "2 2 2");
    assert_true(exists(rig, "models/b/1/manifest.json") && exists(rig, "models/b/2/manifest.json"));
}

static void test_what_others_put_in_its_place_meanwhile_takes_nothing_away(void **state)
{
    struct registry_rig *rig = *state;
    struct err err = {.text = ""};
    char path[2 * TEMP_DIR_BYTES];
    release_push(rig, "1");
    clear_the_way(rig);
    model_sample_write(rig_path(rig, "models/b/1", path), "b", "1", MODEL_neighbors);
    rig_scan(rig);
    assert_string_equal(release_serving(rig), "1 1 1");
    assert_true(exists(rig, "models/.releases/r1/b/1/manifest.json"));
    release_write(rig, "incoming", "2");
    assert_int_not_equal(release_install(rig, "incoming", "r2", &err), ERR_OK);
    assert_non_null(strstr(err.text, "b/1 of the release 'r1'"));
}

static void test_a_start_moves_what_could_not_be_moved(void **state)
{
    struct registry_rig *rig = *state;
    release_push(rig, "1");
    rig_stop(rig);
    rig_start(rig);
    assert_true(exists(rig, "models/.releases/r1/b/1/manifest.json"));
    rig_stop(rig);
    clear_the_way(rig);
    rig_start(rig);
    assert_string_equal(release_serving(rig), "1 1 1");
}

static void test_what_is_rolled_back_before_it_is_moved_is_kept(void **state)
{
    struct registry_rig *rig = *state;
    struct err err = {.text = ""};
    release_push(rig, "1");
    assert_int_equal(release_rollback(rig, &err), ERR_OK);
    assert_string_equal(release_serving(rig), "- - builtin");
    assert_true(exists(rig, "models/.releases/r1/b/1/manifest.json"));
    release_write(rig, "incoming", "1");
    assert_int_equal(release_install(rig, "incoming", "r1", &err), ERR_EXISTS);
    assert_non_null(strstr(err.text, "'.releases/r1' of an earlier release is still needed"));
    clear_the_way(rig);
    rig_stop(rig);
    rig_start(rig);
    rig_scan(rig);
    assert_string_equal(release_serving(rig), "- - builtin"); /* it does not come back by itself */
    assert_true(exists(rig, "models/.releases/r1/b/1/manifest.json"));
    assert_int_equal(release_install(rig, "incoming", "r2", &err), ERR_OK);
    assert_string_equal(release_serving(rig), "1 1 1");
    assert_true(exists(rig, "models/.releases/r1/b/1/manifest.json"));
}

/* The release is forgotten, its policies count. */
static void test_the_name_of_policies_that_count_is_not_given_away(void **state)
{
    struct registry_rig *rig = *state;
    struct err err = {.text = ""};
    char id[MODEL_NAME_BYTES], path[2 * TEMP_DIR_BYTES];
    clear_the_way(rig);
    release_push(rig, "1");
    for (int i = 2; i <= RELEASES_MAX + 1; i++) {
        snprintf(id, sizeof id, "r%d", i);
        release_write(rig, "incoming", "1");
        assert_int_equal(unlink(rig_path(rig, "incoming/policies.json", path)), 0);
        assert_int_equal(release_install(rig, "incoming", id, &err), ERR_OK);
    }
    release_write(rig, "incoming", "2");
    assert_int_equal(release_install(rig, "incoming", "r1", &err), ERR_EXISTS);
    assert_true(exists(rig, "models/.releases/r1/policies.json"));
    rig_stop(rig);
    rig_start(rig);
    assert_string_equal(release_serving(rig), "1 1 1");
}

#define WITH_RIG(test) cmocka_unit_test_setup_teardown(test, setup, rig_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_RIG(test_what_is_in_force_serves_until_it_can_be_moved),
        WITH_RIG(test_no_release_follows_one_that_would_be_lost),
        WITH_RIG(test_what_others_put_in_its_place_meanwhile_takes_nothing_away),
        WITH_RIG(test_a_start_moves_what_could_not_be_moved),
        WITH_RIG(test_what_is_rolled_back_before_it_is_moved_is_kept),
        WITH_RIG(test_the_name_of_policies_that_count_is_not_given_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
