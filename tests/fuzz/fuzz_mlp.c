/* SPDX-License-Identifier: Apache-2.0 */
/* Bundles of the kind mlp made of the input: layers, batch norm, types of tensors and values are
 * its to choose, then some bytes of the file of tensors are spoiled.  Whatever is loaded scores
 * every row with a number, and with mild weights both evaluators agree. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "models/bundle_internal.h"
#include "models/model_internal.h"

enum {
    FEATURES_MAX = 4,
    WIDTH_MAX = 5,
    LAYERS_MAX = 3,
    SPOILED_MAX = 4,
    ROWS = MLP_BLOCK + 1,
    HEADER_BYTES = 4096,
    FILE_BYTES = 16384,
    SCRATCH_BYTES = 16384
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *at, *end;
};

static uint32_t next(struct input *input)
{
    return input->at < input->end ? *input->at++ : 0;
}

/* The file of tensors while it is made. */
struct file {
    char header[HEADER_BYTES];
    size_t header_len;
    uint8_t data[FILE_BYTES];
    size_t data_len;
    bool is_mild; /* what is in it is no cause for the evaluators to differ */
};

static double number(struct input *input, struct file *file)
{
    static const double values[] = {0.0,   -0.0,     1e9, -1e9, 1.1e9, 1e12,
                                    1e-13, INFINITY, NAN, 1e24, -1.0,  3e38};
    uint32_t choice = next(input);
    if (choice >= sizeof values / sizeof *values)
        return ((double)choice - 128.0) / 64.0;
    file->is_mild = file->is_mild && fabs(values[choice]) <= 1.0;
    return values[choice];
}

static void put_value(struct file *file, enum tensor_type type, double value)
{
    float narrow = (float)value;
    uint32_t bits;
    memcpy(&bits, &narrow, sizeof bits);
    uint16_t half = (uint16_t)(bits >> 16);
    uint32_t bytes = tensor_type_bytes(type);
    const void *from = type == TENSOR_F64 ? (const void *)&value
                       : bytes == 4       ? (const void *)&narrow
                                          : (const void *)&half;
    uint64_t whole = (uint64_t)(int64_t)(isfinite(value) && fabs(value) < 100 ? value : 0);
    if (!tensor_is_float(type))
        from = &whole;
    memcpy(file->data + file->data_len, from, bytes);
    file->data_len += bytes;
}

/* Mostly F32; of F16 the bits are those of a BF16, which is as good a number as any. */
static enum tensor_type type_of(struct input *input, struct file *file)
{
    static const enum tensor_type types[] = {TENSOR_F32, TENSOR_F64, TENSOR_BF16,
                                             TENSOR_F16, TENSOR_I8,  TENSOR_I64};
    uint32_t choice = next(input);
    enum tensor_type type = choice < 6 ? types[choice] : TENSOR_F32;
    file->is_mild = file->is_mild && (type == TENSOR_F32 || type == TENSOR_F64);
    return type;
}

/* columns 0: of one dimension. */
static void put_tensor(struct input *input, struct file *file, const char *name, uint32_t rows,
                       uint32_t columns)
{
    enum tensor_type type = type_of(input, file);
    size_t from = file->data_len;
    char shape[32];
    for (uint32_t i = 0; i < rows * (columns == 0 ? 1 : columns); i++)
        put_value(file, type, number(input, file));
    snprintf(shape, sizeof shape, columns == 0 ? "%u" : "%u,%u", rows, columns);
    int len = snprintf(file->header + file->header_len, sizeof file->header - file->header_len,
                       "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}",
                       file->header_len == 0 ? "{" : ",", name, tensor_type_name(type), shape, from,
                       file->data_len);
    file->header_len += (size_t)len;
}

static void put_layer(struct input *input, struct file *file, uint32_t index, uint32_t in,
                      uint32_t out)
{
    static const char *const norm[] = {"bn_weight", "bn_bias", "bn_mean", "bn_var"};
    char name[64];
    snprintf(name, sizeof name, "layers.%u.weight", index);
    put_tensor(input, file, name, out, in);
    snprintf(name, sizeof name, "layers.%u.bias", index);
    put_tensor(input, file, name, out, 0);
    uint32_t has_norm = next(input);
    file->is_mild = file->is_mild && has_norm % 4 != 1;
    for (uint32_t i = 0; i < 4 && has_norm % 4 == 1; i++) {
        snprintf(name, sizeof name, "layers.%u.%s", index, norm[i]);
        put_tensor(input, file, name, out, 0);
    }
}

