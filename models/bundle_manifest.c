/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "models/bundle_internal.h"
#include "models/ranker.h"

#define GOLDEN_TOLERANCE_MAX 1e-3
#define FEATURE_DEFAULT_MAX  1e300

enum { KIND_FILES_MAX = 4, KIND_PARAMS_MAX = 5, KIND_SCALES_MAX = 2 };

/* What a kind is made of: the files that it needs, the scales that an array of int8 among them
 * needs besides, and the parameters that it knows. */
static const struct {
    const char *files[KIND_FILES_MAX + 1];
    const char *params[KIND_PARAMS_MAX + 1];
    const char *scales[KIND_SCALES_MAX + 1];
} parts[MODEL_KIND_COUNT] = {
    [MODEL_factors] = {{"user_factors", "item_factors", "user_ids", "item_ids"},
                       {"unobserved_weight", "regularization", "regularization_exponent",
                        "index_items", "index_recall"},
                       {"user_factors_scale", "item_factors_scale"}},
    [MODEL_neighbors] = {{"neighbors", "item_ids"}, {NULL}, {NULL}},
    [MODEL_popularity] = {{"scores", "item_ids"}, {NULL}, {"scores_scale"}},
    [MODEL_linear] = {{"weights"}, {"logistic"}, {NULL}},
    [MODEL_trees] = {{"model"}, {"output", "raw", "rounds", "average_is_output"}, {NULL}},
    [MODEL_mlp] = {{"weights"}, {"activations", "sigmoid", "bn_eps"}, {NULL}},
    [MODEL_blend] = {{NULL}, {"parts"}, {NULL}},
    [MODEL_prices] = {{"rules"}, {NULL}, {NULL}},
    [MODEL_embeddings] = {{"embeddings", "item_ids"},
                          {"index_items", "index_recall"},
                          {"embeddings_scale"}},
};

static const char *const kind_names[] = {
#define X(name) #name,
    MODEL_KINDS(X)
#undef X
        NULL};

const char *model_kind_name(enum model_kind kind)
{
    return kind < MODEL_KIND_COUNT ? kind_names[kind] : "none";
}

static enum err_code parse_kind(const struct json_at *root, enum model_kind *ret_kind,
                                struct err *err)
{
    struct json_at at = json_member(root, "kind");
    const char *value = NULL;
    enum err_code rc = json_string(&at, &value, err);
    for (int i = 0; rc == ERR_OK && i < MODEL_KIND_COUNT; i++) {
        if (strcmp(value, kind_names[i]) == 0) {
            *ret_kind = (enum model_kind)i;
            return ERR_OK;
        }
    }
    if (rc != ERR_OK)
        return rc;
    const char *nearest = json_nearest(text_of(value), kind_names);
    return err_set(err, ERR_UNSUPPORTED, "%s: unknown kind '%.64s'%s%s%s", at.path, value,
                   nearest == NULL ? "" : ", did you mean '", nearest == NULL ? "" : nearest,
                   nearest == NULL ? "" : "'?");
}

static enum err_code parse_plain_name(const struct json_at *object, const char *key,
                                      char ret_name[MODEL_NAME_BYTES], struct err *err)
{
    struct json_at at = json_member(object, key);
    const char *value = NULL;
    enum err_code rc = json_string(&at, &value, err);
    if (rc != ERR_OK)
        return rc;
    if (!file_is_plain_name(value))
        return err_set(err, ERR_CORRUPT,
                       "%s: expected 1..64 letters, digits, '.', '_' or '-', not starting with "
                       "'.' or '-', got '%.80s'",
                       at.path, value);
    text_copy(text_of(value), ret_name, MODEL_NAME_BYTES);
    return ERR_OK;
}

