/* SPDX-License-Identifier: Apache-2.0 */
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
#include "models/safetensors.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/temp_dir.h"

/* A file of this header and `data_bytes` bytes 0, 1, 2, ... */
static uint8_t *make_file(const char *header, size_t data_bytes, size_t *ret_len)
{
    size_t header_len = strlen(header);
    *ret_len = 8 + header_len + data_bytes;
    uint8_t *bytes = malloc(*ret_len);
    assert_non_null(bytes);
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)((uint64_t)header_len >> (8 * i));
    memcpy(bytes + 8, header, header_len);
    for (size_t i = 0; i < data_bytes; i++)
        bytes[8 + header_len + i] = (uint8_t)i;
    return bytes;
}

static enum err_code open_file(const char *header, size_t data_bytes, struct safetensors **file,
                               struct err *err)
{
    size_t len = 0;
    uint8_t *bytes = make_file(header, data_bytes, &len);
    enum err_code rc = safetensors_open("f", bytes, len, file, err);
    if (rc != ERR_OK)
        free(bytes);
    return rc;
}

static void test_reads_types_shapes_and_values(void **state)
{
    (void)state;
    struct safetensors *file = NULL;
    struct err err = {0};
    /* Out of order, padded with blanks, an escaped name, a scalar, an empty tensor, metadata. */
    const char *header = "{\"__metadata__\":{\"format\":\"np\"},"
                         "\"b\":{\"dtype\":\"U8\",\"shape\":[2,3],\"data_offsets\":[12,18]},"
                         "\"s\\u0041\":{\"shape\":[],\"data_offsets\":[8,12],\"dtype\":\"I32\"},"
                         "\"none\":{\"dtype\":\"F64\",\"shape\":[0,4],\"data_offsets\":[8,8]},"
                         "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}     ";
    if (open_file(header, 18, &file, &err) != ERR_OK)
        fail_msg("%s", err.text);
    assert_int_equal(safetensors_count(file), 4);
    const struct tensor *scalar = safetensors_find(file, "sA");
    assert_non_null(scalar);
    assert_int_equal(scalar->type, TENSOR_I32);
    assert_int_equal(scalar->dim_count, 0);
    assert_int_equal(scalar->count, 1);
    assert_int_equal(*(const int32_t *)scalar->data, 0x0b0a0908);
    const struct tensor *bytes = safetensors_find(file, "b");
    assert_int_equal(bytes->count, 6);
    assert_int_equal(((const uint8_t *)bytes->data)[5], 17);
    assert_int_equal(safetensors_find(file, "none")->count, 0);
    assert_null(safetensors_find(file, "x"));
    assert_string_equal(safetensors_at(file, 0)->name, "b");
    const struct tensor *tensor = NULL;
    assert_int_equal(
        safetensors_expect(file, "a", TENSOR_F32, (uint64_t[]){UINT64_MAX}, 1, &tensor, &err),
        ERR_OK);
    assert_int_equal(
        safetensors_expect(file, "b", TENSOR_U8, (uint64_t[]){UINT64_MAX, 4}, 2, &tensor, &err),
        ERR_CORRUPT);
    assert_string_equal(err.text, "f: tensor 'b': expected U8 [*, 4], got U8 [2, 3]");
    assert_int_equal(safetensors_expect(file, "q", TENSOR_F32, (uint64_t[]){3}, 1, &tensor, &err),
                     ERR_CORRUPT);
    assert_string_equal(err.text, "f: tensor 'q': missing, expected F32 [3]");
    safetensors_close(&file);
    assert_null(file);
}

static void test_misaligned_data_is_copied(void **state)
{
    (void)state;
    struct safetensors *file = NULL;
    struct err err = {0};
    /* The same header with one more blank each time: some of the places are misaligned. */
    char header[128] = "{\"p\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
                       "\"x\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[1,17]}}";
    for (int blanks = 0; blanks < 8; blanks++) {
        if (open_file(header, 17, &file, &err) != ERR_OK)
            fail_msg("%s", err.text);
        const struct tensor *tensor = safetensors_find(file, "x");
        assert_int_equal((uintptr_t)tensor->data % 8, 0);
        for (size_t i = 0; i < 16; i++)
            assert_int_equal(((const uint8_t *)tensor->data)[i], i + 1);
        safetensors_close(&file);
        memcpy(header + strlen(header), " ", 2);
    }
}

