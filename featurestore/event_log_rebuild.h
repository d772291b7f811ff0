/* SPDX-License-Identifier: Apache-2.0 */
/* event_log_rebuild - rewrites a log, record by record, into a new file that then replaces it.
 *
 * This is how records are changed and the space of deleted ones is reclaimed.  Sequence numbers are
 * kept.  Meanwhile the log is read and written as usual; records added to it are copied too, and
 * the writer copies the few that remain when it renames the new file over the old one.  A crash
 * before the rename leaves the old log, a crash after it the complete new one.
 *
 * Needs disk space for a second copy of the log, beyond the reserve.
 * Threads: event_log_rebuild_swap on the log's writer; the others on one other thread, which makes
 * no calls during the swap. */
#ifndef FEATURESTORE_EVENT_LOG_REBUILD_H
#define FEATURESTORE_EVENT_LOG_REBUILD_H

#include "featurestore/event_log.h"

struct event_log_rebuild;

/* May change `event`, which then points to bytes that stay until the next call, and `erased`,
 * `type` and `skew_ms`.  A record may come again, when the oldest ones were deleted meanwhile. */
typedef enum err_code (*event_log_rewrite_fn)(void *ctx, struct event_record *record,
                                              struct err *err);

/* ERR_DISK_FULL when there is no room for a second log; ERR_IO, ERR_NOMEM. */
MUST_CHECK enum err_code event_log_rebuild_begin(struct event_log *log,
                                                 event_log_rewrite_fn rewrite, void *ctx,
                                                 struct event_log_rebuild **ret_rebuild,
                                                 struct err *err);
/* Copies some megabytes.  *ret_near: what is left is short enough for the writer. */
MUST_CHECK enum err_code event_log_rebuild_step(struct event_log_rebuild *rebuild, bool *ret_near,
                                                struct err *err);
/* Nothing may be gathered.  ERR_BUSY while somebody reads the log: try again. */
MUST_CHECK enum err_code event_log_rebuild_swap(struct event_log_rebuild *rebuild, struct err *err);
/* How many records were copied. */
uint64_t event_log_rebuild_count(const struct event_log_rebuild *rebuild);
/* Gives up what did not take its place, and closes the old file of what did; NULL is fine. */
void event_log_rebuild_end(struct event_log_rebuild **rebuild);

/* Removes what a crash left of one.  Before the log is rebuilt again nothing else does. */
MUST_CHECK enum err_code event_log_rebuild_clean(struct event_log *log, struct err *err);

#endif
