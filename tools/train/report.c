/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/train/report.h"

#include "tools/cli/progress.h"
#include "tools/train/manifest.h"

#define ENTRY_BYTES 8 /* of a neighbor: row and weight */

static void print_count(FILE *out, const char *label, uint64_t value, const char *what)
{
    char buf[PROGRESS_COUNT_BYTES];
    fprintf(out, "  %-10s %12s  %s\n", label, progress_count(value, buf), what);
}

static void print_input(const struct report *report, FILE *out)
{
    const struct load_summary *load = report->load;
    const struct interactions *interactions = report->interactions;
    print_count(out, "read", load->lines, "lines");
    for (uint32_t i = 0; i < load->rule_count; i++) {
        char what[LOAD_RULE_BYTES + 16];
        snprintf(what, sizeof what, "left out by '%s'", load->rule[i].name);
        print_count(out, "", load->rule[i].lines, what);
    }
    if (load->bad > 0)
        print_count(out, "", load->bad, "bad");
    if (interactions->duplicates > 0)
        print_count(out, "", interactions->duplicates, "left out: the event id came before");
    if (interactions->unused > 0)
        print_count(out, "", interactions->unused, "of types that nothing is learned from");
    print_count(out, "", interactions->events, "kept");
}

static void print_training_part(const struct report *report, FILE *out)
{
    const struct dataset *dataset = report->dataset;
    char buf[PROGRESS_COUNT_BYTES], at[CLOCK_ISO_BYTES], what[96];
    snprintf(what, sizeof what, "views, carts and purchases, the newest of %s",
             clock_format_iso((int64_t)dataset->newest_s * 1000, at));
    print_count(out, report->levels != NULL ? "known" : "trained on", dataset->interaction_count,
                what);
    print_count(out, "", dataset->pairs.row_count, "users");
    print_count(out, "", dataset->pairs.column_count, "items");
    print_count(out, "", matrix_count(&dataset->pairs), "pairs of them");
    if (report->neighbor_entries > 0)
        fprintf(out, "  %-10s %12s  entries, %.1f MiB\n", "neighbors",
                progress_count(report->neighbor_entries, buf),
                (double)report->neighbor_entries * ENTRY_BYTES / (1 << 20));
}

static void print_metrics(const struct report *report, FILE *out)
{
    const struct evaluation *evaluation = report->evaluation;
    char at[CLOCK_ISO_BYTES], buf[PROGRESS_COUNT_BYTES], recall[16], ndcg[16], hr[16];
    snprintf(recall, sizeof recall, "recall@%u", evaluation->k);
    snprintf(ndcg, sizeof ndcg, "ndcg@%u", evaluation->k);
    snprintf(hr, sizeof hr, "hr@%u", evaluation->k);
    fprintf(out, "\ntested on what these users did with these items from %s on\n",
            clock_format_iso((int64_t)report->options->eval_s * 1000, at));
    fprintf(out, "  %-6s %10s %12s %12s %12s\n", "mode", "users", recall, ndcg, hr);
    for (int mode = 0; mode < EVALUATE_MODES; mode++) {
        const struct mode_metrics *one = &evaluation->mode[mode];
        fprintf(out, "  %-6s %10s %12.4f %12.4f %12.4f\n",
                evaluate_mode_name((enum evaluate_mode)mode), progress_count(one->users, buf),
                one->mean.recall, one->mean.ndcg, one->mean.hr);
    }
}

static void print_levels(const struct report *report, FILE *out)
{
    fprintf(out, "\nanswers of %s\n", report->options->url);
    for (uint32_t i = 0; i < report->levels->count; i++)
        print_count(out, "", report->levels->level[i].answers, report->levels->level[i].name);
    if (report->levels->short_lists > 0)
        print_count(out, "", report->levels->short_lists, "with fewer items than asked for");
}

static void print_table(const struct report *report, FILE *out)
{
    print_input(report, out);
    print_training_part(report, out);
    if (report->evaluation != NULL)
        print_metrics(report, out);
    if (report->levels != NULL)
        print_levels(report, out);
    if (report->bundle != NULL) {
        fprintf(out, "\nbundle: %s\n", report->bundle);
        if (report->evaluation != NULL)
            fprintf(out, "  It holds the model that was tested, which knows nothing after the "
                         "split; train without --eval to use all events.\n");
    }
    fprintf(out, "time: read %.2f s", report->read_s);
    if (report->levels == NULL)
        fprintf(out, ", train %.2f s", report->train_s);
    if (report->evaluation != NULL)
        fprintf(out, ", evaluate %.2f s", report->evaluate_s);
    fputc('\n', out);
}

