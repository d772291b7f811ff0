/* SPDX-License-Identifier: Apache-2.0 */
#include "models/forest_file.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "models/lightgbm.h"
#include "models/xgboost.h"

static bool starts_with(const void *bytes, size_t len, const char *prefix)
{
    size_t prefix_len = strlen(prefix);
    return len >= prefix_len && memcmp(bytes, prefix, prefix_len) == 0;
}

enum forest_format forest_format_of(const void *bytes, size_t len)
{
    if (starts_with(bytes, len, "{"))
        return FOREST_FORMAT_XGBOOST;
    if (starts_with(bytes, len, "tree\n") || starts_with(bytes, len, "tree\r\n"))
        return FOREST_FORMAT_LIGHTGBM;
    return FOREST_FORMAT_NONE;
}

static bool ends_with(const char *name, const char *suffix)
{
    size_t len = strlen(name), suffix_len = strlen(suffix);
    return len >= suffix_len && strcmp(name + len - suffix_len, suffix) == 0;
}

/* A message of protobuf: ir_version (field 1), then who made it (field 2), or operators or the
 * graph (fields 8 and 7). */
static bool is_onnx(const uint8_t *bytes, size_t len)
{
    return len >= 3 && bytes[0] == 0x08 && bytes[1] >= 1 && bytes[1] < 0x80 &&
           (bytes[2] == 0x12 || bytes[2] == 0x3a || bytes[2] == 0x42);
}

static bool is_safetensors(const uint8_t *bytes, size_t len)
{
    uint64_t header_len = 0;
    for (int i = 7; i >= 0 && len > 8; i--)
        header_len = header_len << 8 | bytes[i];
    return header_len >= 2 && header_len <= len - 8 && bytes[8] == '{';
}

/* What people have in the place of such a file. */
static const char *guess(const char *name, const void *bytes, size_t len)
{
    if (is_onnx(bytes, len) || ends_with(name, ".onnx"))
        return "ONNX, which is not read: write its dense layers as a bundle of the kind mlp "
               "(docs/bundles.md, \"From PyTorch or ONNX\"), and trees by save_model of the "
               "library "
               "that trained them";
    if (is_safetensors(bytes, len) || ends_with(name, ".safetensors"))
        return "safetensors, to which manifest.json is missing: it says of which kind the model is "
               "and which features it takes; push a folder with both (docs/bundles.md)";
    if (starts_with(bytes, len, "\x93NUMPY"))
        return "an array of numpy, to which manifest.json is missing: push a folder with both "
               "(docs/bundles.md)";
    if (starts_with(bytes, len, "binf") || starts_with(bytes, len, "bs64"))
        return "the old binary format of XGBoost: load it and save_model('model.json')";
    if (starts_with(bytes, len, "\x80"))
        return "a pickle: save the booster with save_model";
    if (starts_with(bytes, len, "PK"))
        return "a zip archive: unpack it";
    if (starts_with(bytes, len, "\x1f\x8b"))
        return "a gzip archive: unpack it";
    return "neither JSON or UBJSON of XGBoost nor the text of LightGBM";
}

enum err_code forest_check_format(const char *name, const void *bytes, size_t len, struct err *err)
{
    return forest_format_of(bytes, len) != FOREST_FORMAT_NONE
               ? ERR_OK
               : err_set(err, ERR_UNSUPPORTED, "%s: %s", name, guess(name, bytes, len));
}

enum err_code forest_read(const char *name, const void *bytes, size_t len,
                          enum forest_average average, struct forest **ret_forest, struct err *err)
{
    switch (forest_format_of(bytes, len)) {
    case FOREST_FORMAT_XGBOOST: return xgboost_read(name, bytes, len, ret_forest, err);
    case FOREST_FORMAT_LIGHTGBM: return lightgbm_read(name, bytes, len, average, ret_forest, err);
    default: break;
    }
    return forest_check_format(name, bytes, len, err);
}