static enum err_code parse_file(const struct json_at *at, const char *key, struct bundle_file *file,
                                struct err *err)
{
    char path[MODEL_NAME_BYTES] = "";
    const char *sha256 = "";
    struct json_at member = json_member(at, "sha256");
    struct json_at bytes = json_member(at, "bytes");
    enum err_code rc = parse_plain_name(at, "path", path, err);
    if (rc == ERR_OK)
        rc = json_string(&member, &sha256, err);
    file->stated_bytes = -1;
    if (rc == ERR_OK && bytes.value != NULL)
        rc = json_int(&bytes, 0, (int64_t)BUNDLE_FILE_BYTES_MAX, &file->stated_bytes, err);
    if (rc != ERR_OK)
        return rc;
    if (strcmp(path, MANIFEST_NAME) == 0)
        return err_set(err, ERR_CORRUPT, "%s.path: the manifest cannot list itself", at->path);
    if (strcmp(path, BUNDLE_SIGNATURE_NAME) == 0)
        return err_set(err, ERR_CORRUPT, "%s.path: the manifest cannot list its signature",
                       at->path);
    if (strlen(sha256) != SHA256_HEX_BYTES - 1 ||
        strspn(sha256, "0123456789abcdef") != SHA256_HEX_BYTES - 1)
        return err_set(err, ERR_CORRUPT,
                       "%s: expected 64 hexadecimal digits in small letters, got '%.80s'",
                       member.path, sha256);
    text_copy(text_of(key), file->key, sizeof file->key);
    text_copy(text_of(path), file->path, sizeof file->path);
    text_copy(text_of(sha256), file->sha256, sizeof file->sha256);
    return ERR_OK;
}

static enum err_code take_file(const struct json_at *files, const char *key, struct bundle *bundle,
                               struct err *err)
{
    static const char *const known[] = {"path", "sha256", "bytes", NULL};
    struct bundle_file *file = &bundle->file[bundle->file_count];
    struct json_at at = json_member(files, key);
    if (at.value == NULL)
        return err_set(err, ERR_CORRUPT, "%s: missing, needed by kind %s", at.path,
                       model_kind_name(bundle->kind));
    enum err_code rc = json_only(&at, known, err);
    if (rc == ERR_OK)
        rc = parse_file(&at, key, file, err);
    for (uint32_t i = 0; i < bundle->file_count && rc == ERR_OK; i++) {
        if (strcmp(file->path, bundle->file[i].path) == 0)
            rc = err_set(err, ERR_CORRUPT, "%s.path: '%s' is listed twice", at.path, file->path);
    }
    bundle->file_count += rc == ERR_OK;
    return rc;
}

static enum err_code parse_files(const struct json_at *root, struct bundle *bundle, struct err *err)
{
    const char *const *needed = parts[bundle->kind].files;
    const char *const *scales = parts[bundle->kind].scales;
    const char *known[KIND_FILES_MAX + KIND_SCALES_MAX + 1] = {NULL};
    uint32_t count = 0;
    for (uint32_t i = 0; needed[i] != NULL; i++)
        known[count++] = needed[i];
    for (uint32_t i = 0; scales[i] != NULL; i++)
        known[count++] = scales[i];
    struct json_at files = json_member(root, "files");
    enum err_code rc = json_only(&files, known, err);
    for (uint32_t i = 0; rc == ERR_OK && needed[i] != NULL; i++)
        rc = take_file(&files, needed[i], bundle, err);
    for (uint32_t i = 0; rc == ERR_OK && scales[i] != NULL; i++) {
        if (json_member(&files, scales[i]).value != NULL)
            rc = take_file(&files, scales[i], bundle, err);
    }
    return rc;
}

static enum err_code parse_golden(const struct json_at *root, struct bundle *bundle,
                                  struct err *err)
{
    static const char *const known[] = {"path", "sha256", "bytes", "tolerance", NULL};
    struct json_at at = json_member(root, "golden");
    enum err_code rc = json_only(&at, known, err);
    if (rc == ERR_OK)
        rc = parse_file(&at, "golden", &bundle->golden, err);
    for (uint32_t i = 0; i < bundle->file_count && rc == ERR_OK; i++) {
        if (strcmp(bundle->golden.path, bundle->file[i].path) == 0)
            rc = err_set(err, ERR_CORRUPT, "%s.path: '%s' is listed in files", at.path,
                         bundle->golden.path);
    }
    struct json_at tolerance = json_member(&at, "tolerance");
    bundle->golden_tolerance = GOLDEN_TOLERANCE;
    if (rc == ERR_OK && tolerance.value != NULL)
        rc = json_real(&tolerance, 0, GOLDEN_TOLERANCE_MAX, &bundle->golden_tolerance, err);
    if (rc == ERR_OK && bundle->golden_tolerance <= 0)
        rc = err_set(err, ERR_CORRUPT, "%s: must be above 0", tolerance.path);
    return rc;
}

