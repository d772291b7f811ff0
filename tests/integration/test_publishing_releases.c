/* SPDX-License-Identifier: Apache-2.0 */
/* How releases get in where bundles must be signed: pushed, listed, rolled back, with features that
 * are filled from the log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/support/daemon.h"
#include "tests/support/model_sample.h"
#include "tests/support/program.h"
#include "tests/support/publishing_rig.h"

/* The folder releases/rN: two models and the policies, all of version N. */
static const char *write_release(struct publishing_rig *bench, const char *version, char *dir)
{
    char below[128], path[2 * TEMP_DIR_BYTES], policies[512];
    snprintf(below, sizeof below, "releases/r%s/a/%s", version, version);
    model_sample_write(publishing_rig_path(bench, below, path), "a", version, MODEL_neighbors);
    publishing_rig_sign(bench, path);
    snprintf(below, sizeof below, "releases/r%s/b/%s", version, version);
    model_sample_write(publishing_rig_path(bench, below, path), "b", version, MODEL_popularity);
    publishing_rig_sign(bench, path);
    snprintf(below, sizeof below, "releases/r%s/policies.json", version);
    snprintf(policies, sizeof policies,
             "{\"version\": \"%s\", \"default\": \"home\", \"slots\": {\"home\": {\"sources\": ["
             "{\"source\": \"neighbors\", \"model\": \"a\", \"weight\": 1},"
             "{\"source\": \"model_popular\", \"model\": \"b\", \"weight\": 0.1}]}}}",
             version);
    temp_dir_write_text(&bench->dir, below, policies);
    snprintf(below, sizeof below, "releases/r%s", version);
    return publishing_rig_path(bench, below, dir);
}

/* "a@1 b@1 home@1", from one decision. */
static void expect_decision(struct publishing_rig *bench, const char *version)
{
    char models[64], policy[32];
    const char *const args[] = {"--json", "call", "recommend", "{\"seeds\": [\"i0\"], \"n\": 5}",
                                NULL};
    assert_int_equal(publishing_rig_ctl(bench, args), 0);
    snprintf(models, sizeof models, "\"models\":[\"a@%s\",\"b@%s\"]", version, version);
    snprintf(policy, sizeof policy, "\"policy\":\"home@%s\"", version);
    if (strstr(bench->program.out, models) == NULL || strstr(bench->program.out, policy) == NULL)
        fail_msg("expected %s and %s, got %s", models, policy, bench->program.out);
}

static int release(struct publishing_rig *bench, const char *verb, const char *dir)
{
    const char *const args[] = {"release", verb, dir, NULL};
    return publishing_rig_ctl(bench, args);
}

static bool audited(struct publishing_rig *bench, const char *act, const char *id,
                    const char *outcome)
{
    char wanted_act[64], wanted_id[64], wanted_outcome[64];
    const char *const args[] = {"--json", "call", "audit", "{}", NULL};
    assert_int_equal(publishing_rig_ctl(bench, args), 0);
    snprintf(wanted_act, sizeof wanted_act, "\"act\":\"%s\"", act);
    snprintf(wanted_id, sizeof wanted_id, "\"release\":\"%s\"", id);
    snprintf(wanted_outcome, sizeof wanted_outcome, "\"outcome\":\"%s\"", outcome);
    for (const char *line = bench->program.out; (line = strstr(line, wanted_act)) != NULL; line++) {
        char one[1024];
        snprintf(one, sizeof one, "%s", line);
        one[strcspn(one, "}")] = '\0';
        if (strstr(one, wanted_id) != NULL && strstr(one, wanted_outcome) != NULL)
            return true;
    }
    return false;
}

