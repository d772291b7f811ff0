/* SPDX-License-Identifier: Apache-2.0 */
/* How models get in where bundles must be signed: the programs that people use, one after the
 * other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/support/daemon.h"
#include "tests/support/model_sample.h"
#include "tests/support/program.h"

#define MINISIGN "/usr/bin/minisign" /* tools/setup installs it */

struct bench {
    struct daemon daemon;
    struct temp_dir dir; /* keys and bundles */
    struct program program;
};

static const char *at(const struct bench *bench, const char *name, char *buf)
{
    return temp_dir_path(&bench->dir, name, buf);
}

static void must_run(struct bench *bench, const char *const *argv)
{
    program_run(&bench->program, argv);
    if (bench->program.exit_code != 0)
        fail_msg("%s ended with %d: %s%s", argv[0], bench->program.exit_code, bench->program.out,
                 bench->program.err);
}

static int setup(void **state)
{
    char secret[2 * TEMP_DIR_BYTES], public_key[2 * TEMP_DIR_BYTES];
    char config[3 * TEMP_DIR_BYTES];
    struct bench *bench = calloc(1, sizeof *bench);
    if (bench == NULL)
        return -1;
    temp_dir_create(&bench->dir);
    const char *const generate[] = {MINISIGN,
                                    "-G",
                                    "-W",
                                    "-p",
                                    at(bench, "k.pub", public_key),
                                    "-s",
                                    at(bench, "k.sec", secret),
                                    NULL};
    must_run(bench, generate);
    snprintf(config, sizeof config, "\"model_keys\": [\"%s\"]", public_key);
    daemon_start(&bench->daemon, config);
    *state = bench;
    return 0;
}

static int teardown(void **state)
{
    struct bench *bench = *state;
    daemon_stop(&bench->daemon);
    temp_dir_remove(&bench->dir);
    free(bench);
    return 0;
}

/* decidectl; its output is in bench->program. */
static int ctl(struct bench *bench, const char *const *args)
{
    return program_run_ctl(&bench->program, bench->daemon.url, args);
}

static void sign(struct bench *bench, const char *dir)
{
    char secret[2 * TEMP_DIR_BYTES], manifest[4 * TEMP_DIR_BYTES];
    snprintf(manifest, sizeof manifest, "%s/manifest.json", dir);
    const char *const argv[] = {MINISIGN, "-S",     "-s", at(bench, "k.sec", secret),
                                "-m",     manifest, NULL};
    must_run(bench, argv);
}

static int push(struct bench *bench, const char *version, bool is_signed)
{
    char dir[2 * TEMP_DIR_BYTES];
    model_sample_write(at(bench, version, dir), "m", version, MODEL_popularity);
    if (is_signed)
        sign(bench, dir);
    const char *const args[] = {"model", "push", dir, NULL};
    return ctl(bench, args);
}

static bool serves(struct bench *bench, const char *version)
{
    char wanted[64];
    const char *const args[] = {"--json", "call", "model_list", "{}", NULL};
    assert_int_equal(ctl(bench, args), 0);
    snprintf(wanted, sizeof wanted,
             "\"version\":\"%s\",\"kind\":\"popularity\",\"label\":\"stable\"", version);
    return strstr(bench->program.out, wanted) != NULL;
}

static void test_what_is_signed_is_pushed_with_its_signature(void **state)
{
    struct bench *bench = *state;
    char path[2 * TEMP_DIR_BYTES];
    assert_int_equal(push(bench, "1", false), 1);
    assert_non_null(strstr(bench->program.err, "the bundle is not signed"));
    assert_int_equal(push(bench, "2", true), 0);
    assert_true(serves(bench, "2"));
    assert_int_equal(
        access(temp_dir_path(&bench->daemon.dir, "models/m/2/manifest.json.minisig", path), R_OK),
        0);
    assert_int_equal(push(bench, "3", true), 0);
    /* Over a restart, after a crash. */
    daemon_signal(&bench->daemon, SIGKILL);
    assert_true(WIFSIGNALED(daemon_wait(&bench->daemon)));
    daemon_restart(&bench->daemon);
    assert_true(serves(bench, "3"));
    assert_int_equal(push(bench, "1", true), 1);
    assert_non_null(strstr(bench->program.err, "lower than 3"));
    const char *const rollback[] = {"model", "rollback", "m", NULL};
    assert_int_equal(ctl(bench, rollback), 0);
    assert_true(serves(bench, "2"));
}

