/* SPDX-License-Identifier: Apache-2.0 */
#include "models/npy.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "models/safetensors_internal.h"

enum { MAGIC_BYTES = 6, VERSION_BYTES = 2, HEADER_BYTES_MAX = 65536, DESCR_BYTES = 16 };

static const uint8_t magic[MAGIC_BYTES] = {0x93, 'N', 'U', 'M', 'P', 'Y'};

/* The header: a Python dict of three keys, as text. */
struct reader {
    const char *name;
    const char *text;
    size_t len, at;
    struct err *err;
    enum err_code rc; /* the first failure; everything fails after it */
};

struct header {
    char descr[DESCR_BYTES];
    bool has_descr, has_order, has_shape;
    bool is_fortran;
    struct tensor tensor;
};

bool npy_is(const uint8_t *bytes, size_t len)
{
    return len >= MAGIC_BYTES && memcmp(bytes, magic, MAGIC_BYTES) == 0;
}

static bool fail(struct reader *reader, const char *expected)
{
    if (reader->rc != ERR_OK)
        return false;
    if (reader->at == reader->len)
        reader->rc = err_set(reader->err, ERR_CORRUPT, "%s: the header ends, expected %s",
                             reader->name, expected);
    else if (reader->text[reader->at] > ' ' && reader->text[reader->at] < 0x7f)
        reader->rc =
            err_set(reader->err, ERR_CORRUPT, "%s: byte %zu of the header: expected %s, got '%c'",
                    reader->name, reader->at, expected, reader->text[reader->at]);
    else
        reader->rc = err_set(
            reader->err, ERR_CORRUPT, "%s: byte %zu of the header: expected %s, got byte 0x%02x",
            reader->name, reader->at, expected, (unsigned)(uint8_t)reader->text[reader->at]);
    return false;
}

static void skip_blanks(struct reader *reader)
{
    while (reader->at < reader->len &&
           (reader->text[reader->at] == ' ' || reader->text[reader->at] == '\n'))
        reader->at++;
}

static bool takes(struct reader *reader, const char *word)
{
    size_t len = strlen(word);
    if (reader->rc != ERR_OK)
        return false;
    skip_blanks(reader);
    if (reader->len - reader->at < len || memcmp(reader->text + reader->at, word, len) != 0)
        return false;
    reader->at += len;
    return true;
}

static bool read_text(struct reader *reader, char *ret_text, size_t capacity)
{
    size_t used = 0;
    if (!takes(reader, "'"))
        return fail(reader, "a text in single quotes");
    while (reader->at < reader->len && reader->text[reader->at] != '\'') {
        char c = reader->text[reader->at];
        if (used + 1 == capacity || c < ' ' || c > '~' || c == '\\')
            return fail(reader, "a short plain text");
        ret_text[used++] = c;
        reader->at++;
    }
    ret_text[used] = '\0';
    return takes(reader, "'") || fail(reader, "a single quote");
}

static bool read_dimension(struct reader *reader, uint64_t *ret_dimension)
{
    uint64_t value = 0;
    size_t first = reader->at;
    while (reader->at < reader->len && reader->text[reader->at] >= '0' &&
           reader->text[reader->at] <= '9') {
        if (value > (uint64_t)INT64_MAX / 10 - 1)
            return fail(reader, "a smaller number");
        value = value * 10 + (uint64_t)(reader->text[reader->at++] - '0');
    }
    *ret_dimension = value;
    return reader->at > first || fail(reader, "a number");
}

/* (), (7,), (7, 64) */
static bool read_shape(struct reader *reader, struct tensor *tensor)
{
    if (!takes(reader, "("))
        return fail(reader, "'('");
    while (!takes(reader, ")")) {
        if (tensor->dim_count == TENSOR_DIMS_MAX)
            return fail(reader, "at most 8 dimensions");
        skip_blanks(reader);
        if (!read_dimension(reader, &tensor->dim[tensor->dim_count++]))
            return false;
        bool comma = takes(reader, ",");
        if (!comma && tensor->dim_count == 1)
            return fail(reader, "','");
        if (!comma)
            return takes(reader, ")") || fail(reader, "')'");
    }
    return reader->rc == ERR_OK;
}

static bool read_bool(struct reader *reader, bool *ret_value)
{
    *ret_value = takes(reader, "True");
    return *ret_value || takes(reader, "False") || fail(reader, "True or False");
}

static bool read_value(struct reader *reader, const char *key, struct header *header)
{
    bool *had = strcmp(key, "descr") == 0           ? &header->has_descr
                : strcmp(key, "fortran_order") == 0 ? &header->has_order
                : strcmp(key, "shape") == 0         ? &header->has_shape
                                                    : NULL;
    if (had == NULL || *had)
        return fail(reader, "each of descr, fortran_order and shape once before here");
    *had = true;
    if (had == &header->has_shape)
        return read_shape(reader, &header->tensor);
    if (had == &header->has_order)
        return read_bool(reader, &header->is_fortran);
    skip_blanks(reader);
    if (reader->at < reader->len && reader->text[reader->at] == '[')
        return fail(reader, "a plain type rather than a structure");
    return read_text(reader, header->descr, sizeof header->descr);
}

