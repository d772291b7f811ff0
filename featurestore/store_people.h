/* SPDX-License-Identifier: Apache-2.0 */
/* store_people - what the store knows of people: histories, consent, links, attributes.
 *
 * People are users and anonymous ids; links (identify) join them.  What is asked with both is of
 * the user, and of the anonymous id when that is not known or not given.
 *
 * Threads: any, inside rcu_read_begin/end; wait-free.  Ownership: what is returned is the store's,
 * and constant until rcu_read_end.  Limits: people_max, history_items_max, link_anons_max and
 * link_users_max (struct store_limits). */
#ifndef FEATURESTORE_STORE_PEOPLE_H
#define FEATURESTORE_STORE_PEOPLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"
#include "featurestore/event.h"

struct store;

/* A person's history: one entry per distinct item, newest first.  Parallel arrays. */
struct history {
    uint32_t count;         /* 0 for an unknown person */
    uint32_t events;        /* events ever counted for this person */
    uint32_t purchases;     /* purchase events ever counted */
    const uint32_t *item;   /* item numbers */
    const uint32_t *last_s; /* seconds since the epoch of the newest event with the item */
    const uint8_t *classes; /* bit 1 << enum event_class for each class seen; the upper half of the
                               byte is the store's own: mask it */
    const uint8_t *days;    /* distinct days (UTC) with a purchase of it, at most 255 */
};

/* What is known of the user; of the anonymous id when that is not known or not given.  Histories
 * are read through links (identify): a user's own together with those of the anonymous ids that no
 * other user was ever linked to, and the same for whoever asks with such an id alone.  An id that
 * has links is nobody else's: asked for with another user it has no history here.  False when
 * nothing is known; *ret_history is empty then. */
bool store_history(const struct store *store, struct text user, struct text anon,
                   struct history *ret_history);

uint32_t store_user_count(const struct store *store); /* numbers given */
/* The same of the user of that number, their attributes (see store_user_attributes) and consent,
 * for whoever looks at all of them; false when nothing is known. */
bool store_user_at(const struct store *store, uint32_t user, struct history *ret_history,
                   struct text *ret_attributes, uint8_t *ret_consent);

/* What may be done with the person's data: bits by enum event_consent.  What the user, the
 * anonymous id, or, asked for with such an id alone, the user behind it denied is denied; what
 * nobody spoke of is as the limits say.  `personalize`: decisions and features; `train`: exports
 * for training; `process`: their events are taken at all, and without it nothing is
 * allowed. */
uint8_t store_consent(const struct store *store, struct text user, struct text anon);

/* What they said themselves: the user, or the anonymous id when no user is given.  False when they
 * never spoke; all is 0 then. */
struct store_consent_said {
    uint8_t allowed, denied;      /* bits by enum event_consent */
    int64_t at_ms[CONSENT_COUNT]; /* by the event's own time */
};
bool store_consent_said(const struct store *store, struct text user, struct text anon,
                        struct store_consent_said *ret_said);

/* The user whom the anonymous id stands for; .ptr NULL when it has no link, or more than one user.
 */
struct text store_linked_user(const struct store *store, struct text anon);

/* A link and where it is from. */
struct store_link {
    struct text user, anon;
    int64_t at_ms;
    struct text event; /* the id of the event that made it */
};

/* The link number `index` of a user, or of an anonymous id when `user` is absent, in the order in
 * which they came; false behind the last. */
bool store_link_at(const struct store *store, struct text user, struct text anon, uint32_t index,
                   struct store_link *ret_link);
/* More than one user is or was linked to the anonymous id. */
bool store_is_shared(const struct store *store, struct text anon);

/* What user_upsert said of the user last: a MessagePack map of texts to texts, numbers and
 * booleans, checked; .ptr NULL for nothing. */
struct text store_user_attributes(const struct store *store, struct text user);

#endif
