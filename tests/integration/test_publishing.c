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
#include "tests/support/publishing_rig.h"

static int push(struct publishing_rig *bench, const char *version, bool is_signed)
{
    char dir[2 * TEMP_DIR_BYTES];
    model_sample_write(publishing_rig_path(bench, version, dir), "m", version, MODEL_popularity);
    if (is_signed)
        publishing_rig_sign(bench, dir);
    const char *const args[] = {"model", "push", dir, NULL};
    return publishing_rig_ctl(bench, args);
}

static bool serves(struct publishing_rig *bench, const char *version)
{
    char wanted[64];
    const char *const args[] = {"--json", "call", "model_list", "{}", NULL};
    assert_int_equal(publishing_rig_ctl(bench, args), 0);
    snprintf(wanted, sizeof wanted,
             "\"version\":\"%s\",\"kind\":\"popularity\",\"label\":\"stable\"", version);
    return strstr(bench->program.out, wanted) != NULL;
}

static void test_what_is_signed_is_pushed_with_its_signature(void **state)
{
    struct publishing_rig *bench = *state;
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
    assert_int_equal(publishing_rig_ctl(bench, rollback), 0);
    assert_true(serves(bench, "2"));
}

/* ---- verify ---------------------------------------------------------------------------------- */

/* Its report as JSON, which the caller deletes. */
static cJSON *verified(struct publishing_rig *bench, int code, const char *dir, const char *option,
                       const char *value)
{
    const char *const args[] = {"--json", "model", "verify", dir, option, value, NULL};
    assert_int_equal(publishing_rig_ctl(bench, args), code);
    cJSON *report = cJSON_Parse(bench->program.out);
    if (report == NULL)
        fail_msg("no JSON: %s", bench->program.out);
    assert_int_equal(cJSON_IsTrue(cJSON_GetObjectItem(report, "ok")), code == 0);
    return report;
}

static void test_every_kind_is_verified_and_reported(void **state)
{
    struct publishing_rig *bench = *state;
    for (int kind = 0; kind < MODEL_KIND_COUNT; kind++) {
        char dir[2 * TEMP_DIR_BYTES];
        const char *name = model_kind_name((enum model_kind)kind);
        model_sample_write(publishing_rig_path(bench, name, dir), "m", "1", (enum model_kind)kind);
        cJSON *report = verified(bench, 0, dir, NULL, NULL);
        assert_string_equal(publishing_rig_text(report, "kind", NULL), name);
        assert_string_equal(publishing_rig_text(report, "signature", "state"), "none");
        assert_true(cJSON_GetNumberValue(publishing_rig_member(report, "golden_rows", NULL)) >= 1);
        assert_true(cJSON_GetNumberValue(publishing_rig_member(report, "memory_bytes", NULL)) > 0);
        assert_true(cJSON_GetNumberValue(publishing_rig_member(report, "row_us", "alone")) > 0);
        assert_true(cJSON_GetNumberValue(publishing_rig_member(report, "row_us", "of_100")) > 0);
        assert_true(cJSON_GetArraySize(publishing_rig_member(report, "figures", NULL)) >= 1);
        assert_true((cJSON_GetArraySize(publishing_rig_member(report, "files", NULL)) >= 1) ==
                    (kind != MODEL_blend));
        assert_int_equal(cJSON_GetArraySize(publishing_rig_member(report, "doubts", NULL)), 0);
        cJSON_Delete(report);
        const char *const people[] = {"model", "verify", dir, NULL};
        assert_int_equal(publishing_rig_ctl(bench, people), 0);
        assert_non_null(strstr(bench->program.out, ": good\n"));
    }
}

static void test_signatures_are_verified(void **state)
{
    struct publishing_rig *bench = *state;
    char dir[2 * TEMP_DIR_BYTES], key[2 * TEMP_DIR_BYTES], manifest[2 * TEMP_DIR_BYTES];
    model_sample_write(publishing_rig_path(bench, "b", dir), "m", "1", MODEL_popularity);
    publishing_rig_path(bench, "k.pub", key);
    cJSON_Delete(verified(bench, 1, dir, "--key", key));
    assert_non_null(strstr(bench->program.out, "the bundle is not signed"));
    publishing_rig_sign(bench, dir);
    cJSON *report = verified(bench, 0, dir, "--key", key);
    assert_string_equal(publishing_rig_text(report, "signature", "state"), "good");
    assert_int_equal(strlen(publishing_rig_text(report, "signature", "key")), 16);
    assert_non_null(
        strstr(publishing_rig_text(report, "signature", "trusted_comment"), "manifest.json"));
    cJSON_Delete(report);
    report = verified(bench, 0, dir, NULL, NULL);
    assert_string_equal(publishing_rig_text(report, "signature", "state"), "unchecked");
    cJSON_Delete(report);
    FILE *file = fopen(publishing_rig_path(bench, "b/manifest.json", manifest), "a");
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
    struct publishing_rig *bench = *state;
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
    publishing_rig_path(bench, "map.json", map);
    publishing_rig_path(bench, "features.json", features);
    const char *const usage[] = {"model", "verify", model, NULL};
    assert_int_equal(publishing_rig_ctl(bench, usage), 2);
    const char *const doubtful[] = {"model", "verify",        model, "--name",
                                    "r",     "--feature-map", map,   NULL};
    assert_int_equal(publishing_rig_ctl(bench, doubtful), 1);
    assert_non_null(strstr(bench->program.err, "nothing supplies the feature 'item.views'"));
    const char *const good[] = {"model",         "verify", model,        "--name", "r",
                                "--feature-map", map,      "--features", features, NULL};
    assert_int_equal(publishing_rig_ctl(bench, good), 0);
    assert_non_null(strstr(bench->program.out, "features.json"));
    assert_non_null(strstr(bench->program.out, "trees 2"));

    publishing_rig_path(bench, "bundled", dir);
    const char *const bundle[] = {"model",     "bundle", model,           dir,        "--name", "r",
                                  "--version", "1",      "--feature-map", "/nowhere", NULL};
    assert_int_equal(publishing_rig_ctl(bench, bundle), 1);
    assert_int_equal(access(dir, F_OK), -1); /* nothing is left */
    temp_dir_write_text(&bench->dir, "map.json",
                        "{\"item.price\": \"item.price\", \"caller.score\": "
                        "\"caller.score\", \"item.brand\": \"request.brand\"}");
    const char *const mapped[] = {"model",     "bundle", model,           dir, "--name", "r",
                                  "--version", "1",      "--feature-map", map, NULL};
    assert_int_equal(publishing_rig_ctl(bench, mapped), 0);
    const char *const push_it[] = {"model", "push", dir, NULL};
    assert_int_equal(publishing_rig_ctl(bench, push_it), 1);
    publishing_rig_sign(bench, dir);
    cJSON_Delete(verified(bench, 0, dir, "--key", publishing_rig_path(bench, "k.pub", key)));
    assert_int_equal(publishing_rig_ctl(bench, push_it), 0);
}

/* ---- releases -------------------------------------------------------------------------------- */

#define WITH_BENCH(test) \
    cmocka_unit_test_setup_teardown(test, publishing_rig_set_up, publishing_rig_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_BENCH(test_what_is_signed_is_pushed_with_its_signature),
        WITH_BENCH(test_every_kind_is_verified_and_reported),
        WITH_BENCH(test_signatures_are_verified),
        WITH_BENCH(test_a_bare_file_is_verified_bundled_signed_and_pushed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
