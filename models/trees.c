/* SPDX-License-Identifier: Apache-2.0 */
/* Loads a bundle of the kind trees: the file of the library, and what the manifest says about it.
 */
#include <stdlib.h>
#include <string.h>

#include "models/forest_file.h"
#include "models/model_internal.h"

#define NOT_GIVEN (-1.0)

/* A whole number, or NOT_GIVEN. */
static enum err_code read_param(const struct bundle *bundle, const char *name, double min,
                                double max, double *ret_value, struct err *err)
{
    enum err_code rc = bundle_param(bundle, name, min, max, NOT_GIVEN, ret_value, err);
    if (rc == ERR_OK && *ret_value != floor(*ret_value))
        rc = err_set(err, ERR_CORRUPT, "manifest.json: params.%s: expected a whole number, got %g",
                     name, *ret_value);
    return rc;
}

static enum err_code read_forest(struct bundle *bundle, struct trees *trees, struct err *err)
{
    struct bundle_file *file = NULL;
    double rounds = 0;
    double average = 0;
    enum err_code rc = bundle_file(bundle, "model", &file, err);
    if (rc == ERR_OK)
        rc = read_param(bundle, "average_is_output", 0, 1, &average, err);
    if (rc == ERR_OK)
        rc = read_param(bundle, "rounds", 1, FOREST_TREES_MAX, &rounds, err);
    if (rc == ERR_OK)
        rc = forest_read(file->path, file->bytes, file->len,
                         average == NOT_GIVEN ? FOREST_AVERAGE_UNKNOWN
                         : average == 1.0     ? FOREST_AVERAGE_IS_OUTPUT
                                              : FOREST_AVERAGE_IS_MARGIN,
                         &trees->forest, err);
    if (rc == ERR_OK && rounds != NOT_GIVEN)
        rc = forest_limit_rounds(trees->forest, (uint32_t)rounds, err);
    return rc;
}

static enum err_code choose_output(const struct bundle *bundle, struct trees *trees,
                                   struct err *err)
{
    double raw = 0;
    double output = 0;
    enum err_code rc = read_param(bundle, "raw", 0, 1, &raw, err);
    if (rc == ERR_OK)
        rc = read_param(bundle, "output", 0, FOREST_OUTPUTS_MAX - 1, &output, err);
    if (rc != ERR_OK)
        return rc;
    trees->is_raw = raw == 1.0;
    uint32_t count =
        trees->is_raw ? trees->forest->output_count : forest_transformed_count(trees->forest);
    if (output == NOT_GIVEN && count > 1)
        return err_set(err, ERR_CORRUPT,
                       "manifest.json: params.output: missing, and the model has %u outputs",
                       count);
    if (output >= (double)count)
        return err_set(err, ERR_CORRUPT, "manifest.json: params.output: expected 0..%u, got %g",
                       count - 1, output);
    trees->output = output == NOT_GIVEN ? 0 : (uint32_t)output;
    return ERR_OK;
}

/* ---- names ----------------------------------------------------------------------------------- */

/* The file's own names are those of features. */
static enum err_code take_names_of_file(struct trees *trees, struct err *err)
{
    const struct forest *forest = trees->forest;
    for (uint32_t i = 0; i < trees->feature_count; i++) {
        struct bundle_feature *feature = &trees->feature[i];
        const char *name = forest->feature_name[i];
        feature->fallback = NAN;
        if (!text_is_id(text_of(name)) || strlen(name) >= sizeof feature->name)
            return err_set(err, ERR_CORRUPT,
                           "feature_names[%u]: expected 1..%zu bytes without controls", i,
                           sizeof feature->name - 1);
        text_copy(text_of(name), feature->name, sizeof feature->name);
        for (uint32_t j = 0; j < i; j++) {
            if (strcmp(forest->feature_name[j], name) == 0)
                return err_set(err, ERR_CORRUPT, "feature_names[%u]: '%s' stands at %u already", i,
                               name, j);
        }
    }
    return ERR_OK;
}

