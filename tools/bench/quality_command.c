/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/quality_command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "tools/bench/arguments.h"
#include "tools/bench/quality_report.h"
#include "tools/cli/progress.h"
#include "tools/train/load.h"
#include "tools/train/parallel.h"

#define AT(field)     offsetof(struct quality_options, field)
#define TEXT(field)   ARG_TEXT, AT(field), 0, ARGUMENT_TEXT_BYTES
#define QUALITY_K_MAX 200 /* a daemon shows no more */
#define FALLBACK_URL  "tcp://127.0.0.1:7100"

static const struct argument rows[] = {
    {"url", TEXT(url), "URL", "the daemon to ask (DECIDED_URL, or " FALLBACK_URL ")", NULL},
    {"events", TEXT(events), "FILE", "events: CSV or NDJSON, also packed", NULL},
    {"map", TEXT(map), "FILE", "which columns make an event (docs/import.md)", NULL},
    {"eval", TEXT(eval), "time:DATE",
     "what the daemon knows ends there (UTC); what is to be met begins", NULL},
    {"k", ARG_U32, AT(k), 1, QUALITY_K_MAX, "K", "length of the lists (20)", NULL},
    {"slot-new", TEXT(slot_new), "SLOT", "asked for items that the person has not bought (home)",
     NULL},
    {"slot-any", TEXT(slot_any), "SLOT", "asked for items of any kind (again)", NULL},
    {"threads", ARG_U32, AT(threads), 1, PARALLEL_THREADS_MAX, "N",
     "that ask, each one request at a time (1)", NULL},
    {"outcomes", TEXT(outcomes), "FILE", "write what came of each decision as events that name it",
     NULL},
    {"json", ARG_FLAG, AT(json), 0, 0, NULL, "print one JSON object", NULL},
    {"help", ARG_FLAG, AT(help), 0, 0, NULL, "print this", NULL},
};
enum { ROW_COUNT = sizeof rows / sizeof rows[0] };

static const char *default_url(void)
{
    const char *url = getenv("DECIDED_URL");
    return url != NULL && url[0] != '\0' ? url : FALLBACK_URL;
}

/* Whole seconds, since that is how interactions are kept; 0 for what is no such time. */
static uint32_t split_of(const char *text)
{
    static const char prefix[] = "time:";
    const size_t skip = sizeof prefix - 1;
    int64_t ms = 0;
    if (strncmp(text, prefix, skip) != 0 ||
        !clock_parse_iso(text + skip, strlen(text + skip), &ms) || ms < 1000 || ms % 1000 != 0 ||
        ms / 1000 >= DATASET_ALL)
        return 0;
    return (uint32_t)(ms / 1000);
}

enum err_code quality_options_parse(int argc, char **argv, struct quality_options *ret_options,
                                    struct err *err)
{
    struct quality_options options = {
        .url = default_url(), .slot_new = "home", .slot_any = "again", .k = 20, .threads = 1};
    enum err_code rc = arguments_parse(argc, argv, 2, rows, ROW_COUNT, &options, err);
    if (rc == ERR_OK && !options.help && options.events == NULL)
        rc = err_set(err, ERR_BAD_INPUT, "quality: --events is missing");
    if (rc == ERR_OK && !options.help && options.eval == NULL)
        rc = err_set(err, ERR_BAD_INPUT, "quality: --eval is missing");
    if (rc == ERR_OK && !options.help && split_of(options.eval) == 0)
        rc = err_set(err, ERR_BAD_INPUT,
                     "--eval: expected time: and a date, such as time:2011-11-01, got '%.40s'",
                     options.eval);
    if (rc == ERR_OK)
        *ret_options = options;
    return rc;
}

void quality_options_help(FILE *out)
{
    fputs("usage: decide-bench quality --events FILE --eval time:DATE [options]\n"
          "\n"
          "Asks a daemon that knows the events before a time what it recommends to everybody who\n"
          "did something after it, and prints how well that is met: recall, ndcg, coverage,\n"
          "novelty, diversity, and the latency of each level of answers.\n"
          "\n",
          out);
    arguments_help(rows, ROW_COUNT, out);
}

/* ---- the run --------------------------------------------------------------------------------- */

