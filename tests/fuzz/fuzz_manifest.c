/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "models/bundle_internal.h"
#include "models/model_internal.h"
#include "models/ranker.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Its manifest is all that it has. */
static void load_blend(struct bundle *bundle)
{
    struct model model = {.kind = MODEL_blend};
    struct err err = {.text = ""};
    if (blend_load(bundle, &model, &err) == ERR_OK) {
        double scores[BLEND_PARTS_MAX] = {0.5, -2, 1e300, 0, 3, -1e300, 7, 1};
        ASSERT(blend_part_count(&model) >= 1 && blend_part_count(&model) <= BLEND_PARTS_MAX);
        ASSERT(!isnan(blend_of_scores(&model, scores)) || blend_part_count(&model) > 2);
    } else {
        ASSERT(err.text[0] != '\0');
    }
    blend_destroy(model.as.blend);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err;
    struct bundle *bundle = calloc(1, sizeof *bundle);
    if (bundle == NULL)
        return 0;
    if (manifest_parse((const char *)data, size, bundle, &err) == ERR_OK) {
        ASSERT(bundle->file_count <= BUNDLE_FILES_MAX);
        ASSERT((bundle->file_count == 0) == (bundle->kind == MODEL_blend));
        ASSERT(bundle->golden_tolerance > 0 && bundle->golden_tolerance <= 1e-3);
        ASSERT(file_is_plain_name(bundle->name) && file_is_plain_name(bundle->version));
        ASSERT(file_is_plain_name(bundle->golden.path) && strlen(bundle->golden.sha256) == 64);
        for (uint32_t i = 0; i < bundle->file_count; i++)
            ASSERT(file_is_plain_name(bundle->file[i].path));
        if (bundle->kind != MODEL_trees) /* whose file may name them */
            ASSERT(ranker_is(bundle->kind) == (bundle->feature_count > 0));
    }
    if (bundle->kind == MODEL_blend && bundle->manifest != NULL)
        load_blend(bundle);
    bundle_close(&bundle);
    return 0;
}