static bool find_column(const struct forest *forest, const char *name, uint32_t *ret_column)
{
    for (uint32_t i = 0; i < forest->feature_count; i++) {
        if (strcmp(forest->feature_name[i], name) == 0) {
            *ret_column = i;
            return true;
        }
    }
    return false;
}

/* The manifest's features, brought into the order of the file: by name when the file has names,
 * else they are in that order. */
static enum err_code take_names_of_manifest(const struct bundle *bundle, struct trees *trees,
                                            struct err *err)
{
    for (uint32_t i = 0; i < trees->feature_count; i++) {
        const struct bundle_feature *given = &bundle->feature[i];
        bool has_column = given->column[0] != '\0';
        uint32_t column = i;
        if (trees->forest->feature_name == NULL && has_column)
            return err_set(err, ERR_CORRUPT,
                           "manifest.json: features[%u].column: the model file names no columns",
                           i);
        if (trees->forest->feature_name != NULL &&
            !find_column(trees->forest, has_column ? given->column : given->name, &column))
            return err_set(err, ERR_CORRUPT,
                           "manifest.json: features[%u]: the model file has no column '%s'", i,
                           has_column ? given->column : given->name);
        if (trees->feature[column].name[0] != '\0')
            return err_set(err, ERR_CORRUPT,
                           "manifest.json: features[%u]: column '%s' has the feature '%s' already",
                           i, has_column ? given->column : given->name,
                           trees->feature[column].name);
        trees->feature[column] = *given;
        trees->has_fallback = trees->has_fallback || !isnan(given->fallback);
    }
    return ERR_OK;
}

static enum err_code take_names(const struct bundle *bundle, struct trees *trees, struct err *err)
{
    const struct forest *forest = trees->forest;
    if (bundle->feature_count == 0 && forest->feature_name == NULL)
        return err_set(err, ERR_CORRUPT,
                       "manifest.json: features: missing, and the model file names none");
    if (bundle->feature_count != 0 && bundle->feature_count != forest->feature_count)
        return err_set(err, ERR_CORRUPT,
                       "manifest.json: features: expected %u as in the model file, got %u",
                       forest->feature_count, bundle->feature_count);
    trees->feature_count = forest->feature_count;
    trees->feature = calloc(trees->feature_count, sizeof *trees->feature);
    if (trees->feature == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for %u features", trees->feature_count);
    return bundle->feature_count == 0 ? take_names_of_file(trees, err)
                                      : take_names_of_manifest(bundle, trees, err);
}

/* Trees of other outputs are left out where the score does not depend on them. */
static enum err_code make_fast(struct trees *trees, struct err *err)
{
    bool needs_all = !trees->is_raw && forest_mixes_outputs(trees->forest);
    if (trees->forest->linear_weight != NULL)
        return ERR_OK;
    return forest_fast_create(trees->forest, needs_all ? FOREST_ALL_OUTPUTS : trees->output,
                              &trees->fast, err);
}

enum err_code trees_load(struct bundle *bundle, struct model *model, struct err *err)
{
    struct trees *trees = calloc(1, sizeof *trees);
    model->as.trees = trees;
    if (trees == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for model %s", model->label);
    enum err_code rc = read_forest(bundle, trees, err);
    if (rc == ERR_OK)
        rc = choose_output(bundle, trees, err);
    if (rc == ERR_OK)
        rc = take_names(bundle, trees, err);
    if (rc == ERR_OK)
        rc = make_fast(trees, err);
    if (rc != ERR_OK)
        return rc;
    model->feature = trees->feature;
    model->feature_count = trees->feature_count;
    model->bytes +=
        sizeof *trees + trees->feature_count * sizeof *trees->feature + forest_bytes(trees->forest);
    if (trees->fast != NULL)
        model->bytes += forest_fast_bytes(trees->fast);
    model->bytes -= bundle->bytes; /* the file itself is not kept */
    return ERR_OK;
}

void trees_destroy(struct trees *trees)
{
    if (trees == NULL)
        return;
    forest_fast_destroy(&trees->fast);
    forest_destroy(&trees->forest);
    free(trees->feature);
    free(trees);
}
