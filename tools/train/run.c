/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/train/run.h"

#include <string.h>
#include <unistd.h>

#include "tools/cli/progress.h"
#include "tools/train/load.h"
#include "tools/train/publish.h"
#include "tools/train/ranker_run.h"
#include "tools/train/remote.h"
#include "tools/train/report.h"
#include "tools/train/starter.h"
#include "tools/train/trained.h"

struct run {
    const struct train_options *options;
    const struct clock *clock;
    FILE *messages;
    struct publish_place place;
    char version[PUBLISH_VERSION_BYTES];
    struct interactions interactions;
    struct load_summary load;
    struct dataset dataset;
    struct targets targets;
    struct trained trained;
    struct evaluation evaluation;
    struct remote_levels levels;
    double read_s, train_s, evaluate_s;
};

static double seconds_since(const struct run *run, uint64_t began_ns)
{
    return (double)(clock_now_ns(run->clock) - began_ns) / 1e9;
}

static struct progress start_progress(const struct run *run, const char *what, const char *unit)
{
    struct progress progress;
    bool is_terminal = isatty(fileno(run->messages)) == 1;
    progress_start_on(&progress, what, unit, run->messages, is_terminal, run->clock);
    return progress;
}

static void show_share(void *progress, uint64_t done, uint64_t total)
{
    progress_show(progress, (double)done / (double)total, done);
}

static struct span before_split(const struct train_options *options)
{
    return (struct span){0, options->eval_s > 0 ? options->eval_s : DATASET_ALL};
}

static enum reader_format format_of(const struct train_options *options)
{
    if (options->format == NULL)
        return READER_AUTO;
    return strcmp(options->format, "csv") == 0 ? READER_CSV : READER_NDJSON;
}

static enum err_code read_all(struct run *run, struct err *err)
{
    const uint64_t began_ns = clock_now_ns(run->clock);
    const struct train_options *options = run->options;
    struct progress progress = start_progress(run, "reading", "lines");
    const struct load_options load = {.program = "decide-train",
                                      .events = options->events,
                                      .format = format_of(options),
                                      .map = options->map,
                                      .clock = run->clock,
                                      .messages = run->messages,
                                      .progress = &progress};
    enum err_code rc = interactions_create(&run->interactions, err);
    if (rc == ERR_OK)
        rc = load_events(&load, &run->interactions, &run->load, err);
    progress_end(&progress);
    if (rc == ERR_OK)
        rc = dataset_build(&run->interactions, before_split(options), &run->dataset, err);
    if (rc == ERR_OK && options->eval_s > 0)
        rc = targets_build(&run->interactions, (struct span){options->eval_s, DATASET_ALL},
                           &run->dataset, &run->targets, err);
    run->read_s = seconds_since(run, began_ns);
    return rc;
}

static enum err_code train(struct run *run, struct err *err)
{
    const struct train_options *options = run->options;
    uint64_t began_ns = clock_now_ns(run->clock);
    struct progress progress = start_progress(run, "training", "steps");
    enum err_code rc =
        trained_make(options, &run->interactions, &run->dataset,
                     (struct trained_progress){show_share, &progress}, &run->trained, err);
    progress_end(&progress);
    run->train_s = seconds_since(run, began_ns);
    if (rc != ERR_OK || options->eval_s == 0)
        return rc;
    began_ns = clock_now_ns(run->clock);
    rc = trained_evaluate(&run->trained, &run->dataset, &run->targets, (uint32_t)options->k,
                          (uint32_t)options->threads, &run->evaluation, err);
    run->evaluate_s = seconds_since(run, began_ns);
    return rc;
}

static enum err_code ask_daemon(struct run *run, struct err *err)
{
    const struct train_options *options = run->options;
    const uint64_t began_ns = clock_now_ns(run->clock);
    struct progress progress = start_progress(run, "asking", "people");
    const struct remote_options remote = {
        .url = options->url,
        .split_ms = (int64_t)options->eval_s * 1000,
        .slot = {[EVALUATE_NEW] = options->slot_new, [EVALUATE_ANY] = options->slot_any},
        .k = (uint32_t)options->k,
        .threads = (uint32_t)options->threads,
        .progress = show_share,
        .progress_ctx = &progress};
    enum err_code rc = remote_evaluate(&remote, &run->interactions, &run->dataset, &run->targets,
                                       &run->evaluation, &run->levels, err);
    progress_end(&progress);
    run->evaluate_s = seconds_since(run, began_ns);
    return rc;
}

static enum err_code report(const struct run *run, FILE *out, struct err *err)
{
    const struct train_options *options = run->options;
    const struct neighbor_lists *lists = &run->trained.lists;
    const bool asked = options->command == TRAIN_EVAL;
    const struct report report = {
        .options = options,
        .load = &run->load,
        .interactions = &run->interactions,
        .dataset = &run->dataset,
        .evaluation = options->eval_s > 0 ? &run->evaluation : NULL,
        .levels = asked ? &run->levels : NULL,
        .bundle = asked ? NULL : run->place.final,
        .neighbor_entries = lists->offset != NULL ? (uint64_t)lists->offset[lists->row_count] : 0,
        .read_s = run->read_s,
        .train_s = run->train_s,
        .evaluate_s = run->evaluate_s};
    return report_print(&report, out, err);
}

enum err_code run_train(const struct train_options *options, const struct clock *clock, FILE *out,
                        FILE *messages, struct err *err)
{
    const bool asked = options->command == TRAIN_EVAL;
    if (options->command == TRAIN_RANKER)
        return ranker_run(options, clock, out, messages, err);
    if (options->command == TRAIN_STARTER)
        return starter_run(options, clock, out, err);
    struct run run = {.options = options, .clock = clock, .messages = messages};
    enum err_code rc = ERR_OK;
    if (!asked)
        rc = publish_choose(options, clock, run.version, &run.place, err);
    if (rc == ERR_OK)
        rc = read_all(&run, err);
    if (rc == ERR_OK)
        rc = asked ? ask_daemon(&run, err) : train(&run, err);
    if (rc == ERR_OK && !asked)
        rc = publish(&run.place, &run.trained, &run.interactions, &run.dataset,
                     options->eval_s > 0 ? &run.evaluation : NULL, err);
    if (rc == ERR_OK)
        rc = report(&run, out, err);
    trained_deinit(&run.trained);
    targets_deinit(&run.targets);
    dataset_deinit(&run.dataset);
    interactions_destroy(&run.interactions);
    return rc;
}
