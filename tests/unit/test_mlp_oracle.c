/* SPDX-License-Identifier: Apache-2.0 */
/* Nets that numpy evaluates in this run, exported by the Python of docs/bundles.md: the golden rows
 * of each bundle are what it computed.  DECIDED_NUMPY_PYTHON names another interpreter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>

#include "models/model.h"
#include "tests/support/oracle.h"

#define CASES 36

static void check_bundle(const struct temp_dir *dir, const char *name)
{
    char path[2 * TEMP_DIR_BYTES];
    struct bundle *bundle = NULL;
    struct model *model = NULL;
    struct err err = {0};
    if (bundle_open(temp_dir_path(dir, name, path), name, "1", &bundle, &err) != ERR_OK ||
        model_load(bundle, &model, &err) != ERR_OK ||
        model_check_golden(model, bundle, &err) != ERR_OK)
        fail_msg("%s: %s", name, err.text);
    assert_int_equal(model->kind, MODEL_mlp);
    model_destroy(&model);
    bundle_close(&bundle);
}

static void test_scores_are_those_of_numpy(void **state)
{
    (void)state;
    struct temp_dir dir;
    uint32_t count = 0;
    if (!oracle_run("mlp_cases.py", "numpy", "DECIDED_NUMPY_PYTHON", &dir))
        skip();
    DIR *list = opendir(dir.path);
    assert_non_null(list);
    for (struct dirent *entry; (entry = readdir(list)) != NULL;) {
        if (entry->d_name[0] == '.' || entry->d_type != DT_DIR)
            continue;
        check_bundle(&dir, entry->d_name);
        count++;
    }
    closedir(list);
    assert_int_equal(count, CASES);
    temp_dir_remove(&dir);
}

int main(void)
{
    model_use_one_blas_thread();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scores_are_those_of_numpy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
