/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "models/bundle.h"
#include "models/bundle_internal.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/model_sample.h"
#include "tests/support/temp_dir.h"

static struct temp_dir dir;
static char bundle_dir[2 * TEMP_DIR_BYTES];

static int set_up(void **state)
{
    (void)state;
    temp_dir_create(&dir);
    temp_dir_path(&dir, "m/1", bundle_dir);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    temp_dir_remove(&dir);
    return 0;
}

static void test_opens_a_bundle_of_each_kind(void **state)
{
    (void)state;
    for (int kind = 0; kind < MODEL_KIND_COUNT; kind++) {
        char path[2 * TEMP_DIR_BYTES];
        struct bundle *bundle = NULL;
        struct err err = {0};
        temp_dir_path(&dir, model_kind_name((enum model_kind)kind), path);
        model_sample_write(path, "m", "1", (enum model_kind)kind);
        if (bundle_open(path, "m", "1", &bundle, &err) != ERR_OK)
            fail_msg("%s", err.text);
        assert_int_equal(bundle->kind, kind);
        assert_string_equal(bundle->name, "m");
        assert_string_equal(bundle->version, "1");
        assert_true((bundle->file_count >= 1 && bundle->bytes > 0) == (kind != MODEL_blend));
        assert_true(bundle->golden.len > 0);
        bool has_features = kind == MODEL_linear || kind == MODEL_mlp;
        assert_int_equal(bundle->feature_count, has_features ? 3 : 0);
        assert_int_equal(strlen(bundle->manifest_sha256), 64);
        bundle_close(&bundle);
        assert_null(bundle);
    }
}

static void test_reads_parameters_features_and_times(void **state)
{
    (void)state;
    char path[2 * TEMP_DIR_BYTES];
    struct bundle *bundle = NULL;
    struct bundle_file *file = NULL;
    struct err err = {0};
    double value = 0;
    model_sample_write(temp_dir_path(&dir, "f", path), "m", "1", MODEL_factors);
    assert_int_equal(bundle_open(path, NULL, NULL, &bundle, &err), ERR_OK);
    assert_true(bundle->golden_tolerance == 1e-6);
    assert_int_equal(bundle->trained_at_ms, INT64_C(1795399200000));
    assert_int_equal(bundle_param(bundle, "regularization", 0, 1, NAN, &value, &err), ERR_OK);
    assert_true(value == 0.05);
    assert_int_equal(bundle_param(bundle, "absent", 0, 1, 0.5, &value, &err), ERR_OK);
    assert_true(value == 0.5);
    assert_int_equal(bundle_param(bundle, "absent", 0, 1, NAN, &value, &err), ERR_CORRUPT);
    assert_string_equal(err.text, "manifest.json: params.absent: missing, needed by kind factors");
    assert_int_equal(bundle_param(bundle, "regularization", 1, 2, NAN, &value, &err), ERR_CORRUPT);
    assert_int_equal(bundle_file(bundle, "item_ids", &file, &err), ERR_OK);
    assert_memory_equal(file->bytes, "i0\n", 3);
    assert_int_equal(bundle_file(bundle, "rules", &file, &err), ERR_CORRUPT);
    bundle_close(&bundle);
    model_sample_write(temp_dir_path(&dir, "l", path), "m", "1", MODEL_linear);
    assert_int_equal(bundle_open(path, NULL, NULL, &bundle, &err), ERR_OK);
    assert_string_equal(bundle->feature[0].name, "item.price");
    assert_true(bundle->feature[0].fallback == 1.0 && bundle->feature[1].fallback == 0.0);
    assert_true(bundle->golden_tolerance == 1e-5);
    assert_int_equal(bundle->trained_at_ms, 0);
    bundle_close(&bundle);
}

static void assert_refused(const char *path, const char *name, const char *version,
                           enum err_code code, const char *says)
{
    struct bundle *bundle = NULL;
    struct err err = {0};
    enum err_code rc = bundle_open(path, name, version, &bundle, &err);
    assert_null(bundle);
    if (rc != code || err.code != code || strstr(err.text, says) == NULL)
        fail_msg("got %d: %s\n  without: %s", (int)rc, err.text, says);
}

