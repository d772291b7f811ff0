/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rcu.h"
#include "server/decide/lists_internal.h"

/* The first item scores 1, the others less by equal steps; unknown ids are skipped and counted. */
bool list_make_editor(struct list_builder *builder)
{
    const struct policy_list *spec = builder->spec;
    bool has_room = list_begin_span(builder);
    rcu_read_begin();
    for (uint32_t i = 0; i < spec->item_count && has_room; i++) {
        uint32_t item = store_item_find(builder->store, spec->item[i]);
        float value = (float)(spec->item_count - i) / (float)spec->item_count;
        if (item == IDMAP_NONE)
            builder->unknown_count++;
        else
            has_room = list_add(builder, item, value);
    }
    rcu_read_end();
    return has_room;
}
