/* SPDX-License-Identifier: Apache-2.0 */
/* One pass over all counts: windows end at the watermark again, empty ones are given back, and the
 * top lists are made anew. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "featurestore/store_internal.h"

enum { CHEAP_ITEMS_MAX = 2048 };

bool store_refresh_is_cheap(const struct store *store)
{
    return store->active_count <= CHEAP_ITEMS_MAX;
}

/* Room for `item_count` items in `category_count` categories. */
static bool make_room(struct store *store, uint32_t item_count, uint32_t category_count)
{
    struct store_refresh *refresh = &store->refresh;
    if (category_count >= refresh->category_capacity) {
        uint32_t capacity = category_count + category_count / 2 + 16;
        uint32_t *end = realloc(refresh->category_end, capacity * sizeof *end);
        if (end == NULL)
            return false;
        store_counter_add(store, COUNTER_BYTES_COUNTS,
                          (int64_t)((capacity - refresh->category_capacity) * sizeof *end));
        refresh->category_end = end;
        refresh->category_capacity = capacity;
    }
    if (item_count <= refresh->item_capacity)
        return true;
    uint32_t capacity = item_count + item_count / 2;
    struct store_top_item *item = malloc(capacity * sizeof *item);
    uint32_t *order = malloc(capacity * sizeof *order);
    if (item == NULL || order == NULL) {
        free(item);
        free(order);
        return false;
    }
    free(refresh->item);
    free(refresh->order);
    refresh->item = item;
    refresh->order = order;
    store_counter_add(
        store, COUNTER_BYTES_COUNTS,
        (int64_t)((capacity - refresh->item_capacity) * (sizeof *item + sizeof *order)));
    refresh->item_capacity = capacity;
    return true;
}

/* Moves the item's windows to tile `now`, gives back those that are empty and adds up the scores.
 * False when the item has no windows any more. */
static bool advance_item(struct store *store, struct item_slot *slot, uint32_t now,
                         float score[STORE_WINDOW_COUNT])
{
    bool has_windows = false;
    for (uint32_t c = 0; c < EVENT_COUNTED_CLASSES; c++) {
        struct windows *windows = store_windows(slot, c);
        if (windows == NULL)
            continue;
        windows_advance(windows, now);
        if (windows_are_empty(windows)) {
            atomic_store_explicit(&slot->windows[c], NULL, memory_order_release);
            store_counter_add(store, COUNTER_BYTES_COUNTS, -(int64_t)heap_bytes(sizeof *windows));
            retire_heap(&store->retire, windows);
            continue;
        }
        has_windows = true;
        for (uint32_t w = 0; w < STORE_WINDOW_COUNT; w++)
            score[w] += windows_score(windows, c, (enum store_window)w);
    }
    return has_windows;
}

/* Brings all windows up to the watermark.  Those items that may be shown are noted in `ret_items`,
 * which may be NULL; returns how many. */
static uint32_t advance_all(struct store *store, struct store_top_item *ret_items)
{
    uint32_t now = windows_tile(store_watermark_ms(store));
    uint32_t kept = 0;
    uint32_t count = 0;
    for (uint32_t i = 0; i < store->active_count; i++) {
        struct store_top_item item = {.item = store->active[i], .category = IDMAP_NONE};
        struct item_slot *slot = store_item_slot(store, item.item);
        if (!advance_item(store, slot, now, item.score))
            continue;
        store->active[kept++] = item.item;
        const struct item *record = atomic_load_explicit(&slot->record, memory_order_relaxed);
        if (record != NULL)
            item.category = record->category;
        if (ret_items != NULL && (record == NULL || !record->deleted))
            ret_items[count++] = item;
    }
    store->active_count = kept;
    return count;
}

/* Counting sort: order[] holds the items of category 0, then 1, ...; returns how many have one. */
static uint32_t order_by_category(struct store_refresh *refresh, uint32_t item_count,
                                  uint32_t category_count)
{
    uint32_t *end = refresh->category_end;
    memset(end, 0, category_count * sizeof *end);
    for (uint32_t i = 0; i < item_count; i++) {
        if (refresh->item[i].category != IDMAP_NONE)
            end[refresh->item[i].category]++;
    }
    uint32_t placed = 0;
    for (uint32_t c = 0; c < category_count; c++) {
        uint32_t count = end[c];
        end[c] = placed; /* where it begins; filling moves it to where it ends */
        placed += count;
    }
    for (uint32_t i = 0; i < item_count; i++) {
        if (refresh->item[i].category != IDMAP_NONE)
            refresh->order[end[refresh->item[i].category]++] = i;
    }
    return placed;
}

/* Better ones first: by score, ties by the smaller number. */
static bool is_better(const struct top_entry *a, const struct top_entry *b)
{
    return a->score != b->score ? a->score > b->score : a->item < b->item;
}

