/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/small_models.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/safetensors.h"
#include "tests/support/temp_dir.h"

enum { WORDS_MAX = 256 };

static void check(enum err_code rc, const struct err *err)
{
    if (rc != ERR_OK) {
        fprintf(stderr, "small_models: %s\n", err->text);
        abort();
    }
}

static uint32_t word_count(const char *words)
{
    uint32_t count = 0;
    for (const char *at = words; *at != '\0'; at++)
        count += *at != ' ' && (at == words || at[-1] == ' ');
    return count;
}

/* One word a line. */
static void write_ids(const struct temp_dir *dir, const char *name, const char *words)
{
    char lines[65536];
    size_t len = strlen(words);
    if (len >= sizeof lines - 1)
        abort();
    for (size_t i = 0; i <= len; i++)
        lines[i] = words[i] == ' ' || words[i] == '\0' ? '\n' : words[i];
    temp_dir_write(dir, name, lines, len == 0 ? 0 : len + 1);
}

static void write_tensors(const struct temp_dir *dir, const char *name,
                          const struct tensor *tensors, uint32_t count)
{
    struct err err;
    char path[2 * TEMP_DIR_BYTES];
    check(safetensors_write(temp_dir_path(dir, name, path), tensors, count, &err), &err);
}

static struct tensor tensor_1d(const char *name, enum tensor_type type, const void *data,
                               uint64_t count)
{
    return (struct tensor){
        .name = name, .type = type, .dim_count = 1, .dim = {count}, .count = count, .data = data};
}

static struct tensor tensor_2d(const char *name, const float *data, uint64_t rows, uint64_t columns)
{
    return (struct tensor){.name = name,
                           .type = TENSOR_F32,
                           .dim_count = 2,
                           .dim = {rows, columns},
                           .count = rows * columns,
                           .data = data};
}

/* Writes golden rows and manifest, loads the model and removes the directory. */
static struct model *finish(struct temp_dir *dir, const char *name, const char *version,
                            enum model_kind kind, const struct bundle_write_file *files,
                            uint32_t file_count, const char *extra_json)
{
    struct err err;
    struct bundle *bundle = NULL;
    struct model *model = NULL;
    cJSON *rows = cJSON_Parse("[{}]");
    cJSON *extra = cJSON_Parse(extra_json);
    check(bundle_write_golden(dir->path, rows, &err), &err);
    check(bundle_write_manifest(dir->path, name, version, kind, files, file_count, extra, &err),
          &err);
    check(bundle_open(dir->path, name, version, &bundle, &err), &err);
    check(model_load(bundle, &model, &err), &err);
    bundle_close(&bundle);
    cJSON_Delete(rows);
    cJSON_Delete(extra);
    temp_dir_remove(dir);
    return model;
}

struct model *small_factors(const char *name, const char *version,
                            const struct small_factors *factors)
{
    static const struct bundle_write_file files[] = {{"user_factors", "user_factors.safetensors"},
                                                     {"item_factors", "item_factors.safetensors"},
                                                     {"user_ids", "user_ids.txt"},
                                                     {"item_ids", "item_ids.txt"}};
    struct temp_dir dir;
    char extra[256];
    temp_dir_create(&dir);
    struct tensor user =
        tensor_2d("user_factors", factors->user_factors, word_count(factors->users), factors->dim);
    struct tensor item =
        tensor_2d("item_factors", factors->item_factors, word_count(factors->items), factors->dim);
    write_tensors(&dir, "user_factors.safetensors", &user, 1);
    write_tensors(&dir, "item_factors.safetensors", &item, 1);
    write_ids(&dir, "user_ids.txt", factors->users);
    write_ids(&dir, "item_ids.txt", factors->items);
    snprintf(
        extra, sizeof extra,
        "{\"params\": {\"unobserved_weight\": 0.1, \"regularization\": %g, \"index_items\": %u}, "
        "\"trained\": {\"at\": \"%s\"}}",
        factors->regularization, factors->index_items > 0 ? factors->index_items : UINT32_MAX,
        factors->trained_at);
    return finish(&dir, name, version, MODEL_factors, files, 4, extra);
}

struct model *small_embeddings(const char *name, const char *version, const char *items,
                               const float *embeddings, uint32_t dim)
{
    static const struct bundle_write_file files[] = {{"embeddings", "embeddings.safetensors"},
                                                     {"item_ids", "item_ids.txt"}};
    struct temp_dir dir;
    temp_dir_create(&dir);
    struct tensor tensor = tensor_2d("embeddings", embeddings, word_count(items), dim);
    write_tensors(&dir, "embeddings.safetensors", &tensor, 1);
    write_ids(&dir, "item_ids.txt", items);
    return finish(&dir, name, version, MODEL_embeddings, files, 2, NULL);
}

