/* SPDX-License-Identifier: Apache-2.0 */
/* retire - blocks that were replaced and wait for their last reader.
 *
 * One grace period serves all that was retired since the last one: the store thread flushes once
 * after a batch, and in between only when the list is full.  Threads: one owner, outside of
 * rcu_read_begin/end. */
#ifndef FEATURESTORE_RETIRE_H
#define FEATURESTORE_RETIRE_H

#include <stdint.h>

#define RETIRE_BLOCKS_MAX 4096

struct retire {
    uint32_t count;
    void *block[RETIRE_BLOCKS_MAX]; /* owned; no reader can find them any more */
};

void retire_block(struct retire *retire, const void *block); /* NULL is fine */
void retire_flush(struct retire *retire);                    /* waits for readers, then frees */

#endif
