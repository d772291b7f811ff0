/* SPDX-License-Identifier: Apache-2.0 */
#include "featurestore/retire.h"

#include <stdlib.h>

#include "base/rcu.h"

enum { AHEAD = 16 };

void retire_block(struct retire *retire, const void *block)
{
    if (block == NULL)
        return;
    if (retire->count == RETIRE_BLOCKS_MAX)
        retire_flush(retire);
    retire->block[retire->count++] = (void *)block;
}

void retire_flush(struct retire *retire)
{
    if (retire->count == 0)
        return;
    rcu_wait();
    for (uint32_t i = 0; i < retire->count; i++) {
        if (i + AHEAD < retire->count) /* free begins with what stands before the block */
            __builtin_prefetch((const char *)retire->block[i + AHEAD] - sizeof(size_t), 1);
        free(retire->block[i]);
    }
    retire->count = 0;
}
