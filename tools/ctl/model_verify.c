/* SPDX-License-Identifier: Apache-2.0 */
/* model verify: all that can be said of a bundle without a daemon.  What is wrong with the bundle
 * itself ends it at once, as it would end a load; what may keep it from serving well is a doubt in
 * the report. */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "models/blend.h"
#include "models/model_figures.h"
#include "models/ranker.h"
#include "tools/ctl/model_features.h"
#include "tools/ctl/model_source.h"
#include "tools/ctl/model_speed.h"
#include "tools/ctl/table.h"

#define AHEAD_MS_MAX 300000 /* the daemon takes no later time of training */
#define DOUBTS_MAX   64
#define DOUBT_BYTES  256

struct report {
    struct ctl *ctl;
    const char *path;
    const struct minisign_keys *keys; /* NULL: the signature is not checked */
    struct definitions *definitions;  /* owned; NULL: none were given */
    struct bundle *bundle;            /* owned */
    struct model *model;              /* owned */
    uint32_t golden_rows;
    struct model_speed speed;
    struct model_figure figure[MODEL_FIGURES_MAX];
    uint32_t figure_count;
    char doubt[DOUBTS_MAX][DOUBT_BYTES];
    uint32_t doubt_count;
};

static void __attribute__((format(printf, 2, 3))) doubt(struct report *report, const char *fmt, ...)
{
    va_list args;
    if (report->doubt_count == DOUBTS_MAX)
        return;
    va_start(args, fmt);
    vsnprintf(report->doubt[report->doubt_count++], DOUBT_BYTES, fmt, args);
    va_end(args);
}

/* ---- what there is to say -------------------------------------------------------------------- */

static enum feature_origin origin_of(const struct report *report, uint32_t feature)
{
    return model_feature_origin(text_of(report->model->feature[feature].name), report->definitions);
}

static void judge_features(struct report *report)
{
    for (uint32_t f = 0; f < report->model->feature_count; f++) {
        const char *name = report->model->feature[f].name;
        if (report->model->feature[f].optional)
            continue;
        if (origin_of(report, f) == ORIGIN_NOWHERE)
            doubt(report, "nothing supplies the feature '%.100s'%s", name,
                  report->definitions == NULL ? "; give --features FILE if it is defined there"
                                              : "");
        else if (!model_feature_has_number(text_of(name), report->definitions))
            doubt(report, "the feature '%.100s' is a list of ids and has no number", name);
    }
}

static void judge_time(struct report *report)
{
    char iso[CLOCK_ISO_BYTES];
    int64_t at_ms = report->model->trained_at_ms;
    if (at_ms > clock_wall_ms(clock_system()) + AHEAD_MS_MAX)
        doubt(report, "trained.at is in the future: %s", clock_format_iso(at_ms, iso));
}

static enum err_code examine(struct report *report, struct err *err)
{
    cJSON *golden = NULL;
    const struct bundle_file *file = &report->bundle->golden;
    enum err_code rc = json_parse(file->path, (const char *)file->bytes, file->len, &golden, err);
    if (rc != ERR_OK)
        return rc;
    const cJSON *rows = cJSON_GetObjectItemCaseSensitive(golden, "rows");
    report->golden_rows = (uint32_t)cJSON_GetArraySize(rows);
    report->figure_count = model_figures(report->model, report->figure);
    judge_features(report);
    judge_time(report);
    rc = model_speed(report->model, rows, &report->speed, err);
    cJSON_Delete(golden);
    return rc;
}

static const char *signature_state(const struct report *report)
{
    if (report->keys != NULL)
        return "good"; /* another one was refused */
    return report->bundle->has_signature ? "unchecked" : "none";
}

/* ---- as JSON --------------------------------------------------------------------------------- */

static void add_files(const struct report *report, cJSON *root)
{
    cJSON *files = cJSON_AddArrayToObject(root, "files");
    for (uint32_t i = 0; i < report->bundle->file_count; i++) {
        const struct bundle_file *file = &report->bundle->file[i];
        cJSON *entry = cJSON_CreateObject();
        cJSON_AddItemToArray(files, entry);
        cJSON_AddStringToObject(entry, "path", file->path);
        cJSON_AddNumberToObject(entry, "bytes", (double)file->len);
        cJSON_AddStringToObject(entry, "sha256", file->sha256);
    }
}

