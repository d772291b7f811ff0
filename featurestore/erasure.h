/* SPDX-License-Identifier: Apache-2.0 */
/* erasure - the store's part in erasing a person, step by step.
 *
 * Requested by a `forget` event or by store_forget.  The store thread clears memory at once: the
 * ids can no longer be found and their bytes are overwritten; histories, profiles, links and
 * features are removed.  Erasing a user also erases the anonymous ids linked to this user and never
 * to anybody else; a shared one only loses the link, and counts as shared for ever.  The request is
 * written to a ledger (featurestore/erase_ledger.h), synced before the event is committed.
 *
 * Files follow in rounds, driven by another thread (server/control/erasure.h), each for all pending
 * requests: a checkpoint is written and older ones are deleted, then the log is rewritten without
 * the people, then the requests are marked as done.  If the process ends in between, the next one
 * continues the round.
 *
 * A start compares ledger and log: if the log lacks the record named by a person's newest ledger
 * entry, it is an older log that was restored, and the person is erased again.
 *
 * Threads: store_open_erasures before store_start; the others on any but the store thread, and wait
 * for it. */
#ifndef FEATURESTORE_ERASURE_H
#define FEATURESTORE_ERASURE_H

#include "featurestore/erase_ledger.h"
#include "featurestore/erase_strip.h"
#include "featurestore/event_log_rebuild.h"
#include "featurestore/store.h"

/* `path` of the ledger; `wake` is called, on the store thread, when there is something to do. */
MUST_CHECK enum err_code store_open_erasures(struct store *store, const char *path,
                                             void (*wake)(void *ctx), void *ctx, struct err *err);

/* Any thread, also the store thread. */
struct erasure_stats {
    uint64_t last_request, done_request; /* 0: none */
    uint64_t pending;                    /* ids that are to be erased, and are not */
};
void store_erasure_stats(const struct store *store, struct erasure_stats *ret_stats);

/* Forgets a user, an anonymous id, or both (.ptr NULL: none), as a forget event does, which it
 * logs. *ret_request is its number, once it is on disk.  What makes a commit fail makes this fail,
 * too. */
MUST_CHECK enum err_code store_forget(struct store *store, struct text user, struct text anon,
                                      uint64_t *ret_request, struct err *err);

/* What is pending at one moment. */
struct erasure_round {
    uint64_t request_last;
    uint64_t sequence; /* of the newest record that asked; 0: none */
    struct erase_set set;
    struct erase_entry *entry; /* owned; who, in the order of requests */
    uint32_t entry_count;
    uint64_t *person; /* owned: erase_person_hash of those who were asked for since the start */
    uint32_t person_count;
};

/* ERR_NOT_FOUND: nothing is.  ERR_BUSY: the store is not recovered. */
MUST_CHECK enum err_code store_erasure_begin(struct store *store, struct erasure_round *ret_round,
                                             struct err *err);
void store_erasure_deinit(struct erasure_round *round); /* fine on a zeroed one */

/* Gives back what features of pairs with erased people hold, a little of it; true while there is
 * more.  Begins anew for each round with *at zeroed. */
struct erasure_sweep {
    uint32_t table, row;
};
bool store_erasure_sweep(struct store *store, struct erasure_sweep *at);

/* Deletes the checkpoints that do not reach that sequence, and whatever else lies in their folder,
 * when the newest one does and can be read from its beginning to its end.  ERR_BUSY: it does not,
 * and one was begun.  Fine without checkpoints.  ERR_CORRUPT, ERR_IO. */
MUST_CHECK enum err_code store_erasure_drop_checkpoints(struct store *store, uint64_t sequence,
                                                        struct err *err);

/* event_log_rebuild_swap for the event log, which was rewritten by `strip`: the ids of the events
 * that are gone are known no more.  ERR_BUSY: try again. */
MUST_CHECK enum err_code store_erasure_swap(struct store *store, struct event_log_rebuild *rebuild,
                                            const struct erase_strip *strip, struct err *err);

/* All requests up to that one are done; on disk after ERR_OK. */
MUST_CHECK enum err_code store_erasure_done(struct store *store, uint64_t request_last,
                                            struct err *err);

#endif
