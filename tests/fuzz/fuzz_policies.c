/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>

#include "server/decide/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct policy_set *set = NULL;
    struct err err;
    if (policy_parse("policies.json", (const char *)data, size, NULL, &set, &err) == ERR_OK) {
        /* What was accepted is inside its limits. */
        ASSERT(set->slot_count >= 1 && set->slot_count <= POLICY_SLOTS_MAX);
        ASSERT(set->default_slot < set->slot_count);
        for (uint32_t i = 0; i < set->slot_count; i++)
            ASSERT(set->slot[i].source_count >= 1 &&
                   set->slot[i].source_count <= POLICY_SOURCES_MAX);
    }
    policy_destroy(&set);
    return 0;
}