static void add_features(const struct report *report, cJSON *root)
{
    cJSON *features = cJSON_AddArrayToObject(root, "features");
    for (uint32_t f = 0; f < report->model->feature_count; f++) {
        const struct bundle_feature *feature = &report->model->feature[f];
        enum feature_origin origin = origin_of(report, f);
        cJSON *entry = cJSON_CreateObject();
        cJSON_AddItemToArray(features, entry);
        cJSON_AddStringToObject(entry, "name", feature->name);
        if (origin == ORIGIN_NOWHERE)
            cJSON_AddNullToObject(entry, "from");
        else
            cJSON_AddStringToObject(entry, "from", feature_origin_name(origin));
        if (isnan(feature->fallback))
            cJSON_AddNullToObject(entry, "default");
        else
            cJSON_AddNumberToObject(entry, "default", feature->fallback);
    }
}

static void add_signature(const struct report *report, cJSON *root)
{
    cJSON *signature = cJSON_AddObjectToObject(root, "signature");
    cJSON_AddStringToObject(signature, "state", signature_state(report));
    if (report->keys == NULL)
        return;
    cJSON_AddStringToObject(signature, "key", report->bundle->proof.key_id);
    cJSON_AddStringToObject(signature, "trusted_comment", report->bundle->proof.trusted_comment);
}

static int print_json(const struct report *report)
{
    const struct bundle *bundle = report->bundle;
    cJSON *root = cJSON_CreateObject();
    cJSON_AddBoolToObject(root, "ok", report->doubt_count == 0);
    cJSON_AddStringToObject(root, "name", bundle->name);
    cJSON_AddStringToObject(root, "version", bundle->version);
    cJSON_AddStringToObject(root, "kind", model_kind_name(bundle->kind));
    cJSON_AddStringToObject(root, "manifest_sha256", bundle->manifest_sha256);
    cJSON_AddNumberToObject(root, "bytes", (double)bundle->bytes);
    cJSON_AddNumberToObject(root, "memory_bytes", (double)model_serving_bytes(report->model));
    add_files(report, root);
    add_signature(report, root);
    cJSON_AddNumberToObject(root, "golden_rows", report->golden_rows);
    cJSON_AddNumberToObject(root, "golden_tolerance", bundle->golden_tolerance);
    add_features(report, root);
    cJSON *row_us = cJSON_AddObjectToObject(root, "row_us");
    cJSON_AddNumberToObject(row_us, "alone", report->speed.one_row_us);
    cJSON_AddNumberToObject(row_us, "of_100", report->speed.batch_row_us);
    cJSON *figures = cJSON_AddObjectToObject(root, "figures");
    for (uint32_t i = 0; i < report->figure_count; i++)
        cJSON_AddNumberToObject(figures, report->figure[i].name, (double)report->figure[i].value);
    cJSON *doubts = cJSON_AddArrayToObject(root, "doubts");
    for (uint32_t i = 0; i < report->doubt_count; i++)
        cJSON_AddItemToArray(doubts, cJSON_CreateString(report->doubt[i]));
    char *text = cJSON_PrintUnformatted(root);
    cJSON_Delete(root);
    if (text == NULL)
        return ctl_fail("model", "out of memory");
    puts(text);
    cJSON_free(text);
    return EXIT_FINE;
}

/* ---- for people ------------------------------------------------------------------------------ */

static void print_signature(const struct report *report)
{
    const struct minisign_proof *proof = &report->bundle->proof;
    if (report->keys != NULL)
        printf("  signature  by the key %s: %s\n", proof->key_id, proof->trusted_comment);
    else
        printf("  signature  %s\n", report->bundle->has_signature
                                        ? "there is one; give --key to have it checked"
                                        : "none");
}

static void print_features(const struct report *report)
{
    struct table table;
    table_init(&table, "FEATURE FROM >DEFAULT");
    for (uint32_t f = 0; f < report->model->feature_count; f++) {
        const struct bundle_feature *feature = &report->model->feature[f];
        table_put(&table, text_of(feature->name));
        table_put(&table, text_of(feature_origin_name(origin_of(report, f))));
        if (isnan(feature->fallback))
            table_put(&table, TEXT_LITERAL("missing"));
        else
            table_put_fmt(&table, "%g", feature->fallback);
    }
    table_print(&table, stdout);
    table_deinit(&table);
}

