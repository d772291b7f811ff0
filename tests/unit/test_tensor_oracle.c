/* SPDX-License-Identifier: Apache-2.0 */
/* What numpy and the safetensors package write is read to the last bit, and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "models/npy.h"
#include "tests/support/oracle.h"

#define VARIABLE "DECIDED_SAFETENSORS_PYTHON"

enum { TENSORS_MAX = 64 };

static double value_of(const struct tensor *tensor, uint64_t index)
{
    switch (tensor->type) {
    case TENSOR_BOOL:
    case TENSOR_U8: return ((const uint8_t *)tensor->data)[index];
    case TENSOR_I8: return ((const int8_t *)tensor->data)[index];
    case TENSOR_I32: return ((const int32_t *)tensor->data)[index];
    case TENSOR_U32: return ((const uint32_t *)tensor->data)[index];
    case TENSOR_I64: return (double)((const int64_t *)tensor->data)[index];
    default: return tensor_float(tensor, index);
    }
}

static uint8_t *read_bytes(const struct temp_dir *dir, const char *name, const char *suffix,
                           size_t *ret_len)
{
    char path[2 * TEMP_DIR_BYTES];
    char file[64];
    uint8_t *bytes = NULL;
    struct err err = {0};
    snprintf(file, sizeof file, "%s%s", name, suffix);
    if (file_read(temp_dir_path(dir, file, path), 1 << 20, &bytes, ret_len, &err) != ERR_OK)
        return NULL;
    return bytes;
}

/* The file of this name in one of the two formats, compared; NULL when there is none. */
static struct safetensors *read_case(const struct temp_dir *dir, const char *name,
                                     const char *suffix)
{
    size_t len = 0;
    size_t expected_len = 0;
    struct err err = {0};
    struct safetensors *file = NULL;
    uint8_t *bytes = read_bytes(dir, name, suffix, &len);
    if (bytes == NULL)
        return NULL;
    enum err_code rc = npy_is(bytes, len) ? npy_open(name, "x", bytes, len, &file, &err)
                                          : safetensors_open(name, bytes, len, &file, &err);
    if (rc != ERR_OK)
        fail_msg("%s", err.text);
    uint8_t *expected = read_bytes(dir, name, ".f64", &expected_len);
    const struct tensor *tensor = safetensors_find(file, "x");
    assert_int_equal(tensor->count * sizeof(double), expected_len);
    for (uint64_t i = 0; i < tensor->count; i++) {
        double value = value_of(tensor, i);
        assert_memory_equal(&value, expected + i * sizeof value, sizeof value);
    }
    free(expected);
    return file;
}

/* "f4_3" of "f4_3.npy" */
static bool take_name(const char *entry, char *ret_name, size_t capacity)
{
    const char *dot = strrchr(entry, '.');
    if (dot == NULL || strcmp(dot, ".npy") != 0)
        return false;
    snprintf(ret_name, capacity, "%.*s", (int)(dot - entry), entry);
    return true;
}

static void check_back(const struct temp_dir *dir)
{
    char command[4 * TEMP_DIR_BYTES];
    const char *python = getenv(VARIABLE);
    snprintf(command, sizeof command, "%s %s/tests/oracle/tensor_cases.py %s check",
             python == NULL ? "/usr/bin/python3" : python, getenv("DECIDED_SOURCE"), dir->path);
    assert_int_equal(system(command), 0);
}

static void arrays_come_over_and_back_bit_by_bit(void **state)
{
    (void)state;
    static char names[TENSORS_MAX][32];
    static struct safetensors *files[TENSORS_MAX];
    static struct tensor tensors[TENSORS_MAX];
    struct temp_dir dir;
    uint32_t count = 0;
    uint32_t package_count = 0;
    if (!oracle_run("tensor_cases.py", "numpy", VARIABLE, &dir))
        skip();
    DIR *folder = opendir(dir.path);
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (!take_name(entry->d_name, names[count], sizeof names[count]))
            continue;
        struct safetensors *package = read_case(&dir, names[count], ".safetensors");
        package_count += package != NULL;
        safetensors_close(&package);
        files[count] = read_case(&dir, names[count], ".npy");
        tensors[count] = *safetensors_find(files[count], "x");
        tensors[count].name = names[count];
        count++;
        assert_true(count < TENSORS_MAX);
    }
    closedir(folder);
    assert_int_equal(count, 54);
    if (package_count == 0)
        print_message("SKIPPED: no safetensors package: " VARIABLE " names an interpreter\n");
    else
        assert_int_equal(package_count, count);
    char path[2 * TEMP_DIR_BYTES];
    struct err err = {0};
    if (safetensors_write(temp_dir_path(&dir, "back.safetensors", path), tensors, count, &err) !=
        ERR_OK)
        fail_msg("%s", err.text);
    check_back(&dir);
    for (uint32_t i = 0; i < count; i++)
        safetensors_close(&files[i]);
    temp_dir_remove(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(arrays_come_over_and_back_bit_by_bit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