/* ---- verify ---------------------------------------------------------------------------------- */

/* Its report as JSON, which the caller deletes. */
static cJSON *verified(struct bench *bench, int code, const char *dir, const char *option,
                       const char *value)
{
    const char *const args[] = {"--json", "model", "verify", dir, option, value, NULL};
    assert_int_equal(ctl(bench, args), code);
    cJSON *report = cJSON_Parse(bench->program.out);
    if (report == NULL)
        fail_msg("no JSON: %s", bench->program.out);
    assert_int_equal(cJSON_IsTrue(cJSON_GetObjectItem(report, "ok")), code == 0);
    return report;
}

static const cJSON *member(const cJSON *report, const char *one, const char *other)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(report, one);
    return other == NULL ? value : cJSON_GetObjectItemCaseSensitive(value, other);
}

static const char *text(const cJSON *report, const char *one, const char *other)
{
    const char *value = cJSON_GetStringValue(member(report, one, other));
    return value == NULL ? "" : value;
}

static void test_every_kind_is_verified_and_reported(void **state)
{
    struct bench *bench = *state;
    for (int kind = 0; kind < MODEL_KIND_COUNT; kind++) {
        char dir[2 * TEMP_DIR_BYTES];
        const char *name = model_kind_name((enum model_kind)kind);
        model_sample_write(at(bench, name, dir), "m", "1", (enum model_kind)kind);
        cJSON *report = verified(bench, 0, dir, NULL, NULL);
        assert_string_equal(text(report, "kind", NULL), name);
        assert_string_equal(text(report, "signature", "state"), "none");
        assert_true(cJSON_GetNumberValue(member(report, "golden_rows", NULL)) >= 1);
        assert_true(cJSON_GetNumberValue(member(report, "memory_bytes", NULL)) > 0);
        assert_true(cJSON_GetNumberValue(member(report, "row_us", "alone")) > 0);
        assert_true(cJSON_GetNumberValue(member(report, "row_us", "of_100")) > 0);
        assert_true(cJSON_GetArraySize(member(report, "figures", NULL)) >= 1);
        assert_true((cJSON_GetArraySize(member(report, "files", NULL)) >= 1) ==
                    (kind != MODEL_blend));
        assert_int_equal(cJSON_GetArraySize(member(report, "doubts", NULL)), 0);
        cJSON_Delete(report);
        const char *const people[] = {"model", "verify", dir, NULL};
        assert_int_equal(ctl(bench, people), 0);
        assert_non_null(strstr(bench->program.out, ": good\n"));
    }
}

static void test_signatures_are_verified(void **state)
{
    struct bench *bench = *state;
    char dir[2 * TEMP_DIR_BYTES], key[2 * TEMP_DIR_BYTES], manifest[2 * TEMP_DIR_BYTES];
    model_sample_write(at(bench, "b", dir), "m", "1", MODEL_popularity);
    at(bench, "k.pub", key);
    cJSON_Delete(verified(bench, 1, dir, "--key", key));
    assert_non_null(strstr(bench->program.out, "the bundle is not signed"));
    sign(bench, dir);
    cJSON *report = verified(bench, 0, dir, "--key", key);
    assert_string_equal(text(report, "signature", "state"), "good");
    assert_int_equal(strlen(text(report, "signature", "key")), 16);
    assert_non_null(strstr(text(report, "signature", "trusted_comment"), "manifest.json"));
    cJSON_Delete(report);
    report = verified(bench, 0, dir, NULL, NULL);
    assert_string_equal(text(report, "signature", "state"), "unchecked");
    cJSON_Delete(report);
    FILE *file = fopen(at(bench, "b/manifest.json", manifest), "a");
    assert_non_null(file);
    fputc('\n', file);
    assert_int_equal(fclose(file), 0);
    cJSON_Delete(verified(bench, 1, dir, "--key", key));
    assert_non_null(strstr(bench->program.out, "does not hold"));
    cJSON_Delete(verified(bench, 1, dir, "--key", manifest));
}

