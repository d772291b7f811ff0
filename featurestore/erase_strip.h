/* SPDX-License-Identifier: Apache-2.0 */
/* erase_strip - removes people from records.
 *
 * An erased person's event keeps its sequence and whatever counts for items (see
 * event_write_erased).  In somebody else's event the erased person's id is removed.  A decision
 * keeps only its sequence.  Mentions of a person in other people's free fields (`props`, `query`,
 * ...) are not detected.
 *
 * Threads: one owner; the set must not change meanwhile. */
#ifndef FEATURESTORE_ERASE_STRIP_H
#define FEATURESTORE_ERASE_STRIP_H

#include "featurestore/erase_set.h"
#include "featurestore/event_log.h"

struct erase_strip {
    const struct erase_set *set; /* borrowed; what has gone is counted in it */
    uint64_t decision_last;      /* decisions up to this one, whatever the set says */
    struct arena arena;
    uint64_t sequence; /* of the record that was looked at last */
    bool of_decisions;
    uint64_t *dedup; /* owned: keys of the event ids that are gone (featurestore/dedup.h) */
    uint64_t dedup_count, dedup_capacity;
    uint8_t bytes[EVENT_RECORD_BYTES_MAX]; /* of the record that is being made */
};

/* ERR_NOMEM. */
MUST_CHECK enum err_code erase_strip_create(const struct erase_set *set,
                                            struct erase_strip **ret_strip, struct err *err);
void erase_strip_destroy(struct erase_strip **strip); /* NULL is fine */

/* For event_log_rebuild, with a struct erase_strip.  ERR_CORRUPT names the record; ERR_NOMEM. */
enum err_code erase_strip_event(void *strip, struct event_record *record, struct err *err);
/* The same for decisions.  One that cannot be read goes, too: nobody knows whose it is. */
enum err_code erase_strip_decision(void *strip, struct event_record *record, struct err *err);

#endif
