/* SPDX-License-Identifier: Apache-2.0 */
/* Model files that are wrong in one place: refused by name, with the place; and every truncation
 * and every single-byte corruption of small ones is refused or proven harmless. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "models/forest_file.h"
#include "tests/support/forest_probe.h"

#define NODES(left, right, feature, condition)                                               \
    "{\"tree_param\": {\"num_nodes\": \"5\", \"size_leaf_vector\": \"0\"},\n"                \
    " \"left_children\": " left ", \"right_children\": " right ",\n"                         \
    " \"split_indices\": " feature ", \"default_left\": [0, 0, 1, 0, 0],\n"                  \
    " \"split_conditions\": " condition ", \"split_type\": [0, 0, 1, 0, 0],\n"               \
    " \"categories_nodes\": [2], \"categories_segments\": [0], \"categories_sizes\": [2],\n" \
    " \"categories\": [1, 3]}"

static const char xgboost[] =
    "{\"version\": [1, 7, 4], \"learner\": {\"feature_names\": [\"a\", \"b\"],\n"
    "\"learner_model_param\": {\"base_score\": \"5E-1\", \"num_class\": \"0\","
    " \"num_feature\": \"2\", \"num_target\": \"1\"},\n"
    "\"objective\": {\"name\": \"binary:logistic\"},\n"
    "\"gradient_booster\": {\"name\": \"gbtree\", \"model\": {\n"
    "\"gbtree_model_param\": {\"num_trees\": \"1\", \"num_parallel_tree\": \"1\"},\n"
    "\"tree_info\": [0], \"trees\": [" NODES("[1, -1, 3, -1, -1]", "[2, -1, 4, -1, -1]",
                                             "[0, 0, 1, 0, 0]",
                                             "[1E1, 2.5E-1, NaN, -5E-1, 1.5]") "]}}}}";

static const char lightgbm[] =
    "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nmax_feature_idx=1\n"
    "objective=binary sigmoid:1\nfeature_names=a b\ntree_sizes=100 100\n\n"
    "Tree=0\nnum_leaves=3\nnum_cat=1\nsplit_feature=0 1\nthreshold=0.5 0\ndecision_type=10 1\n"
    "left_child=1 -2\nright_child=-1 -3\nleaf_value=0.25 -1 2\ncat_boundaries=0 1\n"
    "cat_threshold=10\nis_linear=0\nshrinkage=0.1\n\n\n"
    "Tree=1\nnum_leaves=2\nnum_cat=0\nsplit_feature=0\nthreshold=0.5\nleft_child=-1\n"
    "right_child=-2\nleaf_value=1 2\nis_linear=1\nleaf_const=1 2\nnum_features=1 0\n"
    "leaf_features=1  \nleaf_coeff=0.5  \nshrinkage=1\n\n\nend of trees\n";

/* `text` with the first `from` replaced. */
static char *with(const char *text, const char *from, const char *to, size_t *ret_len)
{
    const char *at = strstr(text, from);
    assert_non_null(at);
    size_t before = (size_t)(at - text);
    *ret_len = strlen(text) - strlen(from) + strlen(to);
    char *made = malloc(*ret_len + 1);
    assert_non_null(made);
    int len = snprintf(made, *ret_len + 1, "%.*s%s%s", (int)before, text, to, at + strlen(from));
    assert_int_equal(len, *ret_len);
    return made;
}

struct change {
    const char *from, *to, *says;
};

static void check_refused(const char *text, const struct change *change)
{
    struct forest *forest = NULL;
    struct err err = {0};
    size_t len = 0;
    char *made = with(text, change->from, change->to, &len);
    enum err_code rc = forest_read("m", made, len, FOREST_AVERAGE_UNKNOWN, &forest, &err);
    free(made);
    assert_null(forest);
    if ((rc != ERR_CORRUPT && rc != ERR_UNSUPPORTED && rc != ERR_LIMIT) ||
        strstr(err.text, change->says) == NULL)
        fail_msg("'%s' -> '%s': got %d: %s\n  without: %s", change->from, change->to, (int)rc,
                 err.text, change->says);
}

