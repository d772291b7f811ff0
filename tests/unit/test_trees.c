/* SPDX-License-Identifier: Apache-2.0 */
/* Bundles of the kind trees: which column is which feature, which output is the score, and what a
 * missing value becomes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "models/ranker.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/temp_dir.h"

/* Two classes, two rounds; margins of class 0: x < 1 ? 1 : 2, then +0.5; of class 1: y. */
#define CLASSES(names)                                                                  \
    "tree\nversion=v4\nnum_class=2\nnum_tree_per_iteration=2\nmax_feature_idx=1\n"      \
    "objective=multiclass num_class:2\n" names "\n\n"                                   \
    "Tree=0\nnum_leaves=2\nnum_cat=0\nsplit_feature=0\nthreshold=1\ndecision_type=8\n"  \
    "left_child=-1\nright_child=-2\nleaf_value=1 2\n\n"                                 \
    "Tree=1\nnum_leaves=2\nnum_cat=0\nsplit_feature=1\nthreshold=1\ndecision_type=10\n" \
    "left_child=-1\nright_child=-2\nleaf_value=4 8\n\n"                                 \
    "Tree=2\nnum_leaves=1\nnum_cat=0\nleaf_value=0.5\n\n"                               \
    "Tree=3\nnum_leaves=1\nnum_cat=0\nleaf_value=0\n\nend of trees\n"
#define NAMED    CLASSES("feature_names=request.x item.price")
#define NUMBERS  CLASSES("feature_names=Column_0 Column_1")
#define NAMELESS CLASSES("label_index=0")

static struct temp_dir dir;
static char bundle_dir[2 * TEMP_DIR_BYTES];

static enum err_code load(const char *text, const char *extra, struct model **ret_model,
                          struct err *err)
{
    static const struct bundle_write_file files[] = {{"model", "model.txt"}};
    struct bundle *bundle = NULL;
    cJSON *rows = cJSON_Parse("[{\"features\": {}, \"score\": 0}]");
    cJSON *parsed = cJSON_Parse(extra);
    assert_non_null(parsed);
    temp_dir_write_text(&dir, "m/1/model.txt", text);
    assert_int_equal(bundle_write_golden(bundle_dir, rows, err), ERR_OK);
    assert_int_equal(
        bundle_write_manifest(bundle_dir, "m", "1", MODEL_trees, files, 1, parsed, err), ERR_OK);
    cJSON_Delete(parsed);
    cJSON_Delete(rows);
    enum err_code rc = bundle_open(bundle_dir, "m", "1", &bundle, err);
    if (rc == ERR_OK)
        rc = model_load(bundle, ret_model, err);
    bundle_close(&bundle);
    return rc;
}

static double score(const struct model *model, double a, double b)
{
    double result = 0;
    void *scratch = aligned_alloc(RANKER_ALIGN_BYTES, (ranker_scratch_bytes(model) + 63) & ~63ULL);
    const double values[] = {a, b};
    uint64_t before = alloc_count();
    ranker_score_rows(model, values, 1, scratch, &result);
    assert_int_equal(alloc_count(), before);
    assert_true(trees_score_plainly(model->as.trees, values, scratch) == result);
    free(scratch);
    return result;
}

static struct model *loaded(const char *text, const char *extra)
{
    struct model *model = NULL;
    struct err err = {0};
    if (load(text, extra, &model, &err) != ERR_OK)
        fail_msg("%s", err.text);
    return model;
}

static void test_the_file_names_its_features(void **state)
{
    (void)state;
    struct model *model = loaded(NAMED, "{\"params\": {\"output\": 1, \"raw\": 1}}");
    assert_int_equal(model->feature_count, 2);
    assert_string_equal(model->feature[0].name, "request.x");
    assert_string_equal(model->feature[1].name, "item.price");
    assert_true(score(model, 0, 5) == 8);
    assert_true(score(model, 0, NAN) == 4); /* missing goes left */
    model_destroy(&model);
}

