/* SPDX-License-Identifier: Apache-2.0 */
/* The evaluators against plain references, in double and as slow as they please. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "models/model.h"
#include "models/safetensors.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/model_sample.h"
#include "tests/support/temp_dir.h"

enum { ITEMS_MAX = 1500, USERS = 3, HISTORY_MAX = 1200 };

static const double weight0 = 0.2, ridge = 0.03, nu = 0.75;

struct world {
    struct temp_dir dir;
    struct model *model;
    uint32_t item_count, dim;
    float *item; /* what was written to the bundle */
    float *user;
    struct arena arena;
};

static void write_ids(const struct temp_dir *dir, const char *name, char prefix, uint32_t count)
{
    char *text = malloc(count * 16 + 1);
    size_t used = 0;
    for (uint32_t i = 0; i < count; i++)
        used += (size_t)snprintf(text + used, 16, "%c%u\n", prefix, i);
    temp_dir_write(dir, name, text, used);
    free(text);
}

static void load_bundle(const char *path, struct model **ret_model)
{
    struct bundle *bundle = NULL;
    struct err err = {0};
    if (bundle_open(path, NULL, NULL, &bundle, &err) != ERR_OK ||
        model_load(bundle, ret_model, &err) != ERR_OK)
        fail_msg("%s", err.text);
    bundle_close(&bundle);
}

static void write_matrix(const struct temp_dir *dir, const char *name, const float *data,
                         uint32_t rows, uint32_t dim)
{
    char path[2 * TEMP_DIR_BYTES];
    char file[64];
    struct err err = {0};
    const struct tensor tensor = {.name = name,
                                  .type = TENSOR_F32,
                                  .dim_count = 2,
                                  .dim = {rows, dim},
                                  .count = (uint64_t)rows * dim,
                                  .data = data};
    snprintf(file, sizeof file, "%s.st", name);
    if (safetensors_write(temp_dir_path(dir, file, path), &tensor, 1, &err) != ERR_OK)
        fail_msg("%s", err.text);
}

static void make_world(struct world *world, uint32_t item_count, uint32_t dim)
{
    static const struct bundle_write_file files[] = {{"user_factors", "user_factors.st"},
                                                     {"item_factors", "item_factors.st"},
                                                     {"user_ids", "users.txt"},
                                                     {"item_ids", "items.txt"}};
    struct rand rand;
    struct err err = {0};
    char text[256];
    rand_init(&rand, 7 * item_count + dim);
    *world = (struct world){.item_count = item_count, .dim = dim};
    temp_dir_create(&world->dir);
    world->item = malloc((size_t)item_count * dim * sizeof *world->item);
    world->user = malloc((size_t)USERS * dim * sizeof *world->user);
    for (size_t i = 0; i < (size_t)item_count * dim; i++)
        world->item[i] = (float)rand_normal(&rand) * 0.3f;
    for (size_t i = 0; i < (size_t)USERS * dim; i++)
        world->user[i] = (float)rand_normal(&rand);
    write_matrix(&world->dir, "item_factors", world->item, item_count, dim);
    write_matrix(&world->dir, "user_factors", world->user, USERS, dim);
    write_ids(&world->dir, "items.txt", 'i', item_count);
    write_ids(&world->dir, "users.txt", 'u', USERS);
    snprintf(text, sizeof text,
             "{\"params\": {\"unobserved_weight\": %g, \"regularization\": %g, "
             "\"regularization_exponent\": %g}}",
             weight0, ridge, nu);
    cJSON *extra = cJSON_Parse(text);
    cJSON *rows = cJSON_CreateArray();
    if (bundle_write_golden(world->dir.path, rows, &err) != ERR_OK ||
        bundle_write_manifest(world->dir.path, "m", "1", MODEL_factors, files, 4, extra, &err) !=
            ERR_OK)
        fail_msg("%s", err.text);
    cJSON_Delete(rows);
    cJSON_Delete(extra);
    load_bundle(world->dir.path, &world->model);
    assert_int_equal(arena_init(&world->arena, FACTORS_FOLD_IN_BYTES((size_t)dim), &err), ERR_OK);
}

