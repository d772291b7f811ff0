/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "models/model_internal.h"

static int compare_rows(const void *a, const void *b, void *scores)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    const float *score = scores;
    if (score[x] != score[y])
        return score[x] > score[y] ? -1 : 1;
    return (x > y) - (x < y);
}

enum err_code popularity_load(struct bundle *bundle, struct model *model, struct err *err)
{
    const struct tensor *scores = NULL;
    struct bundle_file *source = NULL;
    struct popularity *popularity = calloc(1, sizeof *popularity);
    model->as.popularity = popularity;
    if (popularity == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for model %s", model->label);
    enum err_code rc = bundle_file(bundle, "scores", &source, err);
    if (rc == ERR_OK)
        rc = model_take_tensors(bundle, "scores", 1, &popularity->file, err);
    if (rc == ERR_OK)
        rc = model_make_floats(model, popularity->file, "scores", TENSOR_F32, err);
    if (rc == ERR_OK)
        rc = safetensors_expect(popularity->file, "scores", TENSOR_F32,
                                (const uint64_t[]){UINT64_MAX}, 1, &scores, err);
    if (rc == ERR_OK)
        rc = model_check_values(source->path, scores, 0, POPULARITY_MAX, err);
    if (rc == ERR_OK && scores->count == 0)
        rc = err_set(err, ERR_CORRUPT, "%s: tensor 'scores': expected at least one row",
                     source->path);
    if (rc == ERR_OK)
        rc = model_take_ids(bundle, "item_ids", scores->count, &model->items, err);
    if (rc != ERR_OK)
        return rc;
    popularity->row_count = (uint32_t)scores->count;
    popularity->score = scores->data;
    popularity->order = malloc(popularity->row_count * sizeof *popularity->order);
    if (popularity->order == NULL)
        return err_set(err, ERR_NOMEM, "%s: out of memory for %u rows", source->path,
                       popularity->row_count);
    for (uint32_t row = 0; row < popularity->row_count; row++)
        popularity->order[row] = row;
    qsort_r(popularity->order, popularity->row_count, sizeof *popularity->order, compare_rows,
            (void *)popularity->score);
    model->bytes += sizeof *popularity + popularity->row_count * sizeof *popularity->order;
    return ERR_OK;
}

void popularity_destroy(struct popularity *popularity)
{
    if (popularity == NULL)
        return;
    free(popularity->order);
    safetensors_close(&popularity->file);
    free(popularity);
}
