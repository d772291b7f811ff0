/* SPDX-License-Identifier: Apache-2.0 */
/* A ledger of erasures is whole up to some part, or refused; what is whole reads the same again. */
#include <stdlib.h>
#include <string.h>

#include "featurestore/erase_ledger.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct erase_ledger_contents contents, again;
    struct err err;
    if (erase_ledger_parse(data, size, &contents, &err) != ERR_OK) {
        ASSERT(err.text[0] != '\0');
        return 0;
    }
    ASSERT(contents.whole_bytes <= size && contents.whole_bytes % 64 == 0);
    ASSERT(contents.count == 0 || contents.count == contents.whole_bytes / 64 - 1);
    for (uint64_t i = 0; i < contents.count; i++) {
        const struct erase_entry *entry = &contents.entry[i];
        ASSERT(entry->kind >= ERASE_USER && entry->kind <= ERASE_DONE && entry->request > 0);
    }
    enum err_code rc = erase_ledger_parse(data, contents.whole_bytes, &again, &err);
    ASSERT(rc == ERR_OK && again.count == contents.count);
    free(contents.entry);
    free(again.entry);
    return 0;
}
