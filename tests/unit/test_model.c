/* SPDX-License-Identifier: Apache-2.0 */
/* Bundles of every kind are loaded, bound to items and checked against their golden rows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>

#include "base/file.h"
#include "models/model.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/bundle_rig.h"
#include "tests/support/model_sample.h"
#include "tests/support/small_models.h"

static void test_loads_every_kind_and_its_golden_rows(void **state)
{
    (void)state;
    for (int kind = 0; kind < MODEL_KIND_COUNT; kind++) {
        struct model *model = NULL;
        struct err err = {0};
        bool has_items = kind < MODEL_linear || kind == MODEL_embeddings;
        model_sample_write(bundle_rig_version_dir, "m", "1", (enum model_kind)kind);
        if (bundle_rig_open(true, &model, &err) != ERR_OK)
            fail_msg("%s: %s", model_kind_name((enum model_kind)kind), err.text);
        assert_int_equal(model->kind, kind);
        assert_string_equal(model->label, "m@1");
        assert_int_equal(model_row_count(model), has_items ? MODEL_SAMPLE_ITEMS : 0);
        assert_true((model->items != NULL) == has_items);
        assert_true(model->bytes > sizeof *model);
        assert_int_equal(model->trained_at_ms, kind == MODEL_linear ? 0 : 1795399200000);
        model_destroy(&model);
        assert_null(model);
        bundle_rig_tear_down(NULL);
        bundle_rig_set_up(NULL);
    }
}

static void bind_and_check(enum model_kind kind, uint32_t allocations)
{
    static const uint32_t numbers[MODEL_SAMPLE_ITEMS] = {5, 0, 12, 7, 1, 2, 3, 4};
    struct model *model = NULL;
    struct err err = {0};
    (void)!file_remove_tree(bundle_rig_version_dir, NULL); /* of the kind before */
    model_sample_write(bundle_rig_version_dir, "m", "1", kind);
    assert_int_equal(bundle_rig_open(true, &model, &err), ERR_OK);
    assert_int_equal(model_row(model, 5), MODEL_NO_ROW);
    for (uint32_t n = 0; n < allocations; n++) { /* nothing is bound by half */
        alloc_fail_after(n);
        assert_int_equal(model_bind(model, numbers, MODEL_SAMPLE_ITEMS, &err), ERR_NOMEM);
        assert_true(alloc_fail_off());
        assert_int_equal(model_row(model, 5), MODEL_NO_ROW);
    }
    assert_int_equal(model_bind(model, numbers, MODEL_SAMPLE_ITEMS, &err), ERR_OK);
    assert_int_equal(model->row_of_item_count, 13);
    for (uint32_t row = 0; row < MODEL_SAMPLE_ITEMS; row++) {
        assert_int_equal(model->item_of_row[row], numbers[row]);
        assert_int_equal(model_row(model, numbers[row]), row);
    }
    assert_int_equal(model_row(model, 6), MODEL_NO_ROW);
    assert_int_equal(model_row(model, 13), MODEL_NO_ROW);
    assert_int_equal(model_row(model, UINT32_MAX), MODEL_NO_ROW);
    model_destroy(&model);
}

static void test_binds_rows_to_items_and_back(void **state)
{
    (void)state;
    bind_and_check(MODEL_popularity, 2);
    bind_and_check(MODEL_neighbors, 2);
    bind_and_check(MODEL_factors, 7);
    bind_and_check(MODEL_embeddings, 7);
}

static void test_means_of_embeddings_have_a_length_of_one(void **state)
{
    (void)state;
    struct model *model = NULL;
    struct err err = {0};
    float mean[3], weight[3] = {0.25f, 0.0f, 0.5f};
    const float huge[2 * 3] = {1e9f, 0, 0, 3e-30f, 4e-30f, 0};
    model_sample_write(bundle_rig_version_dir, "m", "1", MODEL_embeddings);
    assert_int_equal(bundle_rig_open(true, &model, &err), ERR_OK);
    const struct factors *factors = model->as.factors;
    const uint32_t rows[] = {1, 4, 6}, opposite[] = {4, MODEL_NO_ROW, 4}, none[] = {MODEL_NO_ROW};
    assert_true(embeddings_mean(factors, rows, weight, 3, mean));
    assert_float_equal(mean[0], 2.0f / sqrtf(5.0f), 1e-6);
    assert_float_equal(mean[1], 1.0f / sqrtf(5.0f), 1e-6);
    assert_float_equal(mean[2], 0.0, 1e-6);
    assert_true(embeddings_mean(factors, opposite, NULL, 3, mean));
    assert_float_equal(mean[2], -1.0, 1e-6);
    assert_false(embeddings_mean(factors, none, NULL, 1, mean));
    assert_false(embeddings_mean(factors, rows, weight, 0, mean));
    model_destroy(&model);

    model = small_embeddings("m", "1", "a b", huge, 3);
    assert_float_equal(factors_item(model->as.factors, 0)[0], 1.0, 1e-6);
    assert_float_equal(factors_item(model->as.factors, 1)[1], 0.8, 1e-6);
    model_destroy(&model);
}

static void test_survives_failed_allocations(void **state)
{
    (void)state;
    cJSON_InitHooks(&(cJSON_Hooks){malloc, free});
    for (int kind = 0; kind < MODEL_KIND_COUNT; kind++) {
        bundle_rig_tear_down(NULL);
        bundle_rig_set_up(NULL);
        model_sample_write(bundle_rig_version_dir, "m", "1", (enum model_kind)kind);
        uint32_t n = 0;
        for (bool failed = true; failed; n++) {
            struct model *model = NULL;
            struct err err = {0};
            alloc_fail_after(n);
            enum err_code rc = bundle_rig_open(true, &model, &err);
            failed = alloc_fail_off();
            if (rc != (failed ? ERR_NOMEM : ERR_OK))
                fail_msg("%s, allocation %u: got %d: %s", model_kind_name((enum model_kind)kind), n,
                         (int)rc, err.text);
            assert_true(failed == (model == NULL));
            model_destroy(&model);
        }
        assert_true(n > 30);
    }
    cJSON_InitHooks(NULL);
}

int main(void)
{
    model_use_one_blas_thread();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_loads_every_kind_and_its_golden_rows,
                                        bundle_rig_set_up, bundle_rig_tear_down),
        cmocka_unit_test_setup_teardown(test_binds_rows_to_items_and_back, bundle_rig_set_up,
                                        bundle_rig_tear_down),
        cmocka_unit_test_setup_teardown(test_means_of_embeddings_have_a_length_of_one,
                                        bundle_rig_set_up, bundle_rig_tear_down),
        cmocka_unit_test_setup_teardown(test_survives_failed_allocations, bundle_rig_set_up,
                                        bundle_rig_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
