/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/cli/progress.h"
#include "tools/train/ranker_result.h"

#define FEATURES_SHOWN 10

static void print_count(FILE *out, const char *label, uint64_t value, const char *what)
{
    char buf[PROGRESS_COUNT_BYTES];
    fprintf(out, "  %-10s %12s  %s\n", label, progress_count(value, buf), what);
}

static void print_input(const struct ranker_result *result, FILE *out)
{
    const struct ranker_rows *rows = result->rows;
    print_count(out, "read", result->lines, "rows");
    if (rows->other_slots > 0)
        print_count(out, "", rows->other_slots, "left out: of other slots");
    if (rows->unranked > 0)
        print_count(out, "", rows->unranked, "left out: no ranker saw them");
    if (rows->unseen > 0)
        print_count(out, "", rows->unseen, "left out: without an impression");
    if (result->no_contrast > 0)
        print_count(out, "", result->no_contrast,
                    "decisions left out: all of their items had the same outcome");
    print_count(out, "trained on", result->train_count, "decisions");
    print_count(out, "", rows->feature_count, "features");
    print_count(out, "", result->model->rounds, "rounds");
}

static void print_metrics(const struct ranker_result *result, FILE *out)
{
    const struct ranker_rows *rows = result->rows;
    const struct {
        const char *name;
        const struct ranker_metrics *metrics;
    } lines[] = {{"ranker", &result->model->metrics}, {"as shown", &result->model->shown}};
    char from[CLOCK_ISO_BYTES], ndcg[16], recall[16];
    clock_format_iso(rows->group[result->train_count].ts_ms, from);
    snprintf(ndcg, sizeof ndcg, "ndcg@%u", (unsigned)result->options->k);
    snprintf(recall, sizeof recall, "recall@%u", (unsigned)result->options->k);
    fprintf(out, "\nvalidated on the %llu newest decisions, from %s on\n",
            (unsigned long long)(rows->group_count - result->train_count), from);
    fprintf(out, "  %-10s %12s %12s %12s\n", "order", ndcg, recall, "mrr");
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        fprintf(out, "  %-10s %12.4f %12.4f %12.4f\n", lines[i].name, lines[i].metrics->ndcg,
                lines[i].metrics->recall, lines[i].metrics->mrr);
}

static void print_table(const struct ranker_result *result, const char *bundle, FILE *out)
{
    const struct ranker_model *model = result->model;
    print_input(result, out);
    if (model->is_measured)
        print_metrics(result, out);
    fputs("\nwhat the trees look at, by gain\n", out);
    for (uint32_t i = 0; i < model->importance_count && i < FEATURES_SHOWN; i++)
        fprintf(out, "  %5.1f %%  %s\n", 100.0 * model->importance[i].gain,
                result->rows->name[model->importance[i].column]);
    fprintf(out, "\nbundle: %s\ntime: read %.2f s, train %.2f s\n", bundle, result->read_s,
            result->train_s);
}

static bool add_number(cJSON *to, const char *key, double value)
{
    return cJSON_AddNumberToObject(to, key, value) != NULL;
}

static bool add_all(cJSON *root, const struct ranker_result *result, const char *bundle)
{
    const struct ranker_rows *rows = result->rows;
    const struct ranker_model *model = result->model;
    const uint32_t k = (uint32_t)result->options->k;
    cJSON *input = cJSON_AddObjectToObject(root, "input");
    bool ok = input != NULL && add_number(input, "rows", (double)result->lines) &&
              add_number(input, "other_slots", (double)rows->other_slots) &&
              add_number(input, "unranked", (double)rows->unranked) &&
              add_number(input, "without_impression", (double)rows->unseen) &&
              add_number(input, "decisions_without_contrast", (double)result->no_contrast) &&
              cJSON_AddStringToObject(root, "command", "ranker") != NULL &&
              add_number(root, "decisions", (double)result->train_count) &&
              add_number(root, "features", rows->feature_count) &&
              add_number(root, "rounds", model->rounds) && ranker_add_importance(root, result);
    if (ok && model->is_measured) {
        cJSON *valid = cJSON_AddObjectToObject(root, "validation");
        ok = valid != NULL &&
             add_number(valid, "decisions", (double)(rows->group_count - result->train_count)) &&
             ranker_add_metrics(valid, "ranker", &model->metrics, k) &&
             ranker_add_metrics(valid, "as_shown", &model->shown, k);
    }
    cJSON *seconds = ok ? cJSON_AddObjectToObject(root, "seconds") : NULL;
    return seconds != NULL && cJSON_AddStringToObject(root, "bundle", bundle) != NULL &&
           add_number(seconds, "read", result->read_s) &&
           add_number(seconds, "train", result->train_s);
}

static enum err_code print_json(const struct ranker_result *result, const char *bundle, FILE *out,
                                struct err *err)
{
    cJSON *root = cJSON_CreateObject();
    char *text = root != NULL && add_all(root, result, bundle) ? cJSON_Print(root) : NULL;
    cJSON_Delete(root);
    if (text == NULL)
        return err_set(err, ERR_NOMEM, "the report: out of memory");
    fprintf(out, "%s\n", text);
    cJSON_free(text);
    return ERR_OK;
}

enum err_code ranker_report(const struct ranker_result *result, const char *bundle, FILE *out,
                            struct err *err)
{
    enum err_code rc = ERR_OK;
    if (result->options->json)
        rc = print_json(result, bundle, out, err);
    else
        print_table(result, bundle, out);
    if (rc == ERR_OK && fflush(out) != 0)
        rc = err_set(err, ERR_IO, "the report cannot be written");
    return rc;
}
