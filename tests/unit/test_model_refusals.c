/* SPDX-License-Identifier: Apache-2.0 */
/* Which bundles are refused, and with which words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "models/model.h"
#include "models/safetensors.h"
#include "tests/support/bundle_rig.h"
#include "tests/support/model_sample.h"
#include "tests/support/temp_dir.h"

static void assert_refused(const char *says)
{
    struct model *model = NULL;
    struct err err = {0};
    enum err_code rc = bundle_rig_open(true, &model, &err);
    assert_null(model);
    if (rc == ERR_OK || rc == ERR_NOT_FOUND || strstr(err.text, says) == NULL)
        fail_msg("got %d: %s\n  without: %s", (int)rc, err.text, says);
}

static void replace_tensors(enum model_kind kind, const char *file, const struct tensor *tensors,
                            uint32_t count)
{
    char name[128] = "m/1/";
    char path[2 * TEMP_DIR_BYTES];
    struct err err = {0};
    strncat(name, file, sizeof name - 5);
    if (safetensors_write(temp_dir_path(&bundle_rig_dir, name, path), tensors, count, &err) !=
        ERR_OK)
        fail_msg("%s", err.text);
    model_sample_seal(bundle_rig_version_dir, "m", "1", kind);
}

static struct tensor floats(const char *name, const float *data, uint64_t rows, uint64_t columns)
{
    return (struct tensor){.name = name,
                           .type = TENSOR_F32,
                           .dim_count = columns == 0 ? 1 : 2,
                           .dim = {rows, columns},
                           .count = columns == 0 ? rows : rows * columns,
                           .data = data};
}

static void test_refuses_bad_factors(void **state)
{
    (void)state;
    float good[8 * 3] = {0};
    struct tensor t[2] = {floats("item_factors", good, 8, 3)};
    const char *file = "item_factors.safetensors";
    model_sample_write(bundle_rig_version_dir, "m", "1", MODEL_factors);
    good[4] = NAN;
    replace_tensors(MODEL_factors, file, t, 1);
    assert_refused("item_factors.safetensors: tensor 'item_factors', element 4: expected -1e+09");
    good[4] = INFINITY;
    replace_tensors(MODEL_factors, file, t, 1);
    assert_refused("element 4");
    good[4] = 2e9f;
    replace_tensors(MODEL_factors, file, t, 1);
    assert_refused("element 4");
    good[4] = 0;
    t[0] = floats("item_factors", good, 6, 3);
    replace_tensors(MODEL_factors, file, t, 1);
    assert_refused("item_ids.txt: expected 6 ids, got 8");
    t[0] = floats("item_factors", good, 8, 2);
    replace_tensors(MODEL_factors, file, t, 1);
    assert_refused("user_factors': expected F32 [*, 2], got F32 [5, 3]");
    t[0] = floats("item_factors", good, 0, 3);
    replace_tensors(MODEL_factors, file, t, 1);
    assert_refused("item_ids.txt: expected 0 ids, got 8");
    t[0] = floats("item_factors", good, 8, 0);
    replace_tensors(MODEL_factors, file, t, 1);
    assert_refused("expected F32 [*, *], got F32 [8]");
    t[0] = (struct tensor){
        .name = "item_factors", .type = TENSOR_I32, .dim_count = 2, .dim = {0, 3}, .count = 0};
    replace_tensors(MODEL_factors, file, t, 1);
    assert_refused("got I32 [0, 3]");
    float wide[FACTORS_DIM_MAX + 1] = {0};
    t[0] = floats("item_factors", wide, 1, FACTORS_DIM_MAX + 1);
    replace_tensors(MODEL_factors, file, t, 1);
    assert_refused("expected 1..512 factors, got 513");
    t[0] = floats("item_factors", good, 8, 3);
    t[1] = floats("more", good, 1, 1);
    replace_tensors(MODEL_factors, file, t, 2);
    assert_refused("expected 1 tensors, got 2");
    temp_dir_write_text(&bundle_rig_dir, "m/1/item_factors.safetensors", "no tensors");
    model_sample_seal(bundle_rig_version_dir, "m", "1", MODEL_factors);
    assert_refused("item_factors.safetensors: header length");
}

static void seal_neighbors(const int64_t *offsets, uint64_t offset_count, const uint32_t *rows,
                           const float *weights, uint64_t count)
{
    const struct tensor t[3] = {{.name = "offsets",
                                 .type = TENSOR_I64,
                                 .dim_count = 1,
                                 .dim = {offset_count},
                                 .count = offset_count,
                                 .data = offsets},
                                {.name = "rows",
                                 .type = TENSOR_U32,
                                 .dim_count = 1,
                                 .dim = {count},
                                 .count = count,
                                 .data = rows},
                                floats("weights", weights, count, 0)};
    replace_tensors(MODEL_neighbors, "neighbors.safetensors", t, 3);
}

static void test_refuses_bad_neighbors(void **state)
{
    (void)state;
    static const int64_t start[] = {1, 2, 2, 2, 2, 2, 2, 2, 2};
    static const int64_t falling[] = {0, 2, 1, 2, 2, 2, 2, 2, 2};
    static const int64_t beyond[] = {0, 2, INT64_MAX, 2, 2, 2, 2, 2, 2};
    static const int64_t negative[] = {0, INT64_MIN, 2, 2, 2, 2, 2, 2, 2};
    static const int64_t open_end[] = {0, 1, 1, 1, 1, 1, 1, 1, 1};
    static const int64_t good[] = {0, 2, 2, 2, 2, 2, 2, 2, 2};
    static const float falling_weights[] = {2, 1};
    static const float rising_weights[] = {1, 2};
    const float bad_weights[] = {1, NAN};
    model_sample_write(bundle_rig_version_dir, "m", "1", MODEL_neighbors);
    static const uint32_t rows[] = {1, 2}, self[] = {1, 0}, out[] = {1, 8}, twice[] = {1, 1};
    seal_neighbors(start, 9, rows, falling_weights, 2);
    assert_refused("neighbors.safetensors: offsets[0]: expected 0, got 1");
    seal_neighbors(falling, 9, rows, falling_weights, 2);
    assert_refused("offsets[2]: expected 2..2, got 1");
    seal_neighbors(beyond, 9, rows, falling_weights, 2);
    assert_refused("offsets[2]: expected 2..2, got 9223372036854775807");
    seal_neighbors(negative, 9, rows, falling_weights, 2);
    assert_refused("offsets[1]: expected 0..2, got -9223372036854775808");
    seal_neighbors(open_end, 9, rows, falling_weights, 2);
    assert_refused("offsets[8]: expected 2, got 1");
    seal_neighbors(good, 8, rows, falling_weights, 2);
    assert_refused("item_ids.txt: expected 7 ids, got 8");
    seal_neighbors(good, 0, rows, falling_weights, 2);
    assert_refused("tensor 'offsets': expected 2 or more, got 0");
    seal_neighbors(good, 9, self, falling_weights, 2);
    assert_refused("row 0: neighbor 0 is the row itself");
    seal_neighbors(good, 9, out, falling_weights, 2);
    assert_refused("row 0: neighbor 8, expected below 8");
    seal_neighbors(good, 9, twice, falling_weights, 2);
    assert_refused("row 0: neighbor 1 is there twice");
    seal_neighbors(good, 9, rows, rising_weights, 2);
    assert_refused("row 0: weight 2 stands behind 1");
    seal_neighbors(good, 9, rows, bad_weights, 2);
    assert_refused("tensor 'weights', element 1");
    /* Good by itself: what is left is refused by the golden rows alone. */
    seal_neighbors(good, 9, rows, falling_weights, 2);
    assert_refused("golden.json: row 0: expected a neighbor, got none");
}

