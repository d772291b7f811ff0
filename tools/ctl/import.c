/* SPDX-License-Identifier: Apache-2.0 */
/* decidectl import events|items FILE */
#include "tools/ctl/import.h"

#include <string.h>
#include <unistd.h>

#include "tools/ctl/args.h"

static volatile sig_atomic_t is_stopped;

static void on_signal(int number)
{
    (void)number;
    is_stopped = 1;
}

/* One Ctrl-C ends the import after the batch at hand; a second one ends the program. */
static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

static void pause_us(void *ctx, uint64_t us)
{
    (void)ctx;
    usleep((useconds_t)us);
}

static bool parse_time(const char *name, const char *text, int64_t *time_ms)
{
    if (text == NULL || clock_parse_iso(text, strlen(text), time_ms))
        return true;
    ctl_usage("import", "--%s: expected a time such as 2011-11-01, got '%s'", name, text);
    return false;
}

static bool parse_format(const char *text, enum reader_format *format)
{
    if (text == NULL)
        return true;
    *format = strcmp(text, "csv") == 0      ? READER_CSV
              : strcmp(text, "ndjson") == 0 ? READER_NDJSON
                                            : READER_AUTO;
    if (*format == READER_AUTO)
        ctl_usage("import", "--format: expected csv or ndjson, got '%s'", text);
    return *format != READER_AUTO;
}

static bool parse_kind(const char *text, enum reader_kind *kind)
{
    bool is_items = strcmp(text, "items") == 0;
    *kind = is_items ? READER_ITEMS : READER_EVENTS;
    if (is_items || strcmp(text, "events") == 0)
        return true;
    ctl_usage("import", "expected events or items, got '%s'", text);
    return false;
}

static bool parse_job(struct ctl *ctl, int argc, char **argv, struct import_job *job)
{
    const char *format = NULL;
    const char *since = NULL;
    const char *before = NULL;
    int64_t errors_max = INT64_MAX;
    int64_t from_line = 0;
    const struct arg args[] = {
        {"format", 0, ARG_TEXT, &format, 0, 0},
        {"map", 0, ARG_TEXT, &job->reader.map_path, 0, 0},
        {"since", 0, ARG_TEXT, &since, 0, 0},
        {"before", 0, ARG_TEXT, &before, 0, 0},
        {"errors", 0, ARG_TEXT, &job->errors_path, 0, 0},
        {"max-errors", 0, ARG_INT, &errors_max, 0, INT64_MAX},
        {"from-line", 0, ARG_INT, &from_line, 1, INT64_MAX},
    };
    if (args_parse_count(ctl, argc, argv, args, sizeof args / sizeof args[0], 2, 2,
                         "events or items and a file") < 0)
        return false;
    job->path = argv[2];
    job->errors_max = (uint64_t)errors_max;
    job->from_line = (uint64_t)from_line;
    return parse_kind(argv[1], &job->reader.kind) && parse_format(format, &job->reader.format) &&
           parse_time("since", since, &job->since_ms) &&
           parse_time("before", before, &job->before_ms);
}

/* A daemon that is not there is said at once, not after the patience for a batch. */
static int find_daemon(struct ctl *ctl)
{
    struct decide_client *client = ctl_client(ctl);
    if (client == NULL)
        return EXIT_USAGE;
    struct decide_reply *reply = decide_call(client, "ping", NULL, 0, ctl->timeout_us);
    int code = reply->status == DECIDE_OK ? EXIT_FINE : ctl_report(ctl, "import", reply);
    decide_reply_free(reply);
    return code;
}

int command_import(struct ctl *ctl, int argc, char **argv)
{
    struct import_job job = {
        .since_ms = INT64_MIN, .before_ms = INT64_MAX, .messages = stderr, .stop = &is_stopped};
    struct import_link link = {ctl, clock_system(), import_send, pause_us};
    struct import_result result;
    struct progress progress;
    struct err err = {0};
    if (!parse_job(ctl, argc, argv, &job))
        return EXIT_USAGE;
    int code = find_daemon(ctl);
    if (code != EXIT_FINE)
        return code;
    catch_signals();
    progress_start(&progress, "importing", "lines");
    enum err_code rc = import_run(&job, &link, &progress, &result, &err);
    if (ctl->json)
        import_print_json(&job, &result, rc == ERR_OK ? NULL : err.text, stdout);
    else if (rc == ERR_OK || result.lines > 0)
        import_print(&job, &result, stdout);
    if (rc != ERR_OK)
        ctl_warn("import", "%s", err.text);
    if (rc != ERR_OK && result.accepted + result.duplicate > 0)
        ctl_warn("import", "go on with --from-line %llu", (unsigned long long)result.line_done + 1);
    return rc == ERR_OK && result.errors == 0 ? EXIT_FINE : EXIT_FAILED;
}
