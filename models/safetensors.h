/* SPDX-License-Identifier: Apache-2.0 */
/* safetensors - the tensor file format, read from untrusted bytes and written atomically.
 *
 * Layout: 8 bytes header length (little-endian), JSON header, data; source: huggingface/safetensors
 * README.md and tensor.rs.  The reader reproduces every check of the reference reader (tensors tile
 * the data exactly: no holes, overlaps or trailing bytes) and also refuses duplicate keys and a
 * header that does not start with '{'.  Types read: F32 F64 F16 BF16 I8 U8 I32 I64 U32 BOOL; others
 * are refused by name.
 *
 * Ownership: a `struct safetensors` owns its bytes; tensors point into them.  Misaligned data is
 * copied. Threads: none of its own.  Limits: header 16 MiB, 4096 tensors, 8 dimensions. */
#ifndef MODELS_SAFETENSORS_H
#define MODELS_SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* In the order of the reference implementation, which is that of its writer backwards. */
enum tensor_type {
    TENSOR_BOOL,
    TENSOR_U8,
    TENSOR_I8,
    TENSOR_F16,
    TENSOR_BF16,
    TENSOR_I32,
    TENSOR_U32,
    TENSOR_F32,
    TENSOR_F64,
    TENSOR_I64,
    TENSOR_TYPE_COUNT
};

#define TENSOR_DIMS_MAX 8

struct tensor {
    const char *name;
    enum tensor_type type;
    uint32_t dim_count;
    uint64_t dim[TENSOR_DIMS_MAX];
    uint64_t count;   /* product of dims */
    const void *data; /* row-major, aligned for its type */
};

struct safetensors;

/* Takes over `bytes` (malloc'ed, from file_read) on success; `name` is for messages.
 * ERR_CORRUPT "NAME: tensor 'x': data_offsets end 96, expected 64". */
MUST_CHECK enum err_code safetensors_open(const char *name, uint8_t *bytes, size_t len,
                                          struct safetensors **ret_file, struct err *err);
void safetensors_close(struct safetensors **file);

uint32_t safetensors_count(const struct safetensors *file);
const struct tensor *safetensors_at(const struct safetensors *file, uint32_t index);
/* NULL when there is none of that name. */
const struct tensor *safetensors_find(const struct safetensors *file, const char *name);

/* The tensor with the type and the shape wanted (a dimension of UINT64_MAX is free).  ERR_CORRUPT
 * "NAME: tensor 'factors': expected F32 [*, 64], got F32 [100, 32]". */
MUST_CHECK enum err_code safetensors_expect(const struct safetensors *file, const char *tensor_name,
                                            enum tensor_type type, const uint64_t *dims,
                                            uint32_t dim_count, const struct tensor **ret_tensor,
                                            struct err *err);

/* The same of any type of floats: "expected floats [64], got I8 [64]". */
MUST_CHECK enum err_code safetensors_expect_floats(const struct safetensors *file,
                                                   const char *tensor_name, const uint64_t *dims,
                                                   uint32_t dim_count,
                                                   const struct tensor **ret_tensor,
                                                   struct err *err);

bool tensor_is_float(enum tensor_type type); /* F16, BF16, F32, F64 */
/* A value of a tensor of such a type. */
double tensor_float(const struct tensor *tensor, uint64_t index);

/* The tensor becomes one of F32 or F64, whatever floats it held: each value is rounded to the
 * nearest, and what is beyond a float becomes infinite (which no model takes).  Of I8 too, where
 * the file has a tensor NAME_scale of floats: value = integer * scale of its row.  A tensor that is
 * missing or of another type is left to safetensors_expect. */
MUST_CHECK enum err_code safetensors_make_floats(struct safetensors *file, const char *tensor_name,
                                                 enum tensor_type type, struct err *err);
/* A file of one tensor gets the scales of its rows, which another file of one tensor has, copied.
 */
MUST_CHECK enum err_code safetensors_add_scale(struct safetensors *file, const struct tensor *scale,
                                               struct err *err);
uint32_t safetensors_scale_count(const struct safetensors *file); /* such tensors of scales */
uint64_t safetensors_bytes(const struct safetensors *file);       /* of values that it holds */

const char *tensor_type_name(enum tensor_type type); /* "F32" */
uint32_t tensor_type_bytes(enum tensor_type type);

/* Writes tensors in the order of the reference writer (wider types first, then by name), header
 * padded to 8 bytes, through file_write_atomic. */
MUST_CHECK enum err_code safetensors_write(const char *path, const struct tensor *tensors,
                                           uint32_t tensor_count, struct err *err);

#endif
