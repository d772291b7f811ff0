/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "server/control/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was accepted is inside its limits, and its dump is the same configuration. */
static void check(const struct config *config)
{
    struct config *again = NULL;
    struct err err;
    char *dump = config_dump(config);
    ASSERT(dump != NULL);
    ASSERT(config_parse("d.json", dump, strlen(dump), NULL, &again, &err) == ERR_OK);
    for (uint32_t i = 0; i < OPTION_COUNT; i++) {
        const struct config_option *option = &config_options[i];
        const void *value = config_value(config, option);
        ASSERT(!config_differs(config, again, option));
        if (option->kind == CONFIG_INT)
            ASSERT(*(const int64_t *)value >= option->least &&
                   *(const int64_t *)value <= option->most);
        else if (config_is_list(option))
            ASSERT(((const struct config_list *)value)->count <= option->most);
    }
    config_destroy(&again);
    free(dump);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config *config = NULL;
    struct err err;
    if (config_parse("d.json", (const char *)data, size, NULL, &config, &err) == ERR_OK)
        check(config);
    config_destroy(&config);
    return 0;
}
