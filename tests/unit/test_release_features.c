/* SPDX-License-Identifier: Apache-2.0 */
/* Definitions of features as a part of releases: with the models and policies that need them, or
 * not at all, and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/rcu.h"
#include "featurestore/feature_reader.h"
#include "server/control/release.h"
#include "tests/support/release_rig.h"

static int set_up(void **state)
{
    static struct registry_rig rig;
    rig_create(&rig);
    rig_start(&rig);
    *state = &rig;
    return 0;
}

static int tear_down(void **state)
{
    rig_destroy(*state);
    return 0;
}

/* A ranker that needs the feature (in the place of pair.days of the sample), and a slot with it. */
static void write_ranker(const struct registry_rig *rig, const char *below, const char *version,
                         const char *feature)
{
    static const struct bundle_write_file files[] = {{"weights", "weights.safetensors"}};
    char name[256], path[2 * TEMP_DIR_BYTES], rows[256], extra[256];
    struct err err = {.text = ""};
    snprintf(name, sizeof name, "%s/ranker/%s", below, version);
    model_sample_write(rig_path(rig, name, path), "ranker", version, MODEL_linear);
    snprintf(rows, sizeof rows, "[{\"features\": {\"item.price\": 3, \"%s\": 1}, \"score\": 5.75}]",
             feature);
    snprintf(extra, sizeof extra,
             "{\"features\": [{\"name\": \"item.price\", \"default\": 1}, {\"name\": \"%s\"}, "
             "{\"name\": \"caller.score\"}]}",
             feature);
    cJSON *rows_json = cJSON_Parse(rows), *extra_json = cJSON_Parse(extra);
    assert_int_equal(bundle_write_golden(path, rows_json, &err), ERR_OK);
    assert_int_equal(
        bundle_write_manifest(path, "ranker", version, MODEL_linear, files, 1, extra_json, &err),
        ERR_OK);
    cJSON_Delete(rows_json);
    cJSON_Delete(extra_json);
    snprintf(name, sizeof name, "%s/policies.json", below);
    snprintf(rows, sizeof rows,
             "{\"version\": \"%s\", \"default\": \"home\", \"slots\": {\"home\": {\"sources\": "
             "[{\"source\": \"popular\", \"weight\": 1}], \"ranker\": \"ranker\"}}}",
             version);
    temp_dir_write_text(&rig->dir, name, rows);
}

static bool is_defined(const struct registry_rig *rig, const char *name)
{
    struct feature feature;
    rcu_read_begin();
    bool is = feature_bind(rig->store, text_of(name), &feature);
    rcu_read_end();
    return is;
}

static bool exists(const struct registry_rig *rig, const char *below)
{
    char path[2 * TEMP_DIR_BYTES];
    return access(rig_path(rig, below, path), F_OK) == 0;
}

static void expect_refusal(struct registry_rig *rig, const char *message)
{
    struct err err = {.text = ""};
    char path[2 * TEMP_DIR_BYTES], before[128], release[MODEL_NAME_BYTES];
    uint64_t epoch, epoch_after;
    (void)registry_release(rig->registry, release, &epoch);
    snprintf(before, sizeof before, "%s", release_all(rig));
    assert_int_not_equal(release_install(rig, "incoming", "bad", &err), ERR_OK);
    if (strstr(err.text, message) == NULL)
        fail_msg("expected '%s', got '%s'", message, err.text);
    (void)registry_release(rig->registry, release, &epoch_after);
    assert_int_equal(epoch, epoch_after);
    assert_string_equal(release_all(rig), before);
    assert_false(exists(rig, "models/.releases/bad"));
    (void)!file_remove_tree(rig_path(rig, "incoming", path), NULL);
}

static void test_a_ranker_comes_with_the_features_that_it_needs(void **state)
{
    struct registry_rig *rig = *state;
    struct err err = {.text = ""};
    write_ranker(rig, "incoming", "1", "user.of1");
    expect_refusal(rig, "nothing supplies 'user.of1'");
    write_ranker(rig, "incoming", "1", "user.of1");
    release_write_features(rig, "incoming", "2"); /* user.of2 */
    expect_refusal(rig, "nothing supplies 'user.of1'");
    assert_false(is_defined(rig, "user.of1") || is_defined(rig, "user.of2"));

    write_ranker(rig, "incoming", "1", "user.of1");
    release_write_features(rig, "incoming", "1");
    assert_int_equal(release_install(rig, "incoming", "r1", &err), ERR_OK);
    assert_string_equal(release_all(rig), "- - 1 1");
    assert_string_equal(rig_serving(rig, "ranker"), "1");
    assert_true(is_defined(rig, "user.of1"));

    /* What serves is bound to it: it cannot go alone, but with it. */
    release_write_features(rig, "incoming", "2");
    expect_refusal(rig, "features.json lacks what ranker@1 needs");
    write_ranker(rig, "incoming", "2", "user.of2");
    release_write_features(rig, "incoming", "2");
    assert_int_equal(release_install(rig, "incoming", "r2", &err), ERR_OK);
    assert_string_equal(release_all(rig), "- - 2 2");
    assert_true(is_defined(rig, "user.of2") && !is_defined(rig, "user.of1"));

    /* The way back, over restarts. */
    assert_int_equal(release_rollback(rig, &err), ERR_OK);
    assert_string_equal(release_all(rig), "- - 1 1");
    assert_string_equal(rig_serving(rig, "ranker"), "1");
    rig_stop(rig);
    rig_start(rig);
    assert_string_equal(release_all(rig), "- - 1 1");
    assert_string_equal(rig_serving(rig, "ranker"), "1");
    assert_int_equal(release_rollback(rig, &err), ERR_OK);
    assert_string_equal(release_all(rig), "- - builtin none");
    assert_false(is_defined(rig, "user.of1"));
}

