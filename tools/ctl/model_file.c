/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/ctl/model_file.h"

#include <math.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/num.h"
#include "base/rand.h"
#include "models/forest_file.h"
#include "models/ranker.h"

#define FEATURE_MAP_BYTES_MAX ((size_t)1 << 20)
#define GOLDEN_ROWS           48
#define GOLDEN_SEED           2015
#define VERSION_DIGITS        16

struct making {
    const struct model_file_options *options;
    const char *dir;
    char version[VERSION_DIGITS + 1];
    struct bundle_write_file file;
    struct forest *forest; /* owned */
    cJSON *extra;          /* owned: what the manifest holds beside the files */
    struct err *err;
};

/* ---- features -------------------------------------------------------------------------------- */

/* "item.price" or {"name": "item.price", "default": 0, "optional": true}. */
static enum err_code add_feature(struct making *making, const struct json_at *at,
                                 const char *column, cJSON *features)
{
    static const char *const known[] = {"name", "default", "optional", NULL};
    const char *name = NULL;
    struct json_at member = *at;
    enum err_code rc = ERR_OK;
    if (cJSON_IsObject(at->value)) {
        rc = json_only(at, known, making->err);
        member = json_member(at, "name");
    }
    if (rc == ERR_OK)
        rc = json_string(&member, &name, making->err);
    if (rc != ERR_OK)
        return rc;
    cJSON *feature = cJSON_CreateObject();
    cJSON_AddItemToArray(features, feature);
    cJSON_AddStringToObject(feature, "name", name);
    if (column != NULL)
        cJSON_AddStringToObject(feature, "column", column);
    struct json_at fallback = json_member(at, "default");
    if (cJSON_IsObject(at->value) && fallback.value != NULL) {
        double value = 0;
        rc = json_real(&fallback, -1e300, 1e300, &value, making->err);
        cJSON_AddNumberToObject(feature, "default", value);
    }
    struct json_at optional = json_member(at, "optional");
    if (rc == ERR_OK && cJSON_IsObject(at->value) && optional.value != NULL) {
        bool value = false;
        rc = json_bool(&optional, &value, making->err);
        cJSON_AddBoolToObject(feature, "optional", value);
    }
    return rc;
}

/* {"Column_0": feature, ...}, or [feature, ...] in the order of the file. */
static enum err_code read_feature_map(struct making *making)
{
    cJSON *root = NULL;
    const char *path = making->options->feature_map;
    if (path == NULL)
        return ERR_OK;
    enum err_code rc = json_parse_file(path, FEATURE_MAP_BYTES_MAX, &root, making->err);
    if (rc != ERR_OK)
        return rc;
    struct json_at at = json_root(path, root);
    cJSON *features = cJSON_AddArrayToObject(making->extra, "features");
    if (!cJSON_IsObject(root) && !cJSON_IsArray(root))
        rc = err_set(making->err, ERR_BAD_INPUT, "%s: expected an object or an array", path);
    for (const cJSON *child = root->child; child != NULL && rc == ERR_OK; child = child->next) {
        struct json_at member = child->string == NULL ? at : json_member(&at, child->string);
        member.value = child;
        rc = add_feature(making, &member, child->string, features);
    }
    cJSON_Delete(root);
    return rc;
}

static void add_param(cJSON *params, const char *name, int64_t value)
{
    if (value != MODEL_FILE_NOT_GIVEN)
        cJSON_AddNumberToObject(params, name, (double)value);
}

static enum err_code make_extra(struct making *making)
{
    const struct model_file_options *options = making->options;
    making->extra = cJSON_CreateObject();
    cJSON *params = cJSON_AddObjectToObject(making->extra, "params");
    if (params == NULL)
        return err_set(making->err, ERR_NOMEM, "out of memory");
    add_param(params, "output", options->output);
    add_param(params, "rounds", options->rounds);
    add_param(params, "average_is_output", options->average_is_output);
    add_param(params, "raw", options->raw ? 1 : MODEL_FILE_NOT_GIVEN);
    return read_feature_map(making);
}

/* ---- golden rows ----------------------------------------------------------------------------- */

/* Missing, a category, or a threshold of the feature or what stands beside it. */
static double awkward(const struct forest *forest, struct rand *rand, uint32_t feature)
{
    uint64_t choice = rand_below(rand, 10);
    if (choice == 0)
        return NAN;
    for (uint32_t tries = 0; forest->node_count > 0 && tries < 200; tries++) {
        const struct forest_node *node = &forest->node[rand_below(rand, forest->node_count)];
        if (node->feature != feature || !isfinite(node->threshold))
            continue;
        if ((node->flags & NODE_CATEGORICAL) != 0)
            return (double)rand_below(rand, 64);
        if (choice < 3)
            return (double)nextafterf((float)node->threshold, choice == 1 ? -INFINITY : INFINITY);
        return choice < 6 ? node->threshold : node->threshold * (rand_unit(rand) * 2.0);
    }
    return rand_normal(rand);
}

/* To the last bit; cJSON's own numbers may be one off. */
static void add_number(cJSON *object, const char *name, double value)
{
    char buf[NUM_REAL_BYTES];
    cJSON_AddRawToObject(object, name, num_format_real(value, buf));
}

