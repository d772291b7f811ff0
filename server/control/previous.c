/* SPDX-License-Identifier: Apache-2.0 */
#include "server/control/previous.h"

#include <stdlib.h>

/* Who goes last comes first. */
static int by_worth(const void *left, const void *right)
{
    const struct previous *a = left, *b = right;
    if (a->is_next != b->is_next)
        return a->is_next ? -1 : 1;
    if (a->served != b->served)
        return a->served > b->served ? -1 : 1;
    return a->tag < b->tag ? -1 : a->tag > b->tag;
}

void previous_choose(struct previous *list, uint32_t count, uint64_t bytes_max)
{
    uint64_t left = bytes_max;
    uint32_t stay = 0;
    bool full = bytes_max == 0;
    if (count > 0)
        qsort(list, count, sizeof *list, by_worth);
    for (uint32_t i = 0; i < count; i++) {
        list[i].stays = false;
        if (list[i].bytes > bytes_max)
            continue;
        full = full || list[i].bytes > left || stay == PREVIOUS_MAX;
        if (full)
            continue;
        list[i].stays = true;
        left -= list[i].bytes;
        stay++;
    }
}
