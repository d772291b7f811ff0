/* SPDX-License-Identifier: Apache-2.0 */
/* Models that the XGBoost library trains in this run: the same margins to the last bit.
 * DECIDED_XGBOOST_PYTHON names an interpreter with another version of the library. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "models/xgboost.h"
#include "tests/support/oracle.h"

#define CASES_LEAST 50

static void check_file(const struct temp_dir *dir, const struct oracle_case *one,
                       const char *suffix, bool must_exist)
{
    char file[256];
    char path[2 * TEMP_DIR_BYTES];
    uint8_t *bytes = NULL;
    size_t len = 0;
    struct forest *forest = NULL;
    struct err err = {0};
    snprintf(file, sizeof file, "%s%s", one->name, suffix);
    enum err_code rc = file_read(temp_dir_path(dir, file, path), 1 << 30, &bytes, &len, &err);
    if (rc == ERR_NOT_FOUND && !must_exist)
        return;
    if (rc == ERR_OK)
        rc = xgboost_read(file, bytes, len, &forest, &err);
    if (rc != ERR_OK)
        fail_msg("%s", err.text);
    oracle_compare(one, forest, file);
    forest_destroy(&forest);
    free(bytes);
}

static void check_case(const struct temp_dir *dir, const struct oracle_case *one)
{
    check_file(dir, one, ".json", true);
    check_file(dir, one, ".ubj", false);
}

static void test_margins_have_the_bits_of_the_library(void **state)
{
    (void)state;
    struct temp_dir dir;
    if (!oracle_run("xgboost_cases.py", "xgboost", "DECIDED_XGBOOST_PYTHON", &dir))
        skip();
    assert_true(oracle_each(&dir, check_case) >= CASES_LEAST);
    temp_dir_remove(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_margins_have_the_bits_of_the_library),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
