/* SPDX-License-Identifier: Apache-2.0 */
/* ids_internal - the layout that ids.c (the builder) and ids_find.c (the hot path) share. */
#ifndef MODELS_IDS_INTERNAL_H
#define MODELS_IDS_INTERNAL_H

#include "base/hash.h"
#include "models/ids.h"

#define IDS_NO_ROW UINT32_MAX

struct ids {
    uint32_t count;
    uint64_t slot_mask;
    uint64_t seed;
    struct text *text; /* owned: by row, into `bytes` */
    uint32_t *slot;    /* owned: rows by hash, linear probing; IDS_NO_ROW is free */
    uint8_t *bytes;    /* owned: the file */
    uint64_t memory_bytes;
};

#endif
