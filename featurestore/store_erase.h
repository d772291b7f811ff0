/* SPDX-License-Identifier: Apache-2.0 */
/* store_erase - shared by the parts of erasure.
 *
 *   store_forget.c      the effect of a forget event on the state
 *   store_erase.c       requests and the ledger
 *   store_erase_recover.c  the ledger on start
 *   store_erase_round.c the steps of a round
 *   feature_erase.c     features of people
 *
 * Threads: the writer. */
#ifndef FEATURESTORE_STORE_ERASE_H
#define FEATURESTORE_STORE_ERASE_H

#include "featurestore/erasure.h"
#include "featurestore/event_write.h"
#include "featurestore/store_internal.h"

enum {
    ERASE_WIPES_MAX = 256,
    ERASE_EDITS_MAX = EVENT_FORGET_IDS_MAX + PROFILE_ANONS_MAX + PROFILE_LINKS_MAX
};

/* The new profile of somebody who stays. */
struct erase_edit {
    struct people *people;
    uint32_t number;
    _Atomic(const struct profile_block *) *slot;
    const struct profile_block *profile; /* owned until it is published; NULL: nothing is left */
};

struct store_erase {
    struct erase_ledger *ledger; /* owned; NULL: none */
    struct erase_set pending;    /* what is in it and not done */
    void (*wake)(void *ctx);
    void *ctx;

    /* The forget that is applied. */
    struct event_forget forget;
    struct erase_edit edit[ERASE_EDITS_MAX];
    uint32_t edit_count;
    uint8_t bytes[EVENT_BYTES_MAX];                     /* as it is logged */
    struct erase_entry entry[EVENT_FORGET_IDS_MAX + 2]; /* for the ledger */
    uint32_t entry_count;

    /* Ids that nobody finds any more, and whose bytes are still there. */
    struct {
        struct idmap *ids;
        uint32_t number, id_bytes;
    } wipe[ERASE_WIPES_MAX];
    uint32_t wipe_count;

    /* erase_person_hash of those who were asked for since the last round; owned. */
    uint64_t *person;
    uint32_t person_count, person_capacity;
    _Atomic uint64_t last_request, done_request, pending_count; /* for statistics: relaxed */
    /* Records of forgets that a replay met; owned. */
    uint64_t *seen;
    uint32_t seen_count, seen_capacity;
};

MUST_CHECK enum err_code store_erase_create(struct store *store, struct err *err);
void store_erase_destroy(struct store_erase **erase); /* NULL is fine */

/* ---- store_forget.c */
/* Before a forget event is logged: whom it reaches goes into it, and `bytes` become its own. */
void store_forget_resolve(struct store *store, const struct event *event, struct text *bytes);
/* The same for one that the log holds. */
void store_forget_read(struct store *store, const struct event *event);
/* The one that was resolved or read.  ERR_NOMEM, ERR_LIMIT: nothing changed. */
MUST_CHECK enum err_code store_forget_apply(struct store *store, struct err *err);
/* Overwrites the ids that were erased, when no reader has them any more; waits for readers. */
void store_erase_wipe(struct store *store);

/* ---- store_erase.c */
/* Before the forget that was resolved is applied: makes its entries, and room for them. */
MUST_CHECK enum err_code store_erase_reserve(struct store *store, struct err *err);
/* It was applied, and gathered for the log as its newest record: the entries go to the ledger. */
void store_erase_note(struct store *store, int64_t arrival_ms);
/* The same for a forget that the log holds. */
MUST_CHECK enum err_code store_erase_note_record(struct store *store, const struct event *event,
                                                 const struct event_record *record,
                                                 struct err *err);
/* Forgets by an event of our own, which is gathered.  Texts must not be those of the tables. */
MUST_CHECK enum err_code store_forget_here(struct store *store, struct text user, struct text anon,
                                           struct err *err);
/* What is gathered for the ledger goes to disk. */
bool store_erase_has_unsynced(const struct store *store);
MUST_CHECK enum err_code store_erase_flush(struct store *store, struct err *err);
/* The record is of somebody who is to be erased, and from before that. */
bool store_erase_covers(const struct store *store, const struct event *event, uint64_t sequence);
/* The set of what is pending, anew. */
MUST_CHECK enum err_code store_erase_find_pending(struct store *store, struct err *err);

/* ---- store_erase_recover.c */
/* A replay met a forget event that is not done, as far as the log knows. */
MUST_CHECK enum err_code store_erase_saw(struct store *store, uint64_t sequence, struct err *err);
/* The state is that of the log: what the ledger has and the log has not is erased again. */
MUST_CHECK enum err_code store_erase_recovered(struct store *store, struct err *err);

/* ---- feature_erase.c */
void feature_tables_erase(struct store *store, uint32_t number, bool is_anon);
/* The row is of a pair whose person was erased. */
bool feature_row_is_erased(const struct store *store, uint32_t table, uint32_t number);

#endif
