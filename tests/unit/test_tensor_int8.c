/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors of int8 with a scale for each row: of an mlp in safetensors, and arrays of numpy, where
 * the scales are a file of their own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "models/npy.h"
#include "models/ranker.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/bundle_rig.h"

enum { ITEMS = 3, FACTORS = 4, NPY_BYTES_MAX = 1024 };

/* ---- mlp ------------------------------------------------------------------------------------- */

#define EXTRA                                                                                 \
    "{\"params\": {\"activations\": [\"gelu\", \"none\"]}, \"features\": [{\"name\": \"a\"}," \
    " {\"name\": \"b\"}, {\"name\": \"c\"}]}"

static const int8_t weight_0[2][3] = {{-128, 127, 3}, {0, -1, 64}};
static const float scale_0[2] = {0.0123f, 3.5e-3f};
static const int8_t bias_0[2] = {100, -7};
static const float bias_scale_0[2] = {0.02f, 1.5f};
static const int8_t weight_1[2] = {-90, 11};
static const float scale_1[1] = {0.3f};
static const float bias_1[1] = {0.25f};

enum { WEIGHT_0, BIAS_0, WEIGHT_1, BIAS_1, SCALE_0, BIAS_SCALE_0, SCALE_1, TENSOR_COUNT };

static void whole_numbers(struct tensor t[TENSOR_COUNT])
{
    t[WEIGHT_0] = bundle_rig_tensor("layers.0.weight", TENSOR_I8, weight_0, 2, 3);
    t[BIAS_0] = bundle_rig_tensor("layers.0.bias", TENSOR_I8, bias_0, 2, 0);
    t[WEIGHT_1] = bundle_rig_tensor("layers.1.weight", TENSOR_I8, weight_1, 1, 2);
    t[BIAS_1] = bundle_rig_tensor("layers.1.bias", TENSOR_F32, bias_1, 1, 0);
    t[SCALE_0] = bundle_rig_tensor("layers.0.weight_scale", TENSOR_F32, scale_0, 2, 0);
    t[BIAS_SCALE_0] = bundle_rig_tensor("layers.0.bias_scale", TENSOR_F32, bias_scale_0, 2, 0);
    t[SCALE_1] = bundle_rig_tensor("layers.1.weight_scale", TENSOR_F32, scale_1, 1, 0);
}

static double score_of(const struct model *model, const double values[3])
{
    double score = 0;
    size_t bytes = ranker_scratch_bytes(model);
    void *scratch = aligned_alloc(RANKER_ALIGN_BYTES, bytes == 0 ? RANKER_ALIGN_BYTES : bytes);
    assert_non_null(scratch);
    ranker_score_rows(model, values, 1, scratch, &score);
    free(scratch);
    return score;
}

static void test_an_mlp_of_int8_scores_as_one_of_its_floats(void **state)
{
    static const double rows[][3] = {{0, 0, 0}, {1, -2, 0.5}, {100, 3, -7}};
    struct tensor t[TENSOR_COUNT];
    struct model *whole = NULL, *floats = NULL;
    struct err err = {.text = ""};
    float weight[6], bias[2], last[2];
    (void)state;
    whole_numbers(t);
    if (bundle_rig_load_mlp(t, TENSOR_COUNT, EXTRA, &whole, &err) != ERR_OK)
        fail_msg("%s", err.text);
    for (int i = 0; i < 6; i++)
        weight[i] = (float)weight_0[i / 3][i % 3] * scale_0[i / 3];
    for (int i = 0; i < 2; i++) {
        bias[i] = (float)bias_0[i] * bias_scale_0[i];
        last[i] = (float)weight_1[i] * scale_1[0];
    }
    t[WEIGHT_0] = bundle_rig_tensor("layers.0.weight", TENSOR_F32, weight, 2, 3);
    t[BIAS_0] = bundle_rig_tensor("layers.0.bias", TENSOR_F32, bias, 2, 0);
    t[WEIGHT_1] = bundle_rig_tensor("layers.1.weight", TENSOR_F32, last, 1, 2);
    if (bundle_rig_load_mlp(t, SCALE_0, EXTRA, &floats, &err) != ERR_OK)
        fail_msg("%s", err.text);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_true(score_of(whole, rows[i]) == score_of(floats, rows[i]));
    assert_true(score_of(whole, rows[0]) != score_of(whole, rows[1]));
    model_destroy(&whole);
    model_destroy(&floats);
}

static void refuse_mlp(const struct tensor *t, uint32_t count, const char *says)
{
    struct model *model = NULL;
    struct err err = {.text = ""};
    assert_int_equal(bundle_rig_load_mlp(t, count, EXTRA, &model, &err), ERR_CORRUPT);
    if (strstr(err.text, says) == NULL)
        fail_msg("got: %s\n  without: %s", err.text, says);
    model_destroy(&model);
}