static void test_policies_are_bound_to_the_features_of_their_release(void **state)
{
    static const char policies[] =
        "{\"version\": \"2\", \"default\": \"home\", \"slots\": {\"home\": {\"sources\": "
        "[{\"source\": \"popular\", \"weight\": 1}], \"filters\": [\"user.of2 > 1\"]}}}";
    struct registry_rig *rig = *state;
    struct err err = {.text = ""};
    release_push(rig, "1");
    temp_dir_write_text(&rig->dir, "incoming/policies.json", policies);
    expect_refusal(rig, "user.of2");
    temp_dir_write_text(&rig->dir, "incoming/policies.json", policies);
    release_write_features(rig, "incoming", "2");
    assert_int_equal(release_install(rig, "incoming", "r2", &err), ERR_OK);
    assert_string_equal(release_all(rig), "1 1 2 2");
    release_write_features(rig, "incoming", "3");
    expect_refusal(rig, "user.of2");
}

static void test_features_that_are_wrong_refuse_all_of_it(void **state)
{
    struct registry_rig *rig = *state;
    release_push(rig, "1");
    release_write(rig, "incoming", "2");
    temp_dir_write_text(&rig->dir, "incoming/features.json",
                        "{\"features\": {\"user.x\": {\"kind\": \"counts\"}}}");
    expect_refusal(rig, "features.user.x.kind: unknown name");
    release_write(rig, "incoming", "2");
    temp_dir_write_text(&rig->dir, "incoming/b/2/manifest.json", "{}");
    expect_refusal(rig, "b/2: ");
    assert_false(is_defined(rig, "user.of2"));
}

static enum err_code reload(struct registry_rig *rig, const char *features)
{
    static const struct text no_ids[1];
    struct outcome outcome;
    char path[2 * TEMP_DIR_BYTES];
    outcome_init(&outcome);
    registry_reload(rig->registry, NULL, features == NULL ? NULL : rig_path(rig, features, path),
                    no_ids, 0, rig->previous_bytes_max, outcome_done, &outcome);
    return outcome_wait(&outcome);
}

static void test_a_part_leaves_the_features_as_they_are(void **state)
{
    struct registry_rig *rig = *state;
    struct err err = {.text = ""};
    char path[2 * TEMP_DIR_BYTES], hex[SHA256_HEX_BYTES], before[SHA256_HEX_BYTES];
    release_write_features(rig, "own", "9");
    assert_int_equal(reload(rig, "own/features.json"), ERR_OK);
    assert_string_equal(release_all(rig), "- - builtin 9");
    registry_features_sha256(rig->registry, before);
    /* Without a release's own the file of the configuration counts. */
    model_sample_write(rig_path(rig, "incoming/a/7", path), "a", "7", MODEL_neighbors);
    assert_int_equal(release_install(rig, "incoming", "a-alone", &err), ERR_OK);
    assert_string_equal(release_all(rig), "7 - builtin 9");
    release_write_features(rig, "incoming", "2");
    assert_int_equal(release_install(rig, "incoming", "features-alone", &err), ERR_OK);
    assert_string_equal(release_all(rig), "7 - builtin 2");
    model_sample_write(rig_path(rig, "incoming/a/8", path), "a", "8", MODEL_neighbors);
    assert_int_equal(release_install(rig, "incoming", "a-again", &err), ERR_OK);
    assert_string_equal(release_all(rig), "8 - builtin 2");
    /* A reload does not bring those of the configuration back, the way back does. */
    release_write_features(rig, "own", "10");
    assert_int_equal(reload(rig, "own/features.json"), ERR_OK);
    assert_string_equal(release_all(rig), "8 - builtin 2");
    assert_int_equal(release_rollback(rig, &err), ERR_OK);
    assert_string_equal(release_all(rig), "7 - builtin 2");
    assert_true(exists(rig, "models/.releases/features-alone/features.json"));
    assert_int_equal(release_rollback(rig, &err), ERR_OK);
    assert_string_equal(release_all(rig), "7 - builtin 10");
    assert_string_not_equal(registry_features_sha256(rig->registry, hex), before);
    assert_int_equal(reload(rig, NULL), ERR_OK);
    assert_string_equal(registry_features_sha256(rig->registry, hex), "none");
}

static void test_features_of_a_release_that_are_lost_stop_a_start(void **state)
{
    struct registry_rig *rig = *state;
    struct err err = {.text = ""};
    char models[2 * TEMP_DIR_BYTES], path[FILE_PATH_BYTES], file[2 * TEMP_DIR_BYTES];
    rig_path(rig, "models", models);
    assert_int_equal(release_features_path(models, "own.json", path, &err), ERR_OK);
    assert_string_equal(path, "own.json");
    release_push(rig, "1");
    assert_int_equal(release_features_path(models, "own.json", path, &err), ERR_OK);
    assert_string_equal(path, rig_path(rig, "models/.releases/r1/features.json", file));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(reload(rig, NULL), ERR_NOT_FOUND); /* and is refused while it serves */
    assert_string_equal(release_all(rig), "1 1 1 1");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_a_ranker_comes_with_the_features_that_it_needs),
        TEST(test_policies_are_bound_to_the_features_of_their_release),
        TEST(test_features_that_are_wrong_refuse_all_of_it),
        TEST(test_a_part_leaves_the_features_as_they_are),
        TEST(test_features_of_a_release_that_are_lost_stop_a_start),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
