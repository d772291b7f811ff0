/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/rcu.h"
#include "base/top.h"
#include "server/decide/lists_internal.h"

/* 1 for an item that has just arrived, falling to 0 at the maximum age. */
bool list_make_new(struct list_builder *builder)
{
    static const uint32_t chunk = LISTS_CHUNK;
    struct top newest = {.slot = malloc(LISTS_SPAN_MAX * sizeof *newest.slot),
                         .capacity = LISTS_SPAN_MAX};
    if (newest.slot == NULL)
        return false;
    uint32_t item_count = store_item_count(builder->store);
    int64_t now_s = store_watermark_ms(builder->store) / 1000;
    uint32_t max_age_s = builder->spec->max_age_s;
    for (uint32_t first = 0; first < item_count; first += chunk) {
        rcu_read_begin();
        for (uint32_t i = first; i < item_count && i - first < chunk; i++) {
            const struct item *record = store_item(builder->store, i);
            if (record == NULL || record->deleted || record->added_s == 0 ||
                now_s - record->added_s >= max_age_s)
                continue;
            int64_t age_s = now_s > record->added_s ? now_s - record->added_s : 0;
            float score = 1.0f - (float)age_s / (float)max_age_s;
            if (top_wants(&newest, score, i))
                top_put(&newest, score, i);
        }
        rcu_read_end();
    }
    top_sort(&newest);
    bool has_room = list_begin_span(builder);
    for (uint32_t i = 0; i < newest.count && has_room; i++)
        has_room = list_add(builder, newest.slot[i].key, newest.slot[i].score);
    free(newest.slot);
    return has_room;
}
