/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "models/model_internal.h"

static enum err_code check_offsets(const char *file, const struct neighbors *neighbors,
                                   uint64_t entry_count, struct err *err)
{
    const int64_t *offset = neighbors->offset;
    if (offset[0] != 0)
        return err_set(err, ERR_CORRUPT, "%s: offsets[0]: expected 0, got %lld", file,
                       (long long)offset[0]);
    for (uint32_t row = 0; row < neighbors->row_count; row++) {
        if (offset[row + 1] < offset[row] || (uint64_t)offset[row + 1] > entry_count)
            return err_set(err, ERR_CORRUPT, "%s: offsets[%u]: expected %lld..%llu, got %lld", file,
                           row + 1, (long long)offset[row], (unsigned long long)entry_count,
                           (long long)offset[row + 1]);
        if (offset[row + 1] - offset[row] > NEIGHBORS_PER_ROW_MAX)
            return err_set(err, ERR_LIMIT, "%s: row %u: %lld neighbors, at most %d are allowed",
                           file, row, (long long)(offset[row + 1] - offset[row]),
                           NEIGHBORS_PER_ROW_MAX);
    }
    if ((uint64_t)offset[neighbors->row_count] != entry_count)
        return err_set(err, ERR_CORRUPT, "%s: offsets[%u]: expected %llu, got %lld", file,
                       neighbors->row_count, (unsigned long long)entry_count,
                       (long long)offset[neighbors->row_count]);
    return ERR_OK;
}

/* `seen[r]` is the last row that had r among its neighbors, plus one. */
static enum err_code check_row(const char *file, const struct neighbors *neighbors, uint32_t row,
                               uint32_t *seen, struct err *err)
{
    for (int64_t i = neighbors->offset[row]; i < neighbors->offset[row + 1]; i++) {
        uint32_t other = neighbors->other[i];
        if (other >= neighbors->row_count)
            return err_set(err, ERR_CORRUPT, "%s: row %u: neighbor %u, expected below %u", file,
                           row, other, neighbors->row_count);
        if (other == row || seen[other] == row + 1)
            return err_set(err, ERR_CORRUPT, "%s: row %u: neighbor %u is %s", file, row, other,
                           other == row ? "the row itself" : "there twice");
        seen[other] = row + 1;
        if (i > neighbors->offset[row] && neighbors->weight[i] > neighbors->weight[i - 1])
            return err_set(err, ERR_CORRUPT, "%s: row %u: weight %g stands behind %g", file, row,
                           (double)neighbors->weight[i], (double)neighbors->weight[i - 1]);
    }
    return ERR_OK;
}

static enum err_code check_rows(const char *file, const struct neighbors *neighbors,
                                struct err *err)
{
    enum err_code rc = ERR_OK;
    uint32_t *seen = calloc(neighbors->row_count, sizeof *seen);
    if (seen == NULL)
        return err_set(err, ERR_NOMEM, "%s: out of memory for %u rows", file, neighbors->row_count);
    for (uint32_t row = 0; row < neighbors->row_count && rc == ERR_OK; row++)
        rc = check_row(file, neighbors, row, seen, err);
    free(seen);
    return rc;
}

enum err_code neighbors_load(struct bundle *bundle, struct model *model, struct err *err)
{
    static const uint64_t any[] = {UINT64_MAX};
    const struct tensor *offsets = NULL;
    const struct tensor *rows = NULL;
    const struct tensor *weights = NULL;
    struct bundle_file *source = NULL;
    struct neighbors *neighbors = calloc(1, sizeof *neighbors);
    model->as.neighbors = neighbors;
    if (neighbors == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for model %s", model->label);
    enum err_code rc = bundle_file(bundle, "neighbors", &source, err);
    if (rc == ERR_OK)
        rc = model_take_tensors(bundle, "neighbors", 3, &neighbors->file, err);
    if (rc == ERR_OK)
        rc = safetensors_expect(neighbors->file, "offsets", TENSOR_I64, any, 1, &offsets, err);
    if (rc == ERR_OK)
        rc = safetensors_expect(neighbors->file, "rows", TENSOR_U32, any, 1, &rows, err);
    if (rc == ERR_OK)
        rc = model_make_floats(model, neighbors->file, "weights", TENSOR_F32, err);
    if (rc == ERR_OK)
        rc = safetensors_expect(neighbors->file, "weights", TENSOR_F32,
                                (const uint64_t[]){rows->count}, 1, &weights, err);
    if (rc == ERR_OK)
        rc = model_check_values(source->path, weights, -FACTOR_ABS_MAX, FACTOR_ABS_MAX, err);
    if (rc == ERR_OK && offsets->count < 2)
        rc = err_set(err, ERR_CORRUPT, "%s: tensor 'offsets': expected 2 or more, got %llu",
                     source->path, (unsigned long long)offsets->count);
    if (rc == ERR_OK)
        rc = model_take_ids(bundle, "item_ids", offsets->count - 1, &model->items, err);
    if (rc != ERR_OK)
        return rc;
    neighbors->row_count = ids_count(model->items);
    neighbors->offset = offsets->data;
    neighbors->other = (uint32_t *)rows->data; /* nobody else reads them */
    neighbors->weight = weights->data;
    rc = check_offsets(source->path, neighbors, rows->count, err);
    if (rc == ERR_OK)
        rc = check_rows(source->path, neighbors, err);
    model->bytes += sizeof *neighbors;
    return rc;
}

void neighbors_bind(struct neighbors *neighbors, const uint32_t *item_of_row)
{
    for (int64_t i = 0; i < neighbors->offset[neighbors->row_count]; i++)
        neighbors->other[i] = item_of_row[neighbors->other[i]];
}

void neighbors_destroy(struct neighbors *neighbors)
{
    if (neighbors == NULL)
        return;
    safetensors_close(&neighbors->file);
    free(neighbors);
}
