/* SPDX-License-Identifier: Apache-2.0 */
/* event_log_internal - shared by event_log.c (open, close, notes), event_log_write.c (gather,
 * commit, prune), event_log_read.c and event_log_rebuild.c. */
#ifndef FEATURESTORE_EVENT_LOG_INTERNAL_H
#define FEATURESTORE_EVENT_LOG_INTERNAL_H

#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>

#include "featurestore/event_log.h"

#define EVENT_LOG_KEY_BYTES    8
#define EVENT_LOG_HEADER_BYTES 20

/* Records that were added and are not committed: header and event, one after the other. */
struct event_log_gathered {
    uint8_t *bytes; /* owned */
    uint64_t used, capacity;
    uint32_t count;
};

struct event_log {
    /* Held for reading by whoever is in `env` but the writer, who alone replaces it. */
    pthread_rwlock_t lock;
    MDB_env *env;
    MDB_dbi events, notes;
    const char *kind; /* borrowed, for messages */
    char dir[4096];
    uint64_t bytes_max, disk_reserve_bytes;
    int64_t retain_ms;
    int64_t type_retain_ms[EVENT_TYPE_COUNT];
    uint64_t page_bytes;
    const struct clock *clock;

    /* The writer's own. */
    struct event_log_gathered gathered;
    uint64_t next_sequence; /* of the next record that is added */
    /* Of the commit, between event_log_seal and the end of event_log_commit_sealed. */
    struct event_log_gathered sealed;
    uint64_t prune_old_up_to, prune_full_up_to;
    uint64_t expired_up_to[EVENT_TYPE_COUNT]; /* records of the type, as committed */

    /* Of what is gathered and sealed: by the writer and the commit. */
    _Atomic uint64_t gathered_count, gathered_bytes;
    /* Written by the commit, read by event_log_stats: relaxed, each stands by itself. */
    _Atomic uint64_t first_sequence, last_sequence, bytes_used;
    _Atomic int64_t first_arrival_ms;
    _Atomic uint64_t commits, commit_ns, commit_ns_max, commit_failures, pruned, expired;
    _Atomic bool failed;
};

/* How far retention by type came within a transaction. */
struct event_log_expiry {
    uint64_t up_to[EVENT_TYPE_COUNT];
    uint32_t count; /* records that were replaced */
    bool moved;
};

/* ---- event_log_expire.c */
#define EVENT_LOG_EXPIRED_NOTE "expired" /* how far that is */
int event_log_expire(const struct event_log *log, MDB_txn *txn, struct event_log_expiry *expiry);
enum err_code event_log_read_expiry(struct event_log *log, struct err *err);

/* What LMDB says, as one of our codes.  `doing`: "write to". */
enum err_code event_log_error(struct event_log *log, int mdb_code, const char *doing,
                              struct err *err);

uint64_t event_log_free_bytes(const struct event_log *log); /* on its disk */

void event_log_key(uint64_t sequence, uint8_t key[EVENT_LOG_KEY_BYTES]);
/* Writes the header of a record; the checksum takes in key and event. */
void event_log_header(const struct event_record *record, uint8_t header[EVENT_LOG_HEADER_BYTES]);
/* Checks and takes apart what stands under a key. */
enum err_code event_log_parse(const char *kind, const MDB_val *key, const MDB_val *value,
                              struct event_record *ret_record, struct err *err);
/* Brings first, last and bytes_used up to date, as the transaction sees them. */
int event_log_measure(struct event_log *log, MDB_txn *txn);

#endif