/* The values are there once, wherever the header ends. */
static void test_an_odd_header_costs_no_memory(void **state)
{
    (void)state;
    struct safetensors *file = NULL;
    struct err err = {0};
    char header[128] = "{\"x\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[0,16]}}";
    for (int blanks = 0; blanks < 8; blanks++) {
        assert_int_equal(open_file(header, 16, &file, &err), ERR_OK);
        const struct tensor *tensor = safetensors_find(file, "x");
        assert_int_equal((uintptr_t)tensor->data % 8, 0);
        for (size_t i = 0; i < 16; i++)
            assert_int_equal(((const uint8_t *)tensor->data)[i], i);
        assert_int_equal(safetensors_bytes(file), 8 + strlen(header) + 16);
        safetensors_close(&file);
        memcpy(header + strlen(header), " ", 2);
    }
}

#define T(dtype, shape, offsets) \
    "\"t\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static void test_refuses_and_says_what(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t data_bytes;
        enum err_code code;
        const char *says;
    } bad[] = {
        {"", 0, ERR_CORRUPT, "'{'"},
        {" {}", 0, ERR_CORRUPT, "'{'"},
        {"[]", 0, ERR_CORRUPT, "'{'"},
        {"{", 0, ERR_CORRUPT, "header, byte"},
        {"{}x", 0, ERR_CORRUPT, "header, byte"},
        {"{}", 1, ERR_CORRUPT, "expected 0 bytes of data by its tensors, got 1"},
        {"{\"t\":3}", 0, ERR_CORRUPT, "an object that describes a tensor"},
        {"{" T("F32", "[2]", "[0,8]") "}", 7, ERR_CORRUPT,
         "data_offsets end 8, but the data has 7"},
        {"{" T("F32", "[2]", "[0,8]") "}", 9, ERR_CORRUPT, "expected 8 bytes"},
        {"{" T("F32", "[2]", "[1,9]") "}", 9, ERR_CORRUPT, "data_offsets begin 1, expected 0"},
        {"{" T("F32", "[2]", "[8,0]") "}", 8, ERR_CORRUPT, "data_offsets 8..0"},
        {"{" T("F32", "[3]", "[0,8]") "}", 8, ERR_CORRUPT, "expected 12 bytes"},
        {"{" T("F32", "[2]", "[0,8,9]") "}", 8, ERR_CORRUPT, "two offsets"},
        {"{" T("F32", "[2]", "[0]") "}", 8, ERR_CORRUPT, "whole number"},
        {"{" T("F32", "[-2]", "[0,8]") "}", 8, ERR_CORRUPT, "whole number"},
        {"{" T("F32", "[2.0]", "[0,8]") "}", 8, ERR_CORRUPT, "whole number"},
        {"{" T("F32", "[[2]]", "[0,8]") "}", 8, ERR_CORRUPT, "too deep"},
        {"{" T("F32", "[4294967296,4294967296]", "[0,0]") "}", 0, ERR_CORRUPT, "shape overflows"},
        {"{" T("F64", "[4611686018427387904]", "[0,0]") "}", 0, ERR_CORRUPT, "size overflows"},
        {"{" T("F32", "[99999999999999999999]", "[0,8]") "}", 8, ERR_CORRUPT, "whole number"},
        {"{" T("F32", "[1,1,1,1,1,1,1,1,2]", "[0,8]") "}", 8, ERR_LIMIT, "8 dimensions"},
        {"{" T("F8_E4M3", "[8]", "[0,8]") "}", 8, ERR_UNSUPPORTED, "'F8_E4M3'"},
        {"{" T("f32", "[2]", "[0,8]") "}", 8, ERR_UNSUPPORTED, "'f32'"},
        {"{\"t\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, ERR_CORRUPT, "data_offsets: missing"},
        {"{\"t\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", 8, ERR_CORRUPT, "shape: missing"},
        {"{\"t\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 8, ERR_CORRUPT, "dtype: missing"},
        {"{\"t\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"x\":1}}", 8, ERR_CORRUPT,
         "dtype, shape or data_offsets"},
        {"{" T("F32", "[2]", "[0,8]") "," T("F32", "[2]", "[8,16]") "}", 16, ERR_CORRUPT, "byte"},
        {"{" T("F32", "[2]", "[0,8]") ",\"u\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":"
                                      "[4,8]}}",
         8, ERR_CORRUPT, "begin 4, expected 8"},
        {"{" T("F32", "[2]", "[0,8]") ",\"u\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":"
                                      "[9,13]}}",
         13, ERR_CORRUPT, "begin 9, expected 8"},
        {"{\"__metadata__\":{\"a\":1}}", 0, ERR_CORRUPT, "a text in __metadata__"},
        {"{\"__metadata__\":[]}", 0, ERR_CORRUPT, "__metadata__ as an object"},
        {"{\"a\\u0000b\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0, ERR_CORRUPT,
         "\\u0000"},
        {"{/* a comment */}", 0, ERR_CORRUPT, "header, byte"},
        {"{\"\xff\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0, ERR_CORRUPT,
         "header, byte"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct safetensors *file = NULL;
        struct err err = {0};
        enum err_code rc = open_file(bad[i].header, bad[i].data_bytes, &file, &err);
        assert_null(file);
        if (rc != bad[i].code || strstr(err.text, bad[i].says) == NULL)
            fail_msg("%s\n  says: %s\n  without: %s", bad[i].header, err.text, bad[i].says);
    }
}

static void test_refuses_impossible_lengths(void **state)
{
    (void)state;
    static const struct {
        uint8_t bytes[10];
        size_t len;
        enum err_code code;
    } bad[] = {
        {{0}, 0, ERR_CORRUPT},
        {{2, 0, 0, 0, 0, 0, 0}, 7, ERR_CORRUPT},
        {{0, 0, 0, 0, 0, 0, 0, 0}, 8, ERR_CORRUPT},
        {{3, 0, 0, 0, 0, 0, 0, 0, '{', '}'}, 10, ERR_CORRUPT},
        {{255, 255, 255, 255, 255, 255, 255, 255, '{', '}'}, 10, ERR_LIMIT},
        {{248, 255, 255, 255, 255, 255, 255, 127, '{', '}'}, 10, ERR_LIMIT},
        {{1, 0, 0, 1, 0, 0, 0, 0, '{', '}'}, 10, ERR_LIMIT}, /* 16 MiB + 1 */
        {{0, 0, 0, 1, 0, 0, 0, 0, '{', '}'}, 10, ERR_CORRUPT},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct safetensors *file = NULL;
        struct err err = {0};
        uint8_t *bytes = malloc(bad[i].len + 1);
        memcpy(bytes, bad[i].bytes, bad[i].len);
        assert_int_equal(safetensors_open("f", bytes, bad[i].len, &file, &err), bad[i].code);
        free(bytes);
    }
}

static void write_sample(const char *path)
{
    static const float x[] = {1.5f, -2.25f, 3, 4, 5, 6};
    static const double y[] = {0.1};
    static const int64_t z[] = {0, 2, INT64_MIN};
    static const uint8_t b[] = {7, 8, 9};
    const struct tensor tensors[] = {
        {.name = "x", .type = TENSOR_F32, .dim_count = 2, .dim = {2, 3}, .count = 6, .data = x},
        {.name = "bytes", .type = TENSOR_U8, .dim_count = 1, .dim = {3}, .count = 3, .data = b},
        {.name = "y", .type = TENSOR_F64, .dim_count = 0, .count = 1, .data = y},
        {.name = "a", .type = TENSOR_F32, .dim_count = 1, .dim = {0}, .count = 0},
        {.name = "z", .type = TENSOR_I64, .dim_count = 1, .dim = {3}, .count = 3, .data = z},
    };
    struct err err = {0};
    if (safetensors_write(path, tensors, 5, &err) != ERR_OK)
        fail_msg("%s", err.text);
}

/* Byte by byte what the reference writer makes of the same tensors. */
static void test_writes_as_the_reference_writer_does(void **state)
{
    (void)state;
    struct temp_dir dir;
    char path[2 * TEMP_DIR_BYTES];
    uint8_t *bytes = NULL;
    size_t len = 0;
    struct err err = {0};
    temp_dir_create(&dir);
    temp_dir_path(&dir, "s", path);
    write_sample(path);
    assert_int_equal(file_read(path, 1 << 20, &bytes, &len, &err), ERR_OK);
    static const char header[] =
        "{\"z\":{\"dtype\":\"I64\",\"shape\":[3],\"data_offsets\":[0,24]},"
        "\"y\":{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":[24,32]},"
        "\"a\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[32,32]},"
        "\"x\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[32,56]},"
        "\"bytes\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[56,59]}}";
    size_t padded = (sizeof header - 1 + 7) / 8 * 8;
    assert_int_equal(len, 8 + padded + 59);
    assert_int_equal(bytes[0] | bytes[1] << 8, padded);
    assert_memory_equal(bytes + 8, header, sizeof header - 1);
    for (size_t i = sizeof header - 1; i < padded; i++)
        assert_int_equal(bytes[8 + i], ' ');

    struct safetensors *file = NULL;
    assert_int_equal(safetensors_open("s", bytes, len, &file, &err), ERR_OK);
    assert_true(((const float *)safetensors_find(file, "x")->data)[1] == -2.25f);
    assert_true(*(const double *)safetensors_find(file, "y")->data == 0.1);
    assert_true(((const int64_t *)safetensors_find(file, "z")->data)[2] == INT64_MIN);
    assert_int_equal(((const uint8_t *)safetensors_find(file, "bytes")->data)[2], 9);
    safetensors_close(&file);
    temp_dir_remove(&dir);
}

static void test_writer_refuses_what_the_reader_would(void **state)
{
    (void)state;
    static const uint8_t b[4] = {0};
    const struct tensor bad[][2] = {
        {{.name = "a\"", .type = TENSOR_U8, .count = 1, .data = b}},
        {{.name = "", .type = TENSOR_U8, .count = 1, .data = b}},
        {{.name = "__metadata__", .type = TENSOR_U8, .count = 1, .data = b}},
        {{.name = "a", .type = TENSOR_U8, .dim_count = 1, .dim = {3}, .count = 4, .data = b}},
        {{.name = "a", .type = TENSOR_U8, .dim_count = 9, .count = 1, .data = b}},
        {{.name = "a", .type = TENSOR_U8, .count = 1, .data = b},
         {.name = "a", .type = TENSOR_U8, .count = 1, .data = b}},
    };
    struct temp_dir dir;
    char path[2 * TEMP_DIR_BYTES];
    temp_dir_create(&dir);
    temp_dir_path(&dir, "s", path);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct err err = {0};
        uint32_t count = bad[i][1].name == NULL ? 1 : 2;
        assert_int_not_equal(safetensors_write(path, bad[i], count, &err), ERR_OK);
        assert_true(err.text[0] != '\0');
    }
    temp_dir_remove(&dir);
}

