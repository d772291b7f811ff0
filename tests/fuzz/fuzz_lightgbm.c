/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>

#include "models/lightgbm.h"
#include "tests/support/forest_probe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct forest *forest = NULL;
    struct err err = {0};
    for (int average = FOREST_AVERAGE_UNKNOWN; average <= FOREST_AVERAGE_IS_OUTPUT; average++) {
        if (lightgbm_read("f", data, size, (enum forest_average)average, &forest, &err) != ERR_OK) {
            ASSERT(forest == NULL && err.text[0] != '\0');
            continue;
        }
        forest_probe(forest);
        forest_destroy(&forest);
    }
    return 0;
}
