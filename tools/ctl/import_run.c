/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/cursor.h"
#include "base/pack.h"
#include "featurestore/event.h"
#include "tools/ctl/import.h"

#define ARENA_BYTES      (EVENT_ITEMS_MAX * sizeof(struct event_item) + 4096)
#define PAUSE_FIRST_US   UINT64_C(10000)
#define PAUSE_LONGEST_US UINT64_C(1000000)

struct run {
    const struct import_job *job;
    const struct import_link *link;
    struct progress *progress;
    struct import_result *result;
    struct reader *reader; /* owned */
    struct arena arena;    /* owned */
    FILE *errors;          /* owned; NULL: none */
    bool is_cut;           /* a batch did not get through: nothing more is sent */
    uint64_t line;         /* the one at hand */
    uint64_t line_taken;   /* the last that was counted, as whatever it was */

    struct pack batch;
    size_t batch_mark;
    uint32_t batch_count;
    uint64_t batch_line[EVENT_BATCH_MAX];
    uint8_t batch_bytes[EVENT_BATCH_BYTES_MAX];
    struct import_reply reply;
};

/* ---- errors of lines ------------------------------------------------------------------------- */

static void report(struct run *run, const char *text)
{
    struct import_result *result = run->result;
    result->errors++;
    if (run->errors != NULL)
        fprintf(run->errors, "%s\n", text);
    if (result->errors > IMPORT_SHOWN_MAX)
        return;
    progress_end(run->progress);
    fprintf(run->job->messages, "decidectl: %s: %s\n", run->job->path, text);
    if (result->errors == IMPORT_SHOWN_MAX)
        fprintf(run->job->messages, "decidectl: further errors are %s\n",
                run->errors == NULL ? "only counted (--errors FILE keeps them)" : "in the file");
}

static void report_at(struct run *run, uint64_t line, const char *what, const char *text)
{
    struct err err;
    err_set(&err, ERR_BAD_INPUT, "line %" PRIu64 "%s%s", line, what, text);
    report(run, err.text);
}

/* ---- batches --------------------------------------------------------------------------------- */

static void begin_batch(struct run *run)
{
    run->batch = pack_into(run->batch_bytes, sizeof run->batch_bytes);
    run->batch_mark = pack_array_open(&run->batch);
    run->batch_count = 0;
}

static void account(struct run *run)
{
    const struct import_reply *reply = &run->reply;
    run->result->accepted += reply->accepted;
    run->result->duplicate += reply->duplicate;
    run->result->rejected += reply->rejected;
    for (uint32_t i = 0; i < reply->described; i++) {
        uint32_t index = reply->rejection[i].index;
        uint64_t line = index < run->batch_count ? run->batch_line[index] : 0;
        report_at(run, line, ", rejected: ", reply->rejection[i].message);
    }
    uint64_t more = reply->rejected > reply->described ? reply->rejected - reply->described : 0;
    run->result->errors += more;
    if (more > 0 && run->errors != NULL)
        fprintf(run->errors, "lines %" PRIu64 " to %" PRIu64 ": %" PRIu64 " more were rejected\n",
                run->batch_line[0], run->batch_line[run->batch_count - 1], more);
}

/* Sends until it is taken, refused or too late. */
static enum err_code deliver(struct run *run, struct err *err)
{
    const struct import_link *link = run->link;
    uint64_t deadline_ns = clock_now_ns(link->clock) + IMPORT_PATIENCE_NS;
    uint64_t pause_us = PAUSE_FIRST_US;
    for (;;) {
        struct err why = {0};
        enum import_answer answer =
            link->send(link->ctx, run->batch.bytes, run->batch.used, &run->reply, &why);
        if (answer == IMPORT_TAKEN)
            return ERR_OK;
        bool is_late = clock_now_ns(link->clock) >= deadline_ns;
        if (answer == IMPORT_REFUSED || is_late || *run->job->stop)
            return err_set(err, ERR_IO, "%s: %s", run->job->path, why.text);
        link->pause(link->ctx, pause_us);
        pause_us = pause_us * 2 > PAUSE_LONGEST_US ? PAUSE_LONGEST_US : pause_us * 2;
    }
}

static enum err_code flush(struct run *run, struct err *err)
{
    if (run->batch_count == 0)
        return ERR_OK;
    pack_array_close(&run->batch, run->batch_mark, run->batch_count);
    enum err_code rc = deliver(run, err);
    run->is_cut = rc != ERR_OK;
    if (rc != ERR_OK)
        return rc;
    account(run);
    run->result->line_done = run->batch_line[run->batch_count - 1];
    begin_batch(run);
    return ERR_OK;
}

static enum err_code add_to_batch(struct run *run, struct text event, struct err *err)
{
    if (run->batch_count == EVENT_BATCH_MAX || event.len > run->batch.capacity - run->batch.used) {
        enum err_code rc = flush(run, err);
        if (rc != ERR_OK)
            return rc;
    }
    pack_raw(&run->batch, event.ptr, event.len);
    run->batch_line[run->batch_count++] = run->line;
    run->result->kept++;
    return ERR_OK;
}

/* ---- lines ----------------------------------------------------------------------------------- */