static void test_refuses_a_folder_that_is_not_what_the_manifest_says(void **state)
{
    (void)state;
    char path[4 * TEMP_DIR_BYTES];
    model_sample_write(bundle_dir, "m", "1", MODEL_popularity);
    assert_refused(bundle_dir, "other", "1", ERR_CORRUPT, "name: expected 'other' by the folder");
    assert_refused(bundle_dir, "m", "2", ERR_CORRUPT, "version: expected '2' by the folder");
    assert_refused(dir.path, NULL, NULL, ERR_NOT_FOUND, "manifest.json");

    temp_dir_write_text(&dir, "m/1/extra.txt", "x");
    assert_refused(bundle_dir, "m", "1", ERR_CORRUPT, "'extra.txt' is in the folder but not in");
    unlink(temp_dir_path(&dir, "m/1/extra.txt", path));
    mkdir(temp_dir_path(&dir, "m/1/folder", path), 0750);
    assert_refused(bundle_dir, "m", "1", ERR_CORRUPT, "'folder' is in the folder");
    rmdir(path);

    temp_dir_write_text(&dir, "m/1/item_ids.txt", "i0\ni1\ni2\ni3\ni4\ni5\ni6\ni8\n");
    assert_refused(bundle_dir, "m", "1", ERR_CORRUPT, "item_ids.txt: sha256: expected ");
    temp_dir_write_text(&dir, "m/1/item_ids.txt", "i0\n"); /* truncated */
    assert_refused(bundle_dir, "m", "1", ERR_CORRUPT,
                   "item_ids.txt: incomplete: the manifest states 24 bytes, got 3");
    temp_dir_write_text(&dir, "m/1/item_ids.txt", "i0\ni1\ni2\ni3\ni4\ni5\ni6\ni7\ni8\n");
    assert_refused(bundle_dir, "m", "1", ERR_CORRUPT,
                   "item_ids.txt: too long: the manifest states 24 bytes, got 27");
    unlink(temp_dir_path(&dir, "m/1/item_ids.txt", path));
    assert_refused(bundle_dir, "m", "1", ERR_CORRUPT, "item_ids.txt: missing in the folder");

    /* The right bytes behind a link are refused as well. */
    temp_dir_write_text(&dir, "elsewhere", "i0\ni1\ni2\ni3\ni4\ni5\ni6\ni7\n");
    assert_int_equal(symlink("../../elsewhere", path), 0);
    assert_refused(bundle_dir, "m", "1", ERR_CORRUPT, "item_ids.txt: expected a regular file");
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_refused(bundle_dir, "m", "1", ERR_CORRUPT, "item_ids.txt: expected a regular file");
    unlink(path);
    temp_dir_write_text(&dir, "m/1/item_ids.txt", "i0\ni1\ni2\ni3\ni4\ni5\ni6\ni7\n");
    struct bundle *bundle = NULL;
    assert_int_equal(bundle_open(bundle_dir, "m", "1", &bundle, NULL), ERR_OK);
    bundle_close(&bundle);
    temp_dir_write_text(&dir, "m/1/golden.json", "{\"rows\": []}");
    assert_refused(bundle_dir, "m", "1", ERR_CORRUPT, "golden.json: incomplete");
    unlink(temp_dir_path(&dir, "m/1/manifest.json", path));
    temp_dir_write_text(&dir, "elsewhere", "{}");
    assert_int_equal(symlink("../../elsewhere", path), 0);
    assert_refused(bundle_dir, "m", "1", ERR_CORRUPT, "manifest.json: expected a regular file");
}

#define HASH  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define HEAD  "{\"format\":1,\"name\":\"m\",\"version\":\"1\",\"kind\":\"linear\","
#define FILES "\"files\":{\"weights\":{\"path\":\"w\",\"sha256\":\"" HASH "\"}},"
#define ROWS  "\"golden\":{\"path\":\"golden.json\",\"sha256\":\"" HASH "\"}"
#define ONE   ",\"features\":[{\"name\":\"a\"}]"

