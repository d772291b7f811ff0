/* SPDX-License-Identifier: Apache-2.0 */
/* Bundles of the kind mlp that are refused: shapes, names, values and manifests, values that no
 * float holds, and files that were cut off or changed on the way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "models/ranker.h"
#include "models/safetensors.h"
#include "tests/support/bundle_rig.h"
#include "tests/support/model_sample.h"
#include "tests/support/temp_dir.h"

/* Of sums of some dozen floats, relative to the score or to 1. */
#define TOLERANCE 1e-5

/* ---- random nets ----------------------------------------------------------------------------- */

static bool is_near(double got, double expected)
{
    return fabs(got - expected) <= TOLERANCE * fmax(1.0, fabs(expected));
}

/* ---- what is refused ------------------------------------------------------------------------- */

#define NAMES         "\"features\": [{\"name\": \"a\"}, {\"name\": \"b\"}, {\"name\": \"c\"}]"
#define EXTRA(params) "{\"params\": {" params "}, " NAMES "}"
#define RELU          "\"activations\": [\"relu\", \"none\"]"

enum { GOOD = 6, NORMED = 10 };

/* 3 features, 2 hidden, 1 output; with mean and scale, and after them batch norm of layer 0. */
static void good_tensors(struct tensor t[NORMED + 1])
{
    static const float ones[6] = {1, 1, 1, 1, 1, 1};
    t[0] = bundle_rig_tensor("layers.0.weight", TENSOR_F32, ones, 2, 3);
    t[1] = bundle_rig_tensor("layers.0.bias", TENSOR_F32, ones, 2, 0);
    t[2] = bundle_rig_tensor("layers.1.weight", TENSOR_F32, ones, 1, 2);
    t[3] = bundle_rig_tensor("layers.1.bias", TENSOR_F32, ones, 1, 0);
    t[4] = bundle_rig_tensor("mean", TENSOR_F32, ones, 3, 0);
    t[5] = bundle_rig_tensor("scale", TENSOR_F32, ones, 3, 0);
    t[6] = bundle_rig_tensor("layers.0.bn_weight", TENSOR_F32, ones, 2, 0);
    t[7] = bundle_rig_tensor("layers.0.bn_bias", TENSOR_F32, ones, 2, 0);
    t[8] = bundle_rig_tensor("layers.0.bn_mean", TENSOR_F32, ones, 2, 0);
    t[9] = bundle_rig_tensor("layers.0.bn_var", TENSOR_F32, ones, 2, 0);
}

static void assert_refused(const struct tensor *tensors, uint32_t count, const char *extra,
                           const char *says)
{
    struct model *model = NULL;
    struct err err = {0};
    enum err_code rc = bundle_rig_load_mlp(tensors, count, extra, &model, &err);
    assert_null(model);
    if ((rc != ERR_CORRUPT && rc != ERR_UNSUPPORTED) || strstr(err.text, says) == NULL)
        fail_msg("got %d: %s\n  without: %s", (int)rc, err.text, says);
}

/* With this tensor in the place of another, or behind them. */
static void refuse_with(uint32_t place, struct tensor tensor, const char *says)
{
    struct tensor t[NORMED + 1];
    good_tensors(t);
    t[place] = tensor;
    assert_refused(t,
                   place < GOOD      ? GOOD
                   : place == NORMED ? NORMED + 1
                                     : NORMED,
                   EXTRA(RELU), says);
}

static void test_refuses_shapes_that_do_not_agree(void **state)
{
    (void)state;
    static const float zeros[4097 * 3];
    static const int32_t whole[6];
    refuse_with(0, bundle_rig_tensor("layers.0.weight", TENSOR_F32, zeros, 2, 4),
                "tensor 'layers.0.weight': expected floats [*, 3], got F32 [2, 4]");
    refuse_with(0, bundle_rig_tensor("layers.0.weight", TENSOR_F32, zeros, 6, 0), "got F32 [6]");
    refuse_with(0, bundle_rig_tensor("layers.0.weight", TENSOR_I32, whole, 2, 3), "got I32 [2, 3]");
    refuse_with(0, bundle_rig_tensor("layers.0.weight", TENSOR_F32, zeros, 4097, 3),
                "expected 1..4096 outputs, got 4097");
    struct tensor empty = bundle_rig_tensor("layers.0.weight", TENSOR_F32, zeros, 0, 3);
    empty.dim_count = 2;
    refuse_with(0, empty, "expected 1..4096 outputs, got 0");
    refuse_with(1, bundle_rig_tensor("layers.0.bias", TENSOR_F32, zeros, 3, 0),
                "tensor 'layers.0.bias': expected floats [2], got F32 [3]");
    refuse_with(2, bundle_rig_tensor("layers.1.weight", TENSOR_F32, zeros, 1, 3),
                "tensor 'layers.1.weight': expected floats [1, 2], got F32 [1, 3]");
    refuse_with(2, bundle_rig_tensor("layers.1.weight", TENSOR_F32, zeros, 2, 2),
                "expected floats [1, 2], got F32 [2, 2]");
    refuse_with(4, bundle_rig_tensor("mean", TENSOR_F32, zeros, 2, 0),
                "tensor 'mean': expected floats [3], got F32 [2]");
    refuse_with(9, bundle_rig_tensor("layers.0.bn_var", TENSOR_F32, zeros, 3, 0),
                "tensor 'layers.0.bn_var': expected floats [2], got F32 [3]");
}

