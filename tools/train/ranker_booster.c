/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/train/ranker_booster.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xgboost/c_api.h>

/* Rows of some decisions as XGBoost takes them. */
struct part {
    DMatrixHandle matrix;
    float *grade; /* owned */
    uint32_t *row_count;
    uint64_t groups, rows;
};

struct boosting {
    const struct ranker_rows *rows;
    const struct ranker_booster_options *options;
    struct part train, valid;
    BoosterHandle booster;
};

/* "[00:12:07] ./src/objective/rank_obj.cu:91: Check failed: ..." and a trace of the stack. */
static enum err_code xgboost_failed(struct err *err)
{
    const char *text = XGBGetLastError();
    const char *end = strchr(text, '\n');
    const size_t len = end != NULL ? (size_t)(end - text) : strlen(text);
    return err_set(err, ERR_IO, "xgboost: %.*s", (int)(len < 250 ? len : 250), text);
}

/* ---- rows ------------------------------------------------------------------------------------ */

static enum err_code set_info(struct part *part, struct err *err)
{
    if (XGDMatrixSetFloatInfo(part->matrix, "label", part->grade, part->rows) != 0 ||
        XGDMatrixSetUIntInfo(part->matrix, "group", part->row_count, part->groups) != 0)
        return xgboost_failed(err);
    return ERR_OK;
}

static enum err_code make_matrix(const float *value, uint64_t rows, uint32_t columns,
                                 uint32_t threads, DMatrixHandle *ret_matrix, struct err *err)
{
    if (XGDMatrixCreateFromMat_omp(value, rows, columns, NAN, ret_matrix, (int)threads) != 0)
        return xgboost_failed(err);
    return ERR_OK;
}

static void copy_groups(const struct ranker_rows *rows, uint64_t first, enum ranker_label label,
                        struct part *part, float *value)
{
    const uint32_t columns = rows->feature_count;
    uint64_t to = 0;
    for (uint64_t g = 0; g < part->groups; g++) {
        const struct ranker_group *group = &rows->group[first + g];
        part->row_count[g] = group->row_count;
        for (uint32_t i = 0; i < group->row_count; i++, to++) {
            const uint64_t row = group->first_row + i;
            memcpy(value + to * columns, rows->value + row * rows->stride,
                   columns * sizeof value[0]);
            part->grade[to] = ranker_grade(label, rows->outcome[row]);
        }
    }
}

static enum err_code make_part(const struct boosting *boosting, uint64_t first, uint64_t count,
                               struct part *part, struct err *err)
{
    const struct ranker_rows *rows = boosting->rows;
    part->groups = count;
    for (uint64_t g = 0; g < count; g++)
        part->rows += rows->group[first + g].row_count;
    float *value = malloc((part->rows * rows->feature_count + 1) * sizeof value[0]);
    part->grade = malloc((part->rows + 1) * sizeof part->grade[0]);
    part->row_count = malloc((count + 1) * sizeof part->row_count[0]);
    enum err_code rc = ERR_OK;
    if (value == NULL || part->grade == NULL || part->row_count == NULL) {
        rc = err_set(err, ERR_NOMEM, "training: out of memory");
    } else {
        copy_groups(rows, first, boosting->options->label, part, value);
        rc = make_matrix(value, part->rows, rows->feature_count, boosting->options->threads,
                         &part->matrix, err);
    }
    free(value);
    return rc == ERR_OK ? set_info(part, err) : rc;
}

static void part_deinit(struct part *part)
{
    if (part->matrix != NULL)
        XGDMatrixFree(part->matrix);
    free(part->grade);
    free(part->row_count);
}

/* ---- parameters ------------------------------------------------------------------------------ */

static enum err_code set_param(struct boosting *boosting, const char *name, const char *value,
                               struct err *err)
{
    return XGBoosterSetParam(boosting->booster, name, value) == 0 ? ERR_OK : xgboost_failed(err);
}

static enum err_code set_number(struct boosting *boosting, const char *name, double value,
                                struct err *err)
{
    char text[32];
    snprintf(text, sizeof text, "%.17g", value);
    return set_param(boosting, name, text, err);
}

