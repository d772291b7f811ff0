/* SPDX-License-Identifier: Apache-2.0 */
#include "models/forest_file.h"

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

/* What people have in the place of such a file. */
static const char *guess(const void *bytes, size_t len)
{
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

enum err_code forest_read(const char *name, const void *bytes, size_t len,
                          enum forest_average average, struct forest **ret_forest, struct err *err)
{
    switch (forest_format_of(bytes, len)) {
    case FOREST_FORMAT_XGBOOST: return xgboost_read(name, bytes, len, ret_forest, err);
    case FOREST_FORMAT_LIGHTGBM: return lightgbm_read(name, bytes, len, average, ret_forest, err);
    default: break;
    }
    return err_set(err, ERR_UNSUPPORTED, "%s: %s", name, guess(bytes, len));
}
