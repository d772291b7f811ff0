/* SPDX-License-Identifier: Apache-2.0 */
#include "server/decide/policy.h"

uint32_t policy_slot_index(const struct policy_set *set, struct text name)
{
    for (uint32_t i = 0; i < set->slot_count && name.ptr != NULL; i++) {
        if (text_is(name, set->slot[i].name))
            return i;
    }
    return set->default_slot;
}