static const struct {
    const char *text;
    enum err_code code;
    const char *says;
} bad_manifests[] = {
    {"", ERR_CORRUPT, "manifest.json:1:1"},
    {"[]", ERR_CORRUPT, "manifest.json"},
    {"{}", ERR_CORRUPT, "manifest.json: format: missing"},
    {"{\"format\":2,\"new\":1}", ERR_UNSUPPORTED, "format: expected 1, got 2"},
    {"{\"format\":\"1\"}", ERR_CORRUPT, "format: expected an integer"},
    {"{\"format\":1,\"format\":1}", ERR_CORRUPT, "manifest.json:1:"},
    {HEAD FILES ROWS ONE ",\"goldn\":1}", ERR_CORRUPT, "did you mean 'golden'"},
    {"{\"format\":1,\"name\":\"../m\"}", ERR_CORRUPT, "name: expected 1..64"},
    {"{\"format\":1,\"name\":\"m\",\"version\":\".1\"}", ERR_CORRUPT, "version: expected"},
    {"{\"format\":1,\"name\":\"m\",\"version\":\"1\",\"kind\":\"liner\"}", ERR_UNSUPPORTED,
     "unknown kind 'liner', did you mean 'linear'?"},
    {HEAD ROWS "}", ERR_CORRUPT, "files: missing"},
    {HEAD "\"files\":{}," ROWS ONE "}", ERR_CORRUPT,
     "files.weights: missing, needed by kind linear"},
    {HEAD "\"files\":{\"weight\":{}}," ROWS ONE "}", ERR_CORRUPT, "did you mean 'weights'"},
    {HEAD "\"files\":{\"weights\":{\"path\":\"../w\",\"sha256\":\"" HASH "\"}}," ROWS "}",
     ERR_CORRUPT, "files.weights.path: expected 1..64"},
    {HEAD "\"files\":{\"weights\":{\"path\":\"/etc/passwd\",\"sha256\":\"" HASH "\"}}," ROWS "}",
     ERR_CORRUPT, "files.weights.path: expected 1..64"},
    {HEAD "\"files\":{\"weights\":{\"path\":\"a/w\",\"sha256\":\"" HASH "\"}}," ROWS "}",
     ERR_CORRUPT, "files.weights.path"},
    {HEAD "\"files\":{\"weights\":{\"path\":\"manifest.json\",\"sha256\":\"" HASH "\"}}," ROWS "}",
     ERR_CORRUPT, "cannot list itself"},
    {HEAD "\"files\":{\"weights\":{\"path\":\"w\"}}," ROWS "}", ERR_CORRUPT,
     "files.weights.sha256: missing"},
    {HEAD "\"files\":{\"weights\":{\"path\":\"w\",\"sha256\":\"abc\"}}," ROWS "}", ERR_CORRUPT,
     "64 hexadecimal"},
    {HEAD "\"files\":{\"weights\":{\"path\":\"w\",\"sha256\":\"" HASH "\",\"size\":1}}," ROWS "}",
     ERR_CORRUPT, "unknown key 'size'"},
    {HEAD FILES "\"golden\":{\"path\":\"w\",\"sha256\":\"" HASH "\"}}", ERR_CORRUPT,
     "golden.path: 'w' is listed in files"},
    {HEAD FILES "\"features\":[{\"name\":\"a\"}]}", ERR_CORRUPT, "golden: missing"},
    {HEAD FILES "\"golden\":{\"path\":\"g\"}}", ERR_CORRUPT, "golden.sha256: missing"},
    {HEAD FILES "\"golden\":{\"path\":\"g\",\"sha256\":\"" HASH "\",\"tolerance\":0}}", ERR_CORRUPT,
     "golden.tolerance: must be above 0"},
    {HEAD FILES "\"golden\":{\"path\":\"g\",\"sha256\":\"" HASH "\",\"tolerance\":0.01}}",
     ERR_CORRUPT, "golden.tolerance: must be"},
    {HEAD FILES ROWS "}", ERR_CORRUPT, "features: missing"},
    {HEAD FILES ROWS ",\"features\":[]}", ERR_CORRUPT, "expected 1..1024 features, got 0"},
    {HEAD FILES ROWS ",\"features\":[{\"name\":\"a\"},{\"name\":\"a\"}]}", ERR_CORRUPT,
     "features[1].name: 'a' stands at features[0] already"},
    {HEAD FILES ROWS ",\"features\":[{\"name\":\"\"}]}", ERR_CORRUPT, "features[0].name"},
    {HEAD FILES ROWS ",\"features\":[{\"name\":\"a\",\"default\":1e301}]}", ERR_CORRUPT,
     "features[0].default"},
    {HEAD FILES ROWS ONE ",\"params\":{\"logistics\":1}}", ERR_CORRUPT, "'logistic'"},
    {HEAD FILES ROWS ONE ",\"trained\":{\"at\":\"yesterday\"}}", ERR_CORRUPT, "trained.at"},
    {HEAD FILES ROWS ONE ",\"trained\":3}", ERR_CORRUPT, "trained: expected an object"},
    {"{\"format\":1,\"name\":\"m\",\"version\":\"1\",\"kind\":\"prices\",\"files\":{\"rules\":{"
     "\"path\":\"w\",\"sha256\":\"" HASH "\"}}," ROWS ONE "}",
     ERR_CORRUPT, "kind prices takes no features"},
    {"{\"format\":1,\"name\":\"m\",\"version\":\"1\",\"kind\":\"popularity\",\"files\":{"
     "\"scores\":{\"path\":\"w\",\"sha256\":\"" HASH
     "\"},\"item_ids\":{\"path\":\"w\",\"sha256\":\"" HASH "\"}}," ROWS "}",
     ERR_CORRUPT, "'w' is listed twice"},
};