/* A file as XGBoost wrote it; one of its features is defined by the shop. */
static void test_a_bare_file_is_verified_bundled_signed_and_pushed(void **state)
{
    struct bench *bench = *state;
    char model[FILE_PATH_BYTES], dir[2 * TEMP_DIR_BYTES], features[2 * TEMP_DIR_BYTES];
    char key[2 * TEMP_DIR_BYTES], map[2 * TEMP_DIR_BYTES];
    const char *source = getenv("DECIDED_SOURCE");
    assert_non_null(source);
    snprintf(model, sizeof model, "%s/tests/fuzz/corpus/xgboost/logistic", source);
    temp_dir_write_text(&bench->dir, "map.json",
                        "{\"item.price\": \"item.price\", \"caller.score\": "
                        "\"caller.score\", \"item.brand\": \"item.views\"}");
    temp_dir_write_text(&bench->dir, "features.json",
                        "{\"version\": \"1\", \"features\": {\"item.views\": {\"kind\": \"count\", "
                        "\"events\": [\"view\"], \"window\": \"7d\"}}}");
    at(bench, "map.json", map);
    at(bench, "features.json", features);
    const char *const usage[] = {"model", "verify", model, NULL};
    assert_int_equal(ctl(bench, usage), 2);
    const char *const doubtful[] = {"model", "verify",        model, "--name",
                                    "r",     "--feature-map", map,   NULL};
    assert_int_equal(ctl(bench, doubtful), 1);
    assert_non_null(strstr(bench->program.err, "nothing supplies the feature 'item.views'"));
    const char *const good[] = {"model",         "verify", model,        "--name", "r",
                                "--feature-map", map,      "--features", features, NULL};
    assert_int_equal(ctl(bench, good), 0);
    assert_non_null(strstr(bench->program.out, "features.json"));
    assert_non_null(strstr(bench->program.out, "trees 2"));

    at(bench, "bundled", dir);
    const char *const bundle[] = {"model",     "bundle", model,           dir,        "--name", "r",
                                  "--version", "1",      "--feature-map", "/nowhere", NULL};
    assert_int_equal(ctl(bench, bundle), 1);
    assert_int_equal(access(dir, F_OK), -1); /* nothing is left */
    temp_dir_write_text(&bench->dir, "map.json",
                        "{\"item.price\": \"item.price\", \"caller.score\": "
                        "\"caller.score\", \"item.brand\": \"request.brand\"}");
    const char *const mapped[] = {"model",     "bundle", model,           dir, "--name", "r",
                                  "--version", "1",      "--feature-map", map, NULL};
    assert_int_equal(ctl(bench, mapped), 0);
    const char *const push_it[] = {"model", "push", dir, NULL};
    assert_int_equal(ctl(bench, push_it), 1);
    sign(bench, dir);
    cJSON_Delete(verified(bench, 0, dir, "--key", at(bench, "k.pub", key)));
    assert_int_equal(ctl(bench, push_it), 0);
}

/* ---- releases -------------------------------------------------------------------------------- */

/* The folder releases/rN: two models and the policies, all of version N. */
static const char *write_release(struct bench *bench, const char *version, char *dir)
{
    char below[128], path[2 * TEMP_DIR_BYTES], policies[512];
    snprintf(below, sizeof below, "releases/r%s/a/%s", version, version);
    model_sample_write(at(bench, below, path), "a", version, MODEL_neighbors);
    sign(bench, path);
    snprintf(below, sizeof below, "releases/r%s/b/%s", version, version);
    model_sample_write(at(bench, below, path), "b", version, MODEL_popularity);
    sign(bench, path);
    snprintf(below, sizeof below, "releases/r%s/policies.json", version);
    snprintf(policies, sizeof policies,
             "{\"version\": \"%s\", \"default\": \"home\", \"slots\": {\"home\": {\"sources\": ["
             "{\"source\": \"neighbors\", \"model\": \"a\", \"weight\": 1},"
             "{\"source\": \"model_popular\", \"model\": \"b\", \"weight\": 0.1}]}}}",
             version);
    temp_dir_write_text(&bench->dir, below, policies);
    snprintf(below, sizeof below, "releases/r%s", version);
    return at(bench, below, dir);
}

/* "a@1 b@1 home@1", from one decision. */
static void expect_decision(struct bench *bench, const char *version)
{
    char models[64], policy[32];
    const char *const args[] = {"--json", "call", "recommend", "{\"seeds\": [\"i0\"], \"n\": 5}",
                                NULL};
    assert_int_equal(ctl(bench, args), 0);
    snprintf(models, sizeof models, "\"models\":[\"a@%s\",\"b@%s\"]", version, version);
    snprintf(policy, sizeof policy, "\"policy\":\"home@%s\"", version);
    if (strstr(bench->program.out, models) == NULL || strstr(bench->program.out, policy) == NULL)
        fail_msg("expected %s and %s, got %s", models, policy, bench->program.out);
}

