/* SPDX-License-Identifier: Apache-2.0 */
/* The evaluators against plain references, in double and as slow as they please: scores of factors,
 * neighbors, popularity, linear models; see test_fold_in.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "models/model.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/factors_world.h"
#include "tests/support/model_sample.h"
#include "tests/support/temp_dir.h"

static void test_scores_are_the_products(void **state)
{
    (void)state;
    /* Around the edges of blocks, of four rows at a time and of strides. */
    static const uint32_t shapes[][2] = {{1, 1},   {255, 64},  {256, 64},  {257, 64}, {1500, 33},
                                         {7, 224}, {900, 225}, {300, 512}, {3, 32},   {66, 31}};
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
        struct factors_world world;
        uint32_t items = shapes[s][0];
        uint32_t dim = shapes[s][1];
        static float upper[ITEMS_MAX + 1];
        factors_world_create(&world, items, dim);
        const struct factors *factors = world.model->as.factors;
        assert_int_equal(factors_dim(factors), dim);
        const float *user = factors_user(factors, TEXT_LITERAL("u1"));
        assert_memory_equal(user, world.user + dim, dim * sizeof *user);
        assert_null(factors_user(factors, TEXT_LITERAL("u3")));
        memset(upper, 0, sizeof upper);
        upper[items] = 12345.0f;
        factors_add_upper(world.model, user, 1.0f, upper);
        assert_true(upper[items] == 12345.0f); /* not a row too many */
        for (uint32_t row = 0; row < items; row++) {
            double expected = 0, size = 0, length = 0, user_length = 0;
            for (uint32_t k = 0; k < dim; k++) {
                double value = world.item[(size_t)row * dim + k];
                expected += user[k] * value;
                size += fabs(user[k] * value);
                length += value * value;
                user_length += (double)user[k] * user[k];
            }
            float score = factors_score(factors, user, row);
            assert_true(fabs(score - expected) <= size * dim * FLT_EPSILON + FLT_MIN);
            assert_true(upper[row] >= score);
            /* Close enough to be of use: two roundings to steps of a 127th of the largest. */
            assert_true(upper[row] - score <= 0.06 * sqrt(length * user_length));
        }
        factors_world_destroy(&world);
    }
}

/* Whatever the values: tiny, huge, zero, or one that dwarfs the others. */
static void test_no_score_exceeds_its_upper_bound(void **state)
{
    (void)state;
    enum { DIM = 48, ITEMS = 40, ROUNDS = 200 };
    struct factors_world world;
    struct rand rand;
    float user[DIM], upper[ITEMS];
    factors_world_create(&world, ITEMS, DIM);
    struct factors *factors = world.model->as.factors;
    rand_init(&rand, 11);
    for (int round = 0; round < ROUNDS; round++) {
        double scale = pow(10.0, (double)rand_below(&rand, 40) - 30.0);
        for (uint32_t k = 0; k < DIM; k++)
            user[k] = rand_below(&rand, 4) == 0 ? 0.0f : (float)(rand_normal(&rand) * scale);
        if (rand_below(&rand, 3) == 0)
            user[rand_below(&rand, DIM)] = (float)(1e4 * scale);
        memset(upper, 0, sizeof upper);
        factors_add_upper(world.model, user, 1.0f, upper);
        for (uint32_t row = 0; row < ITEMS; row++)
            assert_true(upper[row] >= factors_score(factors, user, row));
    }
    factors_world_destroy(&world);
}

static void load_sample(struct temp_dir *dir, enum model_kind kind, struct model **ret_model)
{
    char path[2 * TEMP_DIR_BYTES];
    temp_dir_create(dir);
    temp_dir_path(dir, "m", path);
    model_sample_write(path, "m", "1", kind);
    factors_world_load(path, ret_model);
}

