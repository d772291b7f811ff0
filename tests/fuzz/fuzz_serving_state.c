/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "server/control/registry_internal.h"
#include "server/control/registry_table.h"
#include "server/decide/trial.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct reg_name *name, const struct reg_resume *trial)
{
    if (trial->version[0] == '\0')
        return;
    ASSERT(file_is_plain_name(trial->version));
    ASSERT(trial->settings.share_e4 >= 1 && trial->settings.share_e4 <= TRIAL_SHARE_ALL);
    ASSERT(trial == &name->shadow_of_before || trial->settings.bounds.decisions_min >= 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct registry *registry = calloc(1, sizeof *registry);
    struct reg_name *name = NULL;
    cJSON *tree = NULL;
    ASSERT(registry != NULL && reg_add(registry, "m", &name, NULL) == ERR_OK);
    if (json_parse(".serving", (const char *)data, size, &tree, NULL) == ERR_OK &&
        reg_state_take(registry, name, ".serving", tree, NULL) == ERR_OK) {
        /* What was accepted may be served from. */
        for (uint32_t i = 0; i < name->count; i++) {
            ASSERT(file_is_plain_name(name->version[i]->version));
            ASSERT(!(name->version[i]->in_line && name->version[i]->waits));
        }
        check(name, &name->canary_of_before);
        check(name, &name->shadow_of_before);
    }
    cJSON_Delete(tree);
    reg_drop(registry, name);
    free(registry->name);
    free(registry);
    return 0;
}
