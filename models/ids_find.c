/* SPDX-License-Identifier: Apache-2.0 */
#include "models/ids_internal.h"

struct text ids_text(const struct ids *ids, uint32_t row)
{
    ASSERT(row < ids->count);
    return ids->text[row];
}

uint32_t ids_find(const struct ids *ids, struct text id)
{
    uint64_t at = hash_text(id, ids->seed) & ids->slot_mask;
    while (ids->slot[at] != IDS_NO_ROW && !text_equal(ids->text[ids->slot[at]], id))
        at = (at + 1) & ids->slot_mask;
    return ids->slot[at]; /* IDS_NO_ROW when a free slot ended the search */
}