static void test_a_release_is_pushed_listed_and_rolled_back(void **state)
{
    struct publishing_rig *bench = *state;
    char dir[2 * TEMP_DIR_BYTES], path[2 * TEMP_DIR_BYTES];
    assert_int_equal(release(bench, "list", NULL), 0);
    assert_non_null(strstr(bench->program.out, "no release is in force"));
    assert_int_equal(release(bench, "push", write_release(bench, "1", dir)), 0);
    assert_non_null(strstr(bench->program.out, "release r1 is in force"));
    expect_decision(bench, "1");
    /* Over a crash; with a slash at the end of the path. */
    write_release(bench, "2", dir);
    snprintf(dir + strlen(dir), sizeof dir - strlen(dir), "/");
    assert_int_equal(release(bench, "push", dir), 0);
    daemon_signal(&bench->daemon, SIGKILL);
    assert_true(WIFSIGNALED(daemon_wait(&bench->daemon)));
    daemon_restart(&bench->daemon);
    expect_decision(bench, "2");
    assert_int_equal(release(bench, "list", NULL), 0);
    assert_non_null(strstr(bench->program.out, "in_force"));
    assert_non_null(strstr(bench->program.out, "a@2 b@2"));
    assert_non_null(strstr(bench->program.out, "previous"));
    /* Whose answer was lost: it is in force, and may be pushed again; one of before may not. */
    assert_int_equal(release(bench, "push", dir), 0);
    assert_non_null(strstr(bench->program.out, "release r2 is in force"));
    assert_int_equal(release(bench, "push", publishing_rig_path(bench, "releases/r1", path)), 1);
    assert_non_null(strstr(bench->program.err, "there is a release 'r1' already"));

    /* What only the daemon can find refuses all of it, too: the signature, and the policies. */
    write_release(bench, "3", dir);
    assert_int_equal(
        unlink(publishing_rig_path(bench, "releases/r3/b/3/manifest.json.minisig", path)), 0);
    assert_int_equal(release(bench, "push", dir), 1);
    assert_non_null(strstr(bench->program.err, "b/3: manifest.json.minisig: missing"));
    temp_dir_write_text(&bench->dir, "releases/r4/policies.json", "{\"slots\": 1}");
    assert_int_equal(release(bench, "push", publishing_rig_path(bench, "releases/r4", dir)), 1);
    expect_decision(bench, "2");

    assert_int_equal(release(bench, "rollback", NULL), 0);
    assert_non_null(strstr(bench->program.out, "release r1 is in force"));
    expect_decision(bench, "1");
    assert_true(audited(bench, "release_push", "r2", "ok"));
    assert_true(audited(bench, "release_push", "r3", "failed"));
    assert_true(audited(bench, "release_rollback", "r2", "ok"));
    assert_int_equal(release(bench, "rollback", NULL), 0);
    assert_int_equal(release(bench, "rollback", NULL), 1);
    assert_non_null(strstr(bench->program.err, "no release is in force"));
}

static void expect_answer(struct publishing_rig *bench, const char *op, const char *json,
                          const char *part)
{
    const char *const args[] = {"--json", "call", op, json, NULL};
    if (publishing_rig_ctl(bench, args) != 0 || strstr(bench->program.out, part) == NULL)
        fail_msg("%s: expected %s, got %s%s", op, part, bench->program.out, bench->program.err);
}

static void write_features(struct publishing_rig *bench, const char *below, const char *window)
{
    char text[256];
    snprintf(text, sizeof text,
             "{\"version\": \"%s\", \"features\": {\"user.views\": {\"kind\": \"count\", "
             "\"events\": [\"view\"], \"window\": \"%s\"}}}",
             window, window);
    temp_dir_write_text(&bench->dir, below, text);
}

