/* SPDX-License-Identifier: Apache-2.0 */
/* What cursor_check accepts can be read and skipped to its exact end, and written as JSON. */
#include <stdlib.h>

#include "base/cursor.h"
#include "base/transcode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err;
    struct cursor_fault fault = {0};
    enum err_code rc = cursor_check(data, size, 4096, &err);
    ASSERT(cursor_check_fault(data, size, 4096, &fault) == rc);
    if (rc != ERR_OK) {
        ASSERT(fault.what != NULL && fault.at <= size && err.text[0] != '\0');
        return 0;
    }
    struct cursor cursor = cursor_of(data, size);
    cursor_skip(&cursor, NULL);
    ASSERT(cursor_peek(&cursor) == CURSOR_END);
    char *json = NULL;
    size_t len = 0;
    ASSERT(transcode_to_json(data, size, 0, &json, &len, &err) == ERR_OK);
    free(json);
    return 0;
}
