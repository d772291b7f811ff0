/* SPDX-License-Identifier: Apache-2.0 */
/* lists_internal - a list while it is being made.
 *
 *   lists.c          list sets, and what all lists have in common
 *   lists_editor.c   ids become items
 *
 * Threads: one owner. */
#ifndef SERVER_DECIDE_LISTS_INTERNAL_H
#define SERVER_DECIDE_LISTS_INTERNAL_H

#include "server/decide/lists.h"

struct list_builder {
    const struct policy_list *spec;
    const struct store *store;
    struct list_span *span; /* owned, as the entries are */
    struct list_entry *entry;
    uint32_t span_count, span_capacity, entry_count, entry_capacity;
    uint32_t unknown_count;
};

/* False without memory. */
bool list_begin_span(struct list_builder *builder);
bool list_add(struct list_builder *builder, uint32_t item, float value); /* to the last span */

/* ---- one for each kind of list; false without memory */
bool list_make_editor(struct list_builder *builder);

#endif