static enum err_code set_params(struct boosting *boosting, struct err *err)
{
    const struct ranker_booster_options *options = boosting->options;
    const bool is_pointwise = strcmp(options->objective, "logistic") == 0;
    char objective[32];
    const struct {
        const char *name;
        double value;
    } numbers[] = {{"verbosity", 0},
                   {"disable_default_eval_metric", 1},
                   {"nthread", options->threads},
                   {"seed", (double)options->seed},
                   {"max_depth", options->depth},
                   {"eta", options->learning_rate},
                   {"min_child_weight", options->min_child_weight},
                   {"lambda", options->l2},
                   {"subsample", options->subsample},
                   {"colsample_bytree", options->column_share},
                   {"num_pairsample", options->pairs}};
    const size_t count = sizeof numbers / sizeof numbers[0] - (is_pointwise ? 1 : 0);
    snprintf(objective, sizeof objective, "%s:%s", is_pointwise ? "binary" : "rank",
             options->objective);
    enum err_code rc = set_param(boosting, "objective", objective, err);
    if (rc == ERR_OK)
        rc = set_param(boosting, "tree_method", "hist", err);
    for (size_t i = 0; i < count && rc == ERR_OK; i++)
        rc = set_number(boosting, numbers[i].name, numbers[i].value, err);
    return rc;
}

static enum err_code begin(struct boosting *boosting, uint64_t train_count, struct err *err)
{
    const uint64_t all = boosting->rows->group_count;
    enum err_code rc = make_part(boosting, 0, train_count, &boosting->train, err);
    if (rc == ERR_OK && train_count < all)
        rc = make_part(boosting, train_count, all - train_count, &boosting->valid, err);
    if (rc != ERR_OK)
        return rc;
    const DMatrixHandle known[] = {boosting->train.matrix, boosting->valid.matrix};
    if (XGBoosterCreate(known, boosting->valid.matrix == NULL ? 1 : 2, &boosting->booster) != 0)
        return xgboost_failed(err);
    return set_params(boosting, err);
}

/* ---- rounds ---------------------------------------------------------------------------------- */

/* Margins: the same order as that of outputs, without their rounding. */
static enum err_code predict(BoosterHandle booster, DMatrixHandle matrix, int type,
                             const float **ret_score, struct err *err)
{
    char config[128];
    const bst_ulong *shape = NULL;
    bst_ulong dim = 0;
    snprintf(config, sizeof config,
             "{\"type\": %d, \"training\": false, \"iteration_begin\": 0, \"iteration_end\": 0, "
             "\"strict_shape\": false}",
             type);
    if (XGBoosterPredictFromDMatrix(booster, matrix, config, &shape, &dim, ret_score) != 0)
        return xgboost_failed(err);
    return ERR_OK;
}

static enum err_code measure(const struct boosting *boosting, struct ranker_metrics *ret_metrics,
                             struct err *err)
{
    const struct part *valid = &boosting->valid;
    const struct ranker_lists lists = {valid->grade, valid->row_count, valid->groups};
    const float *score = NULL;
    enum err_code rc = predict(boosting->booster, valid->matrix, 1, &score, err);
    if (rc == ERR_OK)
        rc = ranker_measure(&lists, score, boosting->options->k, ret_metrics, err);
    return rc;
}

/* Rounds until nothing gets better. */
static enum err_code boost(struct boosting *boosting, struct ranker_model *model, struct err *err)
{
    const struct ranker_booster_options *options = boosting->options;
    const bool is_measured = boosting->valid.matrix != NULL;
    enum err_code rc = ERR_OK;
    model->is_measured = is_measured;
    for (uint32_t round = 0; round < options->rounds && rc == ERR_OK; round++) {
        struct ranker_metrics metrics = {0};
        if (XGBoosterUpdateOneIter(boosting->booster, (int)round, boosting->train.matrix) != 0)
            return xgboost_failed(err);
        if (options->progress != NULL)
            options->progress(options->progress_ctx, round + 1, options->rounds);
        if (is_measured)
            rc = measure(boosting, &metrics, err);
        if (!is_measured || model->rounds == 0 || metrics.ndcg > model->metrics.ndcg) {
            model->metrics = metrics;
            model->rounds = round + 1;
        } else if (round + 1 - model->rounds >= options->patience) {
            break;
        }
    }
    return rc;
}

/* ---- what comes out -------------------------------------------------------------------------- */

static enum err_code name_columns(const struct ranker_rows *rows, BoosterHandle booster,
                                  struct err *err)
{
    const char *name[RANKER_FEATURES_MAX];
    for (uint32_t i = 0; i < rows->feature_count; i++)
        name[i] = rows->name[i];
    if (XGBoosterSetStrFeatureInfo(booster, "feature_name", name, rows->feature_count) != 0)
        return xgboost_failed(err);
    return ERR_OK;
}

static int by_gain(const void *a, const void *b)
{
    const struct ranker_importance *x = a, *y = b;
    if (x->gain != y->gain)
        return x->gain > y->gain ? -1 : 1;
    return x->column < y->column ? -1 : x->column > y->column;
}

static uint32_t column_of(const struct ranker_rows *rows, const char *name)
{
    uint32_t column = 0;
    while (column + 1 < rows->feature_count && strcmp(rows->name[column], name) != 0)
        column++;
    return column;
}

