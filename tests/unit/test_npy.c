/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays of numpy as tensors, and tensors of other types as floats. */
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

#include "models/npy.h"
#include "tests/support/alloc_fail.h"

enum { BYTES_MAX = 4096 };

/* A file of version 1.0 with this header, as it stands, and these bytes. */
static uint8_t *make_file(const char *header, const void *data, size_t data_bytes, size_t *ret_len)
{
    size_t header_len = strlen(header);
    uint8_t *bytes = malloc(BYTES_MAX);
    assert_non_null(bytes);
    assert_true(10 + header_len + data_bytes <= BYTES_MAX);
    memcpy(bytes, "\x93NUMPY\x01\x00", 8);
    bytes[8] = (uint8_t)header_len;
    bytes[9] = (uint8_t)(header_len >> 8);
    memcpy(bytes + 10, header, header_len);
    if (data_bytes > 0)
        memcpy(bytes + 10 + header_len, data, data_bytes);
    *ret_len = 10 + header_len + data_bytes;
    return bytes;
}

static enum err_code open_bytes(uint8_t *bytes, size_t len, struct safetensors **file,
                                struct err *err)
{
    enum err_code rc = npy_open("f", "x", bytes, len, file, err);
    if (rc != ERR_OK)
        free(bytes);
    return rc;
}

static struct safetensors *open_array(const char *header, const void *data, size_t data_bytes)
{
    struct safetensors *file = NULL;
    struct err err = {0};
    size_t len = 0;
    uint8_t *bytes = make_file(header, data, data_bytes, &len);
    if (open_bytes(bytes, len, &file, &err) != ERR_OK)
        fail_msg("%s", err.text);
    return file;
}

static void arrays_are_read_as_numpy_writes_them(void **state)
{
    (void)state;
    const float values[] = {1, 2.5F, -3, 4, 5, 6};
    struct safetensors *file = open_array(
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }         \n", values, 24);
    const struct tensor *tensor = safetensors_find(file, "x");
    assert_int_equal(safetensors_count(file), 1);
    assert_int_equal(tensor->type, TENSOR_F32);
    assert_int_equal(tensor->dim_count, 2);
    assert_int_equal(tensor->dim[0], 2);
    assert_int_equal(tensor->dim[1], 3);
    assert_memory_equal(tensor->data, values, 24);
    safetensors_close(&file);

    static const struct {
        const char *descr, *shape;
        size_t bytes;
        enum tensor_type type;
        uint64_t count;
    } good[] = {
        {"<f8", "(3,)", 24, TENSOR_F64, 3},
        {"<f2", "(3,)", 6, TENSOR_F16, 3},
        {"|i1", "(2,2)", 4, TENSOR_I8, 4},
        {"|u1", "()", 1, TENSOR_U8, 1},
        {"|b1", "(1,)", 1, TENSOR_BOOL, 1},
        {"<i4", "(1, 1, 1)", 4, TENSOR_I32, 1},
        {"<u4", "(0,)", 0, TENSOR_U32, 0},
        {"<i8", "(2,)", 16, TENSOR_I64, 2},
        {"<f4", "(0, 4)", 0, TENSOR_F32, 0},
        {"<f4", "(9999999999, 9999999999, 0)", 0, TENSOR_F32, 0},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        char header[160];
        static const uint8_t zeros[32];
        /* Another order, and no last comma. */
        snprintf(header, sizeof header, "{'shape': %s, 'fortran_order': False,'descr':'%s'}",
                 good[i].shape, good[i].descr);
        file = open_array(header, zeros, good[i].bytes);
        tensor = safetensors_find(file, "x");
        assert_int_equal(tensor->type, good[i].type);
        assert_int_equal(tensor->count, good[i].count);
        assert_int_equal((uintptr_t)tensor->data % tensor_type_bytes(tensor->type), 0);
        safetensors_close(&file);
    }
    /* One dimension is the same in both orders. */
    file = open_array("{'descr': '<f4', 'fortran_order': True, 'shape': (2,), }", values, 8);
    safetensors_close(&file);
}