static void test_refuses_bad_embeddings(void **state)
{
    (void)state;
    float rows[8 * 3] = {0};
    struct tensor t[1] = {floats("embeddings", rows, 8, 3)};
    const char *file = "embeddings.safetensors";
    model_sample_write(bundle_rig_version_dir, "m", "1", MODEL_embeddings);
    rows[7] = NAN;
    replace_tensors(MODEL_embeddings, file, t, 1);
    assert_refused("embeddings.safetensors: tensor 'embeddings', element 7: expected -1e+09");
    rows[7] = 0;
    t[0] = floats("embeddings", rows, 6, 3);
    replace_tensors(MODEL_embeddings, file, t, 1);
    assert_refused("item_ids.txt: expected 6 ids, got 8");
    float wide[FACTORS_DIM_MAX + 1] = {0};
    t[0] = floats("embeddings", wide, 1, FACTORS_DIM_MAX + 1);
    replace_tensors(MODEL_embeddings, file, t, 1);
    assert_refused("expected 1..512 factors, got 513");
    t[0] = floats("vectors", rows, 8, 3);
    replace_tensors(MODEL_embeddings, file, t, 1);
    assert_refused("tensor 'embeddings': missing, expected F32 [*, *]");
    /* Rows of zeros are good rows that are like nothing, which the golden rows find out. */
    t[0] = floats("embeddings", rows, 8, 3);
    replace_tensors(MODEL_embeddings, file, t, 1);
    assert_refused("golden.json: row 0.history: these embeddings cancel out");
}

