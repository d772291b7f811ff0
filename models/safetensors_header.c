/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON header of a safetensors file, read token by token: offsets are exact integers, comments
 * and duplicate keys are refused, and nothing is built that the file does not need. */
#include <stdlib.h>
#include <string.h>

#include "base/json_scan.h"
#include "base/num.h"
#include "models/safetensors_internal.h"

enum { DEPTH_MAX = 3 }; /* tensors, a tensor, its shape */

struct parser {
    const char *name;
    struct json_scan scan;
    struct safetensors_header *header;
    struct err *err;
};

static enum err_code refuse_token(struct parser *p, enum json_token got, const char *expected)
{
    uint32_t line;
    uint32_t column;
    json_scan_place(&p->scan, &line, &column);
    bool is_fault = got == JSON_TOKEN_BAD;
    enum err_code code = is_fault && p->scan.code == ERR_NOMEM ? ERR_NOMEM : ERR_CORRUPT;
    return err_set(p->err, code, "%s: header, byte %u: %s%s", p->name, column,
                   is_fault ? p->scan.what : "expected ", is_fault ? "" : expected);
}

static enum err_code expect_token(struct parser *p, enum json_token wanted, const char *expected)
{
    enum json_token got = json_scan_next(&p->scan);
    return got == wanted ? ERR_OK : refuse_token(p, got, expected);
}

static enum err_code parse_size(struct parser *p, enum json_token got, uint64_t *ret_value)
{
    int64_t value = 0;
    if (got != JSON_TOKEN_INTEGER || p->scan.raw.ptr[0] == '-' ||
        !num_parse_int(p->scan.raw, 0, INT64_MAX, &value))
        return refuse_token(p, got, "a whole number of 0..2^63-1");
    *ret_value = (uint64_t)value;
    return ERR_OK;
}

static enum err_code parse_type(struct parser *p, struct tensor *tensor)
{
    enum err_code rc = expect_token(p, JSON_TOKEN_STRING, "the name of a type");
    if (rc != ERR_OK)
        return rc;
    for (int type = 0; type < TENSOR_TYPE_COUNT; type++) {
        if (text_is(p->scan.raw, tensor_type_name((enum tensor_type)type))) {
            tensor->type = (enum tensor_type)type;
            return ERR_OK;
        }
    }
    return err_set(p->err, ERR_UNSUPPORTED,
                   "%s: tensor '%.64s': type '%.*s' is not supported (F32 F64 F16 BF16 I8 U8 I32 "
                   "U32 I64 BOOL are)",
                   p->name, tensor->name, p->scan.raw.len < 32 ? (int)p->scan.raw.len : 32,
                   p->scan.raw.ptr);
}

static enum err_code parse_shape(struct parser *p, struct tensor *tensor)
{
    enum err_code rc = expect_token(p, JSON_TOKEN_ARRAY, "an array of dimensions");
    tensor->dim_count = 0;
    while (rc == ERR_OK) {
        enum json_token token = json_scan_next(&p->scan);
        if (token == JSON_TOKEN_ARRAY_END)
            break;
        if (tensor->dim_count == TENSOR_DIMS_MAX)
            return err_set(p->err, ERR_LIMIT, "%s: tensor '%.64s': more than %d dimensions",
                           p->name, tensor->name, TENSOR_DIMS_MAX);
        rc = parse_size(p, token, &tensor->dim[tensor->dim_count]);
        tensor->dim_count += rc == ERR_OK;
    }
    return rc;
}

static enum err_code parse_offsets(struct parser *p, struct safetensors_entry *entry)
{
    enum err_code rc = expect_token(p, JSON_TOKEN_ARRAY, "an array of two offsets");
    if (rc == ERR_OK)
        rc = parse_size(p, json_scan_next(&p->scan), &entry->begin);
    if (rc == ERR_OK)
        rc = parse_size(p, json_scan_next(&p->scan), &entry->end);
    return rc == ERR_OK ? expect_token(p, JSON_TOKEN_ARRAY_END, "two offsets alone") : rc;
}

/* The bytes that the shape asks for are the bytes that the offsets span. */
static enum err_code check_size(struct parser *p, struct safetensors_entry *entry)
{
    struct tensor *tensor = &entry->tensor;
    uint64_t count = 1;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < tensor->dim_count; i++) {
        if (__builtin_mul_overflow(count, tensor->dim[i], &count))
            return err_set(p->err, ERR_CORRUPT, "%s: tensor '%.64s': its shape overflows", p->name,
                           tensor->name);
    }
    if (__builtin_mul_overflow(count, (uint64_t)tensor_type_bytes(tensor->type), &bytes))
        return err_set(p->err, ERR_CORRUPT, "%s: tensor '%.64s': its size overflows", p->name,
                       tensor->name);
    if (entry->end < entry->begin || entry->end - entry->begin != bytes)
        return err_set(p->err, ERR_CORRUPT,
                       "%s: tensor '%.64s': data_offsets %llu..%llu, expected %llu bytes by type "
                       "and shape",
                       p->name, tensor->name, (unsigned long long)entry->begin,
                       (unsigned long long)entry->end, (unsigned long long)bytes);
    tensor->count = count;
    return ERR_OK;
}