static void test_survives_failed_allocations(void **state)
{
    (void)state;
    struct temp_dir dir;
    char path[2 * TEMP_DIR_BYTES];
    const char *header = "{\"p\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
                         "\"x\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[1,17]}}";
    uint32_t n = 0;
    for (bool failed = true; failed; n++) {
        struct safetensors *file = NULL;
        struct err err = {0};
        size_t len = 0;
        uint8_t *bytes = make_file(header, 17, &len);
        alloc_fail_after(n);
        enum err_code rc = safetensors_open("f", bytes, len, &file, &err);
        failed = alloc_fail_off();
        assert_int_equal(rc, failed ? ERR_NOMEM : ERR_OK);
        if (failed)
            free(bytes);
        safetensors_close(&file);
    }
    assert_true(n > 3);
    temp_dir_create(&dir);
    temp_dir_path(&dir, "s", path);
    n = 0;
    for (bool failed = true; failed; n++) {
        static const uint8_t b[4] = {0};
        const struct tensor tensor = {.name = "a", .type = TENSOR_U8, .count = 1, .data = b};
        struct err err = {0};
        alloc_fail_after(n);
        enum err_code rc = safetensors_write(path, &tensor, 1, &err);
        failed = alloc_fail_off();
        assert_int_equal(rc, failed ? ERR_NOMEM : ERR_OK);
    }
    assert_true(n > 2);
    temp_dir_remove(&dir);
}

