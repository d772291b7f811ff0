/* SPDX-License-Identifier: Apache-2.0 */
/* The tokens end, whatever the bytes; and so does reading them as a model. */
#include <stddef.h>
#include <stdint.h>

#include "models/ubjson.h"
#include "models/xgboost.h"
#include "tests/support/forest_probe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_tokens(const uint8_t *data, size_t size)
{
    struct ubjson ubjson;
    uint64_t count = 0;
    enum ubjson_token token;
    ubjson_init(&ubjson, data, size);
    do {
        token = ubjson_next(&ubjson);
        ASSERT(ubjson.at >= data && ubjson.at <= data + size);
        ASSERT(token != UBJSON_BAD || ubjson.what != NULL);
        if (token == UBJSON_KEY || token == UBJSON_STRING)
            ASSERT((const uint8_t *)ubjson.text.ptr + ubjson.text.len <= data + size);
        count++;
    } while (token != UBJSON_END && token != UBJSON_BAD);
    ASSERT(count <= 2 * size + 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct forest *forest = NULL;
    struct err err = {0};
    read_tokens(data, size);
    if (xgboost_read("f", data, size, &forest, &err) != ERR_OK) {
        ASSERT(forest == NULL && err.text[0] != '\0');
        return 0;
    }
    forest_probe(forest);
    forest_destroy(&forest);
    return 0;
}
