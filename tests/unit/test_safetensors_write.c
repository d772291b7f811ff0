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
    uint32_t n = 0;
    temp_dir_create(&dir);
    temp_dir_path(&dir, "s", path);
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
        cmocka_unit_test(test_writes_as_the_reference_writer_does),
        cmocka_unit_test(test_writer_refuses_what_the_reader_would),
        cmocka_unit_test(test_survives_failed_allocations),
        cmocka_unit_test(test_agrees_with_numpy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
