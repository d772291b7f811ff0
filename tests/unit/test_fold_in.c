/* SPDX-License-Identifier: Apache-2.0 */
/* Folding a history in against the half-step of iALS in double, its limits, and the same bits on
 * many threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "models/model.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/factors_world.h"
#include "tests/support/model_sample.h"
#include "tests/support/temp_dir.h"

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
static void fold_in_plainly(const struct factors_world *world, const uint32_t *rows,
                            uint32_t row_count, double *ret_user)
{
    uint32_t dim = world->dim;
    uint32_t width = dim + 1;
    double *a = calloc((size_t)dim * width, sizeof *a);
    for (uint32_t i = 0; i < world->item_count + row_count; i++) {
        bool in_history = i >= world->item_count;
        const float *v = world->item + (size_t)(in_history ? rows[i - world->item_count] : i) * dim;
        for (uint32_t j = 0; j < dim; j++) {
            for (uint32_t k = 0; k < dim; k++)
                a[j * width + k] += (in_history ? 1.0 : factors_world_weight) * v[j] * v[k];
            a[j * width + dim] += in_history ? v[j] : 0.0;
        }
    }
    for (uint32_t j = 0; j < dim; j++)
        a[j * width + j] +=
            factors_world_ridge *
            pow(row_count + factors_world_weight * world->item_count, factors_world_nu);
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
        struct factors_world world;
        struct rand rand;
        uint32_t rows[HISTORY_MAX];
        float got[FACTORS_DIM_MAX];
        double expected[FACTORS_DIM_MAX];
        factors_world_create(&world, cases[c].items, cases[c].dim);
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
        factors_world_destroy(&world);
    }
}

static void test_fold_in_knows_its_limits(void **state)
{
    (void)state;
    struct factors_world world;
    struct arena small = {0};
    struct rand rand;
    uint32_t rows[HISTORY_MAX];
    float all[16];
    float first[16];
    factors_world_create(&world, ITEMS_MAX, 16);
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
    factors_world_destroy(&world);
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
    factors_world_load(path, &model);
    assert_int_equal(arena_init(&arena, 4096, &err), ERR_OK);
    assert_false(factors_fold_in(model->as.factors, (const uint32_t[]){1}, 1, &arena, user));
    assert_true(user[0] == 7 && user[2] == 7); /* left as it was */
    assert_int_equal(arena_mark(&arena), 0);
    arena_deinit(&arena);
    model_destroy(&model);
    temp_dir_remove(&dir);
}

struct caller {
    const struct factors_world *world;
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
    struct factors_world world;
    struct caller alone[THREADS];
    struct caller together[THREADS];
    pthread_t thread[THREADS];
    factors_world_create(&world, ITEMS_MAX, 64);
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
    factors_world_destroy(&world);
}

int main(void)
{
    model_use_one_blas_thread();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fold_in_is_the_half_step_of_ials),
        cmocka_unit_test(test_fold_in_knows_its_limits),
        cmocka_unit_test(test_fold_in_refuses_a_singular_system),
        cmocka_unit_test(test_many_threads_get_the_same_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
