/* SPDX-License-Identifier: Apache-2.0 */
/* JSON that is accepted becomes MessagePack that the cursor accepts, and that writes itself as JSON
 * which becomes the same bytes again. */
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/transcode.h"

enum { ROOM = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t first[ROOM];
    static uint8_t second[ROOM];
    struct err err;
    struct pack pack = pack_into(first, sizeof first);
    if (transcode_from_json((const char *)data, size, &pack, &err) != ERR_OK) {
        ASSERT(err.text[0] != '\0');
        return 0;
    }
    ASSERT(cursor_check(first, pack.used, UINT32_MAX, &err) == ERR_OK);
    char *json = NULL;
    size_t len = 0;
    ASSERT(transcode_to_json(first, pack.used, 2, &json, &len, &err) == ERR_OK);
    struct pack again = pack_into(second, sizeof second);
    ASSERT(transcode_from_json(json, len, &again, &err) == ERR_OK);
    ASSERT(again.used == pack.used && memcmp(first, second, again.used) == 0);
    free(json);
    return 0;
}