static void end_world(struct world *world)
{
    model_destroy(&world->model);
    arena_deinit(&world->arena);
    free(world->item);
    free(world->user);
    temp_dir_remove(&world->dir);
}

/* Gaussian elimination with row exchange; `a` has dim + 1 columns, the last is the right side. */
static void solve_plainly(double *a, uint32_t dim)
{
    uint32_t width = dim + 1;
    for (uint32_t k = 0; k < dim; k++) {
        uint32_t pivot = k;
        for (uint32_t i = k + 1; i < dim; i++) {
            if (fabs(a[i * width + k]) > fabs(a[pivot * width + k]))
                pivot = i;
        }
        for (uint32_t j = 0; j < width; j++) {
            double swap = a[k * width + j];
            a[k * width + j] = a[pivot * width + j];
            a[pivot * width + j] = swap;
        }
        for (uint32_t i = 0; i < dim; i++) {
            double factor = i == k ? 0.0 : a[i * width + k] / a[k * width + k];
            for (uint32_t j = k; j < width; j++)
                a[i * width + j] -= factor * a[k * width + j];
        }
    }
    for (uint32_t k = 0; k < dim; k++)
        a[k * width + dim] /= a[k * width + k];
}

/* The formula of docs/bundles.md, term by term. */
static void fold_in_plainly(const struct world *world, const uint32_t *rows, uint32_t row_count,
                            double *ret_user)
{
    uint32_t dim = world->dim;
    uint32_t width = dim + 1;
    double *a = calloc((size_t)dim * width, sizeof *a);
    for (uint32_t i = 0; i < world->item_count + row_count; i++) {
        bool in_history = i >= world->item_count;
        const float *v = world->item + (size_t)(in_history ? rows[i - world->item_count] : i) * dim;
        for (uint32_t j = 0; j < dim; j++) {
            for (uint32_t k = 0; k < dim; k++)
                a[j * width + k] += (in_history ? 1.0 : weight0) * v[j] * v[k];
            a[j * width + dim] += in_history ? v[j] : 0.0;
        }
    }
    for (uint32_t j = 0; j < dim; j++)
        a[j * width + j] += ridge * pow(row_count + weight0 * world->item_count, nu);
    solve_plainly(a, dim);
    for (uint32_t j = 0; j < dim; j++)
        ret_user[j] = a[j * width + dim];
    free(a);
}

static void pick_history(struct rand *rand, uint32_t item_count, uint32_t count, uint32_t *rows)
{
    for (uint32_t i = 0; i < count; i++)
        rows[i] = (uint32_t)rand_below(rand, item_count);
}

static void test_fold_in_is_the_half_step_of_ials(void **state)
{
    (void)state;
    static const struct {
        uint32_t items, dim, history;
    } cases[] = {{1, 1, 1},     {5, 3, 2},       {40, 16, 1},    {40, 16, 31}, {300, 64, 50},
                 {300, 65, 33}, {1500, 8, 1000}, {200, 130, 32}, {1030, 33, 7}};
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        struct world world;
        struct rand rand;
        uint32_t rows[HISTORY_MAX];
        float got[FACTORS_DIM_MAX];
        double expected[FACTORS_DIM_MAX];
        make_world(&world, cases[c].items, cases[c].dim);
        rand_init(&rand, c);
        pick_history(&rand, cases[c].items, cases[c].history, rows);
        fold_in_plainly(&world, rows, cases[c].history, expected);
        assert_true(
            factors_fold_in(world.model->as.factors, rows, cases[c].history, &world.arena, got));
        double largest = 0;
        for (uint32_t k = 0; k < cases[c].dim; k++)
            largest = fmax(largest, fabs(expected[k]));
        for (uint32_t k = 0; k < cases[c].dim; k++) {
            if (fabs(got[k] - expected[k]) > 1e-6 * largest) /* the last bits of a float */
                fail_msg("case %zu, factor %u: expected %.9g, got %.9g", c, k, expected[k],
                         (double)got[k]);
        }
        assert_int_equal(arena_mark(&world.arena), 0); /* given back */
        end_world(&world);
    }
}

