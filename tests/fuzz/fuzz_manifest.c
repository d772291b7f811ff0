/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "models/bundle_internal.h"
#include "models/ranker.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err;
    struct bundle *bundle = calloc(1, sizeof *bundle);
    if (bundle == NULL)
        return 0;
    if (manifest_parse((const char *)data, size, bundle, &err) == ERR_OK) {
        ASSERT(bundle->file_count >= 1 && bundle->file_count <= BUNDLE_FILES_MAX);
        ASSERT(bundle->golden_tolerance > 0 && bundle->golden_tolerance <= 1e-3);
        ASSERT(file_is_plain_name(bundle->name) && file_is_plain_name(bundle->version));
        ASSERT(file_is_plain_name(bundle->golden.path) && strlen(bundle->golden.sha256) == 64);
        for (uint32_t i = 0; i < bundle->file_count; i++)
            ASSERT(file_is_plain_name(bundle->file[i].path));
        if (bundle->kind != MODEL_trees) /* whose file may name them */
            ASSERT(ranker_is(bundle->kind) == (bundle->feature_count > 0));
    }
    bundle_close(&bundle);
    return 0;
}