/* A heap with the worst entry on top. */
static void sift_down(struct top_entry *heap, uint32_t count, uint32_t at)
{
    struct top_entry entry = heap[at];
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= count)
            break;
        if (child + 1 < count && is_better(&heap[child], &heap[child + 1]))
            child++;
        if (!is_better(&entry, &heap[child]))
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = entry;
}

static void make_heap(struct top_entry *list, uint32_t count)
{
    for (uint32_t i = count / 2; i > 0; i--)
        sift_down(list, count, i - 1);
}

/* Best first: the worst of what is left goes to the end, again and again.  Then each entry's share
 * of the best, so that no reader needs a logarithm. */
static void list_finish(struct top_entry *list, uint32_t count)
{
    make_heap(list, count);
    for (uint32_t left = count; left > 1; left--) {
        struct top_entry worst = list[0];
        list[0] = list[left - 1];
        list[left - 1] = worst;
        sift_down(list, left - 1, 0);
    }
    for (uint32_t i = 0; i < count; i++)
        list[i].share = log1pf(list[i].score) / log1pf(list[0].score);
}

/* A list that is being made: the best STORE_TOP_MAX of those put into it. */
static void list_put(struct top_entry *list, uint32_t *count, struct top_entry entry)
{
    if (entry.score <= 0.0f)
        return;
    if (*count < STORE_TOP_MAX) {
        list[(*count)++] = entry;
        if (*count == STORE_TOP_MAX)
            make_heap(list, STORE_TOP_MAX);
    } else if (is_better(&entry, &list[0])) {
        list[0] = entry;
        sift_down(list, STORE_TOP_MAX, 0);
    }
}

static struct top_entry entry_of(const struct store_top_item *item, uint32_t window)
{
    return (struct top_entry){.item = item->item, .score = item->score[window]};
}

/* Makes the lists of all windows; returns how many entries they have together. */
static uint32_t make_lists(const struct store_refresh *refresh, uint32_t item_count,
                           uint32_t category_count, struct store_top_span *span,
                           struct top_entry *entry)
{
    uint32_t used = 0;
    for (uint32_t w = 0; w < STORE_WINDOW_COUNT; w++) {
        struct top_entry *list = entry + used;
        uint32_t count = 0;
        for (uint32_t i = 0; i < item_count; i++)
            list_put(list, &count, entry_of(&refresh->item[i], w));
        list_finish(list, count);
        *span++ = (struct store_top_span){used, count};
        used += count;
        uint32_t at = 0;
        for (uint32_t c = 0; c < category_count; c++) {
            list = entry + used;
            count = 0;
            for (; at < refresh->category_end[c]; at++)
                list_put(list, &count, entry_of(&refresh->item[refresh->order[at]], w));
            list_finish(list, count);
            *span++ = (struct store_top_span){used, count};
            used += count;
        }
    }
    return used;
}

/* The lists of these items in a block of their own; NULL without memory. */
static struct store_top_set *make_set(const struct store_refresh *refresh, uint32_t item_count,
                                      uint32_t category_count, uint32_t in_category)
{
    size_t overall = item_count < STORE_TOP_MAX ? item_count : STORE_TOP_MAX;
    size_t entries_max = STORE_WINDOW_COUNT * (overall + in_category);
    size_t head = sizeof(struct store_top_set) +
                  STORE_WINDOW_COUNT * ((size_t)category_count + 1) * sizeof(struct store_top_span);
    struct store_top_set *set = malloc(head + entries_max * sizeof(struct top_entry));
    if (set == NULL)
        return NULL;
    struct top_entry *entry = (struct top_entry *)((uint8_t *)set + head);
    uint32_t used = make_lists(refresh, item_count, category_count, set->list, entry);
    size_t bytes = head + used * sizeof *entry;
    struct store_top_set *shrunk = realloc(set, bytes);
    if (shrunk != NULL)
        set = shrunk;
    set->category_count = category_count;
    set->entry = (const struct top_entry *)((const uint8_t *)set + head);
    set->bytes = bytes;
    return set;
}

void store_refresh_all(struct store *store)
{
    struct store_refresh *refresh = &store->refresh;
    uint32_t category_count = idmap_count(store->category_ids);
    bool has_room = make_room(store, store->active_count, category_count);
    uint32_t item_count = advance_all(store, has_room ? refresh->item : NULL);
    struct store_top_set *set = NULL;
    if (has_room) {
        uint32_t in_category = order_by_category(refresh, item_count, category_count);
        set = make_set(refresh, item_count, category_count, in_category);
    }
    if (set != NULL) {
        struct store_top_set *old = atomic_load_explicit(&store->top, memory_order_relaxed);
        int64_t bytes = (int64_t)heap_bytes(set->bytes);
        store_counter_add(store, COUNTER_BYTES_COUNTS,
                          bytes - (old == NULL ? 0 : (int64_t)heap_bytes(old->bytes)));
        atomic_store_explicit(&store->top, set, memory_order_release);
        retire_heap(&store->retire, old);
    }
    refresh->is_due = set == NULL;
    refresh->at_ns = clock_now_ns(store->clock);
}
