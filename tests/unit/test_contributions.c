/* SPDX-License-Identifier: Apache-2.0 */
/* What features add, against what the library itself says (its approximate contributions are the
 * same by path), and against sums. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xgboost/c_api.h>

#include "base/file.h"
#include "base/rand.h"
#include "models/contributions.h"
#include "models/ranker.h"
#include "tests/support/model_sample.h"
#include "tests/support/temp_dir.h"

#define ROWS     300
#define FEATURES 4

static struct temp_dir dir;

static struct model *load(const char *name)
{
    char path[2 * TEMP_DIR_BYTES];
    struct bundle *bundle = NULL;
    struct model *model = NULL;
    struct err err = {0};
    if (bundle_open(temp_dir_path(&dir, name, path), NULL, NULL, &bundle, &err) != ERR_OK ||
        model_load(bundle, &model, &err) != ERR_OK)
        fail_msg("%s", err.text);
    bundle_close(&bundle);
    return model;
}

/* A bundle of the kind trees over a file of the library. */
static struct model *load_trees(const char *name, const void *bytes, size_t len, const char *extra)
{
    static const struct bundle_write_file files[] = {{"model", "model.bin"}};
    char below[64], path[2 * TEMP_DIR_BYTES];
    struct err err = {0};
    cJSON *golden = cJSON_Parse("[{\"features\": {}, \"score\": 0}]"), *parsed = cJSON_Parse(extra);
    assert_non_null(parsed);
    snprintf(below, sizeof below, "%s/model.bin", name);
    temp_dir_write(&dir, below, bytes, len);
    temp_dir_path(&dir, name, path);
    if (bundle_write_golden(path, golden, &err) != ERR_OK ||
        bundle_write_manifest(path, "m", "1", MODEL_trees, files, 1, parsed, &err) != ERR_OK)
        fail_msg("%s", err.text);
    cJSON_Delete(golden);
    cJSON_Delete(parsed);
    return load(name);
}

static double score(const struct model *model, const double *values)
{
    void *scratch = aligned_alloc(RANKER_ALIGN_BYTES, (ranker_scratch_bytes(model) + 63) & ~63ULL);
    double result = 0.0;
    ranker_score_rows(model, values, 1, scratch, &result);
    free(scratch);
    return result;
}

/* ---- XGBoost --------------------------------------------------------------------------------- */

#define XGB(call)                              \
    do {                                       \
        if ((call) != 0)                       \
            fail_msg("%s", XGBGetLastError()); \
    } while (0)

struct sample {
    float value[ROWS * FEATURES], label[ROWS];
    DMatrixHandle matrix;
    BoosterHandle booster;
};

static void sample_make(struct sample *sample, const char *booster, const char *objective)
{
    struct rand rand;
    rand_init(&rand, 5);
    for (int i = 0; i < ROWS; i++) {
        float *row = &sample->value[i * FEATURES];
        for (int f = 0; f < FEATURES; f++)
            row[f] = rand_below(&rand, 10) == 0 ? NAN : (float)rand_unit(&rand);
        sample->label[i] = row[0] > 0.5f && !(row[1] < 0.3f) ? 1.0f : 0.0f;
    }
    XGB(XGDMatrixCreateFromMat_omp(sample->value, ROWS, FEATURES, NAN, &sample->matrix, 1));
    XGB(XGDMatrixSetFloatInfo(sample->matrix, "label", sample->label, ROWS));
    XGB(XGBoosterCreate(&sample->matrix, 1, &sample->booster));
    XGB(XGBoosterSetParam(sample->booster, "nthread", "1"));
    XGB(XGBoosterSetParam(sample->booster, "verbosity", "0"));
    XGB(XGBoosterSetParam(sample->booster, "booster", booster));
    XGB(XGBoosterSetParam(sample->booster, "objective", objective));
    if (strcmp(objective, "multi:softmax") == 0)
        XGB(XGBoosterSetParam(sample->booster, "num_class", "2"));
    XGB(XGBoosterSetParam(sample->booster, "max_depth", "4"));
    XGB(XGBoosterSetParam(sample->booster, "rate_drop", "0.3"));
    for (int round = 0; round < 15; round++)
        XGB(XGBoosterUpdateOneIter(sample->booster, round, sample->matrix));
}

static void sample_free(struct sample *sample)
{
    XGBoosterFree(sample->booster);
    XGDMatrixFree(sample->matrix);
}

