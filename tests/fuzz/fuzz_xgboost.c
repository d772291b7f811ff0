/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>

#include "models/xgboost.h"
#include "tests/support/forest_probe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct forest *forest = NULL;
    struct err err = {0};
    if (xgboost_read("f", data, size, &forest, &err) != ERR_OK) {
        ASSERT(forest == NULL && err.text[0] != '\0');
        return 0;
    }
    forest_probe(forest);
    forest_destroy(&forest);
    return 0;
}
