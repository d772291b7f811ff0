/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/model_sample.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "models/safetensors.h"

static const float item_factors[MODEL_SAMPLE_ITEMS][MODEL_SAMPLE_FACTORS] = {
    {1, 0, 0.5f},  {0, 1, 0},          {0.5f, 0.5f, 0}, {-0.25f, 0.75f, 1},
    {0, 0, -0.5f}, {0.1f, 0.2f, 0.3f}, {0.9f, 0, 0},    {0, -0.4f, 0.6f}};
static const float user_factors[MODEL_SAMPLE_USERS][MODEL_SAMPLE_FACTORS] = {
    {1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {0.5f, 0.25f, -1}, {2, 2, 2}};
static const int64_t neighbor_offsets[MODEL_SAMPLE_ITEMS + 1] = {0, 3, 5, 5, 6, 6, 7, 8, 8};
static const uint32_t neighbor_rows[] = {1, 2, 7, 0, 2, 0, 6, 5};
static const float neighbor_weights[] = {0.75f, 0.5f, -0.25f, 0.75f, 0.1f, 2, 1, 1};
static const float scores[MODEL_SAMPLE_ITEMS] = {10, 30, 20, 0, 30, 5, 1, 0.5f};
static const double weights[] = {2.0, -0.5, 0.125};
static const double bias[] = {0.25};
static const float mlp_weight_0[] = {1, -1, 0, 0.5f, 0, 2};
static const float mlp_bias_0[] = {0.25f, -1};
static const float mlp_weight_1[] = {2, -0.5f};
static const float mlp_bias_1[] = {0.5f};
static const float mlp_mean[] = {1, 0, 0};
static const float mlp_scale[] = {2, 1, 1};

static const char item_ids[] = "i0\ni1\ni2\ni3\ni4\ni5\ni6\ni7\n";
static const char user_ids[] = "u0\nu1\nu2\nu3\nu \xc3\xa9";

static const char rules[] =
    "{\"format\": 1, \"rules\": [\n"
    "  {\"name\": \"cost\", \"margin\": \"10\"},\n"
    "  {\"name\": \"toys\", \"match\": {\"categories\": [\"toys\"]},\n"
    "   \"adjust\": {\"percent\": \"-12.5\"}, \"ending\": {\"digits\": 99, \"of\": 100}},\n"
    "  {\"name\": \"app\", \"priority\": 5, \"match\": {\"items\": [\"i1\"],\n"
    "   \"context\": {\"channel\": \"app\"}}, \"adjust\": {\"add\": -100}, \"floor\": 950}]}";

/* 0.5 + (item.price < 10 ? 0.25 : pair.days < 2.5 or unknown ? -0.5 : 1.5) + 0.125 */
static const char trees[] =
    "{\"version\": [1, 7, 4], \"learner\": {\n"
    " \"feature_names\": [\"item.price\", \"pair.days\"],\n"
    " \"learner_model_param\": {\"base_score\": \"5E-1\", \"num_class\": \"0\","
    " \"num_feature\": \"2\", \"num_target\": \"1\"},\n"
    " \"objective\": {\"name\": \"reg:squarederror\"},\n"
    " \"gradient_booster\": {\"name\": \"gbtree\", \"model\": {\n"
    "  \"gbtree_model_param\": {\"num_trees\": \"2\", \"num_parallel_tree\": \"1\"},\n"
    "  \"tree_info\": [0, 0],\n"
    "  \"trees\": [\n"
    "   {\"tree_param\": {\"num_nodes\": \"5\"},\n"
    "    \"left_children\": [1, -1, 3, -1, -1], \"right_children\": [2, -1, 4, -1, -1],\n"
    "    \"split_indices\": [0, 0, 1, 0, 0], \"default_left\": [0, 0, 1, 0, 0],\n"
    "    \"split_conditions\": [1E1, 2.5E-1, 2.5, -5E-1, 1.5]},\n"
    "   {\"tree_param\": {\"num_nodes\": \"1\"}, \"left_children\": [-1],"
    " \"right_children\": [-1],\n"
    "    \"split_indices\": [0], \"default_left\": [0], \"split_conditions\": [1.25E-1]}]}}}}\n";

static const char *const golden[MODEL_KIND_COUNT] = {
    [MODEL_factors] = "[{\"user\": \"u3\", \"item\": \"i0\", \"score\": 0.0},"
                      " {\"user\": \"u \xc3\xa9\", \"item\": \"i3\", \"score\": 3.0},"
                      " {\"history\": [\"i0\", \"i2\"], \"item\": \"i6\", \"score\": "
                      "0.792962203},"
                      " {\"history\": [\"i4\"], \"item\": \"i4\", \"score\": 0.502498292}]",
    [MODEL_neighbors] = "[{\"item\": \"i0\", \"neighbor\": \"i7\", \"weight\": -0.25},"
                        " {\"item\": \"i2\", \"neighbor\": \"i0\", \"weight\": null}]",
    [MODEL_popularity] = "[{\"item\": \"i1\", \"score\": 30}, {\"item\": \"i7\", \"score\": 0.5}]",
    [MODEL_linear] = "[{\"features\": {\"item.price\": 3, \"pair.days\": 1}, \"score\": 5.75},"
                     " {\"features\": {\"item.price\": null, \"caller.score\": 8}, \"score\": "
                     "3.25}]",
    [MODEL_trees] = "[{\"features\": {\"item.price\": 3}, \"score\": 0.875},"
                    " {\"features\": {\"item.price\": 20, \"pair.days\": 3}, \"score\": 2.125},"
                    " {\"features\": {\"item.price\": 10}, \"score\": 0.125},"
                    " {\"features\": {}, \"score\": 0.125}]",
    [MODEL_mlp] = "[{\"features\": {\"item.price\": 3, \"pair.days\": 1}, \"score\": 1},"
                  " {\"features\": {\"item.price\": null, \"caller.score\": 8}, \"score\": "
                  "-6.5}]",
    [MODEL_blend] = "[{\"scores\": {\"a\": 3, \"b\": 0}, \"score\": 6.25},"
                    " {\"scores\": {\"a\": -1}, \"score\": -1.75}]",
    [MODEL_prices] = "[{\"price\": 1000, \"amount\": 1000, \"rule\": null, \"cost\": 100},"
                     " {\"price\": 1000, \"category\": \"toys\", \"cost\": 1, \"amount\": 899,"
                     "  \"rule\": \"toys\"},"
                     " {\"price\": 1000, \"item\": \"i1\", \"cost\": 1, \"context\": "
                     "{\"channel\": \"app\"}, \"amount\": 950, \"rule\": \"app\"}]",
    [MODEL_embeddings] =
        "[{\"history\": [\"i0\"], \"item\": \"i6\", \"score\": 0.894427191},"
        " {\"history\": [\"i0\"], \"item\": \"i4\", \"score\": -0.447213595},"
        " {\"history\": [\"i0\", \"i1\"], \"item\": \"i2\", \"score\": 0.947213595}]",
};

static void must(enum err_code rc, const struct err *err)
{
    if (rc == ERR_OK)
        return;
    fprintf(stderr, "model_sample: %s\n", err->text);
    abort();
}

static char *in_dir(const char *dir, const char *name, char path[FILE_PATH_BYTES])
{
    struct err err;
    must(file_join(dir, name, path, FILE_PATH_BYTES, &err), &err);
    return path;
}

static void write_text(const char *dir, const char *name, const char *text)
{
    char path[FILE_PATH_BYTES];
    struct err err;
    must(file_write_atomic(in_dir(dir, name, path), text, strlen(text), &err), &err);
}

static void write_tensors(const char *dir, const char *name, const struct tensor *tensors,
                          uint32_t count)
{
    char path[FILE_PATH_BYTES];
    struct err err;
    must(safetensors_write(in_dir(dir, name, path), tensors, count, &err), &err);
}

static struct tensor tensor_of(const char *name, enum tensor_type type, const void *data,
                               uint64_t rows, uint64_t columns)
{
    return (struct tensor){.name = name,
                           .type = type,
                           .dim_count = columns == 0 ? 1 : 2,
                           .dim = {rows, columns},
                           .count = columns == 0 ? rows : rows * columns,
                           .data = data};
}

static void write_files(const char *dir, enum model_kind kind)
{
    struct tensor t[6];
    switch (kind) {
    case MODEL_factors:
        t[0] = tensor_of("user_factors", TENSOR_F32, user_factors, MODEL_SAMPLE_USERS,
                         MODEL_SAMPLE_FACTORS);
        write_tensors(dir, "user_factors.safetensors", t, 1);
        t[0] = tensor_of("item_factors", TENSOR_F32, item_factors, MODEL_SAMPLE_ITEMS,
                         MODEL_SAMPLE_FACTORS);
        write_tensors(dir, "item_factors.safetensors", t, 1);
        write_text(dir, "user_ids.txt", user_ids);
        break;
    case MODEL_neighbors:
        t[0] = tensor_of("offsets", TENSOR_I64, neighbor_offsets, MODEL_SAMPLE_ITEMS + 1, 0);
        t[1] = tensor_of("rows", TENSOR_U32, neighbor_rows, 8, 0);
        t[2] = tensor_of("weights", TENSOR_F32, neighbor_weights, 8, 0);
        write_tensors(dir, "neighbors.safetensors", t, 3);
        break;
    case MODEL_popularity:
        t[0] = tensor_of("scores", TENSOR_F32, scores, MODEL_SAMPLE_ITEMS, 0);
        write_tensors(dir, "scores.safetensors", t, 1);
        break;
    case MODEL_linear:
        t[0] = tensor_of("weights", TENSOR_F64, weights, 3, 0);
        t[1] = tensor_of("bias", TENSOR_F64, bias, 1, 0);
        write_tensors(dir, "weights.safetensors", t, 2);
        break;
    case MODEL_mlp:
        t[0] = tensor_of("layers.0.weight", TENSOR_F32, mlp_weight_0, 2, 3);
        t[1] = tensor_of("layers.0.bias", TENSOR_F32, mlp_bias_0, 2, 0);
        t[2] = tensor_of("layers.1.weight", TENSOR_F32, mlp_weight_1, 1, 2);
        t[3] = tensor_of("layers.1.bias", TENSOR_F32, mlp_bias_1, 1, 0);
        t[4] = tensor_of("mean", TENSOR_F32, mlp_mean, 3, 0);
        t[5] = tensor_of("scale", TENSOR_F32, mlp_scale, 3, 0);
        write_tensors(dir, "weights.safetensors", t, 6);
        break;
    case MODEL_trees: write_text(dir, "model.json", trees); break;
    case MODEL_embeddings:
        t[0] = tensor_of("embeddings", TENSOR_F32, item_factors, MODEL_SAMPLE_ITEMS,
                         MODEL_SAMPLE_FACTORS);
        write_tensors(dir, "embeddings.safetensors", t, 1);
        break;
    case MODEL_blend: break;
    default: write_text(dir, "rules.json", rules); break;
    }
    if (kind < MODEL_linear || kind == MODEL_embeddings)
        write_text(dir, "item_ids.txt", item_ids);
}

#define FEATURES                                                 \
    "\"features\": [{\"name\": \"item.price\", \"default\": 1}," \
    " {\"name\": \"pair.days\"}, {\"name\": \"caller.score\"}]"

static cJSON *extra_of(enum model_kind kind)
{
    const char *text = "{\"trained\": {\"at\": \"2026-11-23T02:00:00Z\", \"events\": 12}}";
    if (kind == MODEL_factors)
        text = "{\"params\": {\"unobserved_weight\": 0.1, \"regularization\": 0.05,"
               " \"regularization_exponent\": 0.5},"
               " \"trained\": {\"at\": \"2026-11-23T02:00:00Z\"}, \"golden\": {\"tolerance\": "
               "1e-6}}";
    if (kind == MODEL_linear)
        text = "{" FEATURES "}";
    if (kind == MODEL_blend)
        text = "{\"params\": {\"parts\": [{\"model\": \"a\", \"weight\": 2, \"default\": 1},"
               " {\"model\": \"b\", \"weight\": 0.5, \"transform\": \"sigmoid\","
               " \"default\": 0}]}, \"trained\": {\"at\": \"2026-11-23T02:00:00Z\"}}";
    if (kind == MODEL_mlp)
        text = "{\"params\": {\"activations\": [\"relu\", \"none\"]}, " FEATURES
               ", \"trained\": {\"at\": \"2026-11-23T02:00:00Z\"}}";
    cJSON *extra = cJSON_Parse(text);
    if (extra == NULL)
        abort();
    return extra;
}

void model_sample_seal(const char *dir, const char *name, const char *version, enum model_kind kind)
{
    static const struct {
        struct bundle_write_file file[4];
        uint32_t count;
    } files[MODEL_KIND_COUNT] = {
        [MODEL_factors] = {{{"user_factors", "user_factors.safetensors"},
                            {"item_factors", "item_factors.safetensors"},
                            {"user_ids", "user_ids.txt"},
                            {"item_ids", "item_ids.txt"}},
                           4},
        [MODEL_neighbors] = {{{"neighbors", "neighbors.safetensors"}, {"item_ids", "item_ids.txt"}},
                             2},
        [MODEL_popularity] = {{{"scores", "scores.safetensors"}, {"item_ids", "item_ids.txt"}}, 2},
        [MODEL_linear] = {{{"weights", "weights.safetensors"}}, 1},
        [MODEL_trees] = {{{"model", "model.json"}}, 1},
        [MODEL_mlp] = {{{"weights", "weights.safetensors"}}, 1},
        [MODEL_prices] = {{{"rules", "rules.json"}}, 1},
        [MODEL_embeddings] = {{{"embeddings", "embeddings.safetensors"},
                               {"item_ids", "item_ids.txt"}},
                              2},
    };
    struct err err;
    cJSON *extra = extra_of(kind);
    must(bundle_write_manifest(dir, name, version, kind, files[kind].file, files[kind].count, extra,
                               &err),
         &err);
    cJSON_Delete(extra);
}

void model_sample_write(const char *dir, const char *name, const char *version,
                        enum model_kind kind)
{
    struct err err;
    cJSON *rows = cJSON_Parse(golden[kind]);
    if (rows == NULL)
        abort();
    must(file_make_dir(dir, &err), &err);
    write_files(dir, kind);
    must(bundle_write_golden(dir, rows, &err), &err);
    cJSON_Delete(rows);
    model_sample_seal(dir, name, version, kind);
}
