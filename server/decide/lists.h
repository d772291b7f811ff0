/* SPDX-License-Identifier: Apache-2.0 */
/* lists - items that are chosen ahead of requests, for the sources of the policies that have such a
 * list: those of editors, new arrivals, what trends, items that are alike.
 *
 * A list is one or more spans of items with their natural scores, best first.  All lists of a
 * policy set stand in one immutable list set, which the snapshot publishes by pointer and which is
 * made anew when what it comes from changed, off the hot path and in pieces, so that no reader of
 * the store holds its writer up.
 *
 * Threads: make and destroy on the loader, outside of rcu_read_begin/end; read by any, inside.
 * Limits: POLICY_LISTS_MAX lists, LISTS_SPAN_MAX items in a span. */
#ifndef SERVER_DECIDE_LISTS_H
#define SERVER_DECIDE_LISTS_H

#include "server/decide/policy.h"

#define LISTS_SPAN_MAX 1000

struct list_entry {
    uint32_t item;
    float value; /* the natural score */
};

struct list_span {
    uint32_t first, count; /* of `entry` */
};

struct list {
    const struct list_span *span; /* in the block of the list, as the entries are */
    const struct list_entry *entry;
    /* By segment: of span 1 on, rising; NULL where spans have plain numbers. */
    const uint64_t *segment;
    uint32_t span_count;
    enum policy_list_kind kind;
    uint64_t content_version; /* of the store, as of when it was made */
    uint32_t unknown_count;   /* of an editor's list: ids that nothing knows, which are left out */
    uint32_t user_count;      /* list sets that have it; the loader's */
};

struct list_set {
    uint32_t count;
    struct list *list[POLICY_LISTS_MAX]; /* by number in the policy set; owned together */
};

/* Asked now and then while a long list is made; true: nobody needs it any more. */
struct list_stop {
    bool (*is_wanted)(void *ctx); /* NULL: never */
    void *ctx;
};

/* What serves, which what costs much is taken from: where it did not change, or whatever changed.
 */
struct lists_before {
    const struct list_set *set; /* NULL: none */
    bool however_old;
};

/* One for each list of the policies.  ERR_NOMEM; ERR_BUSY when it was stopped. */
MUST_CHECK enum err_code lists_make(const struct policy_set *policies, const struct store *store,
                                    struct lists_before before, struct list_stop stop,
                                    struct list_set **ret_set, struct err *err);
void lists_destroy(struct list_set **set); /* NULL is fine; sets NULL */

/* ---- hot path -------------------------------------------------------------------------------- */

struct list_items {
    const struct list_entry *entry; /* best first */
    uint32_t count;
};

/* The items of a span; none for one that is not there. */
static inline struct list_items list_items(const struct list *list, uint32_t span)
{
    if (list == NULL || span >= list->span_count)
        return (struct list_items){NULL, 0};
    return (struct list_items){list->entry + list->span[span].first, list->span[span].count};
}

/* ---- lists_read.c */
/* The segment of a person with these attributes; false: none. */
bool list_segment_of(struct text attributes, struct text name, struct text *ret_segment);
uint64_t list_segment_key(struct text segment);
/* None for a segment that nobody is in. */
struct list_items list_of_segment(const struct list *list, struct text segment);

#endif
