/* SPDX-License-Identifier: Apache-2.0 */
/* The windows of items: made when an item is first counted, and known to the refresh from then on.
 */
#include <stdlib.h>

#include "featurestore/store_apply.h"
#include "featurestore/store_internal.h"

static bool has_windows(const struct item_slot *slot)
{
    bool has = false;
    for (uint32_t c = 0; c < EVENT_COUNTED_CLASSES; c++)
        has = has || store_windows(slot, c) != NULL;
    return has;
}

/* Room for one more item that has windows. */
static bool reserve_active(struct store *store)
{
    if (store->active_count < store->active_capacity)
        return true;
    uint32_t capacity = store->active_capacity == 0 ? 64 : store->active_capacity * 2;
    uint32_t *grown = realloc(store->active, capacity * sizeof *grown);
    if (grown == NULL)
        return false;
    store_counter_add(store, COUNTER_BYTES_COUNTS,
                      (int64_t)((capacity - store->active_capacity) * sizeof *grown));
    store->active = grown;
    store->active_capacity = capacity;
    return true;
}

/* Makes sure that the item has windows for that class; false without memory. */
bool store_make_windows(struct store *store, uint32_t item, enum event_class event_class)
{
    struct item_slot *slot = store_item_slot_make(store, item);
    if (slot == NULL)
        return false;
    if (store_windows(slot, event_class) != NULL)
        return true;
    if (!reserve_active(store))
        return false;
    struct windows *windows = calloc(1, sizeof *windows);
    if (windows == NULL)
        return false;
    store_counter_add(store, COUNTER_BYTES_COUNTS, (int64_t)heap_bytes(sizeof *windows));
    if (!has_windows(slot))
        store->active[store->active_count++] = item;
    atomic_store_explicit(&slot->windows[event_class], windows, memory_order_release);
    return true;
}