static void what_is_no_plain_array_is_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t data_bytes;
        const char *says;
    } bad[] = {
        {"  ", 0, "the header ends, expected '{'"},
        {"{", 0, "the header ends, expected a text in single quotes"},
        {"{}", 0, "lacks one of descr, fortran_order and shape"},
        {"{'descr': '<f4', 'shape': (1,), }", 4, "lacks one of"},
        {"{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }", 4, "'>f4' is big-endian"},
        {"{'descr': '|V2', 'fortran_order': False, 'shape': (1,), }", 2, "'|V2' is not read"},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", 2, "'|O' is not read"},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", 4,
         "a plain type rather than a structure"},
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (1, 1), }", 4, "ascontiguousarray"},
        {"{'descr': '<f4', 'fortran_order': 0, 'shape': (1,), }", 4, "expected True or False"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1), }", 4, "expected ','"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", 4, "expected a number"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1), }", 4,
         "at most 8 dimensions"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }", 4,
         "a smaller number"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 8), }", 4,
         "more elements than can be counted"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", 4,
         "expected 8 bytes of data by its shape, got 4"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (), }", 8, "expected 4 bytes"},
        {"{'descr': '<f4', 'descr': '<f4', 'shape': (1,), }", 4, "once before here"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 1}", 4, "before here"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,), } x", 4, "nothing more"},
        {"{'descr': '<f4aaaaaaaaaaaaaaaaaaa', 'fortran_order': False}", 4, "a short plain text"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        static const uint8_t zeros[16];
        struct safetensors *file = NULL;
        struct err err = {0};
        size_t len = 0;
        uint8_t *bytes = make_file(bad[i].header, zeros, bad[i].data_bytes, &len);
        assert_int_equal(open_bytes(bytes, len, &file, &err), ERR_CORRUPT);
        assert_null(file);
        if (strstr(err.text, bad[i].says) == NULL)
            fail_msg("%s: said %s", bad[i].header, err.text);
    }
}

static void every_cut_and_every_version_is_told(void **state)
{
    (void)state;
    const float values[] = {1, 2};
    size_t len = 0;
    uint8_t *whole =
        make_file("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", values, 8, &len);
    struct err err = {0};
    struct safetensors *file = NULL;
    for (size_t cut = 0; cut < len; cut++) {
        uint8_t *bytes = malloc(cut + 1);
        memcpy(bytes, whole, cut);
        assert_int_equal(open_bytes(bytes, cut, &file, &err), ERR_CORRUPT);
    }
    for (int major = 0; major < 256; major++) {
        uint8_t *bytes = malloc(len);
        memcpy(bytes, whole, len);
        bytes[6] = (uint8_t)major;
        enum err_code rc = open_bytes(bytes, len, &file, &err);
        assert_int_equal(rc == ERR_OK, major == 1); /* 2 and 3 have a longer length */
        safetensors_close(&file);
    }
    free(whole);
}

static void floats_of_every_type_become_those_wanted(void **state)
{
    (void)state;
    const double doubles[] = {0.1, -2.0, 1e300};
    struct err err = {0};
    struct safetensors *file =
        open_array("{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }", doubles, 24);
    assert_int_equal(safetensors_make_floats(file, "x", TENSOR_F32, &err), ERR_OK);
    const struct tensor *tensor = safetensors_find(file, "x");
    assert_int_equal(tensor->type, TENSOR_F32);
    assert_true(((const float *)tensor->data)[0] == 0.1F);
    assert_true(((const float *)tensor->data)[1] == -2.0F);
    assert_true(isinf(((const float *)tensor->data)[2]));
    assert_int_equal(safetensors_bytes(file), 12); /* the file's bytes are gone */
    safetensors_close(&file);

    const uint16_t halves[] = {0x3c00, 0xc100, 0x0001};
    file = open_array("{'descr': '<f2', 'fortran_order': False, 'shape': (3,), }", halves, 6);
    assert_int_equal(safetensors_make_floats(file, "x", TENSOR_F64, &err), ERR_OK);
    tensor = safetensors_find(file, "x");
    assert_true(((const double *)tensor->data)[0] == 1.0);
    assert_true(((const double *)tensor->data)[1] == -2.5);
    assert_true(((const double *)tensor->data)[2] == ldexp(1, -24));
    assert_int_equal(safetensors_make_floats(file, "nothing", TENSOR_F64, &err), ERR_OK);
    safetensors_close(&file);

    const int32_t integers[] = {7};
    file = open_array("{'descr': '<i4', 'fortran_order': False, 'shape': (1,), }", integers, 4);
    assert_int_equal(safetensors_make_floats(file, "x", TENSOR_F32, &err), ERR_OK);
    assert_int_equal(safetensors_find(file, "x")->type, TENSOR_I32);
    safetensors_close(&file);
    const int8_t bytes[] = {1, 2};
    file = open_array("{'descr': '|i1', 'fortran_order': False, 'shape': (2,), }", bytes, 2);
    assert_int_equal(safetensors_make_floats(file, "x", TENSOR_F32, &err), ERR_CORRUPT);
    assert_string_equal(err.text,
                        "f: tensor 'x' is I8, which needs 'x_scale' with a float for each row: a "
                        "tensor, or a file under that key where it is an array of numpy");
    safetensors_close(&file);
}