static enum err_code weigh_columns(const struct ranker_rows *rows, BoosterHandle booster,
                                   struct ranker_model *model, struct err *err)
{
    bst_ulong count = 0, dim = 0;
    const bst_ulong *shape = NULL;
    const char **name = NULL;
    const float *gain = NULL;
    double sum = 0.0;
    if (XGBoosterFeatureScore(booster, "{\"importance_type\": \"total_gain\"}", &count, &name, &dim,
                              &shape, &gain) != 0)
        return xgboost_failed(err);
    model->importance = calloc(count + 1, sizeof model->importance[0]);
    if (model->importance == NULL)
        return err_set(err, ERR_NOMEM, "training: out of memory");
    for (bst_ulong i = 0; i < count; i++)
        sum += (double)gain[i];
    for (bst_ulong i = 0; i < count && sum > 0.0; i++)
        model->importance[model->importance_count++] = (struct ranker_importance){
            .column = column_of(rows, name[i]), .gain = (double)gain[i] / sum};
    qsort(model->importance, model->importance_count, sizeof model->importance[0], by_gain);
    return ERR_OK;
}

static enum err_code save(BoosterHandle booster, struct ranker_model *model, struct err *err)
{
    bst_ulong len = 0;
    const char *bytes = NULL;
    if (XGBoosterSaveModelToBuffer(booster, "{\"format\": \"ubj\"}", &len, &bytes) != 0)
        return xgboost_failed(err);
    model->bytes = malloc(len);
    if (model->bytes == NULL)
        return err_set(err, ERR_NOMEM, "training: out of memory");
    memcpy(model->bytes, bytes, len);
    model->len = len;
    return ERR_OK;
}

static enum err_code score_golden(const struct boosting *boosting, BoosterHandle booster,
                                  const float *golden, uint32_t count, struct ranker_model *model,
                                  struct err *err)
{
    DMatrixHandle matrix = NULL;
    const float *score = NULL;
    enum err_code rc = make_matrix(golden, count, boosting->rows->feature_count,
                                   boosting->options->threads, &matrix, err);
    if (rc == ERR_OK)
        rc = predict(booster, matrix, 0, &score, err);
    model->golden = malloc((count + 1) * sizeof model->golden[0]);
    if (rc == ERR_OK && model->golden == NULL)
        rc = err_set(err, ERR_NOMEM, "training: out of memory");
    if (rc == ERR_OK)
        memcpy(model->golden, score, count * sizeof score[0]);
    if (matrix != NULL)
        XGDMatrixFree(matrix);
    return rc;
}

/* The rounds that are kept, as a booster of their own. */
static enum err_code keep_best(const struct boosting *boosting, const float *golden,
                               uint32_t golden_count, struct ranker_model *model, struct err *err)
{
    BoosterHandle best = NULL;
    if (XGBoosterSlice(boosting->booster, 0, (int)model->rounds, 1, &best) != 0)
        return xgboost_failed(err);
    enum err_code rc = name_columns(boosting->rows, best, err);
    if (rc == ERR_OK)
        rc = weigh_columns(boosting->rows, best, model, err);
    if (rc == ERR_OK)
        rc = save(best, model, err);
    if (rc == ERR_OK)
        rc = score_golden(boosting, best, golden, golden_count, model, err);
    XGBoosterFree(best);
    return rc;
}

enum err_code ranker_boost(const struct ranker_rows *rows, uint64_t train_count,
                           const struct ranker_booster_options *options, const float *golden,
                           uint32_t golden_count, struct ranker_model *ret_model, struct err *err)
{
    struct boosting boosting = {.rows = rows, .options = options};
    struct ranker_model model = {0};
    enum err_code rc = begin(&boosting, train_count, err);
    const struct ranker_lists lists = {boosting.valid.grade, boosting.valid.row_count,
                                       boosting.valid.groups};
    if (rc == ERR_OK && lists.count > 0)
        rc = ranker_measure(&lists, NULL, options->k, &model.shown, err);
    if (rc == ERR_OK)
        rc = boost(&boosting, &model, err);
    if (rc == ERR_OK)
        rc = keep_best(&boosting, golden, golden_count, &model, err);
    if (boosting.booster != NULL)
        XGBoosterFree(boosting.booster);
    part_deinit(&boosting.train);
    part_deinit(&boosting.valid);
    if (rc == ERR_OK)
        *ret_model = model;
    else
        ranker_model_deinit(&model);
    return rc;
}

void ranker_model_deinit(struct ranker_model *model)
{
    free(model->bytes);
    free(model->importance);
    free(model->golden);
    *model = (struct ranker_model){0};
}
