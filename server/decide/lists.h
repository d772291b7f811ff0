/* SPDX-License-Identifier: Apache-2.0 */
/* lists - item lists built ahead of requests, for the policies' sources that use one: editors'
 * lists, new arrivals, trending items, similar items.
 *
 * A list is one or more spans of items with their natural scores, best first.  All lists of a
 * policy set are in one immutable list set, which the snapshot publishes by pointer.  When its
 * inputs change it is rebuilt off the hot path, in short read sections, so that the store's writer
 * never waits long for this reader.
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
    const struct list_span *span; /* in the list's own allocation, as are the entries */
    const struct list_entry *entry;
    /* Segment keys of spans 1 and up, ascending; NULL if spans are addressed by index. */
    const uint64_t *segment;
    uint32_t span_count;
    enum policy_list_kind kind;
    uint64_t content_version; /* of the store when the list was built */
    uint32_t unknown_count;   /* editor's list: unknown ids, which are skipped */
    uint32_t user_count;      /* list sets that share it; used by the loader */
};

struct list_set {
    uint32_t count;
    struct list *list[POLICY_LISTS_MAX]; /* by index in the policy set; shared, see user_count */
};

/* Polled while a long list is built; true: stop, the result is no longer needed. */
struct list_stop {
    bool (*is_wanted)(void *ctx); /* NULL: never */
    void *ctx;
};

/* The serving set, from which expensive lists are reused: if their inputs did not change, or with
 * `however_old` in any case. */
struct lists_before {
    const struct list_set *set; /* NULL: none */
    bool however_old;
};

/* Builds all lists of the policies.  ERR_NOMEM; ERR_BUSY: stopped. */
MUST_CHECK enum err_code lists_make(const struct policy_set *policies, const struct store *store,
                                    struct lists_before before, struct list_stop stop,
                                    struct list_set **ret_set, struct err *err);
void lists_destroy(struct list_set **set); /* NULL is fine; sets NULL */

/* ---- hot path -------------------------------------------------------------------------------- */

struct list_items {
    const struct list_entry *entry; /* best first */
    uint32_t count;
};

/* The items of a span; none if there is no such span. */
static inline struct list_items list_items(const struct list *list, uint32_t span)
{
    if (list == NULL || span >= list->span_count)
        return (struct list_items){NULL, 0};
    return (struct list_items){list->entry + list->span[span].first, list->span[span].count};
}

/* ---- lists_read.c */
/* The segment of a person with these attributes: the value of attribute `name`.  False: none. */
bool list_segment_of(struct text attributes, struct text name, struct text *ret_segment);
uint64_t list_segment_key(struct text segment);
/* No items for a segment without people. */
struct list_items list_of_segment(const struct list *list, struct text segment);

#endif
