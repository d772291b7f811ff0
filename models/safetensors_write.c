/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/file.h"
#include "base/text.h"
#include "models/safetensors_internal.h"

enum { HEADER_ALIGN = 8 };

static uint64_t data_bytes(const struct tensor *tensor)
{
    return tensor->count * tensor_type_bytes(tensor->type);
}

static int compare_for_writing(const void *a, const void *b)
{
    const struct tensor *x = *(const struct tensor *const *)a;
    const struct tensor *y = *(const struct tensor *const *)b;
    if (x->type != y->type)
        return x->type > y->type ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* What our own reader would refuse, and names that would have to be escaped. */
static enum err_code check_tensor(const struct tensor *tensor, struct err *err)
{
    uint64_t count = 1;
    if (!text_is_id(text_of(tensor->name)) || strpbrk(tensor->name, "\"\\") != NULL ||
        strcmp(tensor->name, "__metadata__") == 0)
        return err_set(err, ERR_BAD_INPUT, "'%.64s' cannot name a tensor", tensor->name);
    bool fits = tensor->dim_count <= TENSOR_DIMS_MAX;
    for (uint32_t i = 0; i < tensor->dim_count && fits; i++)
        fits = !__builtin_mul_overflow(count, tensor->dim[i], &count);
    if (!fits || count != tensor->count || count > SIZE_MAX / 16)
        return err_set(err, ERR_BAD_INPUT, "tensor '%s': count %llu does not match its shape",
                       tensor->name, (unsigned long long)tensor->count);
    return ERR_OK;
}

static void put_header(struct buffer *buffer, const struct tensor *const *order, uint32_t count)
{
    uint64_t at = 0;
    buffer_put_char(buffer, '{');
    for (uint32_t i = 0; i < count; i++) {
        const struct tensor *tensor = order[i];
        buffer_put_str(buffer, i == 0 ? "\"" : ",\"");
        buffer_put_str(buffer, tensor->name);
        buffer_put_fmt(buffer, "\":{\"dtype\":\"%s\",\"shape\":[", tensor_type_name(tensor->type));
        for (uint32_t d = 0; d < tensor->dim_count; d++)
            buffer_put_fmt(buffer, "%s%llu", d == 0 ? "" : ",", (unsigned long long)tensor->dim[d]);
        buffer_put_fmt(buffer, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)at,
                       (unsigned long long)(at + data_bytes(tensor)));
        at += data_bytes(tensor);
    }
    buffer_put_char(buffer, '}');
    while (buffer->used % HEADER_ALIGN != 0 && !buffer->failed)
        buffer_put_char(buffer, ' ');
}

static enum err_code write_file(const char *path, const struct tensor *const *order, uint32_t count,
                                struct err *err)
{
    struct buffer buffer = {0};
    size_t header_len = 0;
    size_t total = SAFETENSORS_LENGTH_BYTES;
    enum err_code rc = ERR_OK;
    put_header(&buffer, order, count);
    char *header = buffer_take(&buffer, &header_len);
    bool overflow = __builtin_add_overflow(total, header_len, &total);
    for (uint32_t i = 0; i < count; i++)
        overflow |= __builtin_add_overflow(total, data_bytes(order[i]), &total);
    uint8_t *bytes = header == NULL || overflow ? NULL : malloc(total);
    if (bytes == NULL) {
        rc = err_set(err, ERR_NOMEM, "out of memory to write '%s'", path);
        goto out;
    }
    for (int i = 0; i < SAFETENSORS_LENGTH_BYTES; i++)
        bytes[i] = (uint8_t)((uint64_t)header_len >> (8 * i));
    size_t at = SAFETENSORS_LENGTH_BYTES;
    memcpy(bytes + at, header, header_len);
    at += header_len;
    for (uint32_t i = 0; i < count; i++) {
        if (order[i]->count > 0)
            memcpy(bytes + at, order[i]->data, data_bytes(order[i]));
        at += data_bytes(order[i]);
    }
    rc = file_write_atomic(path, bytes, total, err);
out:
    free(header);
    free(bytes);
    return rc;
}

enum err_code safetensors_write(const char *path, const struct tensor *tensors,
                                uint32_t tensor_count, struct err *err)
{
    enum err_code rc = ERR_OK;
    if (tensor_count > SAFETENSORS_TENSORS_MAX)
        return err_set(err, ERR_LIMIT, "a file holds at most %d tensors (got %u)",
                       SAFETENSORS_TENSORS_MAX, tensor_count);
    const struct tensor **order = malloc((tensor_count + 1U) * sizeof *order);
    if (order == NULL)
        return err_set(err, ERR_NOMEM, "out of memory to write '%s'", path);
    for (uint32_t i = 0; i < tensor_count && rc == ERR_OK; i++) {
        order[i] = &tensors[i];
        rc = check_tensor(&tensors[i], err);
    }
    if (rc == ERR_OK) {
        qsort(order, tensor_count, sizeof *order, compare_for_writing);
        for (uint32_t i = 1; i < tensor_count && rc == ERR_OK; i++) {
            if (strcmp(order[i - 1]->name, order[i]->name) == 0)
                rc = err_set(err, ERR_EXISTS, "two tensors are named '%s'", order[i]->name);
        }
    }
    if (rc == ERR_OK)
        rc = write_file(path, order, tensor_count, err);
    free(order);
    return rc;
}