static void test_refuses_bad_scores_and_weights(void **state)
{
    (void)state;
    float scores[8] = {1, 1, 1, 1, 1, 1, 1, -1};
    struct tensor t[2] = {floats("scores", scores, 8, 0)};
    model_sample_write(bundle_rig_version_dir, "m", "1", MODEL_popularity);
    replace_tensors(MODEL_popularity, "scores.safetensors", t, 1);
    assert_refused("tensor 'scores', element 7: expected 0..1e+30, got -1");
    scores[7] = nextafterf(1e30f, INFINITY);
    replace_tensors(MODEL_popularity, "scores.safetensors", t, 1);
    assert_refused("tensor 'scores', element 7");
    scores[7] = 1e30f; /* is allowed: the golden rows alone are against it */
    replace_tensors(MODEL_popularity, "scores.safetensors", t, 1);
    assert_refused("golden.json: row");
    t[0] = floats("scores", scores, 0, 0);
    replace_tensors(MODEL_popularity, "scores.safetensors", t, 1);
    assert_refused("expected at least one row");
    t[0] = floats("score", scores, 8, 0);
    replace_tensors(MODEL_popularity, "scores.safetensors", t, 1);
    assert_refused("tensor 'scores': missing, expected F32 [*]");

    bundle_rig_tear_down(NULL);
    bundle_rig_set_up(NULL);
    double weights[4] = {1, 2, NAN, 4};
    model_sample_write(bundle_rig_version_dir, "m", "1", MODEL_linear);
    t[0] = (struct tensor){.name = "weights",
                           .type = TENSOR_F64,
                           .dim_count = 1,
                           .dim = {3},
                           .count = 3,
                           .data = weights};
    t[1] = (struct tensor){.name = "bias",
                           .type = TENSOR_F64,
                           .dim_count = 1,
                           .dim = {1},
                           .count = 1,
                           .data = weights};
    replace_tensors(MODEL_linear, "weights.safetensors", t, 2);
    assert_refused("tensor 'weights', element 2");
    t[0].dim[0] = t[0].count = 2;
    replace_tensors(MODEL_linear, "weights.safetensors", t, 2);
    assert_refused("tensor 'weights': expected F64 [3], got F64 [2]");
    t[0].dim[0] = t[0].count = 4;
    weights[2] = 3;
    replace_tensors(MODEL_linear, "weights.safetensors", t, 2);
    assert_refused("tensor 'weights': expected F64 [3], got F64 [4]");
    t[1].dim_count = 0;
    t[0].dim[0] = t[0].count = 3;
    replace_tensors(MODEL_linear, "weights.safetensors", t, 2);
    assert_refused("tensor 'bias': expected F64 [1], got F64 []");
}

