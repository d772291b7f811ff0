/* SPDX-License-Identifier: Apache-2.0 */
/* person - one person's history: a block, immutable to readers, and edits that produce a new one.
 *
 * Entries are sorted by event time, newest first; of equal times the one applied last comes first.
 * Block capacities come in few sizes (four per doubling, the largest being the limit itself), so
 * that the allocator can reuse freed blocks.
 *
 * Memory: 12 bytes plus 10 per entry.  The upper half of `classes` is private: how many days before
 * `last_s` the newest purchase was, 15 for "15 or more", so that purchases on one day count as one
 * day.  A purchase that arrives after one of a later day, or 15 days or more before
 * `last_s`, cannot be compared with all others and counts as a day of its own.
 *
 * A full history favours purchases: the oldest entry that is not a purchase is dropped first, as
 * long as PERSON_OTHERS_MIN of these remain, then the oldest purchase.  So three quarters are
 * available for purchases (all of it if there is nothing else), and a quarter for recent other
 * activity.  For items with one event each, the result does not depend on the order of events.  A
 * history of one item keeps the newest.
 *
 * A block without readers may be edited in place as long as it has room, with the same result as a
 * new block.
 *
 * Threads: blocks are read by any; an edit has one owner. */
#ifndef FEATURESTORE_PERSON_H
#define FEATURESTORE_PERSON_H

#include <stdint.h>

#include "base/slabs.h"
#include "featurestore/store_items.h"
#include "featurestore/store_people.h"

/* So many newest entries that are not purchases stay, however much was bought. */
#define PERSON_OTHERS_MIN(items_max) (((items_max) + 3) / 4)

struct person {
    uint32_t events;
    uint32_t purchases;
    uint16_t count;
    uint16_t capacity;
    uint32_t entry[]; /* item[capacity], last_s[capacity], classes[capacity], days[capacity] */
};

static inline uint64_t person_bytes(const struct person *person) /* 0 for NULL */
{
    return person == NULL ? 0 : sizeof *person + person->capacity * UINT64_C(10);
}

/* NULL is somebody without a history. */
static inline struct history person_history(const struct person *person)
{
    if (person == NULL)
        return (struct history){0};
    const uint8_t *classes = (const uint8_t *)(person->entry + 2 * person->capacity);
    return (struct history){.count = person->count,
                            .events = person->events,
                            .purchases = person->purchases,
                            .item = person->entry,
                            .last_s = person->entry + person->capacity,
                            .classes = classes,
                            .days = classes + person->capacity};
}

/* A history that is being changed. */
struct person_edit {
    uint32_t items_max;
    uint32_t count;
    uint32_t events;
    uint32_t purchases;
    uint32_t *item; /* owned, like those below; items_max places each.  In place: the block's */
    uint32_t *last_s;
    uint8_t *classes;
    uint8_t *days;
};

MUST_CHECK enum err_code person_edit_init(struct person_edit *edit, uint32_t items_max,
                                          struct err *err);
void person_edit_deinit(struct person_edit *edit);

void person_edit_begin(struct person_edit *edit, const struct person *person);
void person_edit_event(struct person_edit *edit, enum event_class event_class);
/* The event named this item.  A full history makes room, or the entry is itself what goes. */
void person_edit_item(struct person_edit *edit, uint32_t item, enum event_class event_class,
                      uint32_t time_s);
/* Takes in another history, as if its owner were the same person.  Of equal times what is there
 * stands first.  Days are added up, since nobody knows which of them are the same. */
void person_edit_merge(struct person_edit *edit, const struct history *other);
/* How many purchases, and how many other entries, a history keeps of so many: the newest of each.
 */
struct person_share {
    uint32_t purchases, others;
};
struct person_share person_share(const uint8_t *classes, uint32_t count, uint32_t items_max);
/* Whether the entry is among the purchases of a share. */
bool person_is_purchase(uint8_t classes, uint32_t items_max);
/* In place, and of no block that a reader may hold: person_edit_event and person_edit_item, and
 * what has changed stands in the block after person_edit_close. */
bool person_has_room(const struct person *person, uint32_t more, uint32_t items_max);
struct person_edit person_edit_open(struct person *person, uint32_t items_max);
void person_edit_close(const struct person_edit *edit, struct person *person);
/* A new block; NULL when there is no memory. */
struct person *person_edit_finish(const struct person_edit *edit, struct slabs *slabs);

#endif
