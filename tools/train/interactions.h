/* SPDX-License-Identifier: Apache-2.0 */
/* interactions - who viewed, put into the cart, bought or disliked what, and when.
 *
 * Read from files of events (featurestore/reader.h) as the daemon reads them: an event whose id
 * came before is left out, control events and those that say nothing of a person and an item are
 * not used.  Anonymous people are people too, apart from users of the same id.
 *
 * Memory: 16 bytes an interaction, 16 to 32 an event for its id, and the ids.  Threads: one owner
 * while filled, then read by any.  Limits: INTERACTIONS_*_MAX. */
#ifndef TOOLS_TRAIN_INTERACTIONS_H
#define TOOLS_TRAIN_INTERACTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/idmap.h"
#include "base/text.h"
#include "featurestore/event.h"

#define INTERACTIONS_PEOPLE_MAX 200000000u /* users and anonymous ids each */
#define INTERACTIONS_ITEMS_MAX  16000000u

struct interaction {
    uint32_t person; /* number among the users, or among the anonymous ids */
    uint32_t item;
    uint32_t time_s; /* since the epoch */
    uint8_t event_class;
    bool anonymous;
};

struct interactions {
    struct idmap *users, *anonymous, *items; /* owned */
    struct interaction *list;                /* owned; in the order of the file */
    uint64_t count;
    uint64_t capacity;
    struct event_ids *seen; /* owned */
    uint64_t events;        /* used */
    uint64_t duplicates;    /* left out: the id came before */
    uint64_t unused;        /* left out: they say nothing of a person and an item */
};

MUST_CHECK enum err_code interactions_create(struct interactions *ret_interactions,
                                             struct err *err);
void interactions_destroy(struct interactions *interactions); /* fine when zeroed */

/* One event, decoded.  ERR_NOMEM, ERR_LIMIT. */
MUST_CHECK enum err_code interactions_add(struct interactions *interactions,
                                          const struct event *event, struct err *err);

/* People are numbered users first: this is the number over both. */
static inline uint32_t interactions_person(const struct interactions *interactions,
                                           const struct interaction *interaction)
{
    return interaction->anonymous ? idmap_count(interactions->users) + interaction->person
                                  : interaction->person;
}

static inline uint32_t interactions_people(const struct interactions *interactions)
{
    return idmap_count(interactions->users) + idmap_count(interactions->anonymous);
}

struct text interactions_id(const struct interactions *interactions, uint32_t person,
                            bool *ret_anonymous);

#endif
