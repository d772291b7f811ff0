/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/train/ranker_result.h"

#define SAMPLES 64

enum err_code ranker_golden_choose(const struct ranker_rows *rows, float **ret_value,
                                   uint32_t *ret_count, struct err *err)
{
    const uint32_t columns = rows->feature_count;
    const uint32_t samples = rows->row_count < SAMPLES ? (uint32_t)rows->row_count : SAMPLES;
    float *value = malloc((samples + 1) * (columns + 1) * sizeof value[0]);
    if (value == NULL)
        return err_set(err, ERR_NOMEM, "golden rows: out of memory");
    for (uint32_t i = 0; i < samples; i++) {
        const uint64_t row = samples == 1 ? 0 : (uint64_t)i * (rows->row_count - 1) / (samples - 1);
        memcpy(value + (size_t)i * columns, rows->value + row * rows->stride,
               columns * sizeof value[0]);
    }
    for (uint32_t i = 0; i < columns; i++)
        value[(size_t)samples * columns + i] = NAN;
    *ret_value = value;
    *ret_count = samples + 1;
    return ERR_OK;
}

static bool add_row(const struct ranker_rows *rows, const float *value, float score, cJSON *to)
{
    cJSON *row = cJSON_CreateObject();
    if (row == NULL || !cJSON_AddItemToArray(to, row)) {
        cJSON_Delete(row);
        return false;
    }
    cJSON *features = cJSON_AddObjectToObject(row, "features");
    bool ok = features != NULL;
    for (uint32_t i = 0; i < rows->feature_count && ok; i++)
        ok = isnan(value[i]) ||
             cJSON_AddNumberToObject(features, rows->name[i], (double)value[i]) != NULL;
    return ok && cJSON_AddNumberToObject(row, "score", (double)score) != NULL;
}

enum err_code ranker_golden_rows(const struct ranker_rows *rows, const float *value, uint32_t count,
                                 const float *score, cJSON **ret_rows, struct err *err)
{
    cJSON *array = cJSON_CreateArray();
    bool ok = array != NULL;
    for (uint32_t i = 0; i < count && ok; i++)
        ok = add_row(rows, value + (size_t)i * rows->feature_count, score[i], array);
    if (!ok) {
        cJSON_Delete(array);
        return err_set(err, ERR_NOMEM, "golden rows: out of memory");
    }
    *ret_rows = array;
    return ERR_OK;
}