static void predict(const struct sample *sample, int type, const float **ret_values)
{
    char config[160];
    const bst_ulong *shape = NULL;
    bst_ulong dim = 0;
    snprintf(config, sizeof config,
             "{\"type\": %d, \"training\": false, \"iteration_begin\": 0, \"iteration_end\": 0, "
             "\"strict_shape\": false}",
             type);
    XGB(XGBoosterPredictFromDMatrix(sample->booster, sample->matrix, config, &shape, &dim,
                                    ret_values));
}

static bool near(double a, double b)
{
    return fabs(a - b) <= 2e-5 * fmax(1.0, fabs(b));
}

static struct model *model_of(const struct sample *sample, const char *name)
{
    bst_ulong len = 0;
    const char *bytes = NULL;
    XGB(XGBoosterSaveModelToBuffer(sample->booster, "{\"format\": \"ubj\"}", &len, &bytes));
    return load_trees(name, bytes, len,
                      "{\"features\": [{\"name\": \"request.a\"}, {\"name\": \"request.b\"}, "
                      "{\"name\": \"request.c\"}, {\"name\": \"request.d\"}]}");
}

static void check_xgboost(const char *booster, const char *objective, bool asks_library)
{
    static struct sample sample;
    const float *margins = NULL, *theirs = NULL;
    double room[FEATURES], adds[FEATURES], base = 0.0;
    sample_make(&sample, booster, objective);
    struct model *model = model_of(&sample, booster);
    float own[ROWS];
    predict(&sample, 1, &margins);
    memcpy(own, margins, sizeof own);
    if (asks_library)
        predict(&sample, 3, &theirs); /* approximate contributions; the last one is the base */
    for (int i = 0; i < ROWS; i++) {
        double values[FEATURES], sum = 0.0;
        for (int f = 0; f < FEATURES; f++)
            values[f] = (double)sample.value[i * FEATURES + f];
        assert_true(ranker_contributions(model, values, room, adds, &base));
        for (int f = 0; f < FEATURES; f++) {
            sum += adds[f];
            if (asks_library && !near(adds[f], (double)theirs[i * (FEATURES + 1) + f]))
                fail_msg("row %d, feature %d: %g, the library says %g", i, f, adds[f],
                         (double)theirs[i * (FEATURES + 1) + f]);
        }
        if (!near(base + sum, (double)own[i]))
            fail_msg("row %d: %g + %g is not %g", i, base, sum, (double)own[i]);
        if (asks_library)
            assert_true(near(base, (double)theirs[i * (FEATURES + 1) + FEATURES]));
    }
    model_destroy(&model);
    sample_free(&sample);
}

static void test_xgboost_says_the_same(void **state)
{
    (void)state;
    check_xgboost("gbtree", "binary:logistic", true);
}

static void test_weights_of_dart_count(void **state)
{
    (void)state;
    check_xgboost("dart", "reg:squarederror", false);
}

static void test_gblinear_is_linear(void **state)
{
    (void)state;
    check_xgboost("gblinear", "reg:squarederror", false);
}

/* ---- by hand --------------------------------------------------------------------------------- */

#define LIGHTGBM(objective, average, count)                                           \
    "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nmax_feature_idx=1\n"    \
    "objective=" objective "\n" average "feature_names=request.a request.b\n\n"       \
    "Tree=0\nnum_leaves=3\nnum_cat=0\nsplit_feature=0 1\nthreshold=1 1\n"             \
    "decision_type=2 2\nleft_child=-1 -2\nright_child=1 -3\nleaf_value=1 2 8\n" count \
    "\nTree=1\nnum_leaves=1\nnum_cat=0\nleaf_value=0.5\n\nend of trees\n"

static void check_with(const char *name, const char *text, const char *extra, double base, double a,
                       double b)
{
    static const double values[2] = {5.0, 7.0}; /* right, right: the leaf of 8 */
    double room[2], adds[2], got = 0.0;
    struct model *model = load_trees(name, text, strlen(text), extra);
    if (score(model, values) != base + a + b)
        fail_msg("%s: score %g", name, score(model, values));
    assert_true(ranker_contributions(model, values, room, adds, &got));
    if (got != base || adds[0] != a || adds[1] != b)
        fail_msg("%s: base %g, adds %g and %g", name, got, adds[0], adds[1]);
    model_destroy(&model);
}

static void check_lightgbm(const char *name, const char *text, double base, double a, double b)
{
    check_with(name, text, "{}", base, a, b);
}

/* Means: below the second split (2 * 1 + 8 * 1) / 2 = 5, below the first (1 * 6 + 5 * 2) / 8 = 2.
 */
