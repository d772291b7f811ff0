/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "models/npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct safetensors *file = NULL;
    uint8_t *bytes = malloc(size + 1);
    if (bytes == NULL)
        return 0;
    if (size > 0)
        memcpy(bytes, data, size);
    if (npy_open("f", "x", bytes, size, &file, NULL) != ERR_OK) {
        free(bytes);
        return 0;
    }
    /* What was accepted can be read to its last byte, also as floats. */
    const struct tensor *tensor = safetensors_find(file, "x");
    volatile uint8_t last = 0; /* so that the reading is not optimised away */
    ASSERT(tensor != NULL && safetensors_count(file) == 1);
    ASSERT(tensor->count * tensor_type_bytes(tensor->type) < size);
    for (uint64_t k = 0; k < tensor->count * tensor_type_bytes(tensor->type); k++)
        last = ((const uint8_t *)tensor->data)[k];
    if (safetensors_make_floats(file, "x", TENSOR_F32, NULL) == ERR_OK &&
        tensor->type == TENSOR_F32 && tensor->count > 0)
        last = ((const uint8_t *)tensor->data)[tensor->count * sizeof(float) - 1];
    (void)last;
    safetensors_close(&file);
    return 0;
}
