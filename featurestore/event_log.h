/* SPDX-License-Identifier: Apache-2.0 */
/* event_log - every event that was accepted, in order, on disk.
 *
 * The log of decisions (featurestore/decision_record.h) is one, too, in another directory: its
 * records hold decisions where it says events here, and their type is 0.
 *
 * An LMDB environment in a directory of its own (data.mdb, lock.mdb).  Records stand under their
 * sequence number, 1, 2, 3, ... without a gap.  The writer gathers records in memory
 * (event_log_add) and commits them together (event_log_commit, group commit): one transaction and
 * two syncs, whatever their number.  After it returned ERR_OK the records survive a crash of the
 * process and of the machine.
 *
 * A record that could not be committed stays gathered, and the next commit tries it again:
 * - ERR_DISK_FULL: the disk has less than `disk_reserve_bytes` free, or the log is an eighth above
 *   `bytes_max` and nothing of it may be pruned.  What was committed is whole; try again when there
 *   is room.  Above `bytes_max` the writer should add no more (event_log_make_room): the eighth is
 *   there so that what was taken before that was known can still be committed.
 * - ERR_IO: a write or sync failed for another reason.  The log is `failed` from then on and takes
 *   nothing until it is opened anew: after a failed sync nobody knows what the disk holds.
 *
 * Pruning: each commit also deletes some of the oldest records when they are older than
 * `retain_ms`, or when the log is nearly full; never the last one, and none beyond the sequences
 * given to event_log_allow_prune, up to which a checkpoint holds what they did.
 *
 * Retention by type: a record whose type has a retention of its own (`type_retain_ms`) and outlived
 * it is replaced, a few with each commit and within the same limits, by one of its sequence that
 * has no effect: an `item_delete` of nothing, with the id and the time of the event
 * (event_log_expire.c).  So a replay of the whole log gives the state without those events.
 *
 * Format of a record: key, the sequence in 8 bytes big-endian; value, little-endian: version 1
 * (u8), event type (u8; its top bit: the person was erased, so that there is less in the record
 * than its type says), origin (u16: 0, this log), checksum (u32: the low half of XXH3-64 over all
 * else, the key first), arrival (i64, ms since the epoch), skew (i32, ms to be added to the event's
 * own `ts`), and the event as it came, one MessagePack map.
 *
 * Threads: one writer; readers on any thread, each with its own struct event_log_reader.  Open a
 * directory once per process.  Limits: the map is bytes_max and a quarter, as address space. */
#ifndef FEATURESTORE_EVENT_LOG_H
#define FEATURESTORE_EVENT_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/text.h"
#include "featurestore/event.h"

#define EVENT_LOG_BYTES_MIN        (UINT64_C(16) << 20)
#define EVENT_LOG_RECORD_BYTES_MAX (UINT32_C(1) << 20) /* of what a record holds */

struct event_log;

struct event_log_options {
    const char *kind;   /* "event", and so when NULL, or "decision": one opens no other */
    const char *dir;    /* made when it is not there */
    uint64_t bytes_max; /* at least EVENT_LOG_BYTES_MIN */
    int64_t retain_ms;  /* by arrival; 0: for ever */
    int64_t type_retain_ms[EVENT_TYPE_COUNT]; /* the same for events of a type; 0: as the others */
    uint64_t disk_reserve_bytes;              /* left free for others */
    bool read_only;                           /* it must exist; another process may be writing */
    const struct clock *clock;                /* borrowed */
};

MUST_CHECK enum err_code event_log_open(const struct event_log_options *options,
                                        struct event_log **ret_log, struct err *err);
void event_log_close(struct event_log **log); /* no readers left; what is gathered is lost */

struct event_record {
    uint64_t sequence;
    int64_t arrival_ms;
    int32_t skew_ms;
    uint16_t origin;
    enum event_type type;
    bool erased;       /* what was personal in it is gone (featurestore/erase_strip.h) */
    struct text event; /* MessagePack; borrowed */
};

/* Nothing but its id and time is left of it. */
bool event_record_is_expired(const struct event_record *record);

/* ---- the writer ------------------------------------------------------------------------------ */

/* Makes room for one more record with an event of that length.  ERR_NOMEM. */
MUST_CHECK enum err_code event_log_reserve(struct event_log *log, uint32_t event_bytes,
                                           struct err *err);
