/* SPDX-License-Identifier: Apache-2.0 */
/* npy - reads one array written by numpy.save, from untrusted bytes, as a tensor file with one
 * tensor.
 *
 * Source: the .npy format, numpy/lib/format.py (NEP 1), versions 1.0 to 3.0.  Read: little-endian
 * (or single bytes), C order; float16/32/64, int8/32/64, uint8/32, bool.  Big-endian, Fortran
 * order, structures, pickled objects and types that numpy lacks (bfloat16 arrives as V2) are
 * refused by name.  The array must fill the file to its last byte.
 *
 * Ownership, threads and limits: as in models/safetensors.h; the header at most 64 KiB. */
#ifndef MODELS_NPY_H
#define MODELS_NPY_H

#include "models/safetensors.h"

bool npy_is(const uint8_t *bytes, size_t len); /* they begin as such a file does */

/* Takes over `bytes` (malloc'ed) on success.  The tensor gets `tensor_name`, since the file has no
 * names.  ERR_CORRUPT "NAME: byte 42 of the header: expected ':', got '}'". */
MUST_CHECK enum err_code npy_open(const char *name, const char *tensor_name, uint8_t *bytes,
                                  size_t len, struct safetensors **ret_file, struct err *err);

#endif