static bool add_number(cJSON *to, const char *key, double value)
{
    return cJSON_AddNumberToObject(to, key, value) != NULL;
}

static bool add_input(cJSON *root, const struct report *report)
{
    const struct load_summary *load = report->load;
    cJSON *input = cJSON_AddObjectToObject(root, "input");
    cJSON *rules = cJSON_AddObjectToObject(input, "left_out");
    bool ok = rules != NULL && add_number(input, "lines", (double)load->lines) &&
              add_number(input, "kept", (double)report->interactions->events) &&
              add_number(input, "bad", (double)load->bad) &&
              add_number(input, "duplicates", (double)report->interactions->duplicates) &&
              add_number(input, "unused", (double)report->interactions->unused);
    for (uint32_t i = 0; i < load->rule_count && ok; i++)
        ok = add_number(rules, load->rule[i].name, (double)load->rule[i].lines);
    return ok;
}

static bool add_evaluation(cJSON *root, const struct report *report)
{
    char at[CLOCK_ISO_BYTES];
    cJSON *eval = cJSON_AddObjectToObject(root, "eval");
    clock_format_iso((int64_t)report->options->eval_s * 1000, at);
    return eval != NULL && cJSON_AddStringToObject(eval, "split", at) != NULL &&
           add_number(eval, "k", report->evaluation->k) &&
           manifest_add_metrics(eval, report->evaluation);
}

static bool add_levels(cJSON *root, const struct remote_levels *levels)
{
    cJSON *object = cJSON_AddObjectToObject(root, "levels");
    bool ok = object != NULL && add_number(root, "short_lists", (double)levels->short_lists);
    for (uint32_t i = 0; i < levels->count && ok; i++)
        ok = add_number(object, levels->level[i].name, (double)levels->level[i].answers);
    return ok;
}

static bool add_all(cJSON *root, const struct report *report)
{
    const struct dataset *dataset = report->dataset;
    char at[CLOCK_ISO_BYTES];
    clock_format_iso((int64_t)dataset->newest_s * 1000, at);
    bool ok = cJSON_AddStringToObject(root, "command",
                                      train_command_name(report->options->command)) != NULL &&
              add_input(root, report) &&
              add_number(root, "events", (double)dataset->interaction_count) &&
              add_number(root, "users", dataset->pairs.row_count) &&
              add_number(root, "items", dataset->pairs.column_count) &&
              add_number(root, "pairs", (double)matrix_count(&dataset->pairs)) &&
              cJSON_AddStringToObject(root, "trained_at", at) != NULL;
    if (ok && report->neighbor_entries > 0)
        ok = add_number(root, "neighbor_entries", (double)report->neighbor_entries);
    if (ok && report->bundle != NULL)
        ok = cJSON_AddStringToObject(root, "bundle", report->bundle) != NULL;
    if (ok && report->evaluation != NULL)
        ok = add_evaluation(root, report);
    if (ok && report->levels != NULL)
        ok = add_levels(root, report->levels);
    cJSON *seconds = ok ? cJSON_AddObjectToObject(root, "seconds") : NULL;
    return seconds != NULL && add_number(seconds, "read", report->read_s) &&
           add_number(seconds, "train", report->train_s) &&
           add_number(seconds, "evaluate", report->evaluate_s);
}

static enum err_code print_json(const struct report *report, FILE *out, struct err *err)
{
    cJSON *root = cJSON_CreateObject();
    char *text = root != NULL && add_all(root, report) ? cJSON_Print(root) : NULL;
    cJSON_Delete(root);
    if (text == NULL)
        return err_set(err, ERR_NOMEM, "the report: out of memory");
    fprintf(out, "%s\n", text);
    cJSON_free(text);
    return ERR_OK;
}

enum err_code report_print(const struct report *report, FILE *out, struct err *err)
{
    enum err_code rc = ERR_OK;
    if (report->options->json)
        rc = print_json(report, out, err);
    else
        print_table(report, out);
    if (rc == ERR_OK && fflush(out) != 0)
        rc = err_set(err, ERR_IO, "the report cannot be written");
    return rc;
}