static void test_xgboost_is_refused_by_name(void **state)
{
    (void)state;
    static const struct change changes[] = {
        {"{\"version\"", "[\"version\"", "m: neither"},
        {"[1, 7, 4]", "[4, 0, 0]", "version: written by XGBoost 4.0, 1.0 to 3 are read"},
        {"[1, 7, 4]", "[1, 6, 2]", "categorical splits of XGBoost 1.6 are ambiguous"},
        {"[1, 7, 4]", "\"1.7\"", "version: expected an array, got a text"},
        {"\"learner\": {", "\"leaner\": {", "learner is missing"},
        {"binary:logistic", "multi:softprob", "num_class is 0"},
        {"binary:logistic", "reg:expectileerror", "'reg:expectileerror' is not supported"},
        {"\"5E-1\"", "\"nan\"", "base_score: expected one or 1 finite numbers, got 'nan'"},
        {"\"5E-1\"", "\"[5E-1,5E-1]\"", "base_score: expected one or 1 finite numbers"},
        {"\"5E-1\"", "\"[]\"", "base_score"},
        {"\"5E-1\"", "\"2\"", "base_score: 2 cannot be a prediction of binary:logistic"},
        {"\"num_feature\": \"2\"", "\"num_feature\": \"1\"", "feature_names: expected 1 names"},
        {"\"num_feature\": \"2\"", "\"num_feature\": \"1025\"", "num_feature: expected an integer"},
        {"[0, 0, 1, 0, 0], \"def", "[0, 0, 9, 0, 0], \"def",
         "splits on feature 9, num_feature is 2"},
        {"\"gbtree\"", "\"gbforest\"", "'gbforest' is not supported"},
        {"\"gbtree\"", "\"dart\"", "weight_drop: expected 1 elements, got 0"},
        {"\"gbtree\"", "\"gblinear\"", "the model is not one of gblinear"},
        {"\"num_trees\": \"1\"", "\"num_trees\": \"2\"", "num_trees is 2, but there are 1 trees"},
        {"\"tree_info\": [0]", "\"tree_info\": [1]", "tree_info[0]: expected 0..0, got 1"},
        {"\"tree_info\": [0],", "\"tree_info\": [0], \"iteration_indptr\": [0, 2],",
         "iteration_indptr[1]: expected 0..1, got 2"},
        {"[1, -1, 3, -1, -1]", "[1, -1, 3, -1]", "trees[0]: left_children: expected 5 elements"},
        {"[1, -1, 3, -1, -1]", "[1, -1, 5, -1, -1]", "trees[0]: node 2: expected children n"},
        {"[1, -1, 3, -1, -1]", "[3, -1, 1, -1, -1]", "trees[0]: node 0: expected children n"},
        {"[2, -1, 4, -1, -1]", "[2, -1, 1, -1, -1]", "trees[0]: node 2: expected children n"},
        {"[0, 0, 1, 0, 0], \"def", "[0, 0, -1, 0, 0], \"def", "node 2: split_indices -1"},
        {"[1E1, ", "[NaN, ", "trees[0]: node 0: expected a number as threshold, got nan"},
        {"[1E1, ", "[1E39, ", "split_conditions[0]: expected a number within the range of float"},
        {"2.5E-1, ", "Infinity, ", "leaf 0: expected a finite value, got inf"},
        {"\"split_type\": [0, 0, 1", "\"split_type\": [0, 0, 2", "split_type 2"},
        {"\"split_type\": [0, 0, 1", "\"split_type\": [0, 0, 0", "2 is no categorical split"},
        {"\"split_type\": [0, 0, 1", "\"split_type\": [1, 0, 1", "2 categorical splits have 1"},
        {"\"categories_sizes\": [2]", "\"categories_sizes\": [3]", "0 and 3 more lie outside"},
        {"[1, 3]}", "[1, 65536]}", "categories[1]: expected 0..65535, got 65536"},
        {"[1, 3]}", "[-1, 3]}", "categories[0]: expected 0..65535, got -1"},
        {"\"size_leaf_vector\": \"0\"", "\"size_leaf_vector\": \"3\"", "multi_output_tree"},
        {"\"num_nodes\": \"5\"", "\"num_nodes\": 5", "num_nodes: expected a text, got a number"},
        {"\"split_indices\"", "\"left_children\"", "stands twice"},
        {"]}}}}", "]}}}} x", "bytes follow the value"},
    };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++)
        check_refused(xgboost, &changes[i]);
}