static void test_the_manifest_binds_by_name_or_by_order(void **state)
{
    (void)state;
    struct model *model =
        loaded(NUMBERS, "{\"params\": {\"output\": 0, \"raw\": 1}, \"features\": ["
                        "{\"name\": \"item.price\", \"column\": \"Column_1\"},"
                        "{\"name\": \"pair.days\", \"column\": \"Column_0\", \"default\": 3}]}");
    assert_string_equal(model->feature[0].name, "pair.days"); /* the order of the file */
    assert_string_equal(model->feature[1].name, "item.price");
    assert_true(score(model, 0, 0) == 1.5);
    assert_true(score(model, NAN, 0) == 2.5); /* its default */
    model_destroy(&model);
    model = loaded(NAMELESS, "{\"params\": {\"output\": 0}, \"features\": ["
                             "{\"name\": \"item.price\"}, {\"name\": \"pair.days\"}]}");
    assert_string_equal(model->feature[1].name, "pair.days");
    assert_true(fabs(score(model, 0, 0) - exp(1.5) / (exp(1.5) + exp(4))) < 1e-15);
    model_destroy(&model);
}

static void test_rounds_are_counted_from_the_first(void **state)
{
    (void)state;
    struct model *model = loaded(NAMED, "{\"params\": {\"output\": 0, \"raw\": 1, \"rounds\": 1}}");
    assert_true(score(model, 0, 5) == 1);
    model_destroy(&model);
}

static void test_what_does_not_fit_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *extra, *says;
    } bad[] = {
        {NAMED, "{}", "params.output: missing, and the model has 2 outputs"},
        {NAMED, "{\"params\": {\"output\": 2}}", "params.output: expected 0..1, got 2"},
        {NAMED, "{\"params\": {\"output\": 0.5}}", "params.output: expected a whole number"},
        {NAMED, "{\"params\": {\"output\": 0, \"rounds\": 3}}", "params.rounds: expected 1..2"},
        {NAMED, "{\"params\": {\"output\": 0, \"average_is_output\": 1}}",
         "average_is_output is for random forests"},
        {NAMED, "{\"params\": {\"outputs\": 0}}", "did you mean 'output'?"},
        {NAMELESS, "{\"params\": {\"output\": 0}}", "features: missing, and the model file names"},
        {NAMELESS, "{\"params\": {\"output\": 0}, \"features\": [{\"name\": \"a\"}]}",
         "features: expected 2 as in the model file, got 1"},
        {NAMELESS,
         "{\"params\": {\"output\": 0}, \"features\": [{\"name\": \"a\", \"column\": \"b\"},"
         "{\"name\": \"c\"}]}",
         "features[0].column: the model file names no columns"},
        {NUMBERS,
         "{\"params\": {\"output\": 0}, \"features\": [{\"name\": \"a\"}, {\"name\": \"b\"}]}",
         "features[0]: the model file has no column 'a'"},
        {NUMBERS,
         "{\"params\": {\"output\": 0}, \"features\": [{\"name\": \"a\", \"column\": \"Column_1\"},"
         "{\"name\": \"b\", \"column\": \"Column_1\"}]}",
         "features[1]: column 'Column_1' has the feature 'a' already"},
        {CLASSES("feature_names=a a"), "{\"params\": {\"output\": 0}}",
         "feature_names[1]: 'a' stands at 0 already"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct model *model = NULL;
        struct err err = {0};
        assert_int_equal(load(bad[i].text, bad[i].extra, &model, &err), ERR_CORRUPT);
        assert_null(model);
        if (strstr(err.text, bad[i].says) == NULL)
            fail_msg("got: %s\n  without: %s", err.text, bad[i].says);
    }
}

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_file_names_its_features, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_manifest_binds_by_name_or_by_order, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_rounds_are_counted_from_the_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_does_not_fit_is_refused, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