static enum err_code parse_feature_name(const struct json_at *at, const char *key,
                                        char ret_name[sizeof(((struct bundle_feature *)0)->name)],
                                        struct err *err)
{
    const size_t bytes = sizeof(((struct bundle_feature *)0)->name);
    const char *name = NULL;
    struct json_at member = json_member(at, key);
    enum err_code rc = json_string(&member, &name, err);
    if (rc == ERR_OK && (!text_is_id(text_of(name)) || strlen(name) >= bytes))
        rc = err_set(err, ERR_CORRUPT, "%s: expected 1..%zu bytes without controls, got %zu",
                     member.path, bytes - 1, strlen(name));
    if (rc == ERR_OK)
        text_copy(text_of(name), ret_name, bytes);
    return rc;
}

/* Trees treat a value that is unknown as they learned to; the other rankers take 0. */
static enum err_code parse_feature(const struct json_at *at, enum model_kind kind,
                                   struct bundle_feature *feature, struct err *err)
{
    static const char *const known[] = {"name", "default", "optional", NULL};
    static const char *const known_by_trees[] = {"name", "default", "optional", "column", NULL};
    struct json_at member = json_member(at, "column");
    enum err_code rc = json_only(at, kind == MODEL_trees ? known_by_trees : known, err);
    if (rc == ERR_OK)
        rc = parse_feature_name(at, "name", feature->name, err);
    if (rc == ERR_OK && member.value != NULL)
        rc = parse_feature_name(at, "column", feature->column, err);
    feature->fallback = kind == MODEL_trees ? NAN : 0.0;
    member = json_member(at, "default");
    if (rc == ERR_OK && member.value != NULL)
        rc = json_real(&member, -FEATURE_DEFAULT_MAX, FEATURE_DEFAULT_MAX, &feature->fallback, err);
    member = json_member(at, "optional");
    if (rc == ERR_OK && member.value != NULL)
        rc = json_bool(&member, &feature->optional, err);
    return rc;
}

static enum err_code parse_features(const struct json_at *root, struct bundle *bundle,
                                    struct err *err)
{
    struct json_at at = json_member(root, "features");
    int count = 0;
    if (at.value == NULL && bundle->kind == MODEL_trees) /* then the model file names them */
        return ERR_OK;
    if (!ranker_is(bundle->kind))
        return at.value == NULL ? ERR_OK
                                : err_set(err, ERR_CORRUPT, "%s: kind %s takes no features",
                                          at.path, model_kind_name(bundle->kind));
    enum err_code rc = json_array(&at, &count, err);
    if (rc == ERR_OK && (count < 1 || count > BUNDLE_FEATURES_MAX))
        rc = err_set(err, ERR_CORRUPT, "%s: expected 1..%d features, got %d", at.path,
                     BUNDLE_FEATURES_MAX, count);
    if (rc != ERR_OK)
        return rc;
    bundle->feature = calloc((size_t)count, sizeof *bundle->feature);
    if (bundle->feature == NULL)
        return err_set(err, ERR_NOMEM, "%s: out of memory", at.path);
    bundle->feature_count = (uint32_t)count;
    for (int i = 0; i < count && rc == ERR_OK; i++) {
        struct json_at element = json_element(&at, i);
        rc = parse_feature(&element, bundle->kind, &bundle->feature[i], err);
        for (int j = 0; j < i && rc == ERR_OK; j++) {
            if (strcmp(bundle->feature[i].name, bundle->feature[j].name) == 0)
                rc = err_set(err, ERR_CORRUPT, "%s.name: '%s' stands at features[%d] already",
                             element.path, bundle->feature[i].name, j);
        }
    }
    return rc;
}

