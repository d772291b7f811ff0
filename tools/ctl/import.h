/* SPDX-License-Identifier: Apache-2.0 */
/* import - files of events and items into the daemon, in batches.
 *
 * Every line has one of these ends: sent, left out (by a rule of the map or by its time), or failed
 * (not readable, no event, or rejected by the daemon), and each is counted.  Events have ids, so a
 * batch whose answer got lost is sent again, and a whole file can be.
 *
 * Threads: one.  Memory: one batch. */
#ifndef TOOLS_CTL_IMPORT_H
#define TOOLS_CTL_IMPORT_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/err.h"
#include "featurestore/reader.h"
#include "tools/cli/progress.h"

#define IMPORT_SHOWN_MAX     10  /* errors shown; all go into the file of errors */
#define IMPORT_DESCRIBED_MAX 100 /* rejections that a reply describes */
#define IMPORT_PATIENCE_NS   UINT64_C(60000000000) /* for one batch, with all its repetitions */

struct import_job {
    const char *path;
    struct reader_options reader;
    int64_t since_ms, before_ms; /* event times wanted: since_ms <= ts < before_ms */
    uint64_t from_line;          /* lines before it were imported already */
    uint64_t errors_max;         /* more end the import */
    const char *errors_path;     /* NULL: none */
    FILE *messages;
    const volatile sig_atomic_t *stop; /* set by a signal: end after this batch */
};

/* What the daemon says about a batch. */
struct import_reply {
    uint64_t accepted, duplicate, rejected;
    uint32_t described;
    struct {
        uint32_t index;
        char message[160];
    } rejection[IMPORT_DESCRIBED_MAX];
};

enum import_answer {
    IMPORT_TAKEN,
    IMPORT_LATER,   /* overloaded, or no answer in time: try again */
    IMPORT_REFUSED, /* trying again is no use */
};

/* The way to the daemon; tests put their own in its place. */
struct import_link {
    void *ctx;
    const struct clock *clock;
    enum import_answer (*send)(void *ctx, const void *events, size_t len,
                               struct import_reply *ret_reply, struct err *err);
    void (*pause)(void *ctx, uint64_t us);
};

struct import_result {
    uint64_t lines, kept, outside, errors; /* outside: of since_ms..before_ms */
    uint64_t accepted, duplicate, rejected;
    uint64_t line_done; /* all up to this line came to their end */
    double seconds;
    uint32_t rule_count;
    struct {
        char name[READER_RULE_BYTES];
        uint64_t count;
    } rule[READER_RULES_MAX];
};

/* Fills *ret_result as far as it came, also when it fails.  The text of *err names the file. */
MUST_CHECK enum err_code import_run(const struct import_job *job, const struct import_link *link,
                                    struct progress *progress, struct import_result *ret_result,
                                    struct err *err);

/* import_report.c */
void import_print(const struct import_job *job, const struct import_result *result, FILE *to);
/* `why`: NULL when the import came to its end. */
void import_print_json(const struct import_job *job, const struct import_result *result,
                       const char *why, FILE *to);

/* import_send.c: ctx is the struct ctl. */
enum import_answer import_send(void *ctx, const void *events, size_t len,
                               struct import_reply *ret_reply, struct err *err);
/* Of a reply's bytes. */
MUST_CHECK enum err_code import_parse_reply(const void *bytes, size_t len,
                                            struct import_reply *ret_reply, struct err *err);

#endif
