/* SPDX-License-Identifier: Apache-2.0 */
/* What stands in the bundle of a model that was learned from events. */
#include "models/bundle.h"
#include "tools/train/bundle_files.h"
#include "tools/train/golden.h"
#include "tools/train/manifest.h"
#include "tools/train/publish.h"

struct publishing {
    const struct trained *trained;
    const struct interactions *interactions;
    const struct dataset *dataset;
    const struct evaluation *evaluation;
};

static enum model_kind kind_of(const struct trained *trained)
{
    switch (trained->kind) {
    case TRAIN_FACTORS: return MODEL_factors;
    case TRAIN_NEIGHBORS: return MODEL_neighbors;
    default: return MODEL_popularity;
    }
}

static enum err_code write_bundle(void *ctx, const char *dir, const struct publish_place *place,
                                  struct err *err)
{
    const struct publishing *p = ctx;
    struct bundle_write_file file[BUNDLE_FILES_MAX];
    uint32_t file_count = 0;
    cJSON *rows = NULL;
    cJSON *extra = NULL;
    enum err_code rc =
        bundle_files_write(dir, p->trained, p->interactions, p->dataset, file, &file_count, err);
    if (rc == ERR_OK)
        rc = golden_rows(p->trained, p->interactions, p->dataset, &rows, err);
    if (rc == ERR_OK)
        rc = bundle_write_golden(dir, rows, err);
    if (rc == ERR_OK)
        rc = manifest_extra(p->trained, p->dataset, p->evaluation, &extra, err);
    if (rc == ERR_OK)
        rc = bundle_write_manifest(dir, place->name, place->version, kind_of(p->trained), file,
                                   file_count, extra, err);
    cJSON_Delete(rows);
    cJSON_Delete(extra);
    return rc;
}

enum err_code publish(const struct publish_place *place, const struct trained *trained,
                      const struct interactions *interactions, const struct dataset *dataset,
                      const struct evaluation *evaluation, struct err *err)
{
    struct publishing publishing = {trained, interactions, dataset, evaluation};
    return publish_written(place, write_bundle, &publishing, err);
}
