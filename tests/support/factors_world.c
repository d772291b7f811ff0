/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/factors_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/rand.h"
#include "models/safetensors.h"

const double factors_world_weight = 0.2;
const double factors_world_ridge = 0.03;
const double factors_world_nu = 0.75;

static void write_ids(const struct temp_dir *dir, const char *name, char prefix, uint32_t count)
{
    char *text = malloc(count * 16 + 1);
    size_t used = 0;
    for (uint32_t i = 0; i < count; i++)
        used += (size_t)snprintf(text + used, 16, "%c%u\n", prefix, i);
    temp_dir_write(dir, name, text, used);
    free(text);
}

void factors_world_load(const char *path, struct model **ret_model)
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

void factors_world_create(struct factors_world *world, uint32_t item_count, uint32_t dim)
{
    static const struct bundle_write_file files[] = {{"user_factors", "user_factors.st"},
                                                     {"item_factors", "item_factors.st"},
                                                     {"user_ids", "users.txt"},
                                                     {"item_ids", "items.txt"}};
    struct rand rand;
    struct err err = {0};
    char text[256];
    rand_init(&rand, 7 * item_count + dim);
    *world = (struct factors_world){.item_count = item_count, .dim = dim};
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
             factors_world_weight, factors_world_ridge, factors_world_nu);
    cJSON *extra = cJSON_Parse(text);
    cJSON *rows = cJSON_CreateArray();
    if (bundle_write_golden(world->dir.path, rows, &err) != ERR_OK ||
        bundle_write_manifest(world->dir.path, "m", "1", MODEL_factors, files, 4, extra, &err) !=
            ERR_OK)
        fail_msg("%s", err.text);
    cJSON_Delete(rows);
    cJSON_Delete(extra);
    factors_world_load(world->dir.path, &world->model);
    assert_int_equal(arena_init(&world->arena, FACTORS_FOLD_IN_BYTES((size_t)dim), &err), ERR_OK);
}

void factors_world_destroy(struct factors_world *world)
{
    model_destroy(&world->model);
    arena_deinit(&world->arena);
    free(world->item);
    free(world->user);
    temp_dir_remove(&world->dir);
}