static void test_refuses_tensors_that_lack_or_that_nobody_uses(void **state)
{
    (void)state;
    static const float zeros[8];
    struct tensor t[NORMED + 1];
    static const char *const unknown[] = {"layers.2.weight", "layers.00.weight", "layers.0.gamma",
                                          "Mean", "layers.0.weight.x"};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        char says[128];
        snprintf(says, sizeof says, "tensor '%s': unknown", unknown[i]);
        refuse_with(NORMED, bundle_rig_tensor(unknown[i], TENSOR_F32, zeros, 1, 0), says);
    }
    good_tensors(t);
    assert_refused(t, 3, EXTRA(RELU), "tensor 'layers.1.bias': missing, expected floats [1]");
    assert_refused(t, 9, EXTRA(RELU), "tensor 'layers.0.bn_var': missing, expected floats [2]");
    assert_refused(t, GOOD, EXTRA("\"activations\": [\"relu\", \"relu\", \"none\"]"),
                   "tensor 'layers.2.weight': missing, expected floats [1, 1]");
}

static void test_refuses_values_out_of_range(void **state)
{
    (void)state;
    static const float bad[][2] = {{0, NAN}, {0, INFINITY}, {0, -2e9f}};
    static const float zeros[3];
    static const float negative[2] = {1, -1};
    static const float large[2] = {1e9f, 1};
    static const float tiny[2] = {0, 1};
    struct tensor t[NORMED + 1];
    for (uint32_t i = 0; i < 3; i++)
        refuse_with(2, bundle_rig_tensor("layers.1.weight", TENSOR_F32, bad[i], 1, 2),
                    "tensor 'layers.1.weight', element 1: expected -1e+09..1e+09, got ");
    refuse_with(5, bundle_rig_tensor("scale", TENSOR_F32, zeros, 3, 0),
                "tensor 'scale', element 0: expected 1e-12..1e+12, got 0");
    refuse_with(9, bundle_rig_tensor("layers.0.bn_var", TENSOR_F32, negative, 2, 0),
                "tensor 'layers.0.bn_var', element 1: expected 0..1e+24, got -1");
    good_tensors(t);
    t[9].data = tiny;
    assert_refused(t, NORMED, EXTRA(RELU ", \"bn_eps\": 0"),
                   "tensor 'layers.0.bn_var', element 0: 0, and so is bn_eps");
    t[6].data = large;
    assert_refused(t, NORMED, EXTRA(RELU),
                   "tensor 'layers.0.weight', output 0: batch norm makes 3.16228e+11 of it");
}