/* The length of the header, the header, the tensors; malloc'ed. */
static uint8_t *join(struct input *input, struct file *file, size_t *ret_len)
{
    if (file->header_len + 1 >= sizeof file->header)
        return NULL;
    file->header[file->header_len++] = '}';
    while (file->header_len % 8 != 0 && file->header_len < sizeof file->header)
        file->header[file->header_len++] = ' ';
    uint64_t header_len = file->header_len;
    size_t len = sizeof header_len + file->header_len + file->data_len;
    uint8_t *bytes = malloc(len);
    if (bytes == NULL)
        return NULL;
    memcpy(bytes, &header_len, sizeof header_len);
    memcpy(bytes + sizeof header_len, file->header, file->header_len);
    memcpy(bytes + sizeof header_len + file->header_len, file->data, file->data_len);
    for (uint32_t i = next(input) % 8; i > 0 && i <= SPOILED_MAX; i--) {
        size_t at = (next(input) | next(input) << 8) % len;
        bytes[at] = (uint8_t)next(input);
        file->is_mild = false;
    }
    *ret_len = len;
    return bytes;
}

/* features, then layers, as the input says; the activations go into the manifest. */
static uint8_t *make_file(struct input *input, struct file *file, uint32_t feature_count,
                          struct buffer *params, size_t *ret_len)
{
    static const char *const activations[] = {"none", "relu",    "gelu", "tanh",
                                              "silu", "sigmoid", "what"};
    uint32_t layer_count = 1 + next(input) % LAYERS_MAX;
    uint32_t extras = next(input);
    uint32_t in = feature_count;
    if (extras % 4 == 1)
        put_tensor(input, file, "mean", feature_count, 0);
    if (extras % 8 >= 6)
        put_tensor(input, file, "scale", feature_count, 0);
    file->is_mild = file->is_mild && extras % 8 < 6;
    buffer_put_fmt(params, "{\"params\": {\"sigmoid\": %u, \"activations\": [", extras >> 7);
    for (uint32_t i = 0; i < layer_count; i++) {
        bool is_last = i + 1 == layer_count;
        uint32_t out = 1 + next(input) % WIDTH_MAX;
        out = is_last && next(input) != 255 ? 1 : out;
        buffer_put_fmt(params, "%s\"%s\"", i == 0 ? "" : ",", activations[next(input) % 7]);
        put_layer(input, file, i, in, out);
        in = out;
    }
    buffer_put_str(params, "]}}");
    return join(input, file, ret_len);
}

/* ---- the model ------------------------------------------------------------------------------- */

static void probe(struct input *input, const struct mlp *mlp, bool is_mild)
{
    static _Alignas(64) uint8_t scratch[SCRATCH_BYTES];
    static double values[ROWS * FEATURES_MAX], score[ROWS], again[ROWS];
    ASSERT(mlp_scratch_bytes(mlp) <= sizeof scratch);
    struct file of_rows = {.is_mild = true};
    for (uint32_t i = 0; i < ROWS * mlp->feature_count; i++)
        values[i] = number(input, &of_rows);
    mlp_score_rows(mlp, values, ROWS, scratch, score);
    mlp_score_rows(mlp, values, ROWS, scratch, again);
    for (uint32_t row = 0; row < ROWS; row++) {
        double plain = mlp_score_plainly(mlp, values + (size_t)row * mlp->feature_count, scratch);
        ASSERT(isfinite(score[row]) && isfinite(plain));
        ASSERT(score[row] == again[row]);
        if (is_mild && of_rows.is_mild)
            ASSERT(fabs(score[row] - plain) <= 1e-3 * (1.0 + fabs(plain)));
    }
}

static void load(struct input *input, struct bundle *bundle, bool is_mild)
{
    struct err err = {.text = ""};
    struct model model = {.kind = MODEL_mlp, .label = "m@1", .bytes = bundle->bytes};
    enum err_code rc = mlp_load(bundle, &model, &err);
    if (rc == ERR_OK)
        probe(input, model.as.mlp, is_mild);
    else
        ASSERT(err.text[0] != '\0');
    mlp_destroy(model.as.mlp);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, data + size};
    static struct file file;
    struct buffer params = {0};
    struct bundle *bundle = calloc(1, sizeof *bundle);
    file.header_len = file.data_len = 0;
    file.is_mild = true;
    if (bundle == NULL)
        return 0;
    bundle->kind = MODEL_mlp;
    bundle->feature_count = 1 + next(&input) % FEATURES_MAX;
    bundle->feature = calloc(bundle->feature_count, sizeof *bundle->feature);
    bundle->file_count = 1;
    struct bundle_file *weights = &bundle->file[0];
    text_copy(TEXT_LITERAL("weights"), weights->key, sizeof weights->key);
    text_copy(TEXT_LITERAL("w.safetensors"), weights->path, sizeof weights->path);
    weights->bytes = make_file(&input, &file, bundle->feature_count, &params, &weights->len);
    bundle->bytes = weights->len;
    char *text = buffer_take(&params, &size);
    bundle->manifest = text == NULL ? NULL : cJSON_Parse(text);
    if (bundle->feature != NULL && weights->bytes != NULL && bundle->manifest != NULL)
        load(&input, bundle, file.is_mild);
    free(text);
    bundle_close(&bundle);
    return 0;
}
