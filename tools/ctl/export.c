/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/ctl/export.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "tools/ctl/args.h"
#include "tools/ctl/duration.h"

#define WINDOW_US (UINT64_C(24) * 3600 * 1000000)

static const struct subject {
    const char *name;
    const char *of; /* "12 events in FILE" */
    int (*run)(struct export_run *run);
} subjects[] = {
    {"events", "events", export_events},
    {"decisions", "decisions", export_decisions},
    {"training", "rows", export_training},
    {"person", "events and decisions", export_person},
};

static const struct subject *find_subject(const char *name)
{
    for (size_t i = 0; i < sizeof subjects / sizeof subjects[0]; i++) {
        if (strcmp(name, subjects[i].name) == 0)
            return &subjects[i];
    }
    return NULL;
}

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);
    return len > end_len && strcmp(text + len - end_len, end) == 0;
}

static int run_job(struct ctl *ctl, const struct subject *subject, const struct export_job *job)
{
    struct export_run run = {.ctl = ctl, .job = job};
    struct err err = {.text = ""};
    if (export_out_open(job->path, job->compression, &run.out, &err) != ERR_OK)
        return ctl_fail("export", "%s", err.text);
    int code = subject->run(&run);
    if (code != EXIT_FINE)
        export_out_drop(&run.out);
    else if (export_out_close(&run.out, &err) != ERR_OK)
        code = ctl_fail("export", "%s", err.text);
    if (code == EXIT_FINE && strcmp(job->path, "-") != 0) {
        if (ctl->json)
            printf("{\"ok\": true, \"exported\": %" PRIu64 "}\n", run.exported);
        else
            printf("%" PRIu64 " %s in %s\n", run.exported, subject->of, job->path);
    }
    return code;
}

static int read_time(const char *option, const char *text, int64_t *time_ms)
{
    if (text == NULL || clock_parse_iso(text, strlen(text), time_ms))
        return EXIT_FINE;
    return ctl_usage("export",
                     "%s: expected a time such as 2011-11-01 or 2011-11-01T08:00:00Z, "
                     "got '%s'",
                     option, text);
}

static int read_format(const char *format, struct export_job *job)
{
    if (format != NULL && strcmp(format, "ndjson") != 0 && strcmp(format, "csv") != 0)
        return ctl_usage("export", "--format: expected ndjson or csv, got '%s'", format);
    bool by_name = ends_with(job->path, ".csv") || ends_with(job->path, ".csv.gz") ||
                   ends_with(job->path, ".csv.zst");
    bool is_csv = format == NULL ? by_name : strcmp(format, "csv") == 0;
    job->format = is_csv ? EXPORT_CSV : EXPORT_NDJSON;
    return EXIT_FINE;
}

static int read_compression(bool zstd, struct export_job *job)
{
    bool is_gzip = ends_with(job->path, ".gz");
    if (zstd && is_gzip)
        return ctl_usage("export", "--zstd: '%s' says gzip", job->path);
    job->compression = is_gzip                                ? EXPORT_GZIP
                       : zstd || ends_with(job->path, ".zst") ? EXPORT_ZSTD
                                                              : EXPORT_PLAIN;
    return EXIT_FINE;
}

/* What came of a decision is not known before its window is over. */
static void leave_out_the_newest(struct export_job *job)
{
    int64_t complete_ms = clock_wall_ms(clock_system()) - job->window_ms;
    if (job->before_ms > complete_ms)
        job->before_ms = complete_ms;
}

/* NULL when the arguments fit the subject; else what is wrong. */
static const char *misfit(const struct subject *subject, const struct export_job *job, int count,
                          bool has_times)
{
    if (subject->run == export_training && job->from != 1)
        return "--from is for events and decisions: use --since";
    if (subject->run != export_person)
        return count == 2          ? "only `person` takes an id"
               : job->anon != NULL ? "--anon is for `person`"
                                   : NULL;
    if (job->user == NULL && job->anon == NULL)
        return "person: expected USER, --anon ID or both";
    if (job->format == EXPORT_CSV)
        return "person: it comes as ndjson";
    return has_times || job->from != 1 ? "person: all of it is exported, whenever it was" : NULL;
}

int command_export(struct ctl *ctl, int argc, char **argv)
{
    struct export_job job = {.path = "-", .before_ms = INT64_MAX, .since_ms = INT64_MIN};
    const char *format = NULL, *since = NULL, *before = NULL;
    bool incomplete = false, zstd = false;
    uint64_t window_us = WINDOW_US;
    int64_t from = 1;
    const struct arg args[] = {{"format", 0, ARG_TEXT, &format, 0, 0},
                               {"out", 'o', ARG_TEXT, &job.path, 0, 0},
                               {"since", 0, ARG_TEXT, &since, 0, 0},
                               {"before", 0, ARG_TEXT, &before, 0, 0},
                               {"window", 0, ARG_DURATION, &window_us, 0, 0},
                               {"incomplete", 0, ARG_FLAG, &incomplete, 0, 0},
                               {"anon", 0, ARG_TEXT, &job.anon, 0, 0},
                               {"zstd", 0, ARG_FLAG, &zstd, 0, 0},
                               {"from", 0, ARG_INT, &from, 1, INT64_MAX}};
    int count = args_parse_count(ctl, argc, argv, args, sizeof args / sizeof args[0], 1, 2,
                                 "events, decisions, training or person USER");
    if (count < 0)
        return EXIT_USAGE;
    const struct subject *subject = find_subject(argv[1]);
    if (subject == NULL)
        return ctl_usage("export", "expected events, decisions, training or person, got '%s'",
                         argv[1]);
    job.user = count == 2 ? argv[2] : NULL;
    job.from = (uint64_t)from;
    job.window_ms = (int64_t)(window_us / 1000);
    if (read_format(format, &job) != EXIT_FINE || read_compression(zstd, &job) != EXIT_FINE ||
        read_time("--since", since, &job.since_ms) != EXIT_FINE ||
        read_time("--before", before, &job.before_ms) != EXIT_FINE)
        return EXIT_USAGE;
    const char *wrong = misfit(subject, &job, count, since != NULL || before != NULL);
    if (wrong != NULL)
        return ctl_usage("export", "%s", wrong);
    if (subject->run == export_training && !incomplete)
        leave_out_the_newest(&job);
    return run_job(ctl, subject, &job);
}