static void print_parts(const struct model *blend)
{
    static const char *const transforms[] = {
#define X(name) #name,
        BLEND_TRANSFORMS(X)
#undef X
    };
    struct table table;
    table_init(&table, "PART >WEIGHT TRANSFORM >DEFAULT");
    for (uint32_t i = 0; i < blend_part_count(blend); i++) {
        const struct blend_part *part = blend_part_at(blend, i);
        table_put(&table, text_of(part->model));
        table_put_fmt(&table, "%g", part->weight);
        table_put(&table, text_of(transforms[part->transform]));
        if (isnan(part->fallback))
            table_put(&table, TEXT_LITERAL("needed"));
        else
            table_put_fmt(&table, "%g", part->fallback);
    }
    table_print(&table, stdout);
    table_deinit(&table);
}

static void print_text(const struct report *report)
{
    const struct bundle *bundle = report->bundle;
    printf("%s: %s %s, kind %s, %" PRIu64 " bytes: %s\n", report->path, bundle->name,
           bundle->version, model_kind_name(bundle->kind), bundle->bytes,
           report->doubt_count == 0 ? "good" : "doubtful");
    printf("  made of    ");
    for (uint32_t i = 0; i < report->figure_count; i++)
        printf("%s%s %" PRIu64, i == 0 ? "" : ", ", report->figure[i].name,
               report->figure[i].value);
    printf("\n  files      %u, as their hashes say\n", bundle->file_count + 1);
    print_signature(report);
    printf("  golden     %u rows, within %g\n", report->golden_rows, bundle->golden_tolerance);
    printf("  a row      %.3g us alone, %.3g us among %d (median, on this machine)\n",
           report->speed.one_row_us, report->speed.batch_row_us, MODEL_SPEED_BATCH);
    printf("  memory     %.2f MB when it serves\n",
           (double)model_serving_bytes(report->model) / 1e6);
    if (report->model->feature_count > 0)
        print_features(report);
    if (report->model->kind == MODEL_blend)
        print_parts(report->model);
    for (uint32_t i = 0; i < report->doubt_count; i++)
        fprintf(stderr, "decidectl: model: %s: %s\n", report->path, report->doubt[i]);
}

/* ---- the command ----------------------------------------------------------------------------- */

static int run(struct report *report, const char *dir)
{
    struct err err = {0};
    enum err_code rc = model_open(dir, report->keys, &report->bundle, &report->model, &err);
    if (rc == ERR_OK)
        rc = examine(report, &err);
    if (rc != ERR_OK)
        return model_refused(report->ctl, report->path, &err);
    int code = EXIT_FINE;
    if (report->ctl->json)
        code = print_json(report);
    else
        print_text(report);
    return report->doubt_count == 0 ? code : EXIT_FAILED;
}

int model_verify(struct ctl *ctl, int argc, char **argv)
{
    static struct report report;
    struct minisign_keys keys = {.count = 0};
    struct model_source source;
    struct arg args[MODEL_SOURCE_ARGS + 2];
    const char *key = NULL, *features = NULL;
    struct err err = {0};
    model_source_args(&source, args);
    args[MODEL_SOURCE_ARGS] = (struct arg){"key", 0, ARG_TEXT, &key, 0, 0};
    args[MODEL_SOURCE_ARGS + 1] = (struct arg){"features", 0, ARG_TEXT, &features, 0, 0};
    if (args_parse_count(ctl, argc, argv, args, MODEL_SOURCE_ARGS + 2, 2, 2,
                         "verify DIR or verify FILE --name NAME") < 0)
        return EXIT_USAGE;
    report = (struct report){.ctl = ctl, .path = argv[2], .keys = key == NULL ? NULL : &keys};
    if ((key != NULL && minisign_keys_add(&keys, key, &err) != ERR_OK) ||
        (features != NULL && definitions_parse_file(features, &report.definitions, &err) != ERR_OK))
        return model_refused(ctl, key != NULL && keys.count == 0 ? "--key" : "--features", &err);
    int code = model_source_open(ctl, "verify", argv[2], &source);
    if (code == EXIT_FINE)
        code = run(&report, source.dir);
    definitions_destroy(&report.definitions);
    model_destroy(&report.model);
    bundle_close(&report.bundle);
    return model_source_close(&source, code);
}
