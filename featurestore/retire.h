/* SPDX-License-Identifier: Apache-2.0 */
/* retire - blocks that were replaced and wait for their last reader.
 *
 * One grace period serves all that was retired since the last one: the store thread flushes once
 * after a batch, and in between only when the list is full.  Threads: one owner, outside of
 * rcu_read_begin/end. */
#ifndef FEATURESTORE_RETIRE_H
#define FEATURESTORE_RETIRE_H

#include <stdint.h>

#include "base/slabs.h"

#define RETIRE_BLOCKS_MAX 4096

struct retired {
    const void *block;
    uint64_t bytes; /* of a block of slabs; 0: of malloc */
};

struct retire {
    struct slabs *slabs; /* borrowed */
    uint32_t count;
    struct retired block[RETIRE_BLOCKS_MAX]; /* owned; no reader can find them any more */
};

/* A block of slabs, with the size it was asked for; NULL is fine. */
void retire_block(struct retire *retire, const void *block, uint64_t bytes);
void retire_heap(struct retire *retire, const void *block); /* one of malloc; NULL is fine */
void retire_flush(struct retire *retire);                   /* waits for readers, then frees */

#endif
