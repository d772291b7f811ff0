/* SPDX-License-Identifier: Apache-2.0 */
/* export - what the daemon has logged, as lines of NDJSON or CSV.
 *
 *   export.c            the command line
 *   export_pages.c      records from the daemon, page by page
 *   export_out.c        lines to a file, compressed or not
 *   export_events.c     events, by export_rows.c
 *   export_decisions.c  decisions as they were logged
 *   export_person.c     everything about one person
 *   export_training.c   decisions with what came of them, by export_labels.c
 *
 * Threads: one. */
#ifndef TOOLS_CTL_EXPORT_H
#define TOOLS_CTL_EXPORT_H

#include "base/buffer.h"
#include "base/cursor.h"
#include "featurestore/decision_record.h"
#include "tools/ctl/command.h"
#include "tools/ctl/export_out.h"

enum export_format { EXPORT_NDJSON, EXPORT_CSV };

struct export_job {
    enum export_format format;
    enum export_compression compression;
    uint64_t from; /* the first sequence */
    const char *path;
    int64_t since_ms, before_ms; /* by arrival, or when the decision was made */
    const char *user, *anon;     /* person; NULL: not given */
    int64_t window_ms;           /* training: so long after a decision what happens counts */
};

struct export_run {
    struct ctl *ctl;
    const struct export_job *job;
    struct export_out *out;
    uint64_t exported;
};

/* Each gives an exit code, after a message when it is not EXIT_FINE. */
int export_events(struct export_run *run);
int export_decisions(struct export_run *run);
int export_training(struct export_run *run);
int export_person(struct export_run *run);

/* ---- export_pages.c */

/* Called for each record of a log: the map {sequence, arrival_ms, ...}. */
typedef int (*export_record_fn)(void *ctx, struct cursor record);

/* `what`: "events" or "decisions"; `purpose`: NULL, or for decisions "training": only of people who
 * allow that.  With a user or an anonymous id in the job only what is theirs. */
int export_each(struct export_run *run, const char *what, const char *purpose, export_record_fn fn,
                void *ctx);
/* The decision in a record; a message says what is wrong with it. */
int export_decision_of(struct cursor record, struct decision_record *ret_decision,
                       struct text *ret_bytes);
bool export_is_wanted(const struct export_job *job, int64_t time_ms);
int export_write(struct export_run *run, const char *text, size_t len);
/* Writes the buffer and empties it. */
int export_flush(struct export_run *run, struct buffer *buffer);

#endif