static int release(struct bench *bench, const char *verb, const char *dir)
{
    const char *const args[] = {"release", verb, dir, NULL};
    return ctl(bench, args);
}

static bool audited(struct bench *bench, const char *act, const char *id, const char *outcome)
{
    char wanted_act[64], wanted_id[64], wanted_outcome[64];
    const char *const args[] = {"--json", "call", "audit", "{}", NULL};
    assert_int_equal(ctl(bench, args), 0);
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
    struct bench *bench = *state;
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
    assert_int_equal(release(bench, "push", at(bench, "releases/r1", path)), 1);
    assert_non_null(strstr(bench->program.err, "there is a release 'r1' already"));

    /* What only the daemon can find refuses all of it, too: the signature, and the policies. */
    write_release(bench, "3", dir);
    assert_int_equal(unlink(at(bench, "releases/r3/b/3/manifest.json.minisig", path)), 0);
    assert_int_equal(release(bench, "push", dir), 1);
    assert_non_null(strstr(bench->program.err, "b/3: manifest.json.minisig: missing"));
    temp_dir_write_text(&bench->dir, "releases/r4/policies.json", "{\"slots\": 1}");
    assert_int_equal(release(bench, "push", at(bench, "releases/r4", dir)), 1);
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

static void expect_answer(struct bench *bench, const char *op, const char *json, const char *part)
{
    const char *const args[] = {"--json", "call", op, json, NULL};
    if (ctl(bench, args) != 0 || strstr(bench->program.out, part) == NULL)
        fail_msg("%s: expected %s, got %s%s", op, part, bench->program.out, bench->program.err);
}

static void write_features(struct bench *bench, const char *below, const char *window)
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
    struct bench *bench = *state;
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
    assert_int_equal(release(bench, "push", at(bench, "releases/next", dir)), 0);
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
    assert_int_not_equal(ctl(bench, gone), 0);

    temp_dir_write_text(&bench->dir, "releases/bad/features.json", "{\"features\": []}");
    assert_int_equal(release(bench, "push", at(bench, "releases/bad", dir)), 1);
    assert_non_null(strstr(bench->program.err, "features"));
}

static void test_a_folder_that_is_no_release_is_not_sent(void **state)
{
    struct bench *bench = *state;
    char dir[2 * TEMP_DIR_BYTES], path[2 * TEMP_DIR_BYTES];
    assert_int_equal(release(bench, "push", "/nowhere"), 1);
    assert_int_equal(file_make_dir(at(bench, "empty", dir), NULL), ERR_OK);
    assert_int_equal(release(bench, "push", dir), 1);
    assert_non_null(strstr(bench->program.err, "neither models nor policies"));
    model_sample_write(at(bench, "two/a/1", path), "a", "1", MODEL_popularity);
    model_sample_write(at(bench, "two/a/2", path), "a", "2", MODEL_popularity);
    assert_int_equal(release(bench, "push", at(bench, "two", dir)), 1);
    assert_non_null(strstr(bench->program.err, "one folder VERSION, got 2"));
    model_sample_write(at(bench, "other/a/1", path), "b", "1", MODEL_popularity);
    assert_int_equal(release(bench, "push", at(bench, "other", dir)), 1);
    assert_non_null(strstr(bench->program.err, "the manifest says b 1"));
    temp_dir_write_text(&bench->dir, "file/notes.txt", "hello");
    assert_int_equal(release(bench, "push", at(bench, "file", dir)), 1);
    assert_non_null(strstr(bench->program.err, "nothing else"));
    const char *const bad_id[] = {"release", "push", dir, "--as", ".x", NULL};
    assert_int_equal(ctl(bench, bad_id), 2);
}

#define WITH_BENCH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_BENCH(test_what_is_signed_is_pushed_with_its_signature),
        WITH_BENCH(test_every_kind_is_verified_and_reported),
        WITH_BENCH(test_signatures_are_verified),
        WITH_BENCH(test_a_bare_file_is_verified_bundled_signed_and_pushed),
        WITH_BENCH(test_a_release_is_pushed_listed_and_rolled_back),
        WITH_BENCH(test_features_come_with_a_release_filled_from_the_log),
        WITH_BENCH(test_a_folder_that_is_no_release_is_not_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
