/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/train/bundle_files.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/file.h"
#include "models/safetensors.h"

struct writer {
    const char *dir;
    const struct trained *trained;
    const struct interactions *interactions;
    const struct dataset *dataset;
    struct bundle_write_file *file;
    uint32_t file_count;
};

static enum err_code add_file(struct writer *writer, const char *key, const char *name,
                              char path[FILE_PATH_BYTES], struct err *err)
{
    writer->file[writer->file_count++] = (struct bundle_write_file){key, name};
    return file_join(writer->dir, name, path, FILE_PATH_BYTES, err);
}

static enum err_code write_tensors(struct writer *writer, const char *key, const char *name,
                                   const struct tensor *tensors, uint32_t count, struct err *err)
{
    char path[FILE_PATH_BYTES];
    enum err_code rc = add_file(writer, key, name, path, err);
    return rc == ERR_OK ? safetensors_write(path, tensors, count, err) : rc;
}

static enum err_code write_ids(struct writer *writer, const char *key, const char *name,
                               struct buffer *ids, struct err *err)
{
    char path[FILE_PATH_BYTES];
    size_t len = 0;
    enum err_code rc = add_file(writer, key, name, path, err);
    char *text = buffer_take(ids, &len);
    if (rc == ERR_OK && text == NULL)
        rc = err_set(err, ERR_NOMEM, "%s: out of memory", name);
    if (rc == ERR_OK)
        rc = file_write_atomic(path, text, len, err);
    free(text);
    return rc;
}

static void put_id(struct buffer *buffer, struct text id)
{
    buffer_put(buffer, id.ptr, id.len);
    buffer_put_char(buffer, '\n');
}

static enum err_code write_item_ids(struct writer *writer, struct err *err)
{
    struct buffer ids = {0};
    for (uint32_t column = 0; column < writer->dataset->pairs.column_count; column++)
        put_id(&ids, idmap_text(writer->interactions->items, writer->dataset->item[column]));
    return write_ids(writer, "item_ids", "item_ids.txt", &ids, err);
}

/* Users' rows moved together, and their ids; returns how many there are. */
static uint32_t gather_users(const struct writer *writer, float *rows, struct buffer *ids)
{
    const struct ials *ials = &writer->trained->ials;
    uint32_t count = 0;
    for (uint32_t user = 0; user < ials->user_count; user++) {
        bool anonymous = false;
        struct text id =
            interactions_id(writer->interactions, writer->dataset->person[user], &anonymous);
        if (anonymous)
            continue;
        memcpy(rows + (size_t)count * ials->dim, ials->user + (size_t)user * ials->dim,
               ials->dim * sizeof rows[0]);
        put_id(ids, id);
        count++;
    }
    return count;
}

static struct tensor rows_of_floats(const char *name, const float *rows, uint32_t count,
                                    uint32_t dim)
{
    return (struct tensor){.name = name,
                           .type = TENSOR_F32,
                           .dim_count = 2,
                           .dim = {count, dim},
                           .count = (uint64_t)count * dim,
                           .data = rows};
}

static enum err_code write_factors(struct writer *writer, struct err *err)
{
    const struct ials *ials = &writer->trained->ials;
    struct buffer ids = {0};
    float *rows = malloc(((size_t)ials->user_count * ials->dim + 1) * sizeof rows[0]);
    if (rows == NULL)
        return err_set(err, ERR_NOMEM, "factors of %u users: out of memory", ials->user_count);
    uint32_t users = gather_users(writer, rows, &ids);
    struct tensor user = rows_of_floats("user_factors", rows, users, ials->dim);
    struct tensor item = rows_of_floats("item_factors", ials->item, ials->item_count, ials->dim);
    enum err_code rc = write_ids(writer, "user_ids", "user_ids.txt", &ids, err);
    if (rc == ERR_OK)
        rc = write_tensors(writer, "user_factors", "user_factors.safetensors", &user, 1, err);
    if (rc == ERR_OK)
        rc = write_tensors(writer, "item_factors", "item_factors.safetensors", &item, 1, err);
    free(rows);
    return rc;
}

static struct tensor line_of(const char *name, enum tensor_type type, const void *data,
                             uint64_t count)
{
    return (struct tensor){
        .name = name, .type = type, .dim_count = 1, .dim = {count}, .count = count, .data = data};
}

static enum err_code write_neighbors(struct writer *writer, struct err *err)
{
    const struct neighbor_lists *lists = &writer->trained->lists;
    const uint64_t entries = (uint64_t)lists->offset[lists->row_count];
    const struct tensor tensors[] = {
        line_of("offsets", TENSOR_I64, lists->offset, (uint64_t)lists->row_count + 1),
        line_of("rows", TENSOR_U32, lists->row, entries),
        line_of("weights", TENSOR_F32, lists->weight, entries),
    };
    return write_tensors(writer, "neighbors", "neighbors.safetensors", tensors, 3, err);
}

static enum err_code write_popularity(struct writer *writer, struct err *err)
{
    const struct tensor scores = line_of("scores", TENSOR_F32, writer->trained->popularity,
                                         writer->dataset->pairs.column_count);
    return write_tensors(writer, "scores", "scores.safetensors", &scores, 1, err);
}

enum err_code bundle_files_write(const char *dir, const struct trained *trained,
                                 const struct interactions *interactions,
                                 const struct dataset *dataset, struct bundle_write_file *ret_files,
                                 uint32_t *ret_file_count, struct err *err)
{
    struct writer writer = {dir, trained, interactions, dataset, ret_files, 0};
    enum err_code rc = write_item_ids(&writer, err);
    if (rc == ERR_OK && trained->kind == TRAIN_FACTORS)
        rc = write_factors(&writer, err);
    else if (rc == ERR_OK && trained->kind == TRAIN_NEIGHBORS)
        rc = write_neighbors(&writer, err);
    else if (rc == ERR_OK)
        rc = write_popularity(&writer, err);
    if (rc == ERR_OK)
        *ret_file_count = writer.file_count;
    return rc;
}