static enum err_code parse_fields(struct parser *p, struct safetensors_entry *entry)
{
    bool has_type = false;
    bool has_shape = false;
    bool has_offsets = false;
    enum err_code rc = expect_token(p, JSON_TOKEN_OBJECT, "an object that describes a tensor");
    while (rc == ERR_OK) {
        enum json_token token = json_scan_next(&p->scan);
        if (token == JSON_TOKEN_OBJECT_END)
            break;
        if (token != JSON_TOKEN_KEY)
            return refuse_token(p, token, "a key");
        if (text_is(p->scan.raw, "dtype")) {
            has_type = true;
            rc = parse_type(p, &entry->tensor);
        } else if (text_is(p->scan.raw, "shape")) {
            has_shape = true;
            rc = parse_shape(p, &entry->tensor);
        } else if (text_is(p->scan.raw, "data_offsets")) {
            has_offsets = true;
            rc = parse_offsets(p, entry);
        } else {
            rc = refuse_token(p, token, "dtype, shape or data_offsets");
        }
    }
    if (rc == ERR_OK && !(has_type && has_shape && has_offsets))
        rc = err_set(p->err, ERR_CORRUPT, "%s: tensor '%.64s': %s: missing", p->name,
                     entry->tensor.name,
                     !has_type    ? "dtype"
                     : !has_shape ? "shape"
                                  : "data_offsets");
    return rc == ERR_OK ? check_size(p, entry) : rc;
}

static bool grow(struct safetensors_header *header)
{
    uint32_t capacity = header->entry_capacity == 0 ? 8 : 2 * header->entry_capacity;
    struct safetensors_entry *entry = realloc(header->entry, capacity * sizeof *entry);
    if (entry == NULL)
        return false;
    header->entry = entry;
    header->entry_capacity = capacity;
    return true;
}

/* The scanner stands on the tensor's name. */
static enum err_code parse_tensor(struct parser *p)
{
    struct safetensors_header *header = p->header;
    if (p->scan.has_nul)
        return refuse_token(p, JSON_TOKEN_KEY, "a name without \\u0000");
    if (header->entry_count == SAFETENSORS_TENSORS_MAX)
        return err_set(p->err, ERR_LIMIT, "%s: more than %d tensors", p->name,
                       SAFETENSORS_TENSORS_MAX);
    if (header->entry_count == header->entry_capacity && !grow(header))
        return err_set(p->err, ERR_NOMEM, "%s: out of memory for its tensors", p->name);
    struct safetensors_entry *entry = &header->entry[header->entry_count];
    char *tensor_name = header->names + header->names_used;
    *entry = (struct safetensors_entry){.tensor.name = tensor_name};
    json_scan_decode(&p->scan, tensor_name);
    tensor_name[p->scan.decoded_len] = '\0';
    header->names_used += p->scan.decoded_len + 1;
    header->entry_count++;
    return parse_fields(p, entry);
}

static enum err_code parse_metadata(struct parser *p)
{
    enum err_code rc = expect_token(p, JSON_TOKEN_OBJECT, "__metadata__ as an object");
    while (rc == ERR_OK) {
        enum json_token token = json_scan_next(&p->scan);
        if (token == JSON_TOKEN_OBJECT_END)
            break;
        rc = token == JSON_TOKEN_KEY ? expect_token(p, JSON_TOKEN_STRING, "a text in __metadata__")
                                     : refuse_token(p, token, "a key");
    }
    return rc;
}

static enum err_code parse_members(struct parser *p)
{
    enum err_code rc = expect_token(p, JSON_TOKEN_OBJECT, "an object");
    while (rc == ERR_OK) {
        enum json_token token = json_scan_next(&p->scan);
        if (token == JSON_TOKEN_OBJECT_END)
            break;
        if (token != JSON_TOKEN_KEY)
            return refuse_token(p, token, "a tensor's name");
        rc = text_is(p->scan.raw, "__metadata__") ? parse_metadata(p) : parse_tensor(p);
    }
    return rc == ERR_OK ? expect_token(p, JSON_TOKEN_END, "nothing more") : rc;
}

enum err_code safetensors_header_parse(const char *name, const char *json, size_t len,
                                       struct safetensors_header *header, struct err *err)
{
    *header = (struct safetensors_header){0};
    /* A name and its NUL take no more room than a key and its two quotes. */
    header->names = malloc(len + 1);
    if (header->names == NULL)
        return err_set(err, ERR_NOMEM, "%s: out of memory for a header of %zu bytes", name, len);
    struct parser p = {.name = name, .header = header, .err = err};
    json_scan_init(&p.scan, json, len, DEPTH_MAX);
    enum err_code rc = parse_members(&p);
    json_scan_deinit(&p.scan);
    return rc;
}

void safetensors_header_deinit(struct safetensors_header *header)
{
    for (uint32_t i = 0; i < header->entry_count; i++)
        free(header->entry[i].copy);
    free(header->entry);
    free(header->names);
    *header = (struct safetensors_header){0};
}
