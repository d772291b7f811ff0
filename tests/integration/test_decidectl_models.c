/* SPDX-License-Identifier: Apache-2.0 */
/* decidectl and models: pushing bundles and bare files, listing, rolling back, trials. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/support/ctl_rig.h"
#include "tests/support/daemon.h"
#include "tests/support/model_sample.h"

/* Pushes versions 1 and 2 of m, from folders of these names. */
static void push_two_versions(struct ctl_rig *bench, char dir[2 * TEMP_DIR_BYTES])
{
    for (const char *version = "1"; version != NULL; version = version[0] == '1' ? "2" : NULL) {
        temp_dir_path(&bench->dir, version, dir);
        model_sample_write(dir, "m", version, MODEL_factors);
        CHECK(0, "kind factors", NULL, "model", "verify", dir);
        CHECK(0, version, NULL, "model", "push", dir);
    }
}

static void test_models_are_pushed_listed_and_rolled_back(void **state)
{
    struct ctl_rig *bench = *state;
    char dir[2 * TEMP_DIR_BYTES], path[4 * TEMP_DIR_BYTES];
    push_two_versions(bench, dir);
    CHECK(0, "m: version 2 serves", NULL, "model", "push", dir); /* again is fine */
    CHECK(0, "stable", NULL, "model", "list");
    CHECK(0, "m@2: closed", NULL, "breaker", "m");
    CHECK(0, "m@2: held_open", NULL, "breaker", "m", "open");
    CHECK(0, "\"breaker\":\"held_open\"", NULL, "status", "--json");
    CHECK(0, "held_open", NULL, "status");
    CHECK(0, "m@2: closed", NULL, "breaker", "m", "auto");
    CHECK(1, NULL, "no model of that name", "breaker", "x");
    CHECK(1, NULL, "expected auto, open or closed", "breaker", "m", "ajar");
    /* What decisions use whatever happens cannot be held open. */
    temp_dir_path(&bench->dir, "p1", path);
    model_sample_write(path, "p", "1", MODEL_popularity);
    CHECK(0, "p: version 1 serves", NULL, "model", "push", path);
    CHECK(1, NULL, "a model of the kind popularity has no breaker", "breaker", "p", "open");
    CHECK(1, "\"code\":\"bad_request\"", "", "breaker", "p", "closed", "--json");
    CHECK(0, "p@1: closed", NULL, "breaker", "p");
    CHECK(2, NULL, "expected MODEL", "breaker");
    CHECK(0, "\"state\":\"previous\"", NULL, "model", "list", "--json");
    CHECK(0, " STATE", NULL, "model", "list");
    char *status[] = {"decidectl", "--url", bench->daemon.url, "status", NULL};
    struct ctl_result result = ctl_rig_run(bench, status);
    assert_non_null(strstr(result.out, "\nMODEL "));
    assert_null(strstr(result.out, "STATE")); /* what the reply does not tell has no column */
    ctl_result_free(&result);
    CHECK(0, "m: version 1 serves", NULL, "model", "rollback", "m");
    CHECK(1, NULL, "there is no version of 'm' before 1", "model", "rollback", "m");
    CHECK(1, "\"code\":\"not_found\"", "not_found", "model", "rollback", "x", "--json");

    /* What is bad is found before it is sent; the daemon is not asked. */
    snprintf(path, sizeof path, "%s/user_ids.txt", dir);
    assert_int_equal(truncate(path, 3), 0);
    CHECK(1, NULL, "user_ids.txt", "model", "verify", dir);
    CHECK(1, "{\"ok\":false", "user_ids.txt", "model", "verify", "--json", dir);
    CHECK(1, NULL, "refused: ", "--url", "tcp://127.0.0.1:1", "model", "push", dir);
    /* Same version, other content. */
    assert_int_equal(file_remove_tree(dir, NULL), ERR_OK);
    model_sample_write(dir, "m", "2", MODEL_popularity);
    CHECK(1, NULL, "publish under a new one", "model", "push", dir);
}

