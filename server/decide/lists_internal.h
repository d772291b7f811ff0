/* SPDX-License-Identifier: Apache-2.0 */
/* lists_internal - a list while it is being made.
 *
 *   lists.c          list sets, and what all lists have in common
 *   lists_editor.c   ids become items
 *   lists_new.c      the newest of the catalogue
 *   lists_trending.c, lists_segments.c
 *                    what is wanted more than it was; the same for groups of people
 *   lists_content.c  items that are alike by what the catalogue says
 *   lists_corpus.c   what it says: terms and their weights
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
    uint64_t *segment; /* owned; by span from the second on, segment_count of them */
    uint32_t segment_count, segment_capacity;
    uint32_t unknown_count;
    struct list_stop stop;
    bool stopped;
};

/* So many items or people are looked at within one section of a reader. */
#define LISTS_CHUNK 1024

/* Whether to stop; remembered, so that the maker returns false as without memory. */
bool list_is_stopped(struct list_builder *builder);
/* False without memory. */
bool list_begin_span(struct list_builder *builder);
bool list_add(struct list_builder *builder, uint32_t item, float value); /* to the last span */

/* ---- one for each kind of list; false without memory */
bool list_make_editor(struct list_builder *builder);
bool list_make_new(struct list_builder *builder);
bool list_make_content(struct list_builder *builder); /* span i: what is like item i */
bool list_make_trending(struct list_builder *builder);

/* ---- what grows */
struct list_growth {
    uint64_t group; /* of the span */
    uint32_t item;
    float recent, whole; /* how often it was wanted lately, and in all of the baseline */
    float growth;
};
/* Which items grow against what is usual in the group: their growth is set; others are dropped.
 * Returns how many are left, sorted by group and the best first. */
uint32_t list_growth_of(struct list_growth *row, uint32_t count, float smoothing);
/* Appends the next group of them to the last span; returns how many rows it had, 0 without memory.
 */
uint32_t list_add_growth(struct list_builder *builder, const struct list_growth *row,
                         uint32_t count);
/* lists_segments.c: spans for the values of an attribute of people. */
bool list_add_segments(struct list_builder *builder);
bool list_begin_segment(struct list_builder *builder, uint64_t segment);
bool list_grow(void **array, uint32_t count, uint32_t *capacity, size_t element_bytes);

#endif