static void test_features_come_with_a_release_filled_from_the_log(void **state)
{
    static const char views[] = "{\"user\": \"u\", \"names\": [\"user.views\"]}";
    struct publishing_rig *bench = *state;
    char dir[2 * TEMP_DIR_BYTES];
    expect_answer(bench, "events",
                  "{\"events\": [{\"id\": \"1\", \"type\": \"view\", \"user\": \"u\", \"items\": "
                  "[{\"id\": \"i0\"}]}, {\"id\": \"2\", \"type\": \"view\", \"user\": \"u\", "
                  "\"items\": [{\"id\": \"i1\"}]}]}",
                  "\"accepted\":2");
    write_release(bench, "1", dir);
    write_features(bench, "releases/r1/features.json", "7d");
    assert_int_equal(release(bench, "push", dir), 0);
    expect_answer(bench, "features", views, "\"user.views\":2");
    assert_int_equal(release(bench, "list", NULL), 0);
    assert_non_null(strstr(bench->program.out, "FEATURES"));
    assert_non_null(strstr(bench->program.out, "r1        r1"));
    write_features(bench, "releases/next/features.json", "14d");
    assert_int_equal(release(bench, "push", publishing_rig_path(bench, "releases/next", dir)), 0);
    expect_decision(bench, "1");
    /* Over a crash, and back. */
    daemon_signal(&bench->daemon, SIGKILL);
    assert_true(WIFSIGNALED(daemon_wait(&bench->daemon)));
    daemon_restart(&bench->daemon);
    expect_answer(bench, "features", views, "\"user.views\":2");
    expect_answer(bench, "release_list", "{}", "\"features\":\"next\"");
    assert_int_equal(release(bench, "rollback", NULL), 0);
    expect_answer(bench, "features", views, "\"user.views\":2");
    expect_answer(bench, "release_list", "{}", "\"features\":\"r1\"");
    assert_true(audited(bench, "release_push", "next", "ok"));
    assert_int_equal(release(bench, "rollback", NULL), 0);
    const char *const gone[] = {"call", "features", views, NULL};
    assert_int_not_equal(publishing_rig_ctl(bench, gone), 0);

    temp_dir_write_text(&bench->dir, "releases/bad/features.json", "{\"features\": []}");
    assert_int_equal(release(bench, "push", publishing_rig_path(bench, "releases/bad", dir)), 1);
    assert_non_null(strstr(bench->program.err, "features"));
}

static void test_a_folder_that_is_no_release_is_not_sent(void **state)
{
    struct publishing_rig *bench = *state;
    char dir[2 * TEMP_DIR_BYTES], path[2 * TEMP_DIR_BYTES];
    assert_int_equal(release(bench, "push", "/nowhere"), 1);
    assert_int_equal(file_make_dir(publishing_rig_path(bench, "empty", dir), NULL), ERR_OK);
    assert_int_equal(release(bench, "push", dir), 1);
    assert_non_null(strstr(bench->program.err, "neither models nor policies"));
    model_sample_write(publishing_rig_path(bench, "two/a/1", path), "a", "1", MODEL_popularity);
    model_sample_write(publishing_rig_path(bench, "two/a/2", path), "a", "2", MODEL_popularity);
    assert_int_equal(release(bench, "push", publishing_rig_path(bench, "two", dir)), 1);
    assert_non_null(strstr(bench->program.err, "one folder VERSION, got 2"));
    model_sample_write(publishing_rig_path(bench, "other/a/1", path), "b", "1", MODEL_popularity);
    assert_int_equal(release(bench, "push", publishing_rig_path(bench, "other", dir)), 1);
    assert_non_null(strstr(bench->program.err, "the manifest says b 1"));
    temp_dir_write_text(&bench->dir, "file/notes.txt", "hello");
    assert_int_equal(release(bench, "push", publishing_rig_path(bench, "file", dir)), 1);
    assert_non_null(strstr(bench->program.err, "nothing else"));
    const char *const bad_id[] = {"release", "push", dir, "--as", ".x", NULL};
    assert_int_equal(publishing_rig_ctl(bench, bad_id), 2);
}

#define WITH_BENCH(test) \
    cmocka_unit_test_setup_teardown(test, publishing_rig_set_up, publishing_rig_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_BENCH(test_a_release_is_pushed_listed_and_rolled_back),
        WITH_BENCH(test_features_come_with_a_release_filled_from_the_log),
        WITH_BENCH(test_a_folder_that_is_no_release_is_not_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
