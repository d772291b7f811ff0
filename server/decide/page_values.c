/* SPDX-License-Identifier: Apache-2.0 */
#include "server/decide/page_values.h"

#include <string.h>

enum { SLOTS = 2 * PAGE_VALUES_MAX };

bool page_values_create(struct page_values *values, struct arena *arena)
{
    values->count = 0;
    values->slot = ARENA_NEW(arena, struct page_value, SLOTS);
    if (values->slot != NULL)
        memset(values->slot, 0, SLOTS * sizeof *values->slot);
    return values->slot != NULL;
}

/* The place of the item, or the free one where it belongs.  Fibonacci hashing: item numbers are
 * dense, their products are not. */
static struct page_value *slot_of(const struct page_values *values, uint32_t item)
{
    uint32_t at = item * 2654435769u >> 7 & (SLOTS - 1);
    while (values->slot[at].item != 0 && values->slot[at].item != item + 1)
        at = (at + 1) & (SLOTS - 1);
    return &values->slot[at];
}

bool page_values_find(const struct page_values *values, uint32_t item, float *ret_value)
{
    const struct page_value *slot = slot_of(values, item);
    if (slot->item == 0)
        return false;
    *ret_value = slot->value;
    return true;
}

void page_values_keep(struct page_values *values, uint32_t item, float value)
{
    if (values->count == PAGE_VALUES_MAX)
        return;
    values->count++;
    *slot_of(values, item) = (struct page_value){item + 1, value};
}
