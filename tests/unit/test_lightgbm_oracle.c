/* SPDX-License-Identifier: Apache-2.0 */
/* Models of the LightGBM library: the same raw scores to the last bit.  A few small ones, of
 * LightGBM 2.2.3, 3.3.5 and 4.7.0, were recorded (tests/oracle/lightgbm); many more are trained in
 * this run where DECIDED_LIGHTGBM_PYTHON names an interpreter that has the library, which Debian
 * does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "models/lightgbm.h"
#include "tests/support/oracle.h"

#define CASES_LEAST    50
#define RECORDED_LEAST 30

static void check_case(const struct temp_dir *dir, const struct oracle_case *one)
{
    char file[256];
    char path[2 * TEMP_DIR_BYTES];
    uint8_t *bytes = NULL;
    size_t len = 0;
    struct forest *forest = NULL;
    struct err err = {0};
    snprintf(file, sizeof file, "%s.txt", one->name);
    enum err_code rc = file_read(temp_dir_path(dir, file, path), 1 << 30, &bytes, &len, &err);
    if (rc == ERR_OK)
        rc = lightgbm_read(file, bytes, len, FOREST_AVERAGE_UNKNOWN, &forest, &err);
    if (rc == ERR_UNSUPPORTED) /* a random forest of LightGBM 2.2.3 */
        rc = lightgbm_read(file, bytes, len, FOREST_AVERAGE_IS_MARGIN, &forest, &err);
    if (rc != ERR_OK)
        fail_msg("%s", err.text);
    oracle_compare(one, forest, file);
    forest_destroy(&forest);
    free(bytes);
}

static void test_raw_scores_have_the_recorded_bits(void **state)
{
    (void)state;
    struct temp_dir dir;
    const char *source = getenv("DECIDED_SOURCE");
    assert_non_null(source);
    snprintf(dir.path, sizeof dir.path, "%s/tests/oracle/lightgbm", source);
    assert_true(oracle_each(&dir, check_case) >= RECORDED_LEAST);
}

static void test_raw_scores_have_the_bits_of_the_library(void **state)
{
    (void)state;
    struct temp_dir dir;
    if (!oracle_run("lightgbm_cases.py", "lightgbm", "DECIDED_LIGHTGBM_PYTHON", &dir))
        skip();
    assert_true(oracle_each(&dir, check_case) >= CASES_LEAST);
    temp_dir_remove(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_raw_scores_have_the_recorded_bits),
        cmocka_unit_test(test_raw_scores_have_the_bits_of_the_library),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
