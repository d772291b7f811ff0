/* SPDX-License-Identifier: Apache-2.0 */
/* Looking up a list: the hot path. */
#include "base/cursor.h"
#include "base/hash.h"
#include "server/decide/lists.h"

#define SEGMENT_SEED UINT64_C(0x7365676d656e7421)

bool list_segment_of(struct text attributes, struct text name, struct text *ret_segment)
{
    uint32_t count = 0;
    if (attributes.ptr == NULL)
        return false;
    struct cursor cursor = cursor_of((const uint8_t *)attributes.ptr, attributes.len);
    if (!cursor_map(&cursor, &count))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        struct text key;
        if (cursor_text(&cursor, &key) && text_equal(key, name))
            return cursor_text(&cursor, ret_segment);
        cursor_skip(&cursor, NULL);
    }
    return false;
}

uint64_t list_segment_key(struct text segment)
{
    return hash_text(segment, SEGMENT_SEED);
}

struct list_items list_of_segment(const struct list *list, struct text segment)
{
    uint64_t key = list_segment_key(segment);
    uint32_t low = 0, high = list->segment == NULL ? 0 : list->span_count - 1;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (list->segment[middle] < key)
            low = middle + 1;
        else
            high = middle;
    }
    bool found = list->segment != NULL && low < list->span_count - 1 && list->segment[low] == key;
    return found ? list_items(list, 1 + low) : (struct list_items){NULL, 0};
}