static void test_an_mlp_needs_a_scale_for_each_row_of_int8_and_no_other(void **state)
{
    struct tensor t[TENSOR_COUNT];
    (void)state;
    whole_numbers(t);
    refuse_mlp(t, SCALE_1, "tensor 'layers.1.weight' is I8, which needs 'layers.1.weight_scale'");
    whole_numbers(t);
    t[SCALE_0] = bundle_rig_tensor("layers.0.weight_scale", TENSOR_F32, scale_0, 1, 0);
    refuse_mlp(t, TENSOR_COUNT, "'layers.0.weight_scale': expected floats [2]");
    whole_numbers(t);
    t[SCALE_0] = bundle_rig_tensor("layers.0.weight_scale", TENSOR_I8, weight_1, 2, 0);
    refuse_mlp(t, TENSOR_COUNT, "layers.0.weight_scale");
    whole_numbers(t);
    t[SCALE_1] = bundle_rig_tensor("layers.1.bias_scale", TENSOR_F32, scale_1, 1, 0);
    refuse_mlp(t, TENSOR_COUNT, "'layers.1.bias_scale': unknown"); /* the bias has floats */
    whole_numbers(t);
    t[SCALE_1] = bundle_rig_tensor("layers.2.weight_scale", TENSOR_F32, scale_1, 1, 0);
    refuse_mlp(t, TENSOR_COUNT, "'layers.2.weight_scale': unknown");
}

/* ---- arrays of numpy ------------------------------------------------------------------------- */

static const int8_t items[ITEMS][FACTORS] = {{1, -2, 3, 127}, {-128, 0, 5, 7}, {9, 9, -9, 1}};
static const float item_scales[ITEMS] = {0.5f, 0.01f, 1.25f};
static const float user[FACTORS] = {1, 0.5f, -0.25f, 0.125f};
static const double user_scales[1] = {1.0};
static const char ids[] = "i0\ni1\ni2\n";

/* The bytes of numpy.save: the header ends at a multiple of 64. */
static void write_npy(const char *file, const char *descr, const void *values, size_t value_bytes,
                      const char *shape)
{
    char path[2 * TEMP_DIR_BYTES], name[64];
    uint8_t bytes[NPY_BYTES_MAX] = "\x93NUMPY\x01";
    struct err err = {.text = ""};
    int used =
        10 + snprintf((char *)bytes + 10, sizeof bytes - 10,
                      "{'descr': '%s', 'fortran_order': False, 'shape': %s, }", descr, shape);
    while ((used + 1) % 64 != 0)
        bytes[used++] = ' ';
    bytes[used++] = '\n';
    bytes[8] = (uint8_t)(used - 10);
    memcpy(bytes + used, values, value_bytes);
    snprintf(name, sizeof name, "m/1/%s", file);
    temp_dir_path(&bundle_rig_dir, name, path);
    if (file_write_atomic(path, bytes, (size_t)used + value_bytes, &err) != ERR_OK)
        fail_msg("%s", err.text);
}

static const struct bundle_write_file files[] = {{"user_factors", "user_factors.npy"},
                                                 {"item_factors", "item_factors.npy"},
                                                 {"user_ids", "user_ids.txt"},
                                                 {"item_ids", "item_ids.txt"},
                                                 {"item_factors_scale", "item_scales.npy"},
                                                 {"user_factors_scale", "user_scales.npy"}};
enum { FILES_WITHOUT = 4, FILES_WITH_ITEMS = 5, FILES_WITH_BOTH = 6 };

/* What the dot product of the only user with each item is. */
static void write_golden(void)
{
    cJSON *rows = cJSON_CreateArray();
    for (int i = 0; i < ITEMS; i++) {
        char id[16];
        double sum = 0;
        for (int f = 0; f < FACTORS; f++)
            sum += (double)user[f] * items[i][f] * (double)item_scales[i];
        snprintf(id, sizeof id, "i%d", i);
        cJSON *row = cJSON_CreateObject();
        cJSON_AddStringToObject(row, "user", "u");
        cJSON_AddStringToObject(row, "item", id);
        cJSON_AddNumberToObject(row, "score", sum);
        cJSON_AddItemToArray(rows, row);
    }
    assert_int_equal(bundle_write_golden(bundle_rig_version_dir, rows, NULL), ERR_OK);
    cJSON_Delete(rows);
}

static void write_factors(void)
{
    temp_dir_write_text(&bundle_rig_dir, "m/1/user_ids.txt", "u\n");
    temp_dir_write_text(&bundle_rig_dir, "m/1/item_ids.txt", ids);
    write_npy("user_factors.npy", "<f4", user, sizeof user, "(1, 4)");
    write_npy("item_factors.npy", "|i1", items, sizeof items, "(3, 4)");
    write_npy("item_scales.npy", "<f4", item_scales, sizeof item_scales, "(3,)");
    write_npy("user_scales.npy", "<f8", user_scales, sizeof user_scales, "(1,)");
    write_golden();
}

