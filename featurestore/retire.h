/* SPDX-License-Identifier: Apache-2.0 */
/* retire - replaced blocks that wait for their last reader.
 *
 * One grace period covers everything retired since the previous one began.  With readers active it
 * takes 10 to 20 ms, because liburcu sleeps that long before it checks again.  Therefore a separate
 * thread waits for it while the owner, which alone may free blocks, continues: retire_pass frees
 * the blocks whose grace period is over and lets the thread wait for the newer ones.  The owner
 * waits only if the list is full, in retire_flush, or if there is no thread.
 *
 * Threads: one owner, outside of rcu_read_begin/end. */
#ifndef FEATURESTORE_RETIRE_H
#define FEATURESTORE_RETIRE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/slabs.h"

#define RETIRE_BLOCKS_MAX 16384

struct retired {
    const void *block;
    uint64_t bytes; /* of a block of slabs; 0: of malloc */
};

struct retire_list {
    uint32_t count;
    struct retired block[RETIRE_BLOCKS_MAX]; /* owned; no reader can find them any more */
};

struct retire {
    struct slabs *slabs; /* borrowed */
    struct retire_list list[2];
    uint32_t open; /* the one that is being filled; the other one waits, if anything is in it */
    /* The thread; all under the mutex. */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    pthread_t thread;
    bool runs;
    enum { RETIRE_NONE, RETIRE_ASKED, RETIRE_OVER } state; /* of the grace period */
    void (*wake)(void *ctx); /* on the thread: there is something for retire_pass */
    void *ctx;
};

MUST_CHECK enum err_code retire_init(struct retire *retire, struct slabs *slabs, struct err *err);
void retire_deinit(struct retire *retire); /* after retire_flush */
MUST_CHECK enum err_code retire_start(struct retire *retire, void (*wake)(void *ctx), void *ctx,
                                      struct err *err);
void retire_stop(struct retire *retire); /* fine when it does not run */

/* A block of slabs, with the size it was asked for; NULL is fine. */
void retire_block(struct retire *retire, const void *block, uint64_t bytes);
void retire_heap(struct retire *retire, const void *block); /* one of malloc; NULL is fine */
void retire_pass(struct retire *retire);                    /* does not wait, if the thread runs */
void retire_flush(struct retire *retire);                   /* waits for readers, then frees all */

#endif
