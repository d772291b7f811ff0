/* SPDX-License-Identifier: Apache-2.0 */
/* What `model verify` says of a bundle: figures, features, speed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "models/model_figures.h"
#include "server/decide/snapshot.h"
#include "tests/support/feature_rig.h"
#include "tests/support/model_sample.h"
#include "tests/support/small_models.h"
#include "tests/support/temp_dir.h"
#include "tools/ctl/model_features.h"
#include "tools/ctl/model_speed.h"

static const char features[] = VIEWS("item") COMMA VIEWS("user_category");

/* A name is supplied here when, and only when, the daemon would bind it. */
static void agree(const struct store_rig *rig, const struct definitions *definitions,
                  const char *name)
{
    double weight = 1;
    struct model *model = small_linear("m", "1", name, &weight, 0);
    bool binds = snapshot_check_features(model, rig->store, NULL) == ERR_OK;
    bool is_supplied = model_feature_origin(text_of(name), definitions) != ORIGIN_NOWHERE;
    if (binds != is_supplied)
        fail_msg("'%s': the daemon %s it, verify says %s", name, binds ? "takes" : "refuses",
                 is_supplied ? "it is supplied" : "nothing supplies it");
    model_destroy(&model);
}

static void test_the_daemon_supplies_the_same_features(void **state)
{
    static const char *const names[] = {"caller.score",
                                        "blend.score",
                                        "pair.days",
                                        "pair.age_s",
                                        "request.x",
                                        "request.",
                                        "request",
                                        "source.",
                                        "source.nothing",
                                        "item.views",
                                        "user_category.views",
                                        "user.views",
                                        "nothing",
                                        "caller.scores",
                                        "Column_0",
                                        "pair.day"};
    struct store_rig rig;
    struct definitions *definitions = NULL;
    struct err err = {.text = ""};
    (void)state;
    feature_rig_create(&rig);
    definitions = feature_rig_parse(features, &err);
    assert_non_null(definitions);
    feature_rig_define(&rig, features);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        agree(&rig, definitions, names[i]);
    for (uint32_t i = 0; i < SOURCE_KIND_COUNT; i++) {
        char name[64];
        snprintf(name, sizeof name, "source.%s", policy_source_name((enum policy_source_kind)i));
        agree(&rig, definitions, name);
    }
    uint32_t at = 0;
    struct feature feature;
    while (feature_next(rig.store, &at, &feature))
        agree(&rig, definitions, feature.name);
    assert_int_equal(model_feature_origin(TEXT_LITERAL("item.views"), definitions), ORIGIN_DEFINED);
    assert_int_equal(model_feature_origin(TEXT_LITERAL("item.views"), NULL), ORIGIN_NOWHERE);
    definitions_destroy(&definitions);
    store_rig_destroy(&rig);
}

static void test_a_list_of_ids_has_no_number(void **state)
{
    struct err err = {.text = ""};
    struct definitions *definitions = feature_rig_parse(
        VIEWS("item") COMMA "\"user.seen\": {\"kind\": \"last\", \"events\": [\"view\"], "
                            "\"value\": \"item\", \"n\": 3}",
        &err);
    (void)state;
    assert_non_null(definitions);
    assert_int_equal(model_feature_origin(TEXT_LITERAL("user.seen"), definitions), ORIGIN_DEFINED);
    assert_false(model_feature_has_number(TEXT_LITERAL("user.seen"), definitions));
    assert_true(model_feature_has_number(TEXT_LITERAL("item.views"), definitions));
    assert_true(model_feature_has_number(TEXT_LITERAL("item.price"), definitions));
    assert_true(model_feature_has_number(TEXT_LITERAL("user.seen"), NULL));
    definitions_destroy(&definitions);
}

