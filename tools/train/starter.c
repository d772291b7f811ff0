/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/train/starter.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "models/bundle.h"
#include "models/safetensors.h"
#include "tools/cli/json_text.h"
#include "tools/train/publish.h"
#include "tools/train/ranker_rows.h"

#define WEIGHTS_FILE "weights.safetensors"
#define BLEND        "blend.score"

struct starter {
    char name[RANKER_FEATURES_MAX][RANKER_NAME_BYTES];
    uint32_t count;
};

static enum err_code add_name(struct starter *starter, struct text name, struct err *err)
{
    if (!text_is_id(name) || name.len >= RANKER_NAME_BYTES)
        return err_set(err, ERR_BAD_INPUT,
                       "--features: expected names of 1..%d bytes between commas, got '%.*s'",
                       RANKER_NAME_BYTES - 1, name.len < 60 ? (int)name.len : 60, name.ptr);
    for (uint32_t i = 0; i < starter->count; i++) {
        if (text_is(name, starter->name[i]))
            return err_set(err, ERR_BAD_INPUT, "--features: '%s' stands there twice%s",
                           starter->name[i], i == 0 ? " (it is always there)" : "");
    }
    if (starter->count == RANKER_FEATURES_MAX)
        return err_set(err, ERR_LIMIT, "--features: more than %d", RANKER_FEATURES_MAX);
    text_copy(name, starter->name[starter->count++], RANKER_NAME_BYTES);
    return ERR_OK;
}

static enum err_code read_names(const char *list, struct starter *starter, struct err *err)
{
    enum err_code rc = add_name(starter, text_of(BLEND), err);
    for (const char *at = list; rc == ERR_OK;) {
        const size_t len = strcspn(at, ",");
        rc = add_name(starter, (struct text){at, (uint32_t)len}, err);
        if (at[len] == '\0')
            break;
        at += len + 1;
    }
    return rc;
}

static enum err_code write_weights(const char *dir, const struct starter *starter, struct err *err)
{
    static const double bias[1] = {0.0};
    double weight[RANKER_FEATURES_MAX] = {1.0};
    char path[FILE_PATH_BYTES];
    const struct tensor tensors[] = {
        {.name = "weights",
         .type = TENSOR_F64,
         .dim_count = 1,
         .dim = {starter->count},
         .count = starter->count,
         .data = weight},
        {.name = "bias", .type = TENSOR_F64, .dim_count = 1, .dim = {1}, .count = 1, .data = bias}};
    enum err_code rc = file_join(dir, WEIGHTS_FILE, path, sizeof path, err);
    return rc == ERR_OK ? safetensors_write(path, tensors, 2, err) : rc;
}

static bool add_features(const struct starter *starter, cJSON *extra)
{
    cJSON *features = cJSON_AddArrayToObject(extra, "features");
    bool ok = features != NULL && cJSON_AddStringToObject(extra, "description",
                                                          "keeps the order of the sources") != NULL;
    for (uint32_t i = 0; i < starter->count && ok; i++) {
        cJSON *feature = cJSON_CreateObject();
        ok = feature != NULL && cJSON_AddItemToArray(features, feature) &&
             cJSON_AddStringToObject(feature, "name", starter->name[i]) != NULL;
    }
    return ok;
}

/* {"features": {"blend.score": 0.25}, "score": 0.25} */
static bool add_golden(cJSON *rows)
{
    cJSON *row = cJSON_CreateObject();
    if (row == NULL || !cJSON_AddItemToArray(rows, row)) {
        cJSON_Delete(row);
        return false;
    }
    cJSON *features = cJSON_AddObjectToObject(row, "features");
    return features != NULL && cJSON_AddNumberToObject(features, BLEND, 0.25) != NULL &&
           cJSON_AddNumberToObject(row, "score", 0.25) != NULL;
}

static enum err_code write_bundle(void *ctx, const char *dir, const struct publish_place *place,
                                  struct err *err)
{
    const struct starter *starter = ctx;
    const struct bundle_write_file file = {.key = "weights", .path = WEIGHTS_FILE};
    cJSON *extra = cJSON_CreateObject(), *golden = cJSON_CreateArray();
    enum err_code rc = write_weights(dir, starter, err);
    if (rc == ERR_OK &&
        (extra == NULL || golden == NULL || !add_features(starter, extra) || !add_golden(golden)))
        rc = err_set(err, ERR_NOMEM, "manifest: out of memory");
    if (rc == ERR_OK)
        rc = bundle_write_golden(dir, golden, err);
    if (rc == ERR_OK)
        rc = bundle_write_manifest(dir, place->name, place->version, MODEL_linear, &file, 1, extra,
                                   err);
    cJSON_Delete(extra);
    cJSON_Delete(golden);
    return rc;
}

static void report(const struct train_options *options, const struct starter *starter,
                   const char *bundle, FILE *out)
{
    if (options->json) {
        fprintf(out, "{\"command\": \"starter\", \"features\": %u, \"bundle\": ", starter->count);
        json_text_print(bundle, out);
        fputs("}\n", out);
    } else {
        fprintf(out, "  %u features, of which %s alone counts\n\nbundle: %s\n", starter->count,
                BLEND, bundle);
    }
}

enum err_code starter_run(const struct train_options *options, const struct clock *clock, FILE *out,
                          struct err *err)
{
    struct starter *starter = calloc(1, sizeof *starter);
    struct publish_place place;
    char made_version[PUBLISH_VERSION_BYTES];
    if (starter == NULL)
        return err_set(err, ERR_NOMEM, "starter: out of memory");
    enum err_code rc = read_names(options->features, starter, err);
    if (rc == ERR_OK)
        rc = publish_choose(options, clock, made_version, &place, err);
    if (rc == ERR_OK)
        rc = publish_written(&place, write_bundle, starter, err);
    if (rc == ERR_OK)
        report(options, starter, place.final, out);
    free(starter);
    return rc;
}