static enum err_code parse_params(const struct json_at *root, enum model_kind kind, struct err *err)
{
    struct json_at at = json_member(root, "params");
    return at.value == NULL ? ERR_OK : json_only(&at, parts[kind].params, err);
}

static enum err_code parse_trained(const struct json_at *root, int64_t *ret_at_ms, struct err *err)
{
    const char *value = NULL;
    struct json_at trained = json_member(root, "trained");
    if (trained.value == NULL)
        return ERR_OK;
    enum err_code rc = json_object(&trained, err);
    struct json_at at = json_member(&trained, "at");
    if (rc != ERR_OK || at.value == NULL)
        return rc;
    rc = json_string(&at, &value, err);
    if (rc == ERR_OK && !clock_parse_iso(value, strlen(value), ret_at_ms))
        rc = err_set(err, ERR_CORRUPT, "%s: expected a time as 2026-11-23T02:00:00Z, got '%.40s'",
                     at.path, value);
    return rc;
}

static enum err_code parse_header(const struct json_at *root, struct bundle *bundle,
                                  struct err *err)
{
    static const char *const known[] = {"format",  "name",        "version",  "kind",
                                        "files",   "params",      "features", "golden",
                                        "trained", "description", NULL};
    int64_t format = 0;
    struct json_at at = json_member(root, "format");
    enum err_code rc = json_object(root, err);
    if (rc == ERR_OK) /* first: the manifest of another format may look different */
        rc = json_int(&at, 0, INT32_MAX, &format, err);
    if (rc == ERR_OK && format != BUNDLE_FORMAT)
        rc = err_set(err, ERR_UNSUPPORTED, "%s: expected %d, got %lld", at.path, BUNDLE_FORMAT,
                     (long long)format);
    if (rc == ERR_OK)
        rc = json_only(root, known, err);
    if (rc == ERR_OK)
        rc = parse_plain_name(root, "name", bundle->name, err);
    if (rc == ERR_OK)
        rc = parse_plain_name(root, "version", bundle->version, err);
    return rc == ERR_OK ? parse_kind(root, &bundle->kind, err) : rc;
}

enum err_code manifest_parse(const char *bytes, size_t len, struct bundle *bundle, struct err *err)
{
    uint8_t digest[SHA256_BYTES];
    enum err_code rc = json_parse(MANIFEST_NAME, bytes, len, &bundle->manifest, err);
    if (rc != ERR_OK)
        return bundle_fault(rc, err);
    sha256_of(bytes, len, digest);
    sha256_hex(digest, bundle->manifest_sha256);
    struct json_at root = json_root(MANIFEST_NAME, bundle->manifest);
    rc = parse_header(&root, bundle, err);
    if (rc == ERR_OK)
        rc = parse_files(&root, bundle, err);
    if (rc == ERR_OK)
        rc = parse_golden(&root, bundle, err);
    if (rc == ERR_OK)
        rc = parse_params(&root, bundle->kind, err);
    if (rc == ERR_OK)
        rc = parse_features(&root, bundle, err);
    if (rc == ERR_OK)
        rc = parse_trained(&root, &bundle->trained_at_ms, err);
    return bundle_fault(rc, err);
}

enum err_code bundle_param(const struct bundle *bundle, const char *name, double min, double max,
                           double fallback, double *ret_value, struct err *err)
{
    struct json_at root = json_root(MANIFEST_NAME, bundle->manifest);
    struct json_at params = json_member(&root, "params");
    struct json_at at = json_member(&params, name);
    if (at.value == NULL && isnan(fallback))
        return err_set(err, ERR_CORRUPT, "%s: missing, needed by kind %s", at.path,
                       model_kind_name(bundle->kind));
    if (at.value != NULL)
        return bundle_fault(json_real(&at, min, max, ret_value, err), err);
    *ret_value = fallback;
    return ERR_OK;
}