static void test_fold_in_knows_its_limits(void **state)
{
    (void)state;
    struct world world;
    struct arena small = {0};
    struct rand rand;
    uint32_t rows[HISTORY_MAX];
    float all[16];
    float first[16];
    make_world(&world, ITEMS_MAX, 16);
    const struct factors *factors = world.model->as.factors;
    rand_init(&rand, 1);
    pick_history(&rand, ITEMS_MAX, HISTORY_MAX, rows);
    assert_false(factors_fold_in(factors, rows, 0, &world.arena, all));
    assert_true(factors_fold_in(factors, rows, HISTORY_MAX, &world.arena, all));
    assert_true(factors_fold_in(factors, rows, 1000, &world.arena, first));
    assert_memory_equal(all, first, sizeof all);
    /* Every arena that is too small is said to be, and is left as it was. */
    for (size_t bytes = 0; bytes < FACTORS_FOLD_IN_BYTES(16); bytes += 64) {
        assert_int_equal(arena_init(&small, bytes, NULL), ERR_OK);
        bool solved = factors_fold_in(factors, rows, 5, &small, all);
        assert_true(!solved || bytes + 128 > FACTORS_FOLD_IN_BYTES(16));
        assert_int_equal(arena_mark(&small), 0);
        arena_deinit(&small);
    }
    end_world(&world);
}

/* No unobserved weight, no regularization, fewer items than factors: a singular system. */
static void test_fold_in_refuses_a_singular_system(void **state)
{
    (void)state;
    static const char manifest_extra[] =
        "{\"params\": {\"unobserved_weight\": 0, \"regularization\": 0}}";
    static const struct bundle_write_file files[] = {{"user_factors", "user_factors.safetensors"},
                                                     {"item_factors", "item_factors.safetensors"},
                                                     {"user_ids", "user_ids.txt"},
                                                     {"item_ids", "item_ids.txt"}};
    struct temp_dir dir;
    char path[2 * TEMP_DIR_BYTES];
    struct err err = {0};
    struct model *model = NULL;
    struct arena arena;
    float user[MODEL_SAMPLE_FACTORS] = {7, 7, 7};
    temp_dir_create(&dir);
    temp_dir_path(&dir, "m", path);
    model_sample_write(path, "m", "1", MODEL_factors);
    cJSON *extra = cJSON_Parse(manifest_extra);
    assert_int_equal(bundle_write_manifest(path, "m", "1", MODEL_factors, files, 4, extra, &err),
                     ERR_OK);
    cJSON_Delete(extra);
    load_bundle(path, &model);
    assert_int_equal(arena_init(&arena, 4096, &err), ERR_OK);
    assert_false(factors_fold_in(model->as.factors, (const uint32_t[]){1}, 1, &arena, user));
    assert_true(user[0] == 7 && user[2] == 7); /* left as it was */
    assert_int_equal(arena_mark(&arena), 0);
    arena_deinit(&arena);
    model_destroy(&model);
    temp_dir_remove(&dir);
}

static void test_scores_are_the_products(void **state)
{
    (void)state;
    /* Around the edges of blocks, of four rows at a time and of strides. */
    static const uint32_t shapes[][2] = {{1, 1},   {255, 64},  {256, 64},  {257, 64}, {1500, 33},
                                         {7, 224}, {900, 225}, {300, 512}, {3, 32},   {66, 31}};
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
        struct world world;
        uint32_t items = shapes[s][0];
        uint32_t dim = shapes[s][1];
        static float upper[ITEMS_MAX + 1];
        make_world(&world, items, dim);
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
        end_world(&world);
    }
}