static enum err_code read_header(struct reader *reader, struct header *header)
{
    if (!takes(reader, "{"))
        fail(reader, "'{'");
    while (reader->rc == ERR_OK && !takes(reader, "}")) {
        char key[16];
        if (!read_text(reader, key, sizeof key))
            break;
        if (!takes(reader, ":"))
            fail(reader, "':'");
        else if (read_value(reader, key, header) && !takes(reader, ",")) {
            if (!takes(reader, "}"))
                fail(reader, "',' or '}'");
            break;
        }
    }
    skip_blanks(reader);
    if (reader->rc == ERR_OK && reader->at != reader->len)
        fail(reader, "nothing more");
    if (reader->rc == ERR_OK && !(header->has_descr && header->has_order && header->has_shape))
        return err_set(reader->err, ERR_CORRUPT,
                       "%s: the header lacks one of descr, fortran_order and shape", reader->name);
    return reader->rc;
}

static enum err_code set_type(const char *name, struct header *header, struct err *err)
{
    static const struct {
        const char *descr;
        enum tensor_type type;
    } types[] = {{"<f4", TENSOR_F32}, {"<f8", TENSOR_F64}, {"<f2", TENSOR_F16},
                 {"|i1", TENSOR_I8},  {"|u1", TENSOR_U8},  {"|b1", TENSOR_BOOL},
                 {"<i4", TENSOR_I32}, {"<u4", TENSOR_U32}, {"<i8", TENSOR_I64}};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(header->descr, types[i].descr) == 0) {
            header->tensor.type = types[i].type;
            return ERR_OK;
        }
    }
    if (header->descr[0] == '>')
        return err_set(err, ERR_CORRUPT, "%s: type '%s' is big-endian, expected little-endian",
                       name, header->descr);
    return err_set(err, ERR_CORRUPT,
                   "%s: type '%s' is not read, expected one of <f2 <f4 <f8 |i1 |u1 |b1 <i4 <u4 <i8",
                   name, header->descr);
}

/* The array is what the file goes on with, to its end. */
static enum err_code check_size(const char *name, struct tensor *tensor, uint64_t data_bytes,
                                struct err *err)
{
    uint64_t count = 1;
    bool too_many = false;
    for (uint32_t i = 0; i < tensor->dim_count; i++) {
        too_many |= __builtin_mul_overflow(count, tensor->dim[i], &count);
        if (tensor->dim[i] == 0) {
            count = 0;
            too_many = false;
            break;
        }
    }
    uint64_t bytes = 0;
    too_many |= __builtin_mul_overflow(count, tensor_type_bytes(tensor->type), &bytes);
    if (too_many)
        return err_set(err, ERR_CORRUPT, "%s: its shape has more elements than can be counted",
                       name);
    if (bytes != data_bytes)
        return err_set(err, ERR_CORRUPT, "%s: expected %llu bytes of data by its shape, got %llu",
                       name, (unsigned long long)bytes, (unsigned long long)data_bytes);
    tensor->count = count;
    return ERR_OK;
}

/* Where the header's text stands.  Version 1 has two bytes of length, later ones four. */
static enum err_code find_header(const char *name, const uint8_t *bytes, size_t len,
                                 size_t *ret_begin, size_t *ret_len, struct err *err)
{
    if (len < MAGIC_BYTES + VERSION_BYTES + 2 || !npy_is(bytes, len))
        return err_set(err, ERR_CORRUPT, "%s: %zu bytes that are no .npy file", name, len);
    uint8_t major = bytes[MAGIC_BYTES];
    uint8_t minor = bytes[MAGIC_BYTES + 1];
    if (major < 1 || major > 3 || minor != 0)
        return err_set(err, ERR_CORRUPT, "%s: version %u.%u of the format, expected 1.0 to 3.0",
                       name, (unsigned)major, (unsigned)minor);
    const uint8_t *at = bytes + MAGIC_BYTES + VERSION_BYTES;
    size_t length_bytes = major == 1 ? 2 : 4;
    size_t header_len = 0;
    if (len < MAGIC_BYTES + VERSION_BYTES + length_bytes)
        return err_set(err, ERR_CORRUPT, "%s: it ends within the length of its header", name);
    for (size_t i = length_bytes; i-- > 0;)
        header_len = header_len << 8 | at[i];
    size_t begin = MAGIC_BYTES + VERSION_BYTES + length_bytes;
    if (header_len > HEADER_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "%s: header length %zu, at most %d are allowed", name,
                       header_len, HEADER_BYTES_MAX);
    if (header_len > len - begin)
        return err_set(err, ERR_CORRUPT, "%s: header length %zu, but %zu bytes follow", name,
                       header_len, len - begin);
    *ret_begin = begin;
    *ret_len = header_len;
    return ERR_OK;
}

enum err_code npy_open(const char *name, const char *tensor_name, uint8_t *bytes, size_t len,
                       struct safetensors **ret_file, struct err *err)
{
    struct reader reader = {.name = name, .err = err};
    struct header header = {0};
    size_t begin = 0;
    enum err_code rc = find_header(name, bytes, len, &begin, &reader.len, err);
    if (rc != ERR_OK)
        return rc;
    reader.text = (const char *)bytes + begin;
    rc = read_header(&reader, &header);
    if (rc == ERR_OK)
        rc = set_type(name, &header, err);
    if (rc == ERR_OK && header.is_fortran && header.tensor.dim_count > 1)
        rc = err_set(err, ERR_CORRUPT,
                     "%s: the array is in Fortran order: save numpy.ascontiguousarray(x)", name);
    size_t data = begin + reader.len;
    if (rc == ERR_OK)
        rc = check_size(name, &header.tensor, len - data, err);
    if (rc == ERR_OK)
        rc = safetensors_of_one(name, tensor_name, &header.tensor, bytes, len, data, ret_file, err);
    return rc;
}
