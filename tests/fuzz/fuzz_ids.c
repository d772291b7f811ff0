/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "models/ids.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ids *ids = NULL;
    uint8_t *bytes = malloc(size + 1);
    if (bytes == NULL)
        return 0;
    if (size > 0)
        memcpy(bytes, data, size);
    if (ids_open("ids.txt", bytes, size, UINT64_MAX, &ids, NULL) != ERR_OK) {
        free(bytes);
        return 0;
    }
    for (uint32_t row = 0; row < ids_count(ids); row++) {
        struct text id = ids_text(ids, row);
        ASSERT(text_is_id(id));
        ASSERT(ids_find(ids, id) == row);
    }
    ids_close(&ids);
    return 0;
}
