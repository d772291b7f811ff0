/* SPDX-License-Identifier: Apache-2.0 */
/* safetensors_internal - passed from the header reader to the file reader. */
#ifndef MODELS_SAFETENSORS_INTERNAL_H
#define MODELS_SAFETENSORS_INTERNAL_H

#include "models/safetensors.h"

#define SAFETENSORS_LENGTH_BYTES     8 /* the header's length stands before it */
#define SAFETENSORS_HEADER_BYTES_MAX ((size_t)16 << 20)
#define SAFETENSORS_TENSORS_MAX      4096

struct safetensors_entry {
    struct tensor tensor; /* .data is set by the reader of the file */
    uint64_t begin, end;  /* bytes of the data, relative to its start */
    void *copy;           /* owned: the data again, where the file has it misaligned */
};

struct safetensors_header {
    struct safetensors_entry *entry; /* owned; in the order of the header */
    uint32_t entry_count;
    uint32_t entry_capacity;
    char *names; /* owned: the tensors' names, each terminated */
    size_t names_used;
};

struct safetensors {
    char name[128];
    uint8_t *bytes; /* owned; NULL when every tensor has a copy */
    size_t bytes_len;
    struct safetensors_header header;
};

/* A file of one tensor, whose type, shape and count are checked and whose data begins at `data`.
 * Takes over `bytes` on success. */
MUST_CHECK enum err_code safetensors_of_one(const char *name, const char *tensor_name,
                                            const struct tensor *tensor, uint8_t *bytes, size_t len,
                                            size_t data, struct safetensors **ret_file,
                                            struct err *err);

/* Types, shapes and sizes agree with each other; whether the data is there is not looked at. */
MUST_CHECK enum err_code safetensors_header_parse(const char *name, const char *json, size_t len,
                                                  struct safetensors_header *header,
                                                  struct err *err);
void safetensors_header_deinit(struct safetensors_header *header); /* fine after a failed parse */

#endif
