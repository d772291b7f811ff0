/* SPDX-License-Identifier: Apache-2.0 */
#include "models/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/background.h"
#include "models/model_internal.h"
#include "models/npy.h"

enum { CHECK_VALUES = 65536 }; /* at once */

static struct bundle_file *find_scale(struct bundle *bundle, const char *key)
{
    char name[MODEL_NAME_BYTES];
    snprintf(name, sizeof name, "%.50s_scale", key);
    for (uint32_t i = 0; i < bundle->file_count; i++) {
        if (strcmp(bundle->file[i].key, name) == 0)
            return &bundle->file[i];
    }
    return NULL;
}

/* An array of numpy has no second tensor: the scales of its rows are a file of their own. */
static enum err_code take_scale(struct bundle *bundle, const char *key, struct safetensors *file,
                                struct err *err)
{
    struct bundle_file *source = find_scale(bundle, key);
    struct safetensors *scale = NULL;
    if (source == NULL)
        return ERR_OK;
    if (safetensors_count(file) != 1 || safetensors_at(file, 0)->type != TENSOR_I8)
        return err_set(err, ERR_CORRUPT,
                       "manifest.json: files.%s: only an array of numpy of int8 takes scales",
                       source->key);
    enum err_code rc = npy_open(source->path, source->key, source->bytes, source->len, &scale, err);
    if (rc == ERR_OK) {
        source->bytes = NULL;
        rc = safetensors_add_scale(file, safetensors_at(scale, 0), err);
    }
    safetensors_close(&scale);
    return rc;
}

enum err_code model_take_tensors(struct bundle *bundle, const char *key, uint32_t tensor_count,
                                 struct safetensors **ret_file, struct err *err)
{
    struct bundle_file *source = NULL;
    enum err_code rc = bundle_file(bundle, key, &source, err);
    if (rc == ERR_OK && npy_is(source->bytes, source->len))
        rc = npy_open(source->path, key, source->bytes, source->len, ret_file, err);
    else if (rc == ERR_OK)
        rc = safetensors_open(source->path, source->bytes, source->len, ret_file, err);
    if (rc != ERR_OK)
        return rc;
    source->bytes = NULL; /* the tensors own them now */
    rc = take_scale(bundle, key, *ret_file, err);
    if (rc != ERR_OK)
        return rc;
    uint32_t count = safetensors_count(*ret_file) - safetensors_scale_count(*ret_file);
    if (count != tensor_count)
        return err_set(err, ERR_CORRUPT, "%s: expected %u tensors, got %u", source->path,
                       tensor_count, count);
    return ERR_OK;
}

enum err_code model_make_floats(struct model *model, struct safetensors *file,
                                const char *tensor_name, enum tensor_type type, struct err *err)
{
    model->bytes -= safetensors_bytes(file);
    enum err_code rc = safetensors_make_floats(file, tensor_name, type, err);
    model->bytes += safetensors_bytes(file);
    return rc;
}

enum err_code model_take_ids(struct bundle *bundle, const char *key, uint64_t count,
                             struct ids **ret_ids, struct err *err)
{
    struct bundle_file *source = NULL;
    enum err_code rc = bundle_file(bundle, key, &source, err);
    if (rc == ERR_OK)
        rc = ids_open(source->path, source->bytes, source->len, count, ret_ids, err);
    if (rc == ERR_OK)
        source->bytes = NULL;
    return rc;
}

/* Whether all are within the bounds; a value that is none (NaN) is not. */
static bool are_within(const float *values, uint64_t count, float min, float max)
{
    bool within = true;
    for (uint64_t i = 0; i < count; i++)
        within &= values[i] >= min && values[i] <= max;
    return within;
}

static enum err_code check_each(const char *file, const struct tensor *tensor, uint64_t begin,
                                uint64_t end, double min, double max, struct err *err)
{
    for (uint64_t i = begin; i < end; i++) {
        double value = tensor_float(tensor, i);
        if (!(value >= min && value <= max))
            return err_set(err, ERR_CORRUPT,
                           "%s: tensor '%s', element %llu: expected %g..%g, got "
                           "%g",
                           file, tensor->name, (unsigned long long)i, min, max, value);
    }
    return ERR_OK;
}

enum err_code model_check_values(const char *file, const struct tensor *tensor, double min,
                                 double max, struct err *err)
{
    /* Floats many at once, as long as the bounds are floats themselves. */
    bool many = tensor->type == TENSOR_F32 && (float)min == min && (float)max == max;
    enum err_code rc = ERR_OK;
    for (uint64_t begin = 0; begin < tensor->count && rc == ERR_OK; begin += CHECK_VALUES) {
        uint64_t left = tensor->count - begin;
        uint64_t count = left < CHECK_VALUES ? left : CHECK_VALUES;
        if (!many ||
            !are_within((const float *)tensor->data + begin, count, (float)min, (float)max))
            rc = check_each(file, tensor, begin, begin + count, min, max, err);
        background_rest();
    }
    return rc;
}