static void test_versions_are_promoted_and_tried(void **state)
{
    struct ctl_rig *bench = *state;
    char dir[2 * TEMP_DIR_BYTES];
    push_two_versions(bench, dir);
    CHECK(0, "m: version 1 serves", NULL, "model", "rollback", "m");
    CHECK(0, "m: version 2 serves", NULL, "model", "promote", "m", "2");
    CHECK(0, "m: version 1 serves", NULL, "model", "rollback", "m");
    CHECK(1, NULL, "there is no version 7 of 'm' in models_dir", "model", "promote", "m", "7");
    CHECK(1, "\"code\":\"not_found\"", "there is no model 'x'", "model", "promote", "x", "1",
          "--json");
    CHECK(1, NULL, "version: expected 1..64", "model", "promote", "m", "../1");
    CHECK(2, NULL, "expected promote NAME VERSION", "model", "promote", "m");

    CHECK(0, "m: version 2 is the canary, 12.5 %", NULL, "model", "canary", "m", "2", "--percent",
          "12.5%", "--max-errors", "0.5%", "--max-latency=2", "--latency-floor", "2ms",
          "--max-degraded", "1", "--min-decisions", "100");
    CHECK(0, "CANARY", NULL, "model", "list");
    CHECK(0, "\"label\":\"canary\"", NULL, "status", "--json");
    CHECK(1, NULL, "percent: expected a number 0.01..100", "model", "canary", "m", "2", "--percent",
          "0");
    CHECK(1, NULL, "version 1 of 'm' serves already", "model", "canary", "m", "1", "--percent",
          "5");
    CHECK(2, NULL, "--percent: expected a number, got 'five'", "model", "canary", "m", "2",
          "--percent", "five");
    CHECK(2, NULL, "expected canary NAME VERSION --percent P", "model", "canary", "m", "2");
    CHECK(2, NULL, "expected canary NAME VERSION --percent P", "model", "canary", "m", "2",
          "--stop");
    CHECK(2, NULL, "did you mean '--percent'", "model", "canary", "m", "2", "--precent", "5");
    CHECK(0, "m: no canary any more", NULL, "model", "canary", "m", "--stop");
    CHECK(1, NULL, "'m' has no canary", "model", "canary", "m", "--stop");
    CHECK(1, NULL, "'m' has no shadow", "model", "shadow", "m");
    CHECK(0, "m: version 2 is the shadow, 25 %", NULL, "model", "shadow", "m", "2", "--percent",
          "25");
    CHECK(0, "version 2 is asked for 25 %", NULL, "model", "shadow", "m");
    CHECK(0, "\"rank_correlation\":null", NULL, "model", "shadow", "m", "--json");
    CHECK(0, "shadow", NULL, "model", "list");
    CHECK(2, NULL, "expected shadow NAME", "model", "shadow", "m", "2", "--stop");
    CHECK(2, NULL, "expected shadow NAME", "model", "shadow", "m", "--percent", "5");
    CHECK(1, NULL, "percent: expected a number", "model", "shadow", "m", "2", "--percent", "0");
    CHECK(0, "m: no shadow any more", NULL, "model", "shadow", "m", "--stop");
}

/* One tree on the score of the caller. */
static void test_a_bare_model_file_is_pushed(void **state)
{
    static const char text[] =
        "tree\nversion=v4\nnum_class=1\nmax_feature_idx=0\nobjective=regression\n"
        "feature_names=caller.score\n\nTree=0\nnum_leaves=2\nsplit_feature=0\nthreshold=0.5\n"
        "left_child=-1\nright_child=-2\nleaf_value=1 2\n\nend of trees\n";
    struct ctl_rig *bench = *state;
    char file[2 * TEMP_DIR_BYTES], map[2 * TEMP_DIR_BYTES];
    temp_dir_path(&bench->dir, "model.bin", file);
    temp_dir_path(&bench->dir, "map.json", map);
    temp_dir_write_text(&bench->dir, "model.bin", text);
    CHECK(2, NULL, "a model file needs --name", "model", "push", file);
    CHECK(1, NULL, "cannot open '/nonexistent.json': No such file", "model", "verify",
          "/nonexistent.json", "--name", "trees");
    CHECK(0, "trees: version 1 serves", NULL, "model", "push", file, "--name", "trees", "--version",
          "1");
    CHECK(0, "trees: version ", NULL, "model", "push", file,
          "--name=trees"); /* named by its hash */
    temp_dir_write_text(&bench->dir, "map.json", "{\"caller.score\": \"request.x\"}");
    CHECK(0, "trees: version 2 serves", NULL, "model", "push", file, "--name", "trees", "--version",
          "2", "--feature-map", map);
    temp_dir_write_text(&bench->dir, "map.json", "{\"caller.score\": \"item.colour\"}");
    CHECK(1, NULL, "nothing supplies 'item.colour'", "model", "push", file, "--name", "trees",
          "--version", "3", "--feature-map", map);
    temp_dir_write_text(&bench->dir, "model.bin", "treetop");
    CHECK(1, "{\"ok\":false", "nor the text of LightGBM", "model", "push", file, "--name", "trees",
          "--json");
    temp_dir_write_text(&bench->dir, "net.onnx", "\x08\x07\x12\x07pytorch");
    temp_dir_path(&bench->dir, "net.onnx", file);
    temp_dir_path(&bench->dir, "no-bundle", map);
    CHECK(1, NULL, "ONNX, which is not read: ", "model", "push", file); /* before the name */
    CHECK(1, NULL, "ONNX, which is not read: ", "model", "bundle", file, map);
    assert_int_equal(access(map, F_OK), -1);
    CHECK(2, NULL, "the options are for a model file", "model", "push", bench->dir.path, "--raw");
}

static void test_uploads_that_nobody_ends_refuse_further_ones_at_once(void **state)
{
    const struct ctl_rig *bench = *state;
    static char what[] = "{\"name\": \"m\", \"version\": \"1\"}";
    for (int i = 0; i < 4; i++)
        CHECK(0, "\"upload\":", NULL, "call", "model_begin", what);
    CHECK(1, "overloaded",
          "4 uploads are open, which is the limit: one must be finished or aborted, or is given up "
          "when nothing came for ten minutes (overloaded); try again in a minute\n",
          "call", "model_begin", what);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_DAEMON(test_models_are_pushed_listed_and_rolled_back),
        WITH_DAEMON(test_versions_are_promoted_and_tried),
        WITH_DAEMON(test_a_bare_model_file_is_pushed),
        WITH_DAEMON(test_uploads_that_nobody_ends_refuse_further_ones_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