static void test_lightgbm_is_refused_by_name(void **state)
{
    (void)state;
    static const struct change changes[] = {
        {"tree\n", "trees\n", "m: neither"},
        {"version=v4", "version=v5", "line 10: version: expected v2 to v4, got 'v5'"},
        {"num_class=1", "num_class=257", "num_class: expected an integer 1..256, got '257'"},
        {"max_feature_idx=1", "max_feature_idx=0", "feature_names: expected 1 names"},
        {"feature_names=a b", "feature_names=a", "feature_names: expected 2 names, got 1"},
        {"binary sigmoid:1", "binary", "objective: binary has no sigmoid"},
        {"binary sigmoid:1", "binary sigmoid:-1", "sigmoid: expected a number above 0"},
        {"binary sigmoid:1", "mystery", "objective: 'mystery' is not supported"},
        {"binary sigmoid:1", "multiclass num_class:3", "num_class is 3, num_tree_per_iteration 1"},
        {"num_tree_per_iteration=1", "num_tree_per_iteration=3", "2 trees are no whole number"},
        {"version=v4", "version=v2\naverage_output", "average_output with version=v2 is ambiguous"},
        {"tree_sizes=100 100", "tree_sizes=100", "tree_sizes has 1 numbers for 2 trees"},
        {"Tree=1", "Tree=2", "Tree: expected an integer 1..1, got '2'"},
        {"num_leaves=3", "num_leaves=0", "num_leaves: expected an integer 1.."},
        {"num_leaves=3", "num_leaves=4", "too few numbers"},
        {"num_leaves=3", "num_leaves=2", "left_child: expected an integer -2..0, got '1'"},
        {"num_leaves=3", "num_leaves=9999999", "leaf_value: too few numbers"},
        {"split_feature=0 1", "split_feature=0 2", "split_feature: expected an integer 0..1"},
        {"split_feature=0 1", "num_leaves=3", "num_leaves: stands twice"},
        {"threshold=0.5 0", "threshold=nan 0", "threshold: expected a number, got 'nan'"},
        {"threshold=0.5 0", "threshold=0.5 1", "a categorical split has no set"},
        {"threshold=0.5 0", "threshold=0.5 0.5", "a categorical split has no set"},
        {"decision_type=10 1", "decision_type=12 1", "decision_type: expected an integer 0..11"},
        {"left_child=1 -2", "left_child=0 -2", "Tree=0: node 0: reached twice, this is no tree"},
        {"left_child=1 -2", "left_child=-2 -2", "Tree=0: 1 of 2 nodes are out of reach"},
        {"left_child=1 -2", "left_child=2 -2", "left_child: expected an integer -3..1, got '2'"},
        {"left_child=1 -2", "left_child=1 -4", "left_child: expected an integer -3..1, got '-4'"},
        {"right_child=-1 -3", "right_child=-1 -1", "leaf 0: reached twice"},
        {"leaf_value=0.25 -1 2", "leaf_value=0.25 inf 2", "leaf 1: expected a finite value"},
        {"cat_boundaries=0 1", "cat_boundaries=0 2", "cat_threshold: too few numbers"},
        {"cat_boundaries=0 1", "cat_boundaries=1 1", "cat_boundaries: expected an integer 0..0"},
        {"cat_boundaries=0 1\n", "", "cat_boundaries: missing"},
        {"cat_threshold=10", "cat_threshold=-1", "cat_threshold: expected an integer 0..429496"},
        {"leaf_features=1  ", "leaf_features=2  ", "leaf_features: expected an integer 0..1"},
        {"leaf_features=1  ", "leaf_features=1 1 ", "leaf_features: too many numbers"},
        {"num_features=1 0", "num_features=2 0", "too few numbers"},
        {"leaf_coeff=0.5", "leaf_coeff=inf", "leaf_coeff: expected finite numbers"},
        {"leaf_const=1 2\n", "", "leaf_const: missing"},
        {"end of trees\n", "", "the file ends without 'end of trees'"},
        {"end of trees", "and so on", "expected Tree=2 or 'end of trees'"},
    };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++)
        check_refused(lightgbm, &changes[i]);
}