static void test_neighbors_are_those_of_the_file(void **state)
{
    (void)state;
    struct temp_dir dir;
    struct model *model = NULL;
    struct neighbor_list list;
    load_sample(&dir, MODEL_neighbors, &model);
    uint64_t before = alloc_count();
    neighbors_of(model->as.neighbors, 0, &list);
    assert_int_equal(list.count, 3);
    assert_int_equal(list.other[0], 1);
    assert_int_equal(list.other[2], 7);
    assert_true(list.weight[0] == 0.75f && list.weight[2] == -0.25f);
    neighbors_of(model->as.neighbors, 2, &list);
    assert_int_equal(list.count, 0);
    neighbors_of(model->as.neighbors, 6, &list);
    assert_int_equal(list.count, 1);
    assert_int_equal(list.other[0], 5);
    assert_int_equal(alloc_count(), before);
    /* Once bound, by the numbers of the items. */
    uint32_t numbers[MODEL_SAMPLE_ITEMS];
    struct err err = {0};
    for (uint32_t row = 0; row < MODEL_SAMPLE_ITEMS; row++)
        numbers[row] = 100 - 7 * row;
    assert_int_equal(model_bind(model, numbers, MODEL_SAMPLE_ITEMS, &err), ERR_OK);
    neighbors_of(model->as.neighbors, 0, &list);
    assert_int_equal(list.count, 3);
    assert_int_equal(list.other[0], 93);
    assert_int_equal(list.other[2], 51);
    assert_true(list.weight[0] == 0.75f && list.weight[2] == -0.25f);
    neighbors_of(model->as.neighbors, 6, &list);
    assert_int_equal(list.other[0], 65);
    model_destroy(&model);
    temp_dir_remove(&dir);
}

static void test_popularity_is_ordered_with_ties_by_row(void **state)
{
    (void)state;
    static const uint32_t order[] = {1, 4, 2, 0, 5, 6, 7, 3};
    struct temp_dir dir;
    struct model *model = NULL;
    load_sample(&dir, MODEL_popularity, &model);
    uint64_t before = alloc_count();
    assert_memory_equal(popularity_order(model->as.popularity), order, sizeof order);
    assert_true(popularity_score(model->as.popularity, 4) == 30.0f);
    assert_int_equal(alloc_count(), before);
    model_destroy(&model);
    temp_dir_remove(&dir);
}

static void test_linear_takes_defaults_and_bounds(void **state)
{
    (void)state;
    struct temp_dir dir;
    struct model *model = NULL;
    load_sample(&dir, MODEL_linear, &model);
    const struct linear *linear = model->as.linear;
    uint64_t before = alloc_count();
    assert_int_equal(model->feature_count, 3);
    assert_string_equal(model->feature[2].name, "caller.score");
    assert_true(model->feature[0].fallback == 1.0);
    /* 2 x - 0.5 y + 0.125 z + 0.25, x is 1 when unknown */
    assert_true(linear_score(linear, (double[]){3, 1, 8}) == 6.75);
    assert_true(linear_score(linear, (double[]){NAN, NAN, NAN}) == 2.25);
    assert_true(linear_score(linear, (double[]){0, 1e12, 0}) == -5e11 + 0.25);
    assert_true(linear_score(linear, (double[]){0, INFINITY, 0}) == -5e11 + 0.25);
    assert_true(isfinite(linear_score(linear, (double[]){INFINITY, INFINITY, -INFINITY})));
    assert_int_equal(alloc_count(), before);
    model_destroy(&model);
    temp_dir_remove(&dir);
}

static void test_linear_can_be_logistic(void **state)
{
    (void)state;
    static const struct bundle_write_file files[] = {{"weights", "weights.safetensors"}};
    struct temp_dir dir;
    struct model *model = NULL;
    char path[2 * TEMP_DIR_BYTES];
    struct err err = {0};
    temp_dir_create(&dir);
    temp_dir_path(&dir, "m", path);
    model_sample_write(path, "m", "1", MODEL_linear);
    cJSON *extra = cJSON_Parse("{\"params\": {\"logistic\": 1}, \"features\": [{\"name\": \"a\"}, "
                               "{\"name\": \"b\"}, {\"name\": \"c\"}]}");
    assert_int_equal(bundle_write_manifest(path, "m", "1", MODEL_linear, files, 1, extra, &err),
                     ERR_OK);
    cJSON_Delete(extra);
    factors_world_load(path, &model);
    assert_float_equal(linear_score(model->as.linear, (double[]){0, 0, 0}), 0.5621765008857981,
                       1e-15);
    assert_true(linear_score(model->as.linear, (double[]){-1e12, 0, 0}) == 0.0);
    assert_true(linear_score(model->as.linear, (double[]){1e12, 0, 0}) == 1.0);
    model_destroy(&model);
    temp_dir_remove(&dir);
}

int main(void)
{
    model_use_one_blas_thread();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scores_are_the_products),
        cmocka_unit_test(test_no_score_exceeds_its_upper_bound),
        cmocka_unit_test(test_neighbors_are_those_of_the_file),
        cmocka_unit_test(test_popularity_is_ordered_with_ties_by_row),
        cmocka_unit_test(test_linear_takes_defaults_and_bounds),
        cmocka_unit_test(test_linear_can_be_logistic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