static void add_golden_row(const struct model *model, const double *values, double score,
                           cJSON *rows)
{
    cJSON *row = cJSON_CreateObject();
    cJSON *features = cJSON_AddObjectToObject(row, "features");
    cJSON_AddItemToArray(rows, row);
    for (uint32_t f = 0; f < model->feature_count; f++) {
        if (!isnan(values[f]))
            add_number(features, model->feature[f].name, values[f]);
    }
    add_number(row, "score", score);
}

/* The first row knows nothing, so that what is missing is tried everywhere. */
static enum err_code make_golden_rows(struct making *making, const struct model *model, cJSON *rows)
{
    struct rand rand;
    double *values = calloc(model->feature_count, sizeof *values);
    void *scratch = aligned_alloc(RANKER_ALIGN_BYTES, ranker_scratch_bytes(model));
    enum err_code rc = ERR_OK;
    if (values == NULL || scratch == NULL)
        rc = err_set(making->err, ERR_NOMEM, "out of memory");
    rand_init(&rand, GOLDEN_SEED);
    for (uint32_t r = 0; r < GOLDEN_ROWS && rc == ERR_OK; r++) {
        for (uint32_t f = 0; f < model->feature_count; f++)
            values[f] = r == 0 ? NAN : awkward(making->forest, &rand, f);
        double score = trees_score_plainly(model->as.trees, values, scratch);
        if (!isfinite(score))
            rc = err_set(making->err, ERR_UNSUPPORTED, "the model gives scores that are no number");
        else
            add_golden_row(model, values, score, rows);
    }
    free(values);
    free(scratch);
    return rc;
}

/* ---- the bundle ------------------------------------------------------------------------------ */

static enum err_code seal(struct making *making, const cJSON *rows)
{
    const struct model_file_options *options = making->options;
    const char *version = options->version == NULL ? making->version : options->version;
    enum err_code rc = bundle_write_golden(making->dir, rows, making->err);
    return rc == ERR_OK ? bundle_write_manifest(making->dir, options->name, version, MODEL_trees,
                                                &making->file, 1, making->extra, making->err)
                        : rc;
}

/* The file goes into the bundle as it is. */
static enum err_code take_file(struct making *making)
{
    char digest_text[SHA256_HEX_BYTES];
    uint8_t digest[SHA256_BYTES];
    char path[FILE_PATH_BYTES];
    uint8_t *bytes = NULL;
    size_t len = 0;
    const char *from = making->options->path;
    int64_t average = making->options->average_is_output;
    enum err_code rc = file_read(from, BUNDLE_FILE_BYTES_MAX, &bytes, &len, making->err);
    if (rc != ERR_OK)
        return rc;
    sha256_of(bytes, len, digest);
    text_copy(text_of(sha256_hex(digest, digest_text)), making->version, sizeof making->version);
    bool is_lightgbm = forest_format_of(bytes, len) == FOREST_FORMAT_LIGHTGBM;
    making->file = (struct bundle_write_file){"model", is_lightgbm ? "model.txt" : "model.json"};
    rc = forest_read(from, bytes, len,
                     average == MODEL_FILE_NOT_GIVEN ? FOREST_AVERAGE_UNKNOWN
                     : average == 1                  ? FOREST_AVERAGE_IS_OUTPUT
                                                     : FOREST_AVERAGE_IS_MARGIN,
                     &making->forest, making->err);
    if (rc == ERR_OK)
        rc = file_join(making->dir, making->file.path, path, sizeof path, making->err);
    if (rc == ERR_OK)
        rc = file_write_atomic(path, bytes, len, making->err);
    free(bytes);
    return rc;
}

/* A bundle without rows is written first, so that the rows are those of the model as it loads. */
static enum err_code make_golden(struct making *making)
{
    struct bundle *bundle = NULL;
    struct model *model = NULL;
    cJSON *rows = cJSON_CreateArray();
    enum err_code rc =
        rows == NULL ? err_set(making->err, ERR_NOMEM, "out of memory") : seal(making, rows);
    if (rc == ERR_OK)
        rc = bundle_open(making->dir, NULL, NULL, &bundle, making->err);
    if (rc == ERR_OK)
        rc = model_load(bundle, &model, making->err);
    if (rc == ERR_OK)
        rc = make_golden_rows(making, model, rows);
    if (rc == ERR_OK)
        rc = seal(making, rows);
    cJSON_Delete(rows);
    model_destroy(&model);
    bundle_close(&bundle);
    return rc;
}

enum err_code model_file_check(const char *path, struct err *err)
{
    uint8_t *bytes = NULL;
    size_t len = 0;
    enum err_code rc = file_read(path, BUNDLE_FILE_BYTES_MAX, &bytes, &len, err);
    if (rc == ERR_OK)
        rc = forest_check_format(path, bytes, len, err);
    free(bytes);
    return rc;
}

enum err_code model_file_bundle(const struct model_file_options *options, const char *dir,
                                struct err *err)
{
    struct making making = {.options = options, .dir = dir, .err = err};
    enum err_code rc = take_file(&making);
    if (rc == ERR_OK)
        rc = make_extra(&making);
    if (rc == ERR_OK)
        rc = make_golden(&making);
    forest_destroy(&making.forest);
    cJSON_Delete(making.extra);
    return rc;
}
