/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors of other types become the floats that an evaluator reads. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/safetensors_internal.h"

#define SCALE_SUFFIX "_scale"

static struct safetensors_entry *find_entry(struct safetensors *file, const char *name)
{
    for (uint32_t i = 0; i < file->header.entry_count; i++) {
        if (strcmp(file->header.entry[i].tensor.name, name) == 0)
            return &file->header.entry[i];
    }
    return NULL;
}

static const struct tensor *find_scale(const struct safetensors *file, const char *name)
{
    char scale_name[80];
    int used = snprintf(scale_name, sizeof scale_name, "%s" SCALE_SUFFIX, name);
    return (size_t)used < sizeof scale_name ? safetensors_find(file, scale_name) : NULL;
}

enum err_code safetensors_add_scale(struct safetensors *file, const struct tensor *scale,
                                    struct err *err)
{
    struct safetensors_header *header = &file->header;
    ASSERT(header->entry_count == 1 && header->entry[0].copy == NULL);
    const char *name = header->entry[0].tensor.name;
    size_t name_bytes = strlen(name) + 1;
    size_t bytes = scale->count * tensor_type_bytes(scale->type);
    struct safetensors_entry *entry = calloc(2, sizeof *entry);
    char *names = malloc(2 * name_bytes + sizeof SCALE_SUFFIX);
    void *copy = malloc(bytes + 1);
    if (entry == NULL || names == NULL || copy == NULL) {
        free(entry);
        free(names);
        free(copy);
        return err_set(err, ERR_NOMEM, "%s: out of memory for its scales", file->name);
    }
    memcpy(names, name, name_bytes);
    snprintf(names + name_bytes, name_bytes + sizeof SCALE_SUFFIX, "%s" SCALE_SUFFIX, name);
    memcpy(copy, scale->data, bytes);
    entry[0] = header->entry[0];
    entry[0].tensor.name = names;
    entry[1] = (struct safetensors_entry){.tensor = *scale, .copy = copy};
    entry[1].tensor.name = names + name_bytes;
    entry[1].tensor.data = copy;
    free(header->entry);
    free(header->names);
    *header = (struct safetensors_header){
        .entry = entry, .entry_count = 2, .entry_capacity = 2, .names = names};
    return ERR_OK;
}

uint32_t safetensors_scale_count(const struct safetensors *file)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < safetensors_count(file); i++) {
        const struct tensor *tensor = safetensors_at(file, i);
        count += tensor->type == TENSOR_I8 && find_scale(file, tensor->name) != NULL;
    }
    return count;
}

uint64_t safetensors_bytes(const struct safetensors *file)
{
    uint64_t bytes = file->bytes == NULL ? 0 : file->bytes_len;
    for (uint32_t i = 0; i < file->header.entry_count; i++) {
        const struct safetensors_entry *entry = &file->header.entry[i];
        if (entry->copy != NULL)
            bytes += entry->tensor.count * tensor_type_bytes(entry->tensor.type);
    }
    return bytes;
}

/* The scales of whole numbers: one for each row. */
static enum err_code check_scale(const struct safetensors *file, const struct tensor *tensor,
                                 const struct tensor **ret_scale, struct err *err)
{
    const struct tensor *scale = find_scale(file, tensor->name);
    if (scale == NULL || tensor->dim_count == 0)
        return err_set(err, ERR_CORRUPT,
                       "%s: tensor '%.64s' is I8, which needs '%.64s" SCALE_SUFFIX
                       "' with a float for each row: a tensor, or a file under that key where it "
                       "is an array of numpy",
                       file->name, tensor->name, tensor->name);
    if (!tensor_is_float(scale->type) || scale->dim_count != 1 || scale->dim[0] != tensor->dim[0])
        return err_set(err, ERR_CORRUPT,
                       "%s: tensor '%.64s': expected floats [%llu], got %s of %llu elements",
                       file->name, scale->name, (unsigned long long)tensor->dim[0],
                       tensor_type_name(scale->type), (unsigned long long)scale->count);
    *ret_scale = scale;
    return ERR_OK;
}

static double value_at(const struct tensor *tensor, const struct tensor *scale, uint64_t row_values,
                       uint64_t index)
{
    if (scale == NULL)
        return tensor_float(tensor, index);
    return ((const int8_t *)tensor->data)[index] * tensor_float(scale, index / row_values);
}

static void drop_what_is_copied(struct safetensors *file)
{
    for (uint32_t i = 0; i < file->header.entry_count; i++) {
        const struct safetensors_entry *entry = &file->header.entry[i];
        if (entry->copy == NULL && entry->tensor.count > 0)
            return;
    }
    free(file->bytes);
    file->bytes = NULL;
}

enum err_code safetensors_make_floats(struct safetensors *file, const char *tensor_name,
                                      enum tensor_type type, struct err *err)
{
    struct safetensors_entry *entry = find_entry(file, tensor_name);
    const struct tensor *scale = NULL;
    enum err_code rc = ERR_OK;
    ASSERT(type == TENSOR_F32 || type == TENSOR_F64);
    if (entry == NULL || entry->tensor.type == type ||
        (!tensor_is_float(entry->tensor.type) && entry->tensor.type != TENSOR_I8))
        return ERR_OK; /* safetensors_expect says what is wrong */
    if (entry->tensor.type == TENSOR_I8)
        rc = check_scale(file, &entry->tensor, &scale, err);
    if (rc != ERR_OK)
        return rc;
    uint64_t count = entry->tensor.count;
    uint64_t row_values = scale == NULL || scale->count == 0 ? 1 : count / scale->count;
    void *values = malloc(count * tensor_type_bytes(type) + 1);
    if (values == NULL)
        return err_set(err, ERR_NOMEM, "%s: tensor '%.64s': out of memory for %llu values",
                       file->name, tensor_name, (unsigned long long)count);
    for (uint64_t i = 0; i < count; i++) {
        double value = value_at(&entry->tensor, scale, row_values, i);
        if (type == TENSOR_F32)
            ((float *)values)[i] = (float)value;
        else
            ((double *)values)[i] = value;
    }
    free(entry->copy);
    entry->copy = values;
    entry->tensor.data = values;
    entry->tensor.type = type;
    drop_what_is_copied(file);
    return ERR_OK;
}
