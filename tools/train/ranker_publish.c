/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/file.h"
#include "models/bundle.h"
#include "tools/train/ranker_result.h"

#define MODEL_FILE "model.ubj"

static bool add_number(cJSON *to, const char *key, double value)
{
    return cJSON_AddNumberToObject(to, key, value) != NULL;
}

bool ranker_add_metrics(cJSON *to, const char *key, const struct ranker_metrics *metrics,
                        uint32_t k)
{
    char ndcg[32], recall[32];
    cJSON *object = cJSON_AddObjectToObject(to, key);
    snprintf(ndcg, sizeof ndcg, "ndcg@%u", k);
    snprintf(recall, sizeof recall, "recall@%u", k);
    return object != NULL && add_number(object, ndcg, metrics->ndcg) &&
           add_number(object, recall, metrics->recall) && add_number(object, "mrr", metrics->mrr);
}

bool ranker_add_importance(cJSON *to, const struct ranker_result *result)
{
    const struct ranker_model *model = result->model;
    cJSON *object = cJSON_AddObjectToObject(to, "importance");
    bool ok = object != NULL;
    for (uint32_t i = 0; i < model->importance_count && ok; i++)
        ok = add_number(object, result->rows->name[model->importance[i].column],
                        model->importance[i].gain);
    return ok;
}

static bool add_features(cJSON *extra, const struct ranker_rows *rows)
{
    cJSON *array = cJSON_AddArrayToObject(extra, "features");
    bool ok = array != NULL;
    for (uint32_t i = 0; i < rows->feature_count && ok; i++) {
        cJSON *feature = cJSON_CreateObject();
        ok = feature != NULL && cJSON_AddItemToArray(array, feature) &&
             cJSON_AddStringToObject(feature, "name", rows->name[i]) != NULL;
    }
    return ok;
}

static bool add_trained(cJSON *extra, const struct ranker_result *result)
{
    const struct ranker_model *model = result->model;
    const struct ranker_rows *rows = result->rows;
    const struct train_options *options = result->options;
    const uint32_t k = (uint32_t)options->k;
    char at[CLOCK_ISO_BYTES];
    cJSON *trained = cJSON_AddObjectToObject(extra, "trained");
    clock_format_iso(rows->group[rows->group_count - 1].ts_ms / 1000 * 1000, at);
    bool ok = trained != NULL && cJSON_AddStringToObject(trained, "at", at) != NULL &&
              cJSON_AddStringToObject(trained, "objective", options->objective) != NULL &&
              cJSON_AddStringToObject(trained, "label", options->label) != NULL &&
              add_number(trained, "decisions", (double)result->train_count) &&
              add_number(trained, "rounds", model->rounds) &&
              add_number(trained, "seed", (double)options->seed) &&
              ranker_add_importance(trained, result);
    if (!ok || !model->is_measured)
        return ok;
    cJSON *metrics = cJSON_AddObjectToObject(trained, "metrics");
    return metrics != NULL &&
           add_number(metrics, "decisions", (double)(rows->group_count - result->train_count)) &&
           ranker_add_metrics(metrics, "ranker", &model->metrics, k) &&
           ranker_add_metrics(metrics, "as_shown", &model->shown, k);
}

struct publishing {
    const struct ranker_result *result;
    const cJSON *golden;
};

static enum err_code write_bundle(void *ctx, const char *dir, const struct publish_place *place,
                                  struct err *err)
{
    const struct publishing *p = ctx;
    const struct bundle_write_file file = {.key = "model", .path = MODEL_FILE};
    char path[FILE_PATH_BYTES];
    cJSON *extra = cJSON_CreateObject();
    enum err_code rc = file_join(dir, MODEL_FILE, path, sizeof path, err);
    if (rc == ERR_OK)
        rc = file_write_atomic(path, p->result->model->bytes, p->result->model->len, err);
    if (rc == ERR_OK)
        rc = bundle_write_golden(dir, p->golden, err);
    if (rc == ERR_OK &&
        (extra == NULL || !add_features(extra, p->result->rows) || !add_trained(extra, p->result)))
        rc = err_set(err, ERR_NOMEM, "manifest: out of memory");
    if (rc == ERR_OK)
        rc = bundle_write_manifest(dir, place->name, place->version, MODEL_trees, &file, 1, extra,
                                   err);
    cJSON_Delete(extra);
    return rc;
}

enum err_code ranker_publish(const struct publish_place *place, const struct ranker_result *result,
                             const cJSON *golden, struct err *err)
{
    struct publishing publishing = {result, golden};
    return publish_written(place, write_bundle, &publishing, err);
}