static void test_refuses_a_bad_manifest(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_manifests / sizeof bad_manifests[0]; i++) {
        temp_dir_write_text(&dir, "b/manifest.json", bad_manifests[i].text);
        char path[2 * TEMP_DIR_BYTES];
        assert_refused(temp_dir_path(&dir, "b", path), NULL, NULL, bad_manifests[i].code,
                       bad_manifests[i].says);
    }
    /* The frame of these cases is good by itself. */
    struct bundle *bundle = calloc(1, sizeof *bundle);
    struct err err = {0};
    const char *good = HEAD FILES ROWS ONE "}";
    if (manifest_parse(good, strlen(good), bundle, &err) != ERR_OK)
        fail_msg("%s", err.text);
    bundle_close(&bundle);
}

static void test_survives_failed_allocations(void **state)
{
    (void)state;
    cJSON_InitHooks(&(cJSON_Hooks){malloc, free});
    model_sample_write(bundle_dir, "m", "1", MODEL_linear);
    uint32_t n = 0;
    for (bool failed = true; failed; n++) {
        struct bundle *bundle = NULL;
        struct err err = {0};
        alloc_fail_after(n);
        enum err_code rc = bundle_open(bundle_dir, "m", "1", &bundle, &err);
        failed = alloc_fail_off();
        assert_int_equal(rc, failed ? ERR_NOMEM : ERR_OK);
        assert_true(failed == (bundle == NULL));
        bundle_close(&bundle);
    }
    assert_true(n > 20);
    static const struct bundle_write_file files[] = {{"weights", "weights.safetensors"}};
    cJSON *extra = cJSON_Parse("{\"features\": [{\"name\": \"a\"}], \"golden\": {}}");
    n = 0;
    for (bool failed = true; failed; n++) {
        struct err err = {0};
        alloc_fail_after(n);
        enum err_code rc =
            bundle_write_manifest(bundle_dir, "m", "1", MODEL_linear, files, 1, extra, &err);
        failed = alloc_fail_off();
        assert_int_equal(rc, failed ? ERR_NOMEM : ERR_OK);
    }
    cJSON_Delete(extra);
    cJSON *rows = cJSON_Parse("[{\"features\": {\"a\": 1}, \"score\": 2}]");
    n = 0;
    for (bool failed = true; failed; n++) {
        struct err err = {0};
        alloc_fail_after(n);
        enum err_code rc = bundle_write_golden(bundle_dir, rows, &err);
        failed = alloc_fail_off();
        assert_int_equal(rc, failed ? ERR_NOMEM : ERR_OK);
    }
    cJSON_Delete(rows);
    cJSON_InitHooks(NULL);
}

static void test_writer_refuses_paths_that_lead_out(void **state)
{
    (void)state;
    static const struct bundle_write_file files[] = {{"rules", "../rules.json"}};
    struct err err = {0};
    model_sample_write(bundle_dir, "m", "1", MODEL_prices);
    assert_int_equal(
        bundle_write_manifest(bundle_dir, "m", "1", MODEL_prices, files, 1, NULL, &err),
        ERR_BAD_INPUT);
    assert_non_null(strstr(err.text, "'../rules.json'"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_opens_a_bundle_of_each_kind, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reads_parameters_features_and_times, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_refuses_a_folder_that_is_not_what_the_manifest_says,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refuses_a_bad_manifest, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_survives_failed_allocations, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_writer_refuses_paths_that_lead_out, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
