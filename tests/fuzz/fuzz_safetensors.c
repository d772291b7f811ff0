/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "models/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct safetensors *file = NULL;
    uint8_t *bytes = malloc(size + 1);
    if (bytes == NULL)
        return 0;
    if (size > 0)
        memcpy(bytes, data, size);
    if (safetensors_open("f", bytes, size, &file, NULL) != ERR_OK) {
        free(bytes);
        return 0;
    }
    /* What was accepted lies in the file: every byte of every tensor can be read. */
    uint64_t total = 0;
    volatile uint8_t last = 0; /* so that the reading is not optimised away */
    for (uint32_t i = 0; i < safetensors_count(file); i++) {
        const struct tensor *tensor = safetensors_at(file, i);
        uint64_t tensor_bytes = tensor->count * tensor_type_bytes(tensor->type);
        ASSERT((uintptr_t)tensor->data % tensor_type_bytes(tensor->type) == 0);
        for (uint64_t k = 0; k < tensor_bytes; k++)
            last = ((const uint8_t *)tensor->data)[k];
        total += tensor_bytes;
    }
    (void)last;
    ASSERT(total <= size);
    safetensors_close(&file);
    return 0;
}
