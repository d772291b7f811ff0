/* SPDX-License-Identifier: Apache-2.0 */
/* features.json, and the states that its features would have. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "featurestore/aggregate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const struct definition *definition)
{
    struct reading reading = {.time_s = 1700000000, .id = 3, .number = 2.5, .hash = 77};
    struct aggregate_value value;
    uint8_t *block = malloc(definition->offset + definition->bytes);
    ASSERT(block != NULL);
    uint8_t *state = block + definition->offset;
    aggregate_init(definition, state);
    for (uint32_t i = 0; i < 20; i++, reading.time_s += definition->tile_s / 3 + i)
        aggregate_add(definition, state, &reading);
    ASSERT(aggregate_check(definition, state));
    aggregate_read(definition, block, reading.time_s, &value);
    free(block);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct definitions *definitions = NULL;
    struct err err;
    if (definitions_parse("features.json", (const char *)data, size, &definitions, &err) ==
        ERR_OK) {
        /* What was accepted is inside its limits. */
        ASSERT(definitions->count <= DEFINITIONS_MAX);
        for (uint32_t i = 0; i < definitions->count; i++) {
            const struct definition *definition = &definitions->definition[i];
            ASSERT(definition->offset + definition->bytes <=
                   definitions->block_bytes[definition->key]);
            ASSERT(definitions_find(definitions, text_of(definition->name)) == definition);
            if (definition->bytes > 0 && definition->kind != FEATURE_KIND_attribute)
                use(definition);
        }
    }
    definitions_destroy(&definitions);
    return 0;
}