static const struct {
    enum model_kind kind;
    const char *text;
    const char *says;
} bad_rows[] = {
    {MODEL_popularity, "{\"rows\": []}", "expected 1..10000 rows, got 0"},
    {MODEL_popularity, "{}", "golden.json: rows: missing"},
    {MODEL_popularity, "{\"rows\": [{\"item\": \"i1\", \"score\": 30}], \"row\": 1}", "'row'"},
    {MODEL_popularity, "[", "golden.json:1"},
    {MODEL_popularity,
     "{\"rows\": [{\"item\": \"i1\", \"score\": 30},{\"item\": \"i1\", \"score\": 30.01}]}",
     "golden.json: row 1: expected 30.01, got 30 (tolerance 1e-05)"},
    {MODEL_popularity, "{\"rows\": [{\"item\": \"x\", \"score\": 30}]}",
     "row 0.item: 'x' is not among the items"},
    {MODEL_popularity, "{\"rows\": [{\"item\": \"i1\"}]}", "row 0.score: missing"},
    {MODEL_popularity, "{\"rows\": [{\"item\": \"i1\", \"score\": 30, \"user\": 1}]}",
     "unknown key 'user'"},
    {MODEL_popularity, "{\"rows\": [3]}", "golden.json: row 0: expected an object"},
    {MODEL_factors, "{\"rows\": [{\"item\": \"i1\", \"score\": 30}]}",
     "expected one of user and history"},
    {MODEL_factors,
     "{\"rows\": [{\"user\": \"u1\", \"history\": [\"i1\"], \"item\": \"i1\", \"score\": 1}]}",
     "expected one of user and history"},
    {MODEL_factors, "{\"rows\": [{\"user\": \"u9\", \"item\": \"i1\", \"score\": 1}]}",
     "row 0.user: 'u9' is not among the users"},
    {MODEL_factors, "{\"rows\": [{\"user\": \"u1\", \"item\": \"i1\", \"score\": 1.1}]}",
     "row 0: expected 1.1, got 1 (tol"},
    {MODEL_factors, "{\"rows\": [{\"history\": [], \"item\": \"i1\", \"score\": 1}]}",
     "row 0.history: expected 1..1000 ids, got 0"},
    {MODEL_factors, "{\"rows\": [{\"history\": [\"i9\"], \"item\": \"i1\", \"score\": 1}]}",
     "history[0]: 'i9' is not among the items"},
    {MODEL_factors,
     "{\"rows\": [{\"history\": [\"i0\", \"i2\"], \"item\": \"i6\", \"score\": 0.7930}]}",
     "row 0: expected 0.793"},
    {MODEL_neighbors, "{\"rows\": [{\"item\": \"i0\", \"neighbor\": \"i7\", \"weight\": -0.26}]}",
     "row 0: expected -0.26"},
    {MODEL_neighbors, "{\"rows\": [{\"item\": \"i2\", \"neighbor\": \"i7\", \"weight\": 1}]}",
     "expected a neighbor, got none"},
    {MODEL_neighbors, "{\"rows\": [{\"item\": \"i0\", \"neighbor\": \"i7\", \"weight\": null}]}",
     "expected no neighbor, got one"},
    {MODEL_embeddings, "{\"rows\": [{\"item\": \"i1\", \"score\": 1}]}", "row 0.history: missing"},
    {MODEL_embeddings, "{\"rows\": [{\"history\": [\"i0\"], \"item\": \"i6\", \"score\": 0.8945}]}",
     "row 0: expected 0.8945, got 0.894427"},
    {MODEL_embeddings, "{\"rows\": [{\"user\": \"u1\", \"item\": \"i6\", \"score\": 1}]}",
     "'user'"},
    {MODEL_linear, "{\"rows\": [{\"features\": {\"x\": 1}, \"score\": 1}]}",
     "row 0.features: 'x' is not among the features"},
    {MODEL_linear, "{\"rows\": [{\"features\": {\"item.price\": \"1\"}, \"score\": 1}]}",
     "features.item.price: expected a number"},
    {MODEL_linear, "{\"rows\": [{\"features\": {}, \"score\": 1}]}", "row 0: expected 1, got 2.25"},
    {MODEL_mlp, "{\"rows\": [{\"features\": {\"item.price\": 3}, \"score\": 2.9999}]}",
     "row 0: expected 2.9999, got 3 "},
    {MODEL_trees, "{\"rows\": [{\"features\": {\"item.price\": 3}, \"score\": 0.8751}]}",
     "row 0: expected 0.8751, got 0.875"},
    {MODEL_trees, "{\"rows\": [{\"features\": {\"f0\": 3}, \"score\": 0.875}]}",
     "row 0.features: 'f0' is not among the features"},
    {MODEL_prices, "{\"rows\": [{\"price\": 1000, \"amount\": 999, \"cost\": 1}]}",
     "row 0: expected 999, got 1000"},
    {MODEL_prices,
     "{\"rows\": [{\"price\": 1000, \"amount\": 1000, \"cost\": 1, \"rule\": \"toys\"}]}",
     "row 0: expected rule toys, got none"},
    {MODEL_prices,
     "{\"rows\": [{\"price\": 1000, \"amount\": 899, \"cost\": 1, \"category\": "
     "\"toys\", \"rule\": null}]}",
     "row 0: expected rule none, got toys"},
    {MODEL_prices, "{\"rows\": [{\"price\": 10.5, \"amount\": 10}]}",
     "row 0.price: expected an integer"},
    {MODEL_prices, "{\"rows\": [{\"amount\": 10}]}", "row 0.price: missing"},
    {MODEL_prices, "{\"rows\": [{\"price\": 1, \"amount\": 1, \"currency\": \"eur\"}]}",
     "row 0.currency"},
};

static void test_refuses_golden_rows_that_differ(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_rows / sizeof bad_rows[0]; i++) {
        bundle_rig_tear_down(NULL);
        bundle_rig_set_up(NULL);
        model_sample_write(bundle_rig_version_dir, "m", "1", bad_rows[i].kind);
        temp_dir_write_text(&bundle_rig_dir, "m/1/golden.json", bad_rows[i].text);
        model_sample_seal(bundle_rig_version_dir, "m", "1", bad_rows[i].kind);
        assert_refused(bad_rows[i].says);
    }
}

int main(void)
{
    model_use_one_blas_thread();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_refuses_bad_factors, bundle_rig_set_up,
                                        bundle_rig_tear_down),
        cmocka_unit_test_setup_teardown(test_refuses_bad_neighbors, bundle_rig_set_up,
                                        bundle_rig_tear_down),
        cmocka_unit_test_setup_teardown(test_refuses_bad_embeddings, bundle_rig_set_up,
                                        bundle_rig_tear_down),
        cmocka_unit_test_setup_teardown(test_refuses_bad_scores_and_weights, bundle_rig_set_up,
                                        bundle_rig_tear_down),
        cmocka_unit_test_setup_teardown(test_refuses_golden_rows_that_differ, bundle_rig_set_up,
                                        bundle_rig_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
