/* SPDX-License-Identifier: Apache-2.0 */
/* A ranker whose score is beyond a float: no number is served in its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "models/forest_file.h"
#include "models/ranker.h"
#include "tests/support/decide_fixture.h"
#include "tests/support/small_models.h"
#include "tests/support/taste_shop.h"

/* score = 3e38 x caller.score, in float, as XGBoost computes it. */
static const char linear[] =
    "{\"version\": [1, 7, 4], \"learner\": {\"feature_names\": [\"%s\"],\n"
    " \"learner_model_param\": {\"base_score\": \"%s\", \"num_class\": \"0\","
    " \"num_feature\": \"1\", \"num_target\": \"1\"},\n"
    " \"objective\": {\"name\": \"reg:squarederror\"},\n"
    " \"gradient_booster\": {\"name\": \"gblinear\", \"model\": {\"weights\": [3e38, %s]}}}}";

/* 1e300 below 5 of caller.score, and 1 above: a double holds it. */
static const char doubles[] =
    "tree\nversion=v3\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=0\n"
    "objective=regression\nfeature_names=caller.score\nfeature_infos=[0:10]\ntree_sizes=1\n\n"
    "Tree=0\nnum_leaves=2\nnum_cat=0\nsplit_feature=0\nsplit_gain=1\nthreshold=5\n"
    "decision_type=2\nleft_child=-1\nright_child=-2\nleaf_value=1e300 1\nleaf_weight=1 1\n"
    "leaf_count=1 1\ninternal_value=0\ninternal_weight=2\ninternal_count=2\nis_linear=0\n"
    "shrinkage=1\n\n\nend of trees\n";

static struct model *overflowing(const char *feature)
{
    char text[1024];
    snprintf(text, sizeof text, linear, feature, "0", "0");
    return small_trees("rank", "1", text);
}

static const char *rank(const char *a, const char *b)
{
    char request[256];
    snprintf(request, sizeof request,
             "{\"op\": \"rank\", \"items\": [{\"id\": \"a\", \"score\": %s}, {\"id\": \"b\", "
             "\"score\": %s}]}",
             a, b);
    return fixture_ask(&taste_shop, request);
}

static void test_a_margin_beyond_a_float_is_infinite_as_in_the_library(void **state)
{
    double score = 0;
    _Alignas(RANKER_ALIGN_BYTES) char scratch[4096];
    (void)state;
    struct model *model = overflowing("caller.score");
    assert_true(ranker_scratch_bytes(model) <= sizeof scratch);
    ranker_score_rows(model, (const double[]){1}, 1, scratch, &score);
    assert_true(score == (double)3e38f);
    ranker_score_rows(model, (const double[]){2}, 1, scratch, &score);
    assert_true(isinf(score) && score > 0);
    model_destroy(&model);
}

static void test_rank_keeps_the_callers_order_for_want_of_a_score(void **state)
{
    (void)state;
    fixture_add_model(&taste_shop, overflowing("caller.score"));
    fixture_serve(&taste_shop, SLOT(NEAR, "\"ranker\": \"rank\","));
    assert_string_equal(rank("0.5", "1"), "full: b a");
    assert_true(taste_shop_score("b") == 3e38f);
    assert_string_equal(rank("1", "2"), "reduced/model_error: a b");
    assert_true(taste_shop_score("a") == 1.0f && taste_shop_score("b") == 2.0f);
    assert_string_equal(rank("1", "-2"), "reduced/model_error: a b");
    assert_string_equal(rank("-0.5", "1"), "full: b a");
}

static void test_what_a_double_holds_and_a_float_does_not_is_no_score(void **state)
{
    (void)state;
    fixture_add_model(&taste_shop, small_trees("rank", "1", doubles));
    fixture_serve(&taste_shop, SLOT(NEAR, "\"ranker\": \"rank\","));
    assert_string_equal(rank("6", "7"), "full: a b");
    assert_true(taste_shop_score("a") == 1.0f);
    assert_string_equal(rank("6", "1"), "reduced/model_error: a b");
    assert_true(taste_shop_score("a") == 6.0f && taste_shop_score("b") == 1.0f);
}

static void test_recommend_does_without_such_a_ranker(void **state)
{
    static const char request[] = "{\"op\": \"recommend\", \"user\": \"u\", \"n\": 3}";
    char without[256];
    (void)state;
    fixture_act(&taste_shop, "view", "u", "a", FIXTURE_NOW_MS - 1000);
    fixture_serve(&taste_shop, SLOT(NEAR, ""));
    snprintf(without, sizeof without, "reduced/model_error: %s",
             fixture_ask(&taste_shop, request) + strlen("full: "));
    float score = taste_shop.decision.items[0].score;
    fixture_add_model(&taste_shop, overflowing("item.price"));
    fixture_serve(&taste_shop, SLOT(NEAR, "\"ranker\": \"rank\","));
    taste_shop.keep_features = true;
    assert_string_equal(fixture_ask(&taste_shop, request), without);
    assert_true(taste_shop.decision.count > 1);
    assert_true(taste_shop.decision.items[0].score == score);
    for (uint32_t i = 0; i < taste_shop.decision.count; i++)
        assert_null(taste_shop.decision.items[i].features); /* they made no score */
    for (uint32_t i = 0; i < taste_shop.decision.model_count; i++)
        assert_string_not_equal(taste_shop.decision.models[i], "rank@1");
}

static void test_a_bias_beyond_a_float_is_refused(void **state)
{
    char text[1024];
    struct forest *forest = NULL;
    struct err err = {.text = ""};
    (void)state;
    snprintf(text, sizeof text, linear, "caller.score", "9e37", "3e38");
    assert_int_equal(forest_read("m", text, strlen(text), FOREST_AVERAGE_UNKNOWN, &forest, &err),
                     ERR_CORRUPT);
    assert_non_null(strstr(err.text, "weights[1]: with base_score it is beyond a float"));
}

#define WITH_SHOP(test) \
    cmocka_unit_test_setup_teardown(test, taste_shop_set_up, taste_shop_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_margin_beyond_a_float_is_infinite_as_in_the_library),
        cmocka_unit_test(test_a_bias_beyond_a_float_is_refused),
        WITH_SHOP(test_rank_keeps_the_callers_order_for_want_of_a_score),
        WITH_SHOP(test_what_a_double_holds_and_a_float_does_not_is_no_score),
        WITH_SHOP(test_recommend_does_without_such_a_ranker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
