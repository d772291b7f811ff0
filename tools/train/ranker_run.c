/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/train/ranker_run.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/cli/progress.h"
#include "tools/train/ranker_read.h"
#include "tools/train/ranker_result.h"

struct run {
    const struct train_options *options;
    const struct clock *clock;
    FILE *messages;
    struct ranker_rows rows;
    struct ranker_model model;
    struct ranker_result result;
};

static struct progress start_progress(const struct run *run, const char *what, const char *unit)
{
    struct progress progress;
    const bool is_terminal = isatty(fileno(run->messages)) == 1;
    progress_start_on(&progress, what, unit, run->messages, is_terminal, run->clock);
    return progress;
}

static void show_share(void *progress, uint64_t done, uint64_t total)
{
    progress_show(progress, (double)done / (double)total, done);
}

static enum ranker_label label_of(const struct train_options *options)
{
    if (strcmp(options->label, "purchased") == 0)
        return RANKER_LABEL_PURCHASED;
    if (strcmp(options->label, "carted") == 0)
        return RANKER_LABEL_CARTED;
    return strcmp(options->label, "clicked") == 0 ? RANKER_LABEL_CLICKED : RANKER_GRADED;
}

static enum reader_format format_of(const struct train_options *options)
{
    if (options->format == NULL)
        return READER_AUTO;
    return strcmp(options->format, "csv") == 0 ? READER_CSV : READER_NDJSON;
}

/* What is missing before anything can be learned, in the words of who made the file. */
static enum err_code check_rows(const struct run *run, struct err *err)
{
    const struct ranker_rows *rows = &run->rows;
    const char *path = run->options->rows, *slot = run->options->slot;
    if (run->result.lines == 0)
        return err_set(err, ERR_NOT_FOUND, "'%s': there are no rows in it", path);
    const unsigned long long lines = run->result.lines, other = rows->other_slots;
    if (slot != NULL && other == lines)
        return err_set(err, ERR_NOT_FOUND, "'%s': none of %llu rows is of the slot '%s'", path,
                       lines, slot);
    if (rows->row_count == 0)
        return err_set(err, ERR_NOT_FOUND,
                       "'%s': none of %llu rows is left: no ranker saw %llu, %llu have no "
                       "impression, %llu are of other slots",
                       path, lines, (unsigned long long)rows->unranked,
                       (unsigned long long)rows->unseen, other);
    if (rows->feature_count == 0)
        return err_set(err, ERR_NOT_FOUND, "'%s': no row has a feature", path);
    return ERR_OK;
}

static enum err_code read_rows(struct run *run, struct err *err)
{
    struct progress progress = start_progress(run, "reading", "rows");
    const struct ranker_read_options read = {.path = run->options->rows,
                                             .format = format_of(run->options),
                                             .impressed_only = run->options->impressed_only,
                                             .slot = run->options->slot,
                                             .progress = &progress};
    enum err_code rc = ranker_rows_create(&run->rows, err);
    if (rc == ERR_OK)
        rc = ranker_read(&read, &run->rows, &run->result.lines, err);
    if (rc == ERR_OK)
        rc = check_rows(run, err);
    if (rc == ERR_OK)
        rc = ranker_rows_sort(&run->rows, label_of(run->options), &run->result.no_contrast, err);
    run->result.read_s = progress_elapsed_s(&progress);
    progress_end(&progress);
    return rc;
}

/* The newest decisions validate, at least one of them when any shall. */
static enum err_code split(struct run *run, struct err *err)
{
    const uint64_t all = run->rows.group_count;
    const double share = run->options->valid_share;
    uint64_t valid = (uint64_t)(share * (double)all);
    if (valid == 0 && share > 0.0)
        valid = 1;
    if (valid >= all)
        return err_set(err, ERR_NOT_FOUND,
                       "one decision is too few to train and to validate on: give more rows, or "
                       "--valid 0");
    run->result.train_count = all - valid;
    return ERR_OK;
}

static enum err_code train(struct run *run, const float *golden, uint32_t golden_count,
                           struct err *err)
{
    const struct train_options *options = run->options;
    struct progress progress = start_progress(run, "training", "rounds");
    const struct ranker_booster_options booster = {.objective = options->objective,
                                                   .label = label_of(options),
                                                   .rounds = (uint32_t)options->rounds,
                                                   .patience = (uint32_t)options->patience,
                                                   .depth = (uint32_t)options->depth,
                                                   .pairs = (uint32_t)options->pairs,
                                                   .threads = (uint32_t)options->threads,
                                                   .k = (uint32_t)options->k,
                                                   .seed = options->seed,
                                                   .learning_rate = options->learning_rate,
                                                   .min_child_weight = options->min_child_weight,
                                                   .l2 = options->l2,
                                                   .subsample = options->subsample,
                                                   .column_share = options->column_share,
                                                   .progress = show_share,
                                                   .progress_ctx = &progress};
    enum err_code rc = ranker_boost(&run->rows, run->result.train_count, &booster, golden,
                                    golden_count, &run->model, err);
    run->result.train_s = progress_elapsed_s(&progress);
    progress_end(&progress);
    return rc;
}

static enum err_code make_bundle(struct run *run, const struct publish_place *place,
                                 struct err *err)
{
    float *golden = NULL;
    uint32_t golden_count = 0;
    cJSON *golden_rows = NULL;
    enum err_code rc = ranker_golden_choose(&run->rows, &golden, &golden_count, err);
    if (rc == ERR_OK)
        rc = train(run, golden, golden_count, err);
    if (rc == ERR_OK)
        rc = ranker_golden_rows(&run->rows, golden, golden_count, run->model.golden, &golden_rows,
                                err);
    if (rc == ERR_OK)
        rc = ranker_publish(place, &run->result, golden_rows, err);
    cJSON_Delete(golden_rows);
    free(golden);
    return rc;
}

enum err_code ranker_run(const struct train_options *options, const struct clock *clock, FILE *out,
                         FILE *messages, struct err *err)
{
    struct run run = {.options = options, .clock = clock, .messages = messages};
    struct publish_place place;
    char made_version[PUBLISH_VERSION_BYTES];
    run.result = (struct ranker_result){.options = options, .rows = &run.rows, .model = &run.model};
    enum err_code rc = publish_choose(options, clock, made_version, &place, err);
    if (rc == ERR_OK)
        rc = read_rows(&run, err);
    if (rc == ERR_OK)
        rc = split(&run, err);
    if (rc == ERR_OK)
        rc = make_bundle(&run, &place, err);
    if (rc == ERR_OK)
        rc = ranker_report(&run.result, place.final, out, err);
    ranker_model_deinit(&run.model);
    ranker_rows_destroy(&run.rows);
    return rc;
}
