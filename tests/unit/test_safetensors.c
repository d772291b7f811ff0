/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "models/safetensors.h"
#include "tests/support/alloc_fail.h"

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

static void test_survives_failed_allocations(void **state)
{
    (void)state;
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
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_types_shapes_and_values),
        cmocka_unit_test(test_misaligned_data_is_copied),
        cmocka_unit_test(test_an_odd_header_costs_no_memory),
        cmocka_unit_test(test_refuses_and_says_what),
        cmocka_unit_test(test_refuses_impossible_lengths),
        cmocka_unit_test(test_survives_failed_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
