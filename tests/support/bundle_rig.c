/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/bundle_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "models/ranker.h"

struct temp_dir bundle_rig_dir;
char bundle_rig_version_dir[2 * TEMP_DIR_BYTES];

int bundle_rig_set_up(void **state)
{
    (void)state;
    temp_dir_create(&bundle_rig_dir);
    temp_dir_path(&bundle_rig_dir, "m/1", bundle_rig_version_dir);
    return 0;
}

int bundle_rig_tear_down(void **state)
{
    (void)state;
    temp_dir_remove(&bundle_rig_dir);
    return 0;
}

enum err_code bundle_rig_open(bool with_golden, struct model **ret_model, struct err *err)
{
    struct bundle *bundle = NULL;
    enum err_code rc = bundle_open(bundle_rig_version_dir, "m", "1", &bundle, err);
    if (rc == ERR_OK)
        rc = model_load(bundle, ret_model, err);
    if (rc == ERR_OK && with_golden) {
        rc = model_check_golden(*ret_model, bundle, err);
        if (rc != ERR_OK)
            model_destroy(ret_model);
    }
    bundle_close(&bundle);
    return rc;
}

enum err_code bundle_rig_load_mlp(const struct tensor *tensors, uint32_t count, const char *extra,
                                  struct model **ret_model, struct err *err)
{
    static const struct bundle_write_file files[] = {{"weights", "weights.safetensors"}};
    char path[2 * TEMP_DIR_BYTES];
    cJSON *rows = cJSON_Parse("[{\"features\": {}, \"score\": 0}]");
    cJSON *parsed = cJSON_Parse(extra);
    assert_non_null(parsed);
    temp_dir_write_text(&bundle_rig_dir, "m/1/golden.json", "");
    temp_dir_path(&bundle_rig_dir, "m/1/weights.safetensors", path);
    assert_int_equal(safetensors_write(path, tensors, count, err), ERR_OK);
    assert_int_equal(bundle_write_golden(bundle_rig_version_dir, rows, err), ERR_OK);
    assert_int_equal(
        bundle_write_manifest(bundle_rig_version_dir, "m", "1", MODEL_mlp, files, 1, parsed, err),
        ERR_OK);
    cJSON_Delete(parsed);
    cJSON_Delete(rows);
    return bundle_rig_open(false, ret_model, err);
}

struct tensor bundle_rig_tensor(const char *name, enum tensor_type type, const void *data,
                                uint64_t rows, uint64_t columns)
{
    return (struct tensor){.name = name,
                           .type = type,
                           .dim_count = columns == 0 ? 1 : 2,
                           .dim = {rows, columns},
                           .count = columns == 0 ? rows : rows * columns,
                           .data = data};
}
