/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "server/decide/answers_table.h"

void answers_put(struct answers *answers, uint64_t key, uint64_t person, const uint32_t *items,
                 uint32_t count)
{
    struct answer *entry = &answers->entry[key & answers->mask];
    if (count > ANSWERS_ITEMS_MAX)
        count = ANSWERS_ITEMS_MAX;
    /* Acquire and release on the flag order the plain copies between two holders. */
    if (atomic_flag_test_and_set_explicit(&entry->busy, memory_order_acquire))
        return;
    entry->key = key;
    entry->person = person;
    entry->count = count;
    memcpy(entry->item, items, count * sizeof items[0]);
    atomic_flag_clear_explicit(&entry->busy, memory_order_release);
}

uint32_t answers_get(struct answers *answers, uint64_t key, uint32_t ret_items[ANSWERS_ITEMS_MAX])
{
    struct answer *entry = &answers->entry[key & answers->mask];
    uint32_t count = 0;
    if (atomic_flag_test_and_set_explicit(&entry->busy, memory_order_acquire))
        return 0;
    if (entry->key == key && entry->count > 0) {
        count = entry->count;
        memcpy(ret_items, entry->item, count * sizeof ret_items[0]);
    }
    atomic_flag_clear_explicit(&entry->busy, memory_order_release);
    return count;
}