/* Gathers a record, for which there must be room; its sequence is the next one. */
void event_log_add(struct event_log *log, const struct event_record *record);
/* The sequence that the next record gets. */
uint64_t event_log_next(const struct event_log *log);
uint32_t event_log_gathered_count(const struct event_log *log); /* sealed ones as well */
uint64_t event_log_gathered_bytes(const struct event_log *log);
MUST_CHECK enum err_code event_log_commit(struct event_log *log, struct err *err);
/* The same in two steps, so that the writer can go on: what is gathered is put aside, after all
 * that was put aside before was committed; then it is committed by any one thread, while the writer
 * adds records and does nothing else with the log. */
void event_log_seal(struct event_log *log);
MUST_CHECK enum err_code event_log_commit_sealed(struct event_log *log, struct err *err);
/* It is above `bytes_max`, with what is gathered. */
bool event_log_is_full(const struct event_log *log);
/* Prunes until it is not; ERR_DISK_FULL when too little may be pruned now. */
MUST_CHECK enum err_code event_log_make_room(struct event_log *log, struct err *err);
/* What another process wrote until now counts, too.  Nothing may be gathered. */
MUST_CHECK enum err_code event_log_refresh(struct event_log *log, struct err *err);
/* Deletes what a commit would delete, for a log to which nothing is added. */
MUST_CHECK enum err_code event_log_prune(struct event_log *log, struct err *err);
/* ERR_DISK_FULL when a commit would say so now; cheap. */
MUST_CHECK enum err_code event_log_check_room(struct event_log *log, struct err *err);
/* Whether all that was ever committed is there, and as it was: nothing was pruned, and no record
 * outlived the retention of its type. */
bool event_log_is_whole(const struct event_log *log);
/* Up to which sequence records may go because they are old, and because there is no room. */
void event_log_allow_prune(struct event_log *log, uint64_t old_up_to, uint64_t full_up_to);

/* What goes with a sequence and is no event, written in a transaction of its own. */
#define EVENT_LOG_NOTE_BYTES_MAX 1024
MUST_CHECK enum err_code event_log_put_note(struct event_log *log, const char *name,
                                            const void *bytes, size_t len, struct err *err);
/* ERR_NOT_FOUND; ERR_CORRUPT when it is longer than `capacity`. */
MUST_CHECK enum err_code event_log_get_note(struct event_log *log, const char *name, void *bytes,
                                            size_t capacity, size_t *ret_len, struct err *err);

/* A compact copy of what is committed, in a folder that is empty.  Any thread; it is a reader for
 * as long as it takes. */
MUST_CHECK enum err_code event_log_copy(struct event_log *log, const char *dir, struct err *err);

/* ---- any thread ------------------------------------------------------------------------------ */

struct event_log_stats {
    uint64_t first_sequence, last_sequence; /* 0, 0: none */
    int64_t first_arrival_ms;
    uint64_t bytes_used; /* pages of records */
    uint64_t bytes_max;
    uint64_t commits, commit_ns, commit_ns_max; /* since it was opened; successful ones */
    uint64_t commit_failures;
    uint64_t pruned;   /* records, since it was opened */
    uint64_t expired;  /* records that outlived the retention of their type, likewise */
    uint64_t gathered; /* records that wait for a commit */
    bool failed;
};
void event_log_stats(const struct event_log *log, struct event_log_stats *ret_stats);

/* Holds old pages in place while it is open: keep it short, begin again where it ended. */
struct event_log_reader {
    struct event_log *log;
    void *txn, *cursor;
    bool is_placed; /* there is a record from that sequence on */
    uint64_t next;  /* the sequence that must come next; 0: any */
};

/* From that sequence on, or from the oldest record when that one is gone. */
MUST_CHECK enum err_code event_log_read_begin(struct event_log *log, uint64_t from_sequence,
                                              struct event_log_reader *ret_reader, struct err *err);
/* The next record, whose bytes are valid until the reader ends.  ERR_NOT_FOUND behind the last one;
 * ERR_CORRUPT names the sequence and what is wrong with it. */
MUST_CHECK enum err_code event_log_read_next(struct event_log_reader *reader,
                                             struct event_record *ret_record, struct err *err);
void event_log_read_end(struct event_log_reader *reader);

#endif