struct run {
    const struct quality_options *options;
    const struct clock *clock;
    FILE *messages;
    uint32_t split_s;
    struct interactions interactions;
    struct dataset dataset;
    struct targets targets;
    struct quality quality;
    struct evaluation evaluation;
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

static enum err_code read_events(struct run *run, struct err *err)
{
    struct progress progress = start_progress(run, "reading", "lines");
    struct load_summary summary;
    const struct load_options load = {.program = "decide-bench",
                                      .events = run->options->events,
                                      .map = run->options->map,
                                      .format = READER_AUTO,
                                      .clock = run->clock,
                                      .messages = run->messages,
                                      .progress = &progress};
    enum err_code rc = interactions_create(&run->interactions, err);
    if (rc == ERR_OK)
        rc = load_events(&load, &run->interactions, &summary, err);
    progress_end(&progress);
    if (rc == ERR_OK)
        rc = dataset_build(&run->interactions, (struct span){0, run->split_s}, &run->dataset, err);
    if (rc == ERR_OK)
        rc = targets_build(&run->interactions, (struct span){run->split_s, DATASET_ALL},
                           &run->dataset, &run->targets, err);
    return rc;
}

static enum err_code ask(struct run *run, struct err *err)
{
    const struct quality_options *options = run->options;
    struct progress progress = start_progress(run, "asking", "people");
    struct remote_levels levels;
    const struct remote_options remote = {
        .url = options->url,
        .split_ms = (int64_t)run->split_s * 1000,
        .slot = {[EVALUATE_NEW] = options->slot_new, [EVALUATE_ANY] = options->slot_any},
        .k = options->k,
        .threads = options->threads,
        .progress = show_share,
        .progress_ctx = &progress,
        .answered = quality_take,
        .answered_ctx = &run->quality};
    enum err_code rc = remote_evaluate(&remote, &run->interactions, &run->dataset, &run->targets,
                                       &run->evaluation, &levels, err);
    progress_end(&progress);
    return rc;
}

/* Where outcomes are written: beside their place, which they take when the run is over; a device or
 * a pipe has no such place. */
static enum err_code outcomes_path(const char *path, char part[FILE_PATH_BYTES], struct err *err)
{
    struct stat st;
    const bool is_replaced = stat(path, &st) != 0 || S_ISREG(st.st_mode);
    const int len = snprintf(part, FILE_PATH_BYTES, "%s%s", path, is_replaced ? ".part" : "");
    return len < FILE_PATH_BYTES ? ERR_OK : err_set(err, ERR_LIMIT, "'%s' is too long", path);
}

/* What a failed run had written is removed: part of the outcomes looks like all of them. */
static enum err_code outcomes_end(FILE *file, const char *part, const char *path, bool is_good,
                                  struct err *err)
{
    const bool is_beside = strcmp(part, path) != 0;
    bool failed = ferror(file) != 0;
    failed = fclose(file) != 0 || failed;
    if (!failed && is_good && (!is_beside || rename(part, path) == 0))
        return ERR_OK;
    const int reason = errno;
    if (is_beside)
        unlink(part);
    return is_good ? err_set(err, ERR_IO, "cannot write '%s': %s", path, strerror(reason)) : ERR_OK;
}

static enum err_code ask_and_write(struct run *run, struct err *err)
{
    const char *path = run->options->outcomes;
    char part[FILE_PATH_BYTES];
    enum err_code rc =
        quality_init(&run->quality, &run->interactions, &run->dataset, &run->targets, err);
    if (rc == ERR_OK && path != NULL)
        rc = outcomes_path(path, part, err);
    if (rc != ERR_OK)
        return rc;
    if (path != NULL && (run->quality.outcomes = fopen(part, "w")) == NULL)
        return err_set(err, ERR_IO, "cannot write '%s': %s", path, strerror(errno));
    rc = ask(run, err);
    if (path != NULL) {
        const enum err_code ended =
            outcomes_end(run->quality.outcomes, part, path, rc == ERR_OK, err);
        rc = rc == ERR_OK ? ended : rc;
    }
    return rc;
}

enum err_code quality_command(const struct quality_options *options, const struct clock *clock,
                              FILE *out, FILE *messages, struct err *err)
{
    struct run run = {.options = options,
                      .clock = clock,
                      .messages = messages,
                      .split_s = split_of(options->eval)};
    enum err_code rc = read_events(&run, err);
    if (rc == ERR_OK)
        rc = ask_and_write(&run, err);
    if (rc == ERR_OK && options->json)
        quality_print_json(options, &run.quality, &run.evaluation, out);
    else if (rc == ERR_OK)
        quality_print_table(options, &run.quality, &run.evaluation, out);
    quality_deinit(&run.quality);
    targets_deinit(&run.targets);
    dataset_deinit(&run.dataset);
    interactions_destroy(&run.interactions);
    return rc;
}
