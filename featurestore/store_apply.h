/* SPDX-License-Identifier: Apache-2.0 */
/* store_apply - applies an event: decode, check, build new blocks, publish them.
 *
 * An event changes nothing until all memory that it needs is allocated (store_internal.h, invariant
 * 3): new blocks are kept in store->views and store->consents until published or discarded.
 *
 * Threads: the writer; no locks.  Ownership: published blocks belong to the store, and the blocks
 * that they replace are retired. */
#ifndef FEATURESTORE_STORE_APPLY_H
#define FEATURESTORE_STORE_APPLY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "featurestore/event.h"
#include "featurestore/event_log.h"
#include "featurestore/store_items.h"
#include "featurestore/store_pages.h"

struct slabs;
struct store;

/* What an event is about to change, while the views that follow from it are made. */
struct store_pending {
    const struct people *people; /* of the new history; NULL: none */
    uint32_t number;
    const struct person *person;
    /* identify: new profiles, NULL where nothing is left of one */
    bool has_profiles;
    uint32_t anon;
    const struct profile_block *anon_profile;
    uint32_t user_count;
    uint32_t user[2];
    const struct profile_block *user_profile[2];
};

/* ---- store_apply.c: bytes as in store_submit; fills store->result and gathers for the log what
 * was accepted. */
void store_apply_batch(struct store *store, const uint8_t *bytes, size_t len,
                       const struct event_rules *rules);
/* Decodes an event that the log holds.  ERR_CORRUPT. */
MUST_CHECK enum err_code store_decode_record(const struct event_record *record, struct arena *arena,
                                             struct event *ret_event, struct err *err);
/* One such event.  ERR_LIMIT, ERR_NOMEM. */
MUST_CHECK enum err_code store_apply_record(struct store *store, const struct event_record *record,
                                            const struct event *event, struct err *err);
/* In the place of what is in the slot. */
void store_person_publish(struct store *store, _Atomic(const struct person *) *slot,
                          const struct person *person);
/* Only its id: that of an event whose effects a checkpoint holds. */
void store_remember_record(struct store *store, const struct event_record *record,
                           const struct event *event);
/* The same for the features alone that wait to be filled. */
MUST_CHECK enum err_code store_fill_record(struct store *store, const struct event_record *record,
                                           const struct event *event, struct err *err);
/* ERR_LIMIT names the option. */
MUST_CHECK enum err_code store_add_item_id(struct store *store, struct text id,
                                           uint32_t *ret_number, struct err *err);
MUST_CHECK enum err_code store_add_person_id(struct people *people, struct text id,
                                             uint32_t *ret_number, struct err *err);

/* ---- store_windows.c */
/* Makes sure that the item has windows for that class; false without memory. */
bool store_make_windows(struct store *store, uint32_t item, enum event_class event_class);

/* ---- store_fetch.c, on the writer: asks for the memory of the next STORE_FETCH_MAX events at
 * most. Worth it for more than one. */
enum { STORE_FETCH_MAX = 64 };
void store_fetch(const struct store *store, const struct event *event, uint32_t count);

/* ---- store_catalogue.c */
MUST_CHECK enum err_code store_catalogue_upsert(struct store *store, const struct event *event,
                                                int64_t arrival_ms, struct err *err);
MUST_CHECK enum err_code store_catalogue_delete(struct store *store, const struct event *event,
                                                struct err *err);

/* Texts are copied. */
MUST_CHECK enum err_code store_catalogue_put(struct store *store, uint32_t item,
                                             const struct item *record, struct err *err);

/* ---- store_profile.c */
MUST_CHECK enum err_code store_profiles_init(struct store *store, struct people *people,
                                             struct err *err);
void store_profiles_deinit(struct people *people, struct slabs *slabs);
/* The slot, with a page behind it; NULL without memory. */
_Atomic(const struct profile_block *) *
store_profile_slot_make(struct store *store, struct people *people, uint32_t number);
/* In the place of what is in the slot, which is retired; NULL for nothing. */
void store_profile_publish(struct store *store, _Atomic(const struct profile_block *) *slot,
                           const struct profile_block *profile);
MUST_CHECK enum err_code store_user_upsert(struct store *store, const struct event *event,
                                           struct err *err);

/* ---- store_identity.c */
MUST_CHECK enum err_code store_identify(struct store *store, const struct event *event,
                                        int64_t arrival_ms, struct err *err);

/* ---- store_consent.c */
/* ERR_DENIED when the person denied `process`, and the event does not allow it anew. */
MUST_CHECK enum err_code store_consent_check(const struct store *store, const struct event *event,
                                             struct err *err);
/* An event that denies `process` itself becomes a consent event, and `bytes` its own: nothing else
 * of it is applied or kept. */
void store_consent_strip(struct store *store, struct event *event, struct text *bytes);
/* What the event allows and denies, into store->consents; nothing is left on ERR_NOMEM. */
MUST_CHECK enum err_code store_consent_prepare(struct store *store, const struct event *event,
                                               int64_t arrival_ms, struct err *err);
void store_consent_publish(struct store *store);
void store_consent_discard(struct store *store);

/* ---- store_views.c */
/* Makes the view of one user, as it will be, into store->views.  ERR_NOMEM leaves those that were
 * made: store_views_discard. */
MUST_CHECK enum err_code store_view_make(struct store *store, uint32_t user,
                                         const struct store_pending *pending, struct err *err);
/* The user whose view follows from that history; IDMAP_NONE: there is none. */
uint32_t store_view_user(const struct store *store, const struct people *people, uint32_t number);
/* All views that follow from a new history; none are left behind on ERR_NOMEM. */
MUST_CHECK enum err_code store_views_follow(struct store *store,
                                            const struct store_pending *pending, struct err *err);
void store_views_publish(struct store *store);
void store_views_discard(struct store *store);
/* All views anew, after profiles and histories were read from a checkpoint. */
MUST_CHECK enum err_code store_views_make_all(struct store *store, struct err *err);

#endif