/* Whatever the values: tiny, huge, zero, or one that dwarfs the others. */
static void test_no_score_exceeds_its_upper_bound(void **state)
{
    (void)state;
    enum { DIM = 48, ITEMS = 40, ROUNDS = 200 };
    struct world world;
    struct rand rand;
    float user[DIM], upper[ITEMS];
    make_world(&world, ITEMS, DIM);
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
    end_world(&world);
}

struct caller {
    const struct world *world;
    uint64_t seed;
    uint64_t digest;
    bool allocated;
};

static void *call_many(void *arg)
{
    enum { CALLS = 60 };
    struct caller *caller = arg;
    const struct factors *factors = caller->world->model->as.factors;
    struct rand rand;
    struct arena arena;
    uint32_t rows[64];
    float user[64];
    float *upper = malloc(caller->world->item_count * sizeof *upper);
    if (upper == NULL || arena_init(&arena, FACTORS_FOLD_IN_BYTES((size_t)64), NULL) != ERR_OK)
        abort();
    rand_init(&rand, caller->seed);
    uint64_t before = alloc_count();
    for (int i = 0; i < CALLS; i++) {
        pick_history(&rand, caller->world->item_count, 40, rows);
        if (!factors_fold_in(factors, rows, 40, &arena, user))
            abort();
        memset(upper, 0, caller->world->item_count * sizeof *upper);
        factors_add_upper(caller->world->model, user, 1.0f, upper);
        for (uint32_t row = 0; row < caller->world->item_count; row++) {
            uint32_t bits[2];
            float score = factors_score(factors, user, row);
            memcpy(&bits[0], &upper[row], sizeof bits[0]);
            memcpy(&bits[1], &score, sizeof bits[1]);
            caller->digest = (caller->digest * 31 + bits[0]) * 31 + bits[1];
        }
    }
    caller->allocated = alloc_count() != before;
    arena_deinit(&arena);
    free(upper);
    return NULL;
}

/* The same calls give the same bits, alone and beside others, and allocate nothing. */
static void test_many_threads_get_the_same_bits(void **state)
{
    (void)state;
    enum { THREADS = 4 };
    struct world world;
    struct caller alone[THREADS];
    struct caller together[THREADS];
    pthread_t thread[THREADS];
    make_world(&world, ITEMS_MAX, 64);
    for (int i = 0; i < THREADS; i++) {
        alone[i] = (struct caller){.world = &world, .seed = (uint64_t)i};
        together[i] = alone[i];
        call_many(&alone[i]);
        assert_false(alone[i].allocated);
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, call_many, &together[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
        assert_true(together[i].digest == alone[i].digest);
        assert_false(together[i].allocated);
    }
    end_world(&world);
}

static void load_sample(struct temp_dir *dir, enum model_kind kind, struct model **ret_model)
{
    char path[2 * TEMP_DIR_BYTES];
    temp_dir_create(dir);
    temp_dir_path(dir, "m", path);
    model_sample_write(path, "m", "1", kind);
    load_bundle(path, ret_model);
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
    load_bundle(path, &model);
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
        cmocka_unit_test(test_fold_in_is_the_half_step_of_ials),
        cmocka_unit_test(test_fold_in_knows_its_limits),
        cmocka_unit_test(test_fold_in_refuses_a_singular_system),
        cmocka_unit_test(test_scores_are_the_products),
        cmocka_unit_test(test_no_score_exceeds_its_upper_bound),
        cmocka_unit_test(test_many_threads_get_the_same_bits),
        cmocka_unit_test(test_neighbors_are_those_of_the_file),
        cmocka_unit_test(test_popularity_is_ordered_with_ties_by_row),
        cmocka_unit_test(test_linear_takes_defaults_and_bounds),
        cmocka_unit_test(test_linear_can_be_logistic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
