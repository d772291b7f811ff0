/* SPDX-License-Identifier: Apache-2.0 */
#include "featurestore/retire.h"

#include <stdlib.h>

#include "base/rcu.h"

enum { AHEAD = 16 };

void retire_block(struct retire *retire, const void *block, uint64_t bytes)
{
    if (block == NULL)
        return;
    if (retire->count == RETIRE_BLOCKS_MAX)
        retire_flush(retire);
    retire->block[retire->count++] = (struct retired){block, bytes};
}

void retire_heap(struct retire *retire, const void *block)
{
    retire_block(retire, block, 0);
}

void retire_flush(struct retire *retire)
{
    if (retire->count == 0)
        return;
    rcu_wait();
    for (uint32_t i = 0; i < retire->count; i++) {
        if (i + AHEAD < retire->count) /* freeing writes into the block */
            __builtin_prefetch(retire->block[i + AHEAD].block, 1);
        if (retire->block[i].bytes > 0)
            slabs_free(retire->slabs, retire->block[i].block, retire->block[i].bytes);
        else
            free((void *)retire->block[i].block);
    }
    retire->count = 0;
}