struct model *small_neighbors(const char *name, const char *version, const char *items,
                              const float *weight)
{
    static const struct bundle_write_file files[] = {{"neighbors", "neighbors.safetensors"},
                                                     {"item_ids", "item_ids.txt"}};
    static uint32_t rows[WORDS_MAX * WORDS_MAX];
    static float weights[WORDS_MAX * WORDS_MAX];
    int64_t offsets[WORDS_MAX + 1] = {0};
    uint32_t count = word_count(items);
    uint32_t used = 0;
    struct temp_dir dir;
    temp_dir_create(&dir);
    for (uint32_t row = 0; row < count; row++) {
        uint32_t first = used;
        for (uint32_t other = 0; other < count; other++) {
            float w = weight[row * count + other];
            uint32_t at = used;
            if (w == 0.0f)
                continue;
            for (; at > first && weights[at - 1] < w; at--) {
                rows[at] = rows[at - 1];
                weights[at] = weights[at - 1];
            }
            rows[at] = other;
            weights[at] = w;
            used++;
        }
        offsets[row + 1] = used;
    }
    const struct tensor tensors[] = {tensor_1d("offsets", TENSOR_I64, offsets, count + 1),
                                     tensor_1d("rows", TENSOR_U32, rows, used),
                                     tensor_1d("weights", TENSOR_F32, weights, used)};
    write_tensors(&dir, "neighbors.safetensors", tensors, 3);
    write_ids(&dir, "item_ids.txt", items);
    return finish(&dir, name, version, MODEL_neighbors, files, 2, "{}");
}

struct model *small_popularity(const char *name, const char *version, const char *items,
                               const float *scores)
{
    static const struct bundle_write_file files[] = {{"scores", "scores.safetensors"},
                                                     {"item_ids", "item_ids.txt"}};
    struct temp_dir dir;
    temp_dir_create(&dir);
    struct tensor tensor = tensor_1d("scores", TENSOR_F32, scores, word_count(items));
    write_tensors(&dir, "scores.safetensors", &tensor, 1);
    write_ids(&dir, "item_ids.txt", items);
    return finish(&dir, name, version, MODEL_popularity, files, 2, "{}");
}

/* {"features": [...]REST}, one name a word. */
static void write_features(const char *words, const char *rest, char *json, size_t json_bytes)
{
    size_t used = (size_t)snprintf(json, json_bytes, "{\"features\": [{\"name\": \"");
    for (const char *at = words; *at != '\0'; at++) {
        char one[2] = {*at, '\0'};
        used += (size_t)snprintf(json + used, json_bytes - used, "%s",
                                 *at == ' ' ? "\"}, {\"name\": \"" : one);
    }
    snprintf(json + used, json_bytes - used, "\"}]%s}", rest);
}

struct model *small_linear(const char *name, const char *version, const char *features,
                           const double *weights, double bias)
{
    static const struct bundle_write_file files[] = {{"weights", "weights.safetensors"}};
    struct temp_dir dir;
    char extra[4096];
    temp_dir_create(&dir);
    write_features(features, "", extra, sizeof extra);
    const struct tensor tensors[] = {
        tensor_1d("weights", TENSOR_F64, weights, word_count(features)),
        tensor_1d("bias", TENSOR_F64, &bias, 1)};
    write_tensors(&dir, "weights.safetensors", tensors, 2);
    return finish(&dir, name, version, MODEL_linear, files, 1, extra);
}

struct model *small_mlp(const char *name, const char *version, const char *features,
                        uint32_t hidden, const float *parameters)
{
    static const struct bundle_write_file files[] = {{"weights", "weights.safetensors"}};
    uint32_t count = word_count(features);
    const float *bias = parameters + (size_t)hidden * count;
    const struct tensor tensors[] = {
        tensor_2d("layers.0.weight", parameters, hidden, count),
        tensor_1d("layers.0.bias", TENSOR_F32, bias, hidden),
        tensor_2d("layers.1.weight", bias + hidden, 1, hidden),
        tensor_1d("layers.1.bias", TENSOR_F32, bias + 2 * (size_t)hidden, 1)};
    struct temp_dir dir;
    char extra[4096];
    temp_dir_create(&dir);
    write_features(features, ", \"params\": {\"activations\": [\"relu\", \"none\"]}", extra,
                   sizeof extra);
    write_tensors(&dir, "weights.safetensors", tensors, 4);
    return finish(&dir, name, version, MODEL_mlp, files, 1, extra);
}

struct model *small_trees(const char *name, const char *version, const char *text)
{
    static const struct bundle_write_file files[] = {{"model", "model"}};
    struct temp_dir dir;
    temp_dir_create(&dir);
    temp_dir_write_text(&dir, "model", text);
    return finish(&dir, name, version, MODEL_trees, files, 1, "{}");
}

struct model *small_prices(const char *name, const char *version, const char *rules)
{
    static const struct bundle_write_file files[] = {{"rules", "rules.json"}};
    struct temp_dir dir;
    temp_dir_create(&dir);
    temp_dir_write_text(&dir, "rules.json", rules);
    return finish(&dir, name, version, MODEL_prices, files, 1, "{}");
}