static void test_lightgbm_weighs_by_rows(void **state)
{
    (void)state;
    check_lightgbm("weighed", LIGHTGBM("regression", "", "leaf_count=6 1 1\n"), 2.5, 3.0, 3.0);
    /* Without counts both sides weigh the same: 5 and 3. */
    check_lightgbm("plain", LIGHTGBM("regression", "", ""), 3.5, 2.0, 3.0);
    check_lightgbm("none", LIGHTGBM("regression", "", "leaf_count=0 0 0\n"), 3.5, 2.0, 3.0);
}

/* The score is the mean of the trees; a raw one is their sum, as the library's is. */
static void test_a_random_forest_adds_up_to_what_is_served(void **state)
{
    (void)state;
    const char *text = LIGHTGBM("regression", "average_output\n", "leaf_count=6 1 1\n");
    check_with("mean", text, "{}", 1.25, 1.5, 1.5);
    check_with("sum", text, "{\"params\": {\"raw\": 1}}", 2.5, 3.0, 3.0);
}

/* The number of a class is no sum of anything; the margin of one is. */
static void test_the_number_of_a_class_has_none(void **state)
{
    (void)state;
    static struct sample sample;
    const double values[FEATURES] = {0.9, 0.9, 0.1, 0.1};
    double room[FEATURES], adds[FEATURES], base = 0.0;
    bst_ulong len = 0;
    const char *bytes = NULL;
    sample_make(&sample, "gbtree", "multi:softmax");
    XGB(XGBoosterSaveModelToBuffer(sample.booster, "{\"format\": \"ubj\"}", &len, &bytes));
#define NAMES                                                               \
    "\"features\": [{\"name\": \"request.a\"}, {\"name\": \"request.b\"}, " \
    "{\"name\": \"request.c\"}, {\"name\": \"request.d\"}]"
    struct model *number =
        load_trees("number", bytes, len, "{\"params\": {\"output\": 0}, " NAMES "}");
    struct model *margin =
        load_trees("margin", bytes, len, "{\"params\": {\"output\": 1, \"raw\": 1}, " NAMES "}");
    assert_true(score(number, values) == 1.0);
    assert_false(ranker_contributions(number, values, room, adds, &base));
    assert_true(ranker_contributions(margin, values, room, adds, &base));
    for (int f = 0; f < FEATURES; f++)
        base += adds[f];
    assert_true(near(base, score(margin, values)));
    model_destroy(&number);
    model_destroy(&margin);
    sample_free(&sample);
}

static void test_linear_adds_weight_times_value(void **state)
{
    (void)state;
    char path[2 * TEMP_DIR_BYTES];
    model_sample_write(temp_dir_path(&dir, "linear", path), "l", "1", MODEL_linear);
    struct model *model = load("linear");
    double values[8], room[8], adds[8], base = 0.0, sum = 0.0;
    assert_true(model->feature_count <= 8);
    for (uint32_t i = 0; i < model->feature_count; i++)
        values[i] = i == 1 ? (double)NAN : 2.0 + i;
    assert_true(ranker_contributions(model, values, room, adds, &base));
    for (uint32_t i = 0; i < model->feature_count; i++)
        sum += adds[i];
    assert_true(fabs(base + sum - score(model, values)) < 1e-12);
    values[0] += 1.0;
    const double more = score(model, values);
    values[0] -= 1.0;
    assert_true(fabs((more - score(model, values)) * values[0] - adds[0]) < 1e-9);
    model_destroy(&model);
}

static void test_layers_have_none(void **state)
{
    (void)state;
    char path[2 * TEMP_DIR_BYTES];
    double values[8] = {0}, room[8], adds[8], base = 0.0;
    model_sample_write(temp_dir_path(&dir, "mlp", path), "l", "1", MODEL_mlp);
    struct model *model = load("mlp");
    assert_false(ranker_contributions(model, values, room, adds, &base));
    model_destroy(&model);
}

static int setup(void **state)
{
    (void)state;
    temp_dir_create(&dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    temp_dir_remove(&dir);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_xgboost_says_the_same),
        cmocka_unit_test(test_weights_of_dart_count),
        cmocka_unit_test(test_gblinear_is_linear),
        cmocka_unit_test(test_lightgbm_weighs_by_rows),
        cmocka_unit_test(test_a_random_forest_adds_up_to_what_is_served),
        cmocka_unit_test(test_the_number_of_a_class_has_none),
        cmocka_unit_test(test_linear_adds_weight_times_value),
        cmocka_unit_test(test_layers_have_none),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
