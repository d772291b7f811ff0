/* SPDX-License-Identifier: Apache-2.0 */
/* Bare model files that become bundles: what the daemon would say of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "models/model.h"
#include "tests/support/temp_dir.h"
#include "tools/ctl/model_file.h"

static struct temp_dir dir;
static char bundle_dir[2 * TEMP_DIR_BYTES];
static char map_path[2 * TEMP_DIR_BYTES];
static char model_path[FILE_PATH_BYTES];

static struct model_file_options options_for(const char *corpus)
{
    const char *source = getenv("DECIDED_SOURCE");
    assert_non_null(source);
    snprintf(model_path, sizeof model_path, "%s/tests/fuzz/corpus/%s", source, corpus);
    return (struct model_file_options){.path = model_path,
                                       .name = "rank",
                                       .output = MODEL_FILE_NOT_GIVEN,
                                       .rounds = MODEL_FILE_NOT_GIVEN,
                                       .average_is_output = MODEL_FILE_NOT_GIVEN};
}

/* The bundle as a daemon takes it: place, golden rows. */
static struct model *load(const char *version)
{
    struct bundle *bundle = NULL;
    struct model *model = NULL;
    struct err err = {0};
    if (bundle_open(bundle_dir, "rank", version, &bundle, &err) != ERR_OK ||
        model_load(bundle, &model, &err) != ERR_OK ||
        model_check_golden(model, bundle, &err) != ERR_OK)
        fail_msg("%s", err.text);
    bundle_close(&bundle);
    return model;
}

static struct model *made(const struct model_file_options *options, const char *version)
{
    struct err err = {0};
    if (model_file_bundle(options, bundle_dir, &err) != ERR_OK)
        fail_msg("%s", err.text);
    return load(version);
}

static void test_a_file_that_names_its_features_needs_no_map(void **state)
{
    (void)state;
    struct model_file_options options = options_for("xgboost/logistic");
    struct model *model = made(&options, NULL);
    assert_int_equal(model->kind, MODEL_trees);
    assert_int_equal(strlen(model->version), 16); /* of the hash */
    assert_int_equal(model->feature_count, 3);
    assert_string_equal(model->feature[1].name, "caller.score");
    model_destroy(&model);
}

static void test_columns_are_mapped_to_features(void **state)
{
    (void)state;
    struct model_file_options options = options_for("lightgbm/linear");
    options.version = "7";
    options.feature_map = map_path;
    temp_dir_write_text(&dir, "map.json",
                        "{\"Column_2\": \"item.price\", \"Column_0\": \"pair.days\","
                        " \"Column_1\": {\"name\": \"request.x\", \"default\": 0.5}}");
    struct model *model = made(&options, "7");
    assert_string_equal(model->feature[0].name, "pair.days");
    assert_string_equal(model->feature[2].name, "item.price");
    assert_true(model->feature[1].fallback == 0.5);
    model_destroy(&model);
}

static void test_columns_without_names_are_mapped_by_their_order(void **state)
{
    (void)state;
    struct model_file_options options = options_for("ubjson/classes");
    options.feature_map = map_path;
    options.output = 2;
    options.rounds = 1;
    options.raw = true;
    temp_dir_write_text(&dir, "map.json", "[\"item.price\", \"pair.days\", \"request.x\"]");
    struct model *model = made(&options, NULL);
    assert_string_equal(model->feature[2].name, "request.x");
    model_destroy(&model);
}

static void test_every_small_model_makes_good_golden_rows(void **state)
{
    (void)state;
    static const char *const models[] = {
        "xgboost/dart",    "xgboost/linear",      "xgboost/categories", "ubjson/pruned",
        "lightgbm/binary", "lightgbm/categories", "lightgbm/forest",    "lightgbm/zero_as_missing"};
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        struct model_file_options options = options_for(models[i]);
        options.feature_map = map_path;
        temp_dir_write_text(
            &dir, "map.json",
            strncmp(models[i], "lightgbm", 8) != 0
                ? "[\"a\", \"b\", \"c\"]"
                : "{\"Column_0\": \"a\", \"Column_1\": \"b\", \"Column_2\": \"c\"}");
        struct model *model = made(&options, NULL);
        model_destroy(&model);
        assert_int_equal(file_remove_tree(bundle_dir, NULL), ERR_OK);
        assert_int_equal(file_make_dir(bundle_dir, NULL), ERR_OK);
    }
}