/* numpy writes by the letter of the format, this reads; and the other way round. */
static void test_agrees_with_numpy(void **state)
{
    (void)state;
    if (system("/usr/bin/python3 -c 'import numpy' 2>/dev/null") != 0) {
        fprintf(stderr, "SKIPPED: python3-numpy is not installed (tools/setup installs it)\n");
        skip();
    }
    struct temp_dir dir;
    char path[2 * TEMP_DIR_BYTES];
    char command[8 * TEMP_DIR_BYTES];
    uint8_t *bytes = NULL;
    size_t len = 0;
    struct err err = {0};
    struct safetensors *file = NULL;
    static const char script[] =
        "import json, struct, sys\n"
        "import numpy as np\n"
        "def load(path):\n"
        "    raw = open(path, 'rb').read()\n"
        "    n, = struct.unpack('<Q', raw[:8])\n"
        "    types = {'F32': '<f4', 'F64': '<f8', 'I64': '<i8', 'U8': 'u1'}\n"
        "    return {k: np.frombuffer(raw[8 + n + v['data_offsets'][0]:8 + n + "
        "v['data_offsets'][1]], types[v['dtype']]).reshape(v['shape'])\n"
        "            for k, v in json.loads(raw[8:8 + n]).items()}\n"
        "ours = load(sys.argv[1])\n"
        "assert np.array_equal(ours['x'], np.array([[1.5, -2.25, 3], [4, 5, 6]], '<f4'))\n"
        "assert ours['y'].shape == () and ours['y'] == 0.1 and ours['a'].size == 0\n"
        "assert list(ours['z']) == [0, 2, -2**63] and list(ours['bytes']) == [7, 8, 9]\n"
        "x = np.random.RandomState(1).randn(5, 7).astype('<f4')\n"
        "h = json.dumps({'x': {'dtype': 'F32', 'shape': [5, 7], 'data_offsets': [0, 140]},\n"
        "                'sum': {'dtype': 'F64', 'shape': [1], 'data_offsets': [140, 148]}})\n"
        "open(sys.argv[2], 'wb').write(struct.pack('<Q', len(h)) + h.encode() + x.tobytes() +\n"
        "                              np.array([x.astype('f8').sum()]).tobytes())\n";
    temp_dir_create(&dir);
    write_sample(temp_dir_path(&dir, "ours", path));
    temp_dir_write_text(&dir, "script.py", script);
    snprintf(command, sizeof command, "/usr/bin/python3 %s/script.py %s/ours %s/theirs", dir.path,
             dir.path, dir.path);
    assert_int_equal(system(command), 0);
    temp_dir_path(&dir, "theirs", path);
    assert_int_equal(file_read(path, 1 << 20, &bytes, &len, &err), ERR_OK);
    assert_int_equal(safetensors_open("theirs", bytes, len, &file, &err), ERR_OK);
    const struct tensor *x = safetensors_find(file, "x");
    double sum = 0;
    for (uint64_t i = 0; i < x->count; i++)
        sum += ((const float *)x->data)[i];
    assert_true(x->count == 35);
    assert_float_equal(sum, *(const double *)safetensors_find(file, "sum")->data, 1e-12);
    safetensors_close(&file);
    temp_dir_remove(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_types_shapes_and_values),
        cmocka_unit_test(test_misaligned_data_is_copied),
        cmocka_unit_test(test_an_odd_header_costs_no_memory),
        cmocka_unit_test(test_refuses_and_says_what),
        cmocka_unit_test(test_refuses_impossible_lengths),
        cmocka_unit_test(test_writes_as_the_reference_writer_does),
        cmocka_unit_test(test_writer_refuses_what_the_reader_would),
        cmocka_unit_test(test_survives_failed_allocations),
        cmocka_unit_test(test_agrees_with_numpy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