/* What the daemon would reject for its form is rejected here, before it costs a round trip. */
static enum err_code take_event(struct run *run, struct text bytes, struct err *err)
{
    struct cursor cursor = cursor_of((const uint8_t *)bytes.ptr, bytes.len);
    struct event event;
    struct err why;
    arena_reset(&run->arena);
    enum err_code rc = cursor_check((const uint8_t *)bytes.ptr, bytes.len, CURSOR_VALUES_MAX, &why);
    if (rc != ERR_OK) {
        report_at(run, run->line, ", ", why.text);
        return ERR_OK;
    }
    rc = event_decode(&cursor, clock_wall_ms(run->link->clock), &run->arena, &event, &why);
    if (rc != ERR_OK) {
        char what[16];
        snprintf(what, sizeof what, ", %s", event_fault_prefix(&why));
        report_at(run, run->line, what, why.text);
        return ERR_OK;
    }
    if (event.ts_ms < run->job->since_ms || event.ts_ms >= run->job->before_ms) {
        run->result->outside++;
        return ERR_OK;
    }
    return add_to_batch(run, bytes, err);
}

static void count_rule(struct run *run, struct text name)
{
    for (uint32_t i = 0; i < run->result->rule_count; i++)
        run->result->rule[i].count += reader_rule(run->reader, i).ptr == name.ptr;
}

static enum err_code take_outcome(struct run *run, enum reader_outcome outcome, struct text event,
                                  const struct err *why, struct err *err)
{
    run->result->lines++;
    if (outcome == READER_BAD)
        report(run, why->text);
    else if (outcome == READER_SKIPPED)
        count_rule(run, event);
    else
        return take_event(run, event, err);
    return ERR_OK;
}

static void show(struct run *run, const struct reader_progress *at)
{
    double done =
        at->bytes_total == 0 ? PROGRESS_UNKNOWN : (double)at->bytes_read / (double)at->bytes_total;
    progress_show(run->progress, done, run->result->lines);
}

static enum err_code take_lines(struct run *run, struct err *err)
{
    for (;;) {
        struct text event;
        struct err why;
        struct reader_progress at;
        enum reader_outcome outcome = reader_next(run->reader, &event, &why);
        reader_progress(run->reader, &at);
        run->line = at.line;
        if (outcome == READER_DONE)
            return ERR_OK;
        if (outcome == READER_FAILED)
            return err_set(err, why.code, "%s", why.text);
        if (*run->job->stop)
            return err_set(err, ERR_IO, "%s: interrupted", run->job->path);
        if (at.line < run->job->from_line)
            continue;
        enum err_code rc = take_outcome(run, outcome, event, &why, err);
        if (rc != ERR_OK)
            return rc;
        run->line_taken = run->line;
        if (run->result->errors > run->job->errors_max)
            return err_set(err, ERR_LIMIT, "%s: stopped after %" PRIu64 " errors", run->job->path,
                           run->result->errors);
        show(run, &at);
    }
}

/* ---- the whole file -------------------------------------------------------------------------- */

static enum err_code open_run(struct run *run, struct err *err)
{
    const struct import_job *job = run->job;
    enum err_code rc = arena_init(&run->arena, ARENA_BYTES, err);
    if (rc == ERR_OK)
        rc = reader_open(job->path, &job->reader, &run->reader, err);
    if (rc != ERR_OK)
        return rc;
    for (struct text name; (name = reader_rule(run->reader, run->result->rule_count)).ptr != NULL;
         run->result->rule_count++)
        text_copy(name, run->result->rule[run->result->rule_count].name,
                  sizeof run->result->rule[0].name);
    if (job->errors_path == NULL)
        return ERR_OK;
    run->errors = fopen(job->errors_path, "we");
    if (run->errors == NULL)
        return err_set(err, ERR_IO, "cannot write '%s': %s", job->errors_path, strerror(errno));
    return ERR_OK;
}

static enum err_code close_errors(struct run *run, struct err *err)
{
    if (run->errors == NULL)
        return ERR_OK;
    bool is_bad = ferror(run->errors) != 0;
    is_bad = fclose(run->errors) != 0 || is_bad;
    run->errors = NULL;
    return is_bad ? err_set(err, ERR_IO, "'%s' is not complete: %s", run->job->errors_path,
                            strerror(errno))
                  : ERR_OK;
}

enum err_code import_run(const struct import_job *job, const struct import_link *link,
                         struct progress *progress, struct import_result *ret_result,
                         struct err *err)
{
    memset(ret_result, 0, sizeof *ret_result);
    struct run *run = calloc(1, sizeof *run);
    if (run == NULL)
        return err_set(err, ERR_NOMEM, "%s: out of memory for a batch", job->path);
    run->job = job;
    run->link = link;
    run->progress = progress;
    run->result = ret_result;
    ret_result->line_done = job->from_line > 0 ? job->from_line - 1 : 0;
    begin_batch(run);
    struct err later;
    enum err_code rc = open_run(run, err);
    if (rc == ERR_OK) {
        rc = take_lines(run, err);
        /* Whatever ended it, the lines before it are good. */
        enum err_code flushed = run->is_cut ? ERR_OK : flush(run, rc == ERR_OK ? err : &later);
        rc = rc == ERR_OK ? flushed : rc;
        /* Nothing waits any more: lines behind the last event came to their end, too. */
        if (!run->is_cut && run->line_taken > ret_result->line_done)
            ret_result->line_done = run->line_taken;
    }
    progress_end(progress);
    ret_result->seconds = progress_elapsed_s(progress);
    enum err_code closed = close_errors(run, rc == ERR_OK ? err : &later);
    rc = rc == ERR_OK ? closed : rc;
    reader_close(&run->reader);
    arena_deinit(&run->arena);
    free(run);
    return rc;
}