static void test_what_is_wrong_is_said(void **state)
{
    (void)state;
    static const struct {
        const char *corpus, *map, *says;
        int64_t output;
    } bad[] = {
        {"json/absent", NULL, "json/absent", -1},
        {"safetensors/one", NULL, "safetensors, to which manifest.json is missing", -1},
        {"npy/f2", NULL, "an array of numpy, to which manifest.json is missing", -1},
        {"csv/good", NULL, "neither JSON or UBJSON of XGBoost nor the text of LightGBM", -1},
        {"ubjson/dart", NULL, "features: missing, and the model file names none", -1},
        {"xgboost/classes", "[\"a\", \"b\", \"c\"]", "params.output: missing", -1},
        {"xgboost/dart", "[\"a\", \"b\"]", "features: expected 3 as in the model file, got 2", -1},
        {"xgboost/dart", "[\"a\", \"b\", 3]", "expected a string", -1},
        {"xgboost/dart", "\"a\"", "expected an object or an array", -1},
        {"xgboost/dart", "[\"a\", \"b\", \"c\"]", "params.output: expected 0..0, got 1", 1},
        {"lightgbm/binary", "{\"Column_0\": \"a\", \"Column_1\": \"b\", \"Column_9\": \"c\"}",
         "no column 'Column_9'", -1},
        {"lightgbm/binary", "{\"Column_0\": {\"nam\": \"a\"}}", "did you mean 'name'?", -1},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err err = {0};
        struct model_file_options options = options_for(bad[i].corpus);
        options.output = bad[i].output;
        if (bad[i].map != NULL) {
            temp_dir_write_text(&dir, "map.json", bad[i].map);
            options.feature_map = map_path;
        }
        assert_int_not_equal(model_file_bundle(&options, bundle_dir, &err), ERR_OK);
        if (strstr(err.text, bad[i].says) == NULL)
            fail_msg("got: %s\n  without: %s", err.text, bad[i].says);
        assert_int_equal(file_remove_tree(bundle_dir, NULL), ERR_OK);
        assert_int_equal(file_make_dir(bundle_dir, NULL), ERR_OK);
    }
}

static int set_up(void **state)
{
    (void)state;
    temp_dir_create(&dir);
    temp_dir_path(&dir, "map.json", map_path);
    return file_make_dir(temp_dir_path(&dir, "bundle", bundle_dir), NULL) == ERR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    temp_dir_remove(&dir);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void test_files_of_others_are_named(void **state)
{
    static const struct {
        const char *name, *bytes;
        size_t len;
        const char *says;
    } files[] = {
        {"net.onnx", "\x08\x07\x12\x07pytorch\x1a\x05", 13, "net.onnx: ONNX, which is not read: "},
        {"renamed.bin", "\x08\x0a\x12\x08skl2onnx", 12, "renamed.bin: ONNX, which is not read: "},
        {"graph.bin", "\x08\x03\x3a\x10", 4, "ONNX"},
        {"odd.onnx", "odd", 3, "From PyTorch or ONNX"},
        {"cut.safetensors", "", 0, "safetensors, to which manifest.json is missing"},
        {"net.pt", "PK\x03\x04", 4, "a zip archive"},
        {"short.bin", "\x08\x07", 2, "neither JSON or UBJSON of XGBoost nor the text of LightGBM"},
        {"other.bin", "\x08\x07\x08", 3,
         "neither JSON or UBJSON of XGBoost nor the text of LightGBM"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct err err = {.text = ""};
        struct model_file_options options = options_for("");
        char path[2 * TEMP_DIR_BYTES];
        temp_dir_write(&dir, files[i].name, files[i].bytes, files[i].len);
        options.path = temp_dir_path(&dir, files[i].name, path);
        assert_int_equal(model_file_bundle(&options, bundle_dir, &err), ERR_UNSUPPORTED);
        if (strstr(err.text, files[i].says) == NULL)
            fail_msg("got: %s\n  without: %s", err.text, files[i].says);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_file_that_names_its_features_needs_no_map),
        TEST(test_columns_are_mapped_to_features),
        TEST(test_columns_without_names_are_mapped_by_their_order),
        TEST(test_every_small_model_makes_good_golden_rows),
        TEST(test_what_is_wrong_is_said),
        TEST(test_files_of_others_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
