/* SPDX-License-Identifier: Apache-2.0 */
/* store_checkpoint - the whole state goes to a file while events are applied.
 *
 * A checkpoint holds the state as of one sequence, S.  The store thread writes it row by row, a
 * block at a time between batches.  A row that changes before its turn is written as it is, just
 * before the change (store_keep); one that did not exist at S is left out.  So what is in the file
 * is the state at S, and no batch waits for more than a block.  (Windows may have moved on a
 * little; they get there in a replay, too.)
 *
 * The newest two files are named by a note in the log, which is written when a file is whole; the
 * log may be pruned up to the older of them.
 * Threads: the store thread. */
#ifndef FEATURESTORE_STORE_CHECKPOINT_H
#define FEATURESTORE_STORE_CHECKPOINT_H

#include "featurestore/store_rows.h"

#define STORE_CHECKPOINTS_KEPT 2
#define STORE_CHECKPOINT_NOTE  "checkpoints"

struct store_checkpoints {
    char dir[3072];
    struct store_checkpoint_options options;
    uint64_t
        sequence[STORE_CHECKPOINTS_KEPT]; /* of the files that are there, newest first; 0: none */
    uint64_t at_ns;                       /* when the last one began */
    bool has_ids;                         /* the newest one remembers event ids */
    struct store_event_ids restored_ids;  /* of the one that was read, until they are taken */

    /* The one under way. */
    struct checkpoint_writer *writer; /* owned; NULL: none */
    struct checkpoint_block block;
    uint64_t at_sequence;
    struct dedup_span ids;   /* as of then */
    uint32_t kind, next;     /* the row whose turn it is */
    uint32_t count[ROW_END]; /* rows that existed when it began */
    uint8_t *kept[ROW_END];  /* owned: a bit for each row that was written before its turn */

    _Atomic uint64_t written, failures, last_sequence, last_bytes, last_ms; /* for statistics */
};

/* Before a row of a kind from ROW_ITEM on changes. */
void store_keep_row(struct store *store, enum store_row kind, uint32_t number);

static inline void store_keep(struct store *store, enum store_row kind, uint32_t number)
{
    if (store->checkpoints != NULL && store->checkpoints->writer != NULL)
        store_keep_row(store, kind, number);
}

/* After a commit, with nothing gathered: begins one when it is due. */
void store_checkpoint_consider(struct store *store);
/* With nothing gathered. */
MUST_CHECK enum err_code store_checkpoint_begin(struct store *store, struct err *err);
/* True while there is something to do for it now. */
bool store_checkpoint_has_work(const struct store *store);
/* Writes a block of rows, or finishes. */
void store_checkpoint_step(struct store *store);
/* Gives up the one that is under way; it is due again as it was. */
void store_checkpoint_abandon(struct store *store);
void store_checkpoints_destroy(struct store_checkpoints **checkpoints);

/* The newest one is the only one from now on. */
MUST_CHECK enum err_code store_checkpoint_forget_older(struct store *store, struct err *err);

/* The name of the file. */
void store_checkpoint_name(uint64_t sequence, char *buf, size_t buf_bytes);
void store_checkpoint_path(const struct store_checkpoints *checkpoints, uint64_t sequence,
                           char *buf, size_t buf_bytes);

/* ---- store_restore.c: the newest checkpoint that can be read becomes the state.  *ret_sequence is
 * what it covers, 0 without one.  ERR_CORRUPT when none can be read and the log does not begin at
 * its beginning. */
MUST_CHECK enum err_code store_restore(struct store *store, uint64_t *ret_sequence,
                                       struct err *err);

/* Which checkpoints there are, by the note in the log. */
MUST_CHECK enum err_code store_read_checkpoint_note(struct store *store, struct err *err);

#endif