static void test_every_kind_has_figures_and_a_speed(void **state)
{
    static const struct {
        const char *name;
        uint64_t value;
    } wanted[MODEL_KIND_COUNT][2] = {
        [MODEL_factors] = {{"items", MODEL_SAMPLE_ITEMS}, {"factors", MODEL_SAMPLE_FACTORS}},
        [MODEL_neighbors] = {{"items", MODEL_SAMPLE_ITEMS}, {NULL, 0}},
        [MODEL_popularity] = {{"items", MODEL_SAMPLE_ITEMS}, {NULL, 0}},
        [MODEL_linear] = {{"features", 3}, {NULL, 0}},
        [MODEL_trees] = {{NULL, 0}, {NULL, 0}},
        [MODEL_mlp] = {{"features", 3}, {NULL, 0}},
        [MODEL_blend] = {{"parts", 2}, {NULL, 0}},
        [MODEL_prices] = {{NULL, 0}, {NULL, 0}},
        [MODEL_embeddings] = {{"items", MODEL_SAMPLE_ITEMS}, {"dimensions", MODEL_SAMPLE_FACTORS}},
    };
    struct temp_dir dir;
    (void)state;
    temp_dir_create(&dir);
    for (int kind = 0; kind < MODEL_KIND_COUNT; kind++) {
        char path[2 * TEMP_DIR_BYTES];
        struct bundle *bundle = NULL;
        struct model *model = NULL;
        cJSON *golden = NULL;
        struct err err = {.text = ""};
        struct model_speed speed = {0};
        struct model_figure figure[MODEL_FIGURES_MAX];
        temp_dir_path(&dir, model_kind_name((enum model_kind)kind), path);
        model_sample_write(path, "m", "1", (enum model_kind)kind);
        assert_int_equal(bundle_open(path, NULL, NULL, &bundle, &err), ERR_OK);
        assert_int_equal(model_load(bundle, &model, &err), ERR_OK);
        uint32_t count = model_figures(model, figure);
        assert_true(count > 0);
        for (int w = 0; w < 2 && wanted[kind][w].name != NULL; w++) {
            uint32_t at = 0;
            while (at < count && strcmp(figure[at].name, wanted[kind][w].name) != 0)
                at++;
            assert_true(at < count);
            assert_int_equal(figure[at].value, wanted[kind][w].value);
        }
        assert_true(model_serving_bytes(model) >= model->bytes);
        golden = cJSON_ParseWithLength((const char *)bundle->golden.bytes, bundle->golden.len);
        assert_int_equal(
            model_speed(model, cJSON_GetObjectItemCaseSensitive(golden, "rows"), &speed, &err),
            ERR_OK);
        assert_true(speed.one_row_us > 0 && speed.one_row_us < 1e6);
        assert_true(speed.batch_row_us > 0 && speed.batch_row_us < 1e6);
        cJSON_Delete(golden);
        model_destroy(&model);
        bundle_close(&bundle);
    }
    temp_dir_remove(&dir);
}

static void test_the_deepest_tree_counts(void **state)
{
    static const char text[] =
        "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\n"
        "label_index=0\nmax_feature_idx=0\nobjective=regression\n"
        "feature_names=item.price\nfeature_infos=[0:9]\ntree_sizes=1 1\n\n"
        "Tree=0\nnum_leaves=1\nnum_cat=0\nleaf_value=1\nis_linear=0\n"
        "shrinkage=1\n\n\n"
        "Tree=1\nnum_leaves=3\nnum_cat=0\nsplit_feature=0 0\nsplit_gain=1 1\n"
        "threshold=1 2\ndecision_type=2 2\nleft_child=-1 -2\n"
        "right_child=1 -3\nleaf_value=1 2 3\nis_linear=0\nshrinkage=1\n\n\n"
        "end of trees\n";
    struct model_figure figure[MODEL_FIGURES_MAX];
    struct model *model = small_trees("m", "1", text);
    (void)state;
    uint32_t count = model_figures(model, figure);
    assert_int_equal(count, 7);
    assert_string_equal(figure[1].name, "trees");
    assert_int_equal(figure[1].value, 2);
    assert_string_equal(figure[4].name, "leaves");
    assert_int_equal(figure[4].value, 4);
    assert_string_equal(figure[5].name, "depth");
    assert_int_equal(figure[5].value, 2);
    model_destroy(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_daemon_supplies_the_same_features),
        cmocka_unit_test(test_a_list_of_ids_has_no_number),
        cmocka_unit_test(test_every_kind_has_figures_and_a_speed),
        cmocka_unit_test(test_the_deepest_tree_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