static void test_refuses_bad_manifests(void **state)
{
    (void)state;
    struct tensor t[NORMED + 1];
    good_tensors(t);
    static const struct {
        const char *extra, *says;
    } bad[] = {
        {"{" NAMES "}", "manifest.json: params.activations"},
        {EXTRA("\"activations\": []"), "expected one for each of 1..16 layers, got 0"},
        {EXTRA("\"activations\": [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]"), "got 17"},
        {EXTRA("\"activations\": [\"relu\", 1]"), "params.activations[1]"},
        {EXTRA("\"activations\": [\"rleu\", \"none\"]"),
         "params.activations[0]: unknown name 'rleu', did you mean 'relu'?"},
        {EXTRA("\"activations\": [\"gelu_tanh\", \"none\"]"), "unknown name 'gelu_tanh'"},
        {EXTRA(RELU ", \"sigmoid\": 0.5"), "params.sigmoid: expected 0 or 1, got 0.5"},
        {EXTRA(RELU ", \"bn_eps\": -1"), "params.bn_eps"},
        {EXTRA(RELU ", \"logistic\": 1"), "logistic"},
        {"{\"params\": {" RELU "}}", "features"},
        {"{\"params\": {" RELU "}, \"features\": [{\"name\": \"a\"}]}",
         "tensor 'mean': expected floats [1], got F32 [3]"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_refused(t, GOOD, bad[i].extra, bad[i].says);
}

static void test_nothing_overflows(void **state)
{
    (void)state;
    static const float large[2][3] = {{1e9f, 1e9f, -1e9f}, {1e9f, 1e9f, 1e9f}};
    static const double values[][3] = {
        {1e300, 1e300, -1e300}, {INFINITY, 5, NAN}, {-1e300, -1e300, 1e300}};
    static const char *const activations[] = {"none", "relu", "gelu", "tanh", "sigmoid", "silu"};
    for (size_t a = 0; a < sizeof activations / sizeof *activations; a++) {
        struct tensor t[NORMED + 1];
        struct model *model = NULL;
        struct err err = {0};
        char extra[512];
        double score[3];
        good_tensors(t);
        t[0].data = t[2].data = large;
        snprintf(extra, sizeof extra,
                 "{\"params\": {\"activations\": [\"%s\", \"%s\"], \"sigmoid\": 1}, " NAMES "}",
                 activations[a], activations[a]);
        assert_int_equal(bundle_rig_load_mlp(t, GOOD, extra, &model, &err), ERR_OK);
        void *scratch = aligned_alloc(RANKER_ALIGN_BYTES, ranker_scratch_bytes(model));
        ranker_score_rows(model, values[0], 3, scratch, score);
        for (int row = 0; row < 3; row++) {
            assert_true(isfinite(score[row]));
            assert_true(
                is_near(score[row], mlp_score_plainly(model->as.mlp, values[row], scratch)));
        }
        free(scratch);
        model_destroy(&model);
    }
}

/* ---- damaged bundles ------------------------------------------------------------------------- */

static size_t read_file(const char *name, uint8_t **ret_bytes)
{
    char path[2 * TEMP_DIR_BYTES];
    size_t len = 0;
    struct err err = {0};
    assert_int_equal(
        file_read(temp_dir_path(&bundle_rig_dir, name, path), 1 << 20, ret_bytes, &len, &err),
        ERR_OK);
    return len;
}

static void test_every_truncation_is_refused(void **state)
{
    (void)state;
    static const char *const files[] = {"m/1/weights.safetensors", "m/1/golden.json",
                                        "m/1/manifest.json"};
    for (size_t f = 0; f < 3; f++) {
        uint8_t *bytes = NULL;
        bundle_rig_tear_down(NULL);
        bundle_rig_set_up(NULL);
        model_sample_write(bundle_rig_version_dir, "m", "1", MODEL_mlp);
        size_t len = read_file(files[f], &bytes);
        while (len > 0 && bytes[len - 1] == '\n' && f > 0)
            len--; /* a text without its last line's end is whole */
        for (size_t cut = 0; cut < len; cut++) {
            struct model *model = NULL;
            struct err err = {0};
            temp_dir_write(&bundle_rig_dir, files[f], bytes, cut);
            if (f < 2) /* the hash agrees, so that it is not what refuses */
                model_sample_seal(bundle_rig_version_dir, "m", "1", MODEL_mlp);
            if (bundle_rig_open(true, &model, &err) == ERR_OK)
                fail_msg("%s: its first %zu of %zu bytes were accepted", files[f], cut, len);
            assert_null(model);
        }
        free(bytes);
    }
}

static void test_every_damaged_byte_is_refused_or_harmless(void **state)
{
    (void)state;
    static const char *const file = "m/1/weights.safetensors";
    static const double values[] = {1e6, -3, 0.5};
    uint8_t *bytes = NULL;
    uint32_t refused = 0;
    model_sample_write(bundle_rig_version_dir, "m", "1", MODEL_mlp);
    size_t len = read_file(file, &bytes);
    for (size_t i = 0; i < len; i++) {
        struct model *model = NULL;
        struct err err = {0};
        bytes[i] ^= (uint8_t)(1u << i % 8);
        temp_dir_write(&bundle_rig_dir, file, bytes, len);
        bytes[i] ^= (uint8_t)(1u << i % 8);
        model_sample_seal(bundle_rig_version_dir, "m", "1", MODEL_mlp);
        if (bundle_rig_open(false, &model, &err) != ERR_OK) {
            refused++;
            continue;
        }
        double score = NAN;
        void *scratch = aligned_alloc(RANKER_ALIGN_BYTES, ranker_scratch_bytes(model));
        ranker_score_rows(model, values, 1, scratch, &score);
        assert_true(isfinite(score));
        free(scratch);
        model_destroy(&model);
    }
    assert_true(refused > len / 2); /* most of the file is names and places */
    free(bytes);
}

int main(void)
{
    model_use_one_blas_thread();
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, bundle_rig_set_up, bundle_rig_tear_down)
        TEST(test_refuses_shapes_that_do_not_agree),
        TEST(test_refuses_tensors_that_lack_or_that_nobody_uses),
        TEST(test_refuses_values_out_of_range),
        TEST(test_refuses_bad_manifests),
        TEST(test_nothing_overflows),
        TEST(test_every_truncation_is_refused),
        TEST(test_every_damaged_byte_is_refused_or_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
