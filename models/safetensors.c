/* SPDX-License-Identifier: Apache-2.0 */
#include "models/safetensors.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "models/safetensors_internal.h"

static const struct {
    const char *name;
    uint32_t bytes;
} types[] = {
    [TENSOR_BOOL] = {"BOOL", 1}, [TENSOR_U8] = {"U8", 1},     [TENSOR_I8] = {"I8", 1},
    [TENSOR_F16] = {"F16", 2},   [TENSOR_BF16] = {"BF16", 2}, [TENSOR_I32] = {"I32", 4},
    [TENSOR_U32] = {"U32", 4},   [TENSOR_F32] = {"F32", 4},   [TENSOR_F64] = {"F64", 8},
    [TENSOR_I64] = {"I64", 8},
};
_Static_assert(sizeof types / sizeof types[0] == TENSOR_TYPE_COUNT, "a row for each type");

const char *tensor_type_name(enum tensor_type type)
{
    return types[type].name;
}

uint32_t tensor_type_bytes(enum tensor_type type)
{
    return types[type].bytes;
}

static uint64_t read_u64_le(const uint8_t *bytes)
{
    uint64_t value = 0;
    for (int i = 7; i >= 0; i--)
        value = value << 8 | bytes[i];
    return value;
}

static int compare_offsets(const void *a, const void *b)
{
    const struct safetensors_entry *x = *(const struct safetensors_entry *const *)a;
    const struct safetensors_entry *y = *(const struct safetensors_entry *const *)b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

/* Sorted by their offsets, the tensors cover the data without a hole, an overlap or a rest. */
static enum err_code check_tiling(const char *name, const struct safetensors_header *header,
                                  uint64_t data_bytes, struct err *err)
{
    uint64_t covered = 0;
    enum err_code rc = ERR_OK;
    const struct safetensors_entry **order = malloc((header->entry_count + 1U) * sizeof *order);
    if (order == NULL)
        return err_set(err, ERR_NOMEM, "%s: out of memory for its tensors", name);
    for (uint32_t i = 0; i < header->entry_count; i++)
        order[i] = &header->entry[i];
    qsort(order, header->entry_count, sizeof *order, compare_offsets);
    for (uint32_t i = 0; i < header->entry_count && rc == ERR_OK; i++) {
        if (order[i]->begin != covered)
            rc = err_set(err, ERR_CORRUPT,
                         "%s: tensor '%.64s': data_offsets begin %llu, expected "
                         "%llu",
                         name, order[i]->tensor.name, (unsigned long long)order[i]->begin,
                         (unsigned long long)covered);
        else if (order[i]->end > data_bytes)
            rc = err_set(err, ERR_CORRUPT,
                         "%s: tensor '%.64s': data_offsets end %llu, but the "
                         "data has %llu bytes",
                         name, order[i]->tensor.name, (unsigned long long)order[i]->end,
                         (unsigned long long)data_bytes);
        covered = order[i]->end;
    }
    if (rc == ERR_OK && covered != data_bytes)
        rc = err_set(err, ERR_CORRUPT, "%s: expected %llu bytes of data by its tensors, got %llu",
                     name, (unsigned long long)covered, (unsigned long long)data_bytes);
    free(order);
    return rc;
}

static enum err_code place_data(const char *name, struct safetensors_header *header,
                                const uint8_t *data, struct err *err)
{
    for (uint32_t i = 0; i < header->entry_count; i++) {
        struct safetensors_entry *entry = &header->entry[i];
        size_t bytes = entry->end - entry->begin;
        entry->tensor.data = data + entry->begin;
        if ((uintptr_t)entry->tensor.data % tensor_type_bytes(entry->tensor.type) == 0)
            continue;
        entry->copy = malloc(bytes + 1); /* + 1: NULL must mean that memory is out */
        if (entry->copy == NULL)
            return err_set(err, ERR_NOMEM, "%s: tensor '%.64s': out of memory for %zu bytes", name,
                           entry->tensor.name, bytes);
        memcpy(entry->copy, entry->tensor.data, bytes);
        entry->tensor.data = entry->copy;
    }
    return ERR_OK;
}

/* The data of a file whose header has an odd length is moved down, over the header, which has been
 * read: a copy of each tensor would take its memory twice. */
static uint8_t *align_data(uint8_t *bytes, size_t from, size_t len)
{
    size_t to = from - (uintptr_t)(bytes + from) % sizeof(double);
    if (to != from)
        memmove(bytes + to, bytes + from, len - from);
    return bytes + to;
}

static enum err_code check_length(const char *name, const uint8_t *bytes, size_t len,
                                  size_t *ret_header_len, struct err *err)
{
    if (len < SAFETENSORS_LENGTH_BYTES)
        return err_set(err, ERR_CORRUPT, "%s: %zu bytes are too few for a safetensors file", name,
                       len);
    uint64_t header_len = read_u64_le(bytes);
    if (header_len > SAFETENSORS_HEADER_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "%s: header length %llu, at most %zu are allowed", name,
                       (unsigned long long)header_len, SAFETENSORS_HEADER_BYTES_MAX);
    if (header_len > len - SAFETENSORS_LENGTH_BYTES)
        return err_set(err, ERR_CORRUPT, "%s: header length %llu, but %zu bytes follow", name,
                       (unsigned long long)header_len, len - SAFETENSORS_LENGTH_BYTES);
    if (header_len == 0 || bytes[SAFETENSORS_LENGTH_BYTES] != '{')
        return err_set(err, ERR_CORRUPT, "%s: the header does not begin with '{'", name);
    *ret_header_len = header_len;
    return ERR_OK;
}

enum err_code safetensors_open(const char *name, uint8_t *bytes, size_t len,
                               struct safetensors **ret_file, struct err *err)
{
    size_t header_len = 0;
    enum err_code rc = check_length(name, bytes, len, &header_len, err);
    if (rc != ERR_OK)
        return rc;
    struct safetensors *file = calloc(1, sizeof *file);
    if (file == NULL)
        return err_set(err, ERR_NOMEM, "%s: out of memory", name);
    text_copy(text_of(name), file->name, sizeof file->name);
    const uint8_t *data = bytes + SAFETENSORS_LENGTH_BYTES + header_len;
    rc = safetensors_header_parse(name, (const char *)bytes + SAFETENSORS_LENGTH_BYTES, header_len,
                                  &file->header, err);
    if (rc == ERR_OK)
        rc = check_tiling(name, &file->header, (uint64_t)(bytes + len - data), err);
    if (rc == ERR_OK)
        rc = place_data(name, &file->header,
                        align_data(bytes, SAFETENSORS_LENGTH_BYTES + header_len, len), err);
    if (rc == ERR_OK) {
        file->bytes = bytes;
        file->bytes_len = len;
        *ret_file = file;
        file = NULL;
    }
    safetensors_close(&file);
    return rc;
}

enum err_code safetensors_of_one(const char *name, const char *tensor_name,
                                 const struct tensor *tensor, uint8_t *bytes, size_t len,
                                 size_t data, struct safetensors **ret_file, struct err *err)
{
    struct safetensors *file = calloc(1, sizeof *file);
    struct safetensors_entry *entry = calloc(1, sizeof *entry);
    char *names = strdup(tensor_name);
    if (file == NULL || entry == NULL || names == NULL) {
        free(file);
        free(entry);
        free(names);
        return err_set(err, ERR_NOMEM, "%s: out of memory", name);
    }
    text_copy(text_of(name), file->name, sizeof file->name);
    entry->tensor = *tensor;
    entry->tensor.name = names;
    entry->end = tensor->count * tensor_type_bytes(tensor->type);
    file->header = (struct safetensors_header){
        .entry = entry, .entry_count = 1, .entry_capacity = 1, .names = names};
    enum err_code rc = place_data(name, &file->header, align_data(bytes, data, len), err);
    if (rc == ERR_OK) {
        file->bytes = bytes;
        file->bytes_len = len;
        *ret_file = file;
        file = NULL;
    }
    safetensors_close(&file);
    return rc;
}

void safetensors_close(struct safetensors **file)
{
    struct safetensors *old = *file;
    if (old == NULL)
        return;
    safetensors_header_deinit(&old->header);
    free(old->bytes);
    free(old);
    *file = NULL;
}

uint32_t safetensors_count(const struct safetensors *file)
{
    return file->header.entry_count;
}

const struct tensor *safetensors_at(const struct safetensors *file, uint32_t index)
{
    ASSERT(index < file->header.entry_count);
    return &file->header.entry[index].tensor;
}

const struct tensor *safetensors_find(const struct safetensors *file, const char *name)
{
    for (uint32_t i = 0; i < file->header.entry_count; i++) {
        if (strcmp(file->header.entry[i].tensor.name, name) == 0)
            return &file->header.entry[i].tensor;
    }
    return NULL;
}

/* "F32 [*, 64]"; a shape that does not fit is cut. */
static const char *describe(const char *type, const uint64_t *dims, uint32_t dim_count, char *buf,
                            size_t buf_bytes)
{
    int used = snprintf(buf, buf_bytes, "%s [", type);
    for (uint32_t i = 0; i < dim_count && (size_t)used < buf_bytes; i++) {
        const char *separator = i == 0 ? "" : ", ";
        if (dims[i] == UINT64_MAX)
            used += snprintf(buf + used, buf_bytes - (size_t)used, "%s*", separator);
        else
            used += snprintf(buf + used, buf_bytes - (size_t)used, "%s%llu", separator,
                             (unsigned long long)dims[i]);
    }
    if ((size_t)used < buf_bytes)
        snprintf(buf + used, buf_bytes - (size_t)used, "]");
    return buf;
}

static bool has_shape(const struct tensor *tensor, const uint64_t *dims, uint32_t dim_count)
{
    bool same = tensor->dim_count == dim_count;
    for (uint32_t i = 0; i < dim_count && same; i++)
        same = dims[i] == UINT64_MAX || dims[i] == tensor->dim[i];
    return same;
}

static enum err_code refuse(const struct safetensors *file, const char *tensor_name,
                            const char *type, const uint64_t *dims, uint32_t dim_count,
                            struct err *err)
{
    ASSERT(dim_count <= TENSOR_DIMS_MAX);
    char expected[96];
    char got[96];
    const struct tensor *tensor = safetensors_find(file, tensor_name);
    describe(type, dims, dim_count, expected, sizeof expected);
    if (tensor == NULL)
        return err_set(err, ERR_CORRUPT, "%s: tensor '%s': missing, expected %s", file->name,
                       tensor_name, expected);
    return err_set(
        err, ERR_CORRUPT, "%s: tensor '%s': expected %s, got %s", file->name, tensor_name, expected,
        describe(tensor_type_name(tensor->type), tensor->dim, tensor->dim_count, got, sizeof got));
}

enum err_code safetensors_expect(const struct safetensors *file, const char *tensor_name,
                                 enum tensor_type type, const uint64_t *dims, uint32_t dim_count,
                                 const struct tensor **ret_tensor, struct err *err)
{
    const struct tensor *tensor = safetensors_find(file, tensor_name);
    if (tensor == NULL || tensor->type != type || !has_shape(tensor, dims, dim_count))
        return refuse(file, tensor_name, tensor_type_name(type), dims, dim_count, err);
    *ret_tensor = tensor;
    return ERR_OK;
}

enum err_code safetensors_expect_floats(const struct safetensors *file, const char *tensor_name,
                                        const uint64_t *dims, uint32_t dim_count,
                                        const struct tensor **ret_tensor, struct err *err)
{
    const struct tensor *tensor = safetensors_find(file, tensor_name);
    if (tensor == NULL || !tensor_is_float(tensor->type) || !has_shape(tensor, dims, dim_count))
        return refuse(file, tensor_name, "floats", dims, dim_count, err);
    *ret_tensor = tensor;
    return ERR_OK;
}