static void test_other_files_are_told_what_they_are(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *says;
    } files[] = {{"binf\x01", "m: the old binary format of XGBoost"},
                 {"\x80\x04\x95", "m: a pickle"},
                 {"PK\x03\x04", "m: a zip archive"},
                 {"\x1f\x8b\x08", "m: a gzip archive"},
                 {"", "m: neither"}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct forest *forest = NULL;
        struct err err = {0};
        assert_int_equal(forest_read("m", files[i].bytes, strlen(files[i].bytes),
                                     FOREST_AVERAGE_UNKNOWN, &forest, &err),
                         ERR_UNSUPPORTED);
        assert_non_null(strstr(err.text, files[i].says));
    }
}

/* The same tree with rows whose scores are known by hand. */
static void test_the_texts_themselves_are_good(void **state)
{
    (void)state;
    struct forest *forest = NULL;
    struct err err = {0};
    double margin = 0;
    assert_int_equal(
        forest_read("m", xgboost, strlen(xgboost), FOREST_AVERAGE_UNKNOWN, &forest, &err), ERR_OK);
    forest_margins(forest, (double[]){20, 1}, &margin); /* in the set: right */
    assert_true(margin == 1.5);
    forest_margins(forest, (double[]){NAN, NAN}, &margin);
    assert_true(margin == -0.5);
    forest_destroy(&forest);
    assert_int_equal(
        forest_read("m", lightgbm, strlen(lightgbm), FOREST_AVERAGE_UNKNOWN, &forest, &err),
        ERR_OK);
    forest_margins(forest, (double[]){0.5, 3}, &margin); /* in the set: left; 1 + 0.5 * 3 */
    assert_true(margin == -1 + 2.5);
    forest_margins(forest, (double[]){0.5, NAN}, &margin); /* right; the plain value of the leaf */
    assert_true(margin == 2 + 1);
    forest_margins(forest, (double[]){0.6, 0}, &margin);
    assert_true(margin == 0.25 + 2);
    forest_destroy(&forest);
}

/* ---- corruption ------------------------------------------------------------------------------ */

static void probe(const uint8_t *bytes, size_t len)
{
    struct forest *forest = NULL;
    struct err err = {0};
    uint8_t *exact = malloc(len + 1); /* a read past the end is seen */
    assert_non_null(exact);
    memcpy(exact, bytes, len);
    if (forest_read("m", exact, len, FOREST_AVERAGE_UNKNOWN, &forest, &err) == ERR_OK)
        forest_probe(forest);
    else
        assert_true(forest == NULL && err.text[0] != '\0');
    forest_destroy(&forest);
    free(exact);
}

static void corrupt(uint8_t *bytes, size_t len, bool all)
{
    for (size_t cut = 0; cut < len; cut += all ? 1 : 7)
        probe(bytes, cut);
    for (size_t at = 0; at < len; at += all ? 1 : 3) {
        static const uint8_t masks[] = {0x01, 0x80, 0xFF, 0x10};
        uint8_t before = bytes[at];
        bytes[at] = before ^ masks[at % sizeof masks];
        probe(bytes, len);
        bytes[at] = before;
    }
}

static void corrupt_folder(const char *name)
{
    char folder[FILE_PATH_BYTES];
    char path[FILE_PATH_BYTES];
    struct err err = {0};
    const char *source = getenv("DECIDED_SOURCE");
    uint32_t count = 0;
    assert_non_null(source);
    snprintf(folder, sizeof folder, "%s/tests/fuzz/corpus/%s", source, name);
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        uint8_t *bytes = NULL;
        size_t len = 0;
        if (entry->d_name[0] == '.')
            continue;
        assert_int_equal(file_join(folder, entry->d_name, path, sizeof path, &err), ERR_OK);
        assert_int_equal(file_read(path, 1 << 20, &bytes, &len, &err), ERR_OK);
        corrupt(bytes, len, len < 2500);
        free(bytes);
        count++;
    }
    closedir(dir);
    assert_true(count >= 3);
}

static void test_truncated_and_corrupt_files_do_no_harm(void **state)
{
    (void)state;
    corrupt_folder("xgboost");
    corrupt_folder("ubjson");
    corrupt_folder("lightgbm");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_texts_themselves_are_good),
        cmocka_unit_test(test_xgboost_is_refused_by_name),
        cmocka_unit_test(test_lightgbm_is_refused_by_name),
        cmocka_unit_test(test_other_files_are_told_what_they_are),
        cmocka_unit_test(test_truncated_and_corrupt_files_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
