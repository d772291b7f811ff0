/* SPDX-License-Identifier: Apache-2.0 */
/* The document around the trees.  Its objects may come in any order, and keys that do not matter
 * for prediction are skipped. */
#include "models/xgboost.h"

#include <stdlib.h>
#include <string.h>

#include "models/xgboost_internal.h"

#define VERSION_NEWEST 3

/* ---- names ----------------------------------------------------------------------------------- */

static bool read_feature_names(struct xgboost_document *d)
{
    struct xgboost_reader *reader = &d->reader;
    struct forest *forest = d->forest;
    if (!xgboost_open_array(reader))
        return false;
    while (xgboost_next_element(reader)) {
        if (d->name_count == FOREST_FEATURES_MAX)
            return xgboost_fail(reader, ERR_LIMIT, "more than %d features", FOREST_FEATURES_MAX);
        if (d->name_count == d->name_room) {
            uint32_t room = d->name_room == 0 ? 64 : 2 * d->name_room;
            void *grown = realloc(forest->feature_name, room * sizeof *forest->feature_name);
            if (grown == NULL)
                return xgboost_fail(reader, ERR_NOMEM, "out of memory");
            forest->feature_name = grown;
            d->name_room = room;
        }
        if (!xgboost_text(reader, forest->feature_name[d->name_count], FOREST_NAME_BYTES))
            return false;
        d->name_count++;
    }
    return reader->rc == ERR_OK;
}

/* ---- parameters ------------------------------------------------------------------------------ */

static bool read_version(struct xgboost_document *d)
{
    int64_t version[3] = {0};
    uint32_t count = 0;
    if (!xgboost_open_array(&d->reader))
        return false;
    while (xgboost_next_element(&d->reader)) {
        if (count == 3)
            return xgboost_fail(&d->reader, ERR_CORRUPT, "expected three numbers");
        if (!xgboost_integer(&d->reader, 0, 1000, &version[count++]))
            return false;
    }
    d->version_major = version[0];
    d->version_minor = version[1];
    if (d->reader.rc == ERR_OK && (version[0] < 1 || version[0] > VERSION_NEWEST))
        return xgboost_fail(&d->reader, ERR_UNSUPPORTED,
                            "written by XGBoost %lld.%lld, 1.0 to %d are read",
                            (long long)version[0], (long long)version[1], VERSION_NEWEST);
    return d->reader.rc == ERR_OK;
}

static bool read_learner_param(struct xgboost_document *d)
{
    static const char *const keys[] = {"base_score", "num_class", "num_feature", "num_target",
                                       NULL};
    struct xgboost_reader *reader = &d->reader;
    uint64_t seen = 0;
    int key = 0;
    d->target_count = 1;
    if (!xgboost_open_object(reader))
        return false;
    while (xgboost_next_key(reader, keys, &seen, &key)) {
        switch (key) {
        case 0: xgboost_next_text(reader, d->base_score, sizeof d->base_score); break;
        case 1: xgboost_next_text_integer(reader, 0, FOREST_OUTPUTS_MAX, &d->class_count); break;
        case 2: xgboost_next_text_integer(reader, 1, FOREST_FEATURES_MAX, &d->feature_count); break;
        case 3: xgboost_next_text_integer(reader, 0, FOREST_OUTPUTS_MAX, &d->target_count); break;
        default: break;
        }
    }
    return xgboost_require(reader, keys, seen, 7);
}

static bool read_objective(struct xgboost_document *d)
{
    static const char *const keys[] = {"name", NULL};
    uint64_t seen = 0;
    int key = 0;
    if (!xgboost_open_object(&d->reader))
        return false;
    while (xgboost_next_key(&d->reader, keys, &seen, &key)) {
        if (key == 0)
            xgboost_next_text(&d->reader, d->objective, sizeof d->objective);
    }
    return xgboost_require(&d->reader, keys, seen, 1);
}

static bool read_model_param(struct xgboost_document *d)
{
    static const char *const keys[] = {"num_trees", "num_parallel_tree", NULL};
    uint64_t seen = 0;
    int key = 0;
    d->parallel_count = 1;
    if (!xgboost_open_object(&d->reader))
        return false;
    while (xgboost_next_key(&d->reader, keys, &seen, &key)) {
        if (key == 0)
            xgboost_next_text_integer(&d->reader, 0, FOREST_TREES_MAX, &d->tree_count);
        else if (key == 1) /* 0: written by a version that did not use it */
            xgboost_next_text_integer(&d->reader, 0, FOREST_TREES_MAX, &d->parallel_count);
    }
    return xgboost_require(&d->reader, keys, seen, 1);
}

/* ---- the booster ----------------------------------------------------------------------------- */

static bool read_trees(struct xgboost_document *d)
{
    if (!xgboost_open_array(&d->reader))
        return false;
    while (xgboost_next_element(&d->reader)) {
        if (!xgboost_read_tree(d))
            return false;
    }
    d->has_trees = true;
    return d->reader.rc == ERR_OK;
}

