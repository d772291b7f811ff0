/* SPDX-License-Identifier: Apache-2.0 */
/* snapshot - a backup of the event log and the checkpoints in a separate folder: made while the
 * daemon serves, verified and restored without a daemon.
 *
 *   DIR/events/data.mdb      the log, compact
 *   DIR/checkpoints/         the files that the log's note names
 *
 * This is the layout of a data_dir, so the data_dir of a stopped daemon can be verified, too.
 * Threads: any but the store thread; calls take as long as reading everything. */
#ifndef FEATURESTORE_SNAPSHOT_H
#define FEATURESTORE_SNAPSHOT_H

#include "featurestore/store.h"

struct snapshot_report {
    uint64_t first_sequence, last_sequence; /* of the log; 0, 0: it is empty */
    uint64_t events;
    uint64_t checkpoint_sequence; /* the newest one; 0: none */
    uint32_t checkpoints, damaged_checkpoints;
    uint64_t rows; /* of the whole checkpoints */
    bool is_whole; /* a start from it would know everything up to last_sequence */
};

/* `dir`: an absolute path that is not there yet.  A failure leaves nothing behind.  ERR_EXISTS,
 * ERR_DISK_FULL, ERR_IO, ERR_UNSUPPORTED (no event log). */
MUST_CHECK enum err_code snapshot_make(struct store *store, const char *dir, struct err *err);

/* Reads every record and every row.  ERR_CORRUPT, with the report of what was read until then,
 * names the first record that is damaged or missing; damaged checkpoints are counted, and told
 * through `tell`. */
MUST_CHECK enum err_code snapshot_verify(const char *dir,
                                         void (*tell)(void *ctx, const struct err *err), void *ctx,
                                         struct snapshot_report *ret_report, struct err *err);

/* Puts a snapshot into a data_dir, whose lock the caller holds.  What was there before goes to
 * `before-restore-TIME` beside it (*ret_before, "" when there was nothing). */
#define SNAPSHOT_NAME_BYTES 64
MUST_CHECK enum err_code snapshot_restore(const char *dir, const char *data_dir, int64_t now_ms,
                                          char ret_before[SNAPSHOT_NAME_BYTES], struct err *err);

#endif