static enum err_code load_factors(uint32_t file_count, struct err *err)
{
    char path[2 * TEMP_DIR_BYTES];
    struct model *model = NULL;
    cJSON *extra = cJSON_Parse("{\"params\": {\"unobserved_weight\": 0.1, \"regularization\": 1}}");
    if (file_count < FILES_WITH_BOTH)
        (void)remove(temp_dir_path(&bundle_rig_dir, "m/1/user_scales.npy", path));
    if (file_count < FILES_WITH_ITEMS)
        (void)remove(temp_dir_path(&bundle_rig_dir, "m/1/item_scales.npy", path));
    assert_int_equal(bundle_write_manifest(bundle_rig_version_dir, "m", "1", MODEL_factors, files,
                                           file_count, extra, NULL),
                     ERR_OK);
    cJSON_Delete(extra);
    enum err_code rc = bundle_rig_open(true, &model, err);
    model_destroy(&model);
    return rc;
}

static void refuse_factors(uint32_t file_count, const char *says)
{
    struct err err = {.text = ""};
    assert_int_equal(load_factors(file_count, &err), ERR_CORRUPT);
    if (strstr(err.text, says) == NULL)
        fail_msg("got: %s\n  without: %s", err.text, says);
}

static void test_arrays_of_int8_serve_with_a_file_of_scales(void **state)
{
    struct err err = {.text = ""};
    (void)state;
    write_factors();
    if (load_factors(FILES_WITH_ITEMS, &err) != ERR_OK)
        fail_msg("%s", err.text);
    refuse_factors(FILES_WITHOUT, "'item_factors' is I8, which needs 'item_factors_scale'");
    write_factors();
    refuse_factors(FILES_WITH_BOTH, "files.user_factors_scale: only an array of numpy of int8");
    write_npy("item_scales.npy", "<f4", item_scales, sizeof item_scales - 4, "(2,)");
    refuse_factors(FILES_WITH_ITEMS, "'item_factors_scale': expected floats [3]");
    write_npy("item_scales.npy", "|i1", items, ITEMS, "(3,)");
    refuse_factors(FILES_WITH_ITEMS, "'item_factors_scale': expected floats [3]");
    temp_dir_write_text(&bundle_rig_dir, "m/1/item_scales.npy", "12345678{}");
    refuse_factors(FILES_WITH_ITEMS, "item_scales.npy: 10 bytes that are no .npy file");
}

static void test_a_lack_of_memory_is_an_error(void **state)
{
    const struct tensor scale =
        bundle_rig_tensor("item_factors_scale", TENSOR_F32, item_scales, ITEMS, 0);
    char path[2 * TEMP_DIR_BYTES];
    uint32_t n = 0;
    (void)state;
    write_factors();
    temp_dir_path(&bundle_rig_dir, "m/1/item_factors.npy", path);
    for (bool failed = true; failed; n++) {
        struct safetensors *file = NULL;
        struct err err = {.text = ""};
        uint8_t *bytes = NULL;
        size_t len = 0;
        assert_int_equal(file_read(path, NPY_BYTES_MAX, &bytes, &len, NULL), ERR_OK);
        assert_int_equal(npy_open("f", "item_factors", bytes, len, &file, NULL), ERR_OK);
        alloc_fail_after(n);
        enum err_code rc = safetensors_add_scale(file, &scale, &err);
        failed = alloc_fail_off();
        assert_int_equal(rc, failed ? ERR_NOMEM : ERR_OK);
        assert_int_equal(safetensors_count(file), failed ? 1 : 2);
        assert_int_equal(safetensors_at(file, 0)->count, ITEMS * FACTORS);
        safetensors_close(&file);
    }
    assert_true(n > 3);
}

/* The same bytes by numpy itself. */
static void test_numpy_writes_what_is_read(void **state)
{
    static const char script[] =
        "import numpy as np\n"
        "np.save('item_factors.npy', np.array([[1, -2, 3, 127], [-128, 0, 5, 7], [9, 9, -9, 1]],"
        " np.int8))\n"
        "np.save('item_scales.npy', np.array([0.5, 0.01, 1.25], np.float32))\n";
    char command[4 * TEMP_DIR_BYTES];
    struct err err = {.text = ""};
    (void)state;
    if (system("/usr/bin/python3 -c 'import numpy' 2>/dev/null") != 0) {
        fprintf(stderr, "SKIPPED: python3-numpy is not installed\n");
        skip();
    }
    write_factors();
    temp_dir_write_text(&bundle_rig_dir, "save.py", script);
    snprintf(command, sizeof command, "cd %s && /usr/bin/python3 ../../save.py",
             bundle_rig_version_dir);
    assert_int_equal(system(command), 0);
    if (load_factors(FILES_WITH_ITEMS, &err) != ERR_OK)
        fail_msg("%s", err.text);
}

#define WITH_RIG(test) \
    cmocka_unit_test_setup_teardown(test, bundle_rig_set_up, bundle_rig_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_RIG(test_an_mlp_of_int8_scores_as_one_of_its_floats),
        WITH_RIG(test_an_mlp_needs_a_scale_for_each_row_of_int8_and_no_other),
        WITH_RIG(test_arrays_of_int8_serve_with_a_file_of_scales),
        WITH_RIG(test_a_lack_of_memory_is_an_error),
        WITH_RIG(test_numpy_writes_what_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