/* Of gbtree: parameters and trees; of gblinear: weights. */
static bool read_model(struct xgboost_document *d)
{
    static const char *const keys[] = {"gbtree_model_param",
                                       "tree_info",
                                       "iteration_indptr",
                                       "weight_drop",
                                       "trees",
                                       "weights",
                                       NULL};
    struct xgboost_reader *reader = &d->reader;
    uint64_t seen = 0;
    int key = 0;
    if (!xgboost_open_object(reader))
        return false;
    while (xgboost_next_key(reader, keys, &seen, &key)) {
        bool ok = true;
        switch (key) {
        case 0: ok = read_model_param(d); break;
        case 1: ok = xgboost_next_integers(reader, FOREST_TREES_MAX, &d->tree_info); break;
        case 2: ok = xgboost_next_integers(reader, FOREST_TREES_MAX + 1, &d->round_begin); break;
        case 3: ok = xgboost_next_floats(reader, FOREST_TREES_MAX, &d->weight_drop); break;
        case 4: ok = read_trees(d); break;
        case 5:
            ok = xgboost_next_floats(reader, (FOREST_FEATURES_MAX + 1) * FOREST_OUTPUTS_MAX,
                                     &d->weights);
            d->has_weights = true;
            break;
        default: break;
        }
        if (!ok)
            return false;
    }
    return d->has_weights || xgboost_require(reader, keys, seen, 1 + 2 + 16);
}

/* The gbtree inside of dart. */
static bool read_gbtree(struct xgboost_document *d)
{
    static const char *const keys[] = {"model", NULL};
    uint64_t seen = 0;
    int key = 0;
    if (!xgboost_open_object(&d->reader))
        return false;
    while (xgboost_next_key(&d->reader, keys, &seen, &key)) {
        if (key == 0 && !read_model(d))
            return false;
    }
    return xgboost_require(&d->reader, keys, seen, 1);
}

/* gbtree and gblinear hold a model; dart holds a gbtree, and weights beside it. */
static bool read_booster(struct xgboost_document *d)
{
    static const char *const keys[] = {"name", "model", "gbtree", "weight_drop", NULL};
    struct xgboost_reader *reader = &d->reader;
    uint64_t seen = 0;
    int key = 0;
    if (!xgboost_open_object(reader))
        return false;
    while (xgboost_next_key(reader, keys, &seen, &key)) {
        bool ok = true;
        switch (key) {
        case 0: ok = xgboost_next_text(reader, d->booster, sizeof d->booster); break;
        case 1: ok = read_model(d); break;
        case 2: ok = read_gbtree(d); break;
        case 3: ok = xgboost_next_floats(reader, FOREST_TREES_MAX, &d->weight_drop); break;
        default: break;
        }
        if (!ok)
            return false;
    }
    if ((seen & 6) == 6)
        return xgboost_fail(reader, ERR_CORRUPT, "both model and gbtree are there");
    return xgboost_require(reader, keys, seen, 1);
}

static bool read_learner(struct xgboost_document *d)
{
    static const char *const keys[] = {"learner_model_param", "objective", "gradient_booster",
                                       "feature_names", NULL};
    uint64_t seen = 0;
    int key = 0;
    if (!xgboost_open_object(&d->reader))
        return false;
    while (xgboost_next_key(&d->reader, keys, &seen, &key)) {
        bool ok = true;
        switch (key) {
        case 0: ok = read_learner_param(d); break;
        case 1: ok = read_objective(d); break;
        case 2: ok = read_booster(d); break;
        case 3: ok = read_feature_names(d); break;
        default: break;
        }
        if (!ok)
            return false;
    }
    return xgboost_require(&d->reader, keys, seen, 7);
}

static bool read_document(struct xgboost_document *d)
{
    static const char *const keys[] = {"version", "learner", NULL};
    uint64_t seen = 0;
    int key = 0;
    if (!xgboost_open_object(&d->reader))
        return false;
    while (xgboost_next_key(&d->reader, keys, &seen, &key)) {
        if ((key == 0 && !read_version(d)) || (key == 1 && !read_learner(d)))
            return false;
    }
    if (!xgboost_require(&d->reader, keys, seen, 3))
        return false;
    return xgboost_next(&d->reader) == XGBOOST_END;
}

enum err_code xgboost_read(const char *name, const void *bytes, size_t len,
                           struct forest **ret_forest, struct err *err)
{
    struct xgboost_document *d = calloc(1, sizeof *d);
    if (d == NULL)
        return err_set(err, ERR_NOMEM, "%s: out of memory", name);
    xgboost_reader_init(&d->reader, name, bytes, len, err);
    enum err_code rc = forest_create(FOREST_XGBOOST, &d->forest, err);
    if (rc == ERR_OK) {
        d->forest->feature_count = FOREST_FEATURES_MAX; /* until it is known */
        if (read_document(d))
            xgboost_finish(d);
        rc = d->reader.rc;
    }
    if (rc == ERR_OK) {
        *ret_forest = d->forest;
        d->forest = NULL;
    }
    forest_destroy(&d->forest);
    xgboost_tree_free(&d->tree);
    free(d->tree_info.value);
    free(d->round_begin.value);
    free(d->weight_drop.value);
    free(d->weights.value);
    xgboost_reader_deinit(&d->reader);
    free(d);
    return rc;
}