enum err_code model_load(struct bundle *bundle, struct model **ret_model, struct err *err)
{
    static enum err_code (*const load[MODEL_KIND_COUNT])(struct bundle *, struct model *,
                                                         struct err *) = {
        [MODEL_factors] = factors_load,       [MODEL_neighbors] = neighbors_load,
        [MODEL_popularity] = popularity_load, [MODEL_linear] = linear_load,
        [MODEL_trees] = trees_load,           [MODEL_mlp] = mlp_load,
        [MODEL_blend] = blend_load,           [MODEL_prices] = prices_load,
        [MODEL_embeddings] = embeddings_load,
    };
    ASSERT(bundle->kind < MODEL_KIND_COUNT);
    struct model *model = calloc(1, sizeof *model);
    if (model != NULL)
        model->breaker = calloc(1, sizeof *model->breaker);
    if (model == NULL || model->breaker == NULL) {
        free(model);
        return err_set(err, ERR_NOMEM, "out of memory for model %s", bundle->name);
    }
    model->kind = bundle->kind;
    memcpy(model->name, bundle->name, sizeof model->name);
    memcpy(model->version, bundle->version, sizeof model->version);
    snprintf(model->label, sizeof model->label, "%s@%s", bundle->name, bundle->version);
    model->trained_at_ms = bundle->trained_at_ms;
    model->bytes = sizeof *model + sizeof *model->breaker + bundle->bytes;
    enum err_code rc = load[bundle->kind](bundle, model, err);
    if (rc == ERR_OK) {
        if (model->items != NULL)
            model->bytes += ids_bytes(model->items);
        *ret_model = model;
        model = NULL;
    }
    model_destroy(&model);
    return rc;
}

void model_destroy(struct model **model)
{
    struct model *old = *model;
    if (old == NULL)
        return;
    switch (old->kind) {
    case MODEL_factors:
    case MODEL_embeddings: factors_destroy(old->as.factors); break;
    case MODEL_neighbors: neighbors_destroy(old->as.neighbors); break;
    case MODEL_popularity: popularity_destroy(old->as.popularity); break;
    case MODEL_linear: linear_destroy(old->as.linear); break;
    case MODEL_trees: trees_destroy(old->as.trees); break;
    case MODEL_mlp: mlp_destroy(old->as.mlp); break;
    case MODEL_blend: blend_destroy(old->as.blend); break;
    case MODEL_prices: prices_destroy(old->as.prices); break;
    case MODEL_KIND_COUNT: break;
    }
    ids_close(&old->items);
    free(old->breaker);
    free(old->item_of_row);
    free(old->row_of_item);
    free(old);
    *model = NULL;
}

uint32_t model_row_count(const struct model *model)
{
    return model->items == NULL ? 0 : ids_count(model->items);
}

static uint32_t place_count_of(const uint32_t *numbers, uint32_t count)
{
    uint32_t place_count = 0;
    for (uint32_t row = 0; row < count; row++) {
        ASSERT(numbers[row] != UINT32_MAX);
        if (numbers[row] >= place_count)
            place_count = numbers[row] + 1;
    }
    return place_count;
}

enum err_code model_bind(struct model *model, const uint32_t *numbers, uint32_t count,
                         struct err *err)
{
    ASSERT(count == model_row_count(model));
    ASSERT(model->item_of_row == NULL);
    enum err_code rc = ERR_OK;
    uint32_t place_count = place_count_of(numbers, count);
    uint32_t *item_of_row = malloc((count + 1ULL) * sizeof *item_of_row);
    uint32_t *row_of_item = malloc((place_count + 1ULL) * sizeof *row_of_item);
    if (item_of_row == NULL || row_of_item == NULL)
        rc = err_set(err, ERR_NOMEM, "model %s: out of memory to bind %u items", model->label,
                     count);
    for (uint32_t item = 0; rc == ERR_OK && item < place_count; item++)
        row_of_item[item] = MODEL_NO_ROW;
    for (uint32_t row = 0; rc == ERR_OK && row < count; row++) {
        item_of_row[row] = numbers[row];
        row_of_item[numbers[row]] = row;
    }
    if (rc == ERR_OK && model_has_vectors(model))
        rc = factors_bind(model, row_of_item, place_count, err);
    if (rc != ERR_OK) {
        free(item_of_row);
        free(row_of_item);
        return rc;
    }
    if (model->kind == MODEL_neighbors)
        neighbors_bind(model->as.neighbors, item_of_row);
    model->item_of_row = item_of_row;
    model->row_of_item = row_of_item;
    model->row_of_item_count = place_count;
    model->bytes += ((uint64_t)count + place_count) * sizeof *item_of_row;
    return ERR_OK;
}
