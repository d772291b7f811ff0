/* SPDX-License-Identifier: Apache-2.0 */
/* export events: the log, page by page, as lines that `import events` reads again. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/clock.h"
#include "base/transcode.h"
#include "featurestore/event.h"
#include "tools/cli/value.h"
#include "tools/ctl/args.h"
#include "tools/ctl/export.h"

#define EXPORT_TIMEOUT_US UINT64_C(30000000) /* at least: a page may come from a slow disk */

struct export_run {
    struct ctl *ctl;
    const struct export_job *job;
    gzFile out; /* transparent unless the name ends with .gz */
    struct export_rows *rows;
    uint64_t exported;
};

static int write_failed(const struct export_run *run)
{
    int number = 0;
    const char *text = gzerror(run->out, &number);
    return ctl_fail("export", "cannot write %s: %s", run->job->path,
                    number == Z_ERRNO ? strerror(errno) : text);
}

/* True: the time is wanted. */
static bool is_wanted(const struct export_job *job, int64_t arrival_ms)
{
    return arrival_ms >= job->since_ms && arrival_ms < job->before_ms;
}

static int write_page(struct export_run *run, struct cursor map)
{
    struct cursor at;
    for (uint32_t n = value_array(map, "records", &at); n > 0; n--) {
        struct cursor record = value_next(&at), event;
        int64_t arrival_ms = value_int(record, "arrival_ms", 0);
        if (!is_wanted(run->job, arrival_ms))
            continue;
        struct err err = {.text = ""};
        if (!value_find(record, "event", &event) ||
            export_rows_make(run->rows, run->job->format, event, arrival_ms,
                             value_int(record, "skew_ms", 0), &err) != ERR_OK)
            return ctl_fail("export", "record %" PRId64 ": %s", value_int(record, "sequence", 0),
                            err.text[0] == '\0' ? "it holds no event" : err.text);
        size_t len = 0;
        const char *text = export_rows_text(run->rows, &len);
        if (len > 0 && gzwrite(run->out, text, (unsigned)len) != (int)len)
            return write_failed(run);
        run->exported++;
    }
    return EXIT_FINE;
}

static int fetch(struct export_run *run, uint64_t from, struct decide_reply **ret_reply)
{
    uint8_t bytes[256];
    struct pack body = pack_into(bytes, sizeof bytes);
    uint64_t timeout_us = run->ctl->timeout_us;
    pack_map(&body, 2);
    pack_key(&body, "what");
    pack_str(&body, "events");
    pack_key(&body, "from");
    pack_uint(&body, from);
    return ctl_call(run->ctl, "export", &body,
                    timeout_us > EXPORT_TIMEOUT_US ? timeout_us : EXPORT_TIMEOUT_US, ret_reply);
}

static int copy_pages(struct export_run *run)
{
    uint64_t next = run->job->from;
    for (bool end = false; !end;) {
        struct decide_reply *reply = NULL;
        int code = fetch(run, next, &reply);
        if (reply == NULL)
            return code;
        struct cursor map = ctl_map(reply);
        uint64_t after = (uint64_t)value_int(map, "next", 0);
        end = value_bool(map, "end", false);
        code = write_page(run, map);
        decide_reply_free(reply);
        if (code != EXIT_FINE)
            return code;
        if (!end && after <= next)
            return ctl_fail("export", "the daemon does not get beyond record %" PRIu64, next);
        next = after;
    }
    return EXIT_FINE;
}

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);
    return len > end_len && strcmp(text + len - end_len, end) == 0;
}

static int open_out(struct export_run *run)
{
    const char *path = run->job->path;
    const char *mode = ends_with(path, ".gz") ? "wb6" : "wbT";
    run->out = strcmp(path, "-") == 0 ? gzdopen(1, "wbT") : gzopen(path, mode);
    if (run->out == NULL)
        return ctl_fail("export", "cannot open %s: %s", path, strerror(errno));
    return EXIT_FINE;
}

static int run_job(struct ctl *ctl, const struct export_job *job)
{
    struct export_run run = {.ctl = ctl, .job = job};
    struct err err = {.text = ""};
    if (export_rows_create(&run.rows, &err) != ERR_OK)
        return ctl_fail("export", "%s", err.text);
    int code = open_out(&run);
    if (code == EXIT_FINE && job->format == EXPORT_CSV && gzputs(run.out, EXPORT_CSV_HEADER) <= 0)
        code = write_failed(&run);
    if (code == EXIT_FINE)
        code = copy_pages(&run);
    if (run.out != NULL && gzclose(run.out) != Z_OK && code == EXIT_FINE)
        code = ctl_fail("export", "cannot write %s: %s", job->path, strerror(errno));
    export_rows_destroy(&run.rows);
    if (code == EXIT_FINE && strcmp(job->path, "-") != 0) {
        if (ctl->json)
            printf("{\"ok\": true, \"exported\": %" PRIu64 "}\n", run.exported);
        else
            printf("%" PRIu64 " events in %s\n", run.exported, job->path);
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

int command_export(struct ctl *ctl, int argc, char **argv)
{
    struct export_job job = {.from = 1, .path = "-", .before_ms = INT64_MAX, .since_ms = INT64_MIN};
    const char *format = NULL, *since = NULL, *before = NULL;
    int64_t from = 1;
    const struct arg args[] = {{"format", 0, ARG_TEXT, &format, 0, 0},
                               {"out", 'o', ARG_TEXT, &job.path, 0, 0},
                               {"since", 0, ARG_TEXT, &since, 0, 0},
                               {"before", 0, ARG_TEXT, &before, 0, 0},
                               {"from", 0, ARG_INT, &from, 1, INT64_MAX}};
    if (args_parse_count(ctl, argc, argv, args, sizeof args / sizeof args[0], 1, 1, "events") < 0)
        return EXIT_USAGE;
    if (strcmp(argv[1], "events") != 0)
        return ctl_usage("export", "expected events, got '%s'", argv[1]);
    if (format != NULL && strcmp(format, "ndjson") != 0 && strcmp(format, "csv") != 0)
        return ctl_usage("export", "--format: expected ndjson or csv, got '%s'", format);
    bool is_csv = format == NULL ? ends_with(job.path, ".csv") || ends_with(job.path, ".csv.gz")
                                 : strcmp(format, "csv") == 0;
    job.format = is_csv ? EXPORT_CSV : EXPORT_NDJSON;
    job.from = (uint64_t)from;
    if (read_time("--since", since, &job.since_ms) != EXIT_FINE ||
        read_time("--before", before, &job.before_ms) != EXIT_FINE)
        return EXIT_USAGE;
    return run_job(ctl, &job);
}