/* {"x": I8 [2, 3], "x_scale": F32 [rows]} */
static struct safetensors *open_quantised(uint32_t rows)
{
    char header[256];
    const float scales[] = {0.5F, 0.25F, 1};
    const int8_t values[] = {1, -2, 127, 4, 0, -128};
    snprintf(header, sizeof header,
             "{\"x_scale\":{\"dtype\":\"F32\",\"shape\":[%u],\"data_offsets\":[0,%u]},"
             "\"x\":{\"dtype\":\"I8\",\"shape\":[2,3],\"data_offsets\":[%u,%u]}}",
             rows, 4 * rows, 4 * rows, 4 * rows + 6);
    size_t header_len = strlen(header);
    uint8_t *bytes = calloc(1, BYTES_MAX);
    assert_non_null(bytes);
    bytes[0] = (uint8_t)header_len;
    memcpy(bytes + 8, header, header_len);
    memcpy(bytes + 8 + header_len, scales, sizeof(float) * rows);
    memcpy(bytes + 8 + header_len + sizeof(float) * rows, values, sizeof values);
    struct safetensors *file = NULL;
    struct err err = {0};
    if (safetensors_open("f", bytes, 8 + header_len + sizeof(float) * rows + sizeof values, &file,
                         &err) != ERR_OK)
        fail_msg("%s", err.text);
    return file;
}

static void whole_numbers_are_scaled_by_row(void **state)
{
    (void)state;
    struct err err = {0};
    struct safetensors *file = open_quantised(2);
    assert_int_equal(safetensors_scale_count(file), 1);
    assert_int_equal(safetensors_make_floats(file, "x", TENSOR_F32, &err), ERR_OK);
    const float expected[] = {0.5F, -1, 63.5F, 1, 0, -32};
    assert_memory_equal(safetensors_find(file, "x")->data, expected, sizeof expected);
    safetensors_close(&file);
    file = open_quantised(3);
    assert_int_equal(safetensors_make_floats(file, "x", TENSOR_F32, &err), ERR_CORRUPT);
    assert_string_equal(err.text,
                        "f: tensor 'x_scale': expected floats [2], got F32 of 3 elements");
    safetensors_close(&file);
}

static void a_lack_of_memory_is_an_error(void **state)
{
    (void)state;
    const double values[] = {1, 2};
    for (uint32_t n = 0;; n++) {
        size_t len = 0;
        struct safetensors *file = NULL;
        struct err err = {0};
        uint8_t *bytes = make_file("{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }",
                                   values, 16, &len);
        alloc_fail_after(n);
        enum err_code rc = npy_open("f", "x", bytes, len, &file, &err);
        bool opened = rc == ERR_OK;
        if (opened)
            rc = safetensors_make_floats(file, "x", TENSOR_F32, &err);
        bool failed = alloc_fail_off();
        if (!opened)
            free(bytes);
        safetensors_close(&file);
        if (!failed) {
            assert_int_equal(rc, ERR_OK);
            break;
        }
        assert_int_equal(rc, ERR_NOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arrays_are_read_as_numpy_writes_them),
        cmocka_unit_test(what_is_no_plain_array_is_refused_by_name),
        cmocka_unit_test(every_cut_and_every_version_is_told),
        cmocka_unit_test(floats_of_every_type_become_those_wanted),
        cmocka_unit_test(whole_numbers_are_scaled_by_row),
        cmocka_unit_test(a_lack_of_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
