/* SPDX-License-Identifier: Apache-2.0 */
/* Bundles whose tensors are of another type than the evaluator's, or arrays of numpy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "models/model.h"
#include "models/npy.h"
#include "tests/support/model_sample.h"
#include "tests/support/temp_dir.h"

enum { VALUES_MAX = 256 };

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

/* Loads it and recomputes its golden rows; returns the bytes that it holds. */
static uint64_t load(void)
{
    struct bundle *bundle = NULL;
    struct model *model = NULL;
    struct err err = {0};
    enum err_code rc = bundle_open(bundle_dir, "m", "1", &bundle, &err);
    if (rc == ERR_OK)
        rc = model_load(bundle, &model, &err);
    if (rc == ERR_OK)
        rc = model_check_golden(model, bundle, &err);
    if (rc != ERR_OK)
        fail_msg("%s", err.text);
    uint64_t bytes = model->bytes;
    model_destroy(&model);
    bundle_close(&bundle);
    return bytes;
}

static const char *path_of(const char *file, char path[2 * TEMP_DIR_BYTES])
{
    char name[128];
    snprintf(name, sizeof name, "m/1/%s", file);
    return temp_dir_path(&dir, name, path);
}

static struct safetensors *open_file(const char *file)
{
    char path[2 * TEMP_DIR_BYTES];
    uint8_t *bytes = NULL;
    size_t len = 0;
    struct err err = {0};
    struct safetensors *opened = NULL;
    if (file_read(path_of(file, path), 1 << 20, &bytes, &len, &err) != ERR_OK ||
        safetensors_open(file, bytes, len, &opened, &err) != ERR_OK)
        fail_msg("%s", err.text);
    return opened;
}

static void write_tensors(const char *file, const struct tensor *tensors, uint32_t count,
                          enum model_kind kind)
{
    char path[2 * TEMP_DIR_BYTES];
    struct err err = {0};
    if (safetensors_write(path_of(file, path), tensors, count, &err) != ERR_OK)
        fail_msg("%s", err.text);
    model_sample_seal(bundle_dir, "m", "1", kind);
}

/* Every F32 of the file as F64. */
static void widen(const char *file, enum model_kind kind)
{
    static double values[4][VALUES_MAX];
    struct tensor tensors[4];
    struct safetensors *opened = open_file(file);
    uint32_t count = safetensors_count(opened);
    assert_true(count <= 4);
    for (uint32_t t = 0; t < count; t++) {
        tensors[t] = *safetensors_at(opened, t);
        if (tensors[t].type != TENSOR_F32)
            continue;
        assert_true(tensors[t].count <= VALUES_MAX);
        for (uint64_t i = 0; i < tensors[t].count; i++)
            values[t][i] = tensor_float(&tensors[t], i);
        tensors[t].type = TENSOR_F64;
        tensors[t].data = values[t];
    }
    write_tensors(file, tensors, count, kind);
    safetensors_close(&opened);
}

static void doubles_serve_as_floats(void **state)
{
    (void)state;
    static const struct {
        enum model_kind kind;
        const char *files[2];
    } cases[] = {{MODEL_factors, {"item_factors.safetensors", "user_factors.safetensors"}},
                 {MODEL_popularity, {"scores.safetensors"}},
                 {MODEL_neighbors, {"neighbors.safetensors"}}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        model_sample_write(bundle_dir, "m", "1", cases[i].kind);
        uint64_t bytes = load();
        for (size_t k = 0; k < 2 && cases[i].files[k] != NULL; k++)
            widen(cases[i].files[k], cases[i].kind);
        /* What is not needed any more is not held: less than the headers. */
        if (cases[i].kind != MODEL_neighbors)
            assert_true(load() <= bytes);
        else
            load();
        tear_down(NULL);
        set_up(NULL);
    }
}

/* Rows of whole numbers: 1, 2, 3, ... times a scale of each row. */
static void whole_numbers_with_scales_serve(void **state)
{
    (void)state;
    int8_t values[MODEL_SAMPLE_ITEMS] = {0};
    float scales[MODEL_SAMPLE_ITEMS];
    model_sample_write(bundle_dir, "m", "1", MODEL_popularity);
    struct safetensors *opened = open_file("scores.safetensors");
    struct tensor tensors[2] = {*safetensors_at(opened, 0), *safetensors_at(opened, 0)};
    for (uint64_t i = 0; i < MODEL_SAMPLE_ITEMS; i++) {
        values[i] = 2;
        scales[i] = (float)tensor_float(&tensors[0], i) / 2;
    }
    tensors[0].type = TENSOR_I8;
    tensors[0].data = values;
    tensors[1].name = "scores_scale";
    tensors[1].data = scales;
    write_tensors("scores.safetensors", tensors, 2, MODEL_popularity);
    safetensors_close(&opened);
    load();
}

static void arrays_of_numpy_serve(void **state)
{
    (void)state;
    static const char *const files[] = {"item_factors.safetensors", "user_factors.safetensors"};
    model_sample_write(bundle_dir, "m", "1", MODEL_factors);
    for (size_t i = 0; i < 2; i++) {
        char path[2 * TEMP_DIR_BYTES];
        uint8_t bytes[4096];
        struct err err = {0};
        struct safetensors *opened = open_file(files[i]);
        const struct tensor *tensor = safetensors_at(opened, 0);
        int header_len = snprintf((char *)bytes + 10, sizeof bytes - 10,
                                  "{'descr': '<f4', 'fortran_order': False, 'shape': (%u, %u), }",
                                  (unsigned)tensor->dim[0], (unsigned)tensor->dim[1]);
        memcpy(bytes, "\x93NUMPY\x01\x00", 8);
        bytes[8] = (uint8_t)header_len;
        bytes[9] = 0;
        size_t len = 10 + (size_t)header_len + tensor->count * sizeof(float);
        assert_true(len <= sizeof bytes);
        memcpy(bytes + 10 + header_len, tensor->data, tensor->count * sizeof(float));
        if (file_write_atomic(path_of(files[i], path), bytes, len, &err) != ERR_OK)
            fail_msg("%s", err.text);
        safetensors_close(&opened);
    }
    model_sample_seal(bundle_dir, "m", "1", MODEL_factors);
    load();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(doubles_serve_as_floats, set_up, tear_down),
        cmocka_unit_test_setup_teardown(whole_numbers_with_scales_serve, set_up, tear_down),
        cmocka_unit_test_setup_teardown(arrays_of_numpy_serve, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
