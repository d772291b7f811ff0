/* SPDX-License-Identifier: Apache-2.0 */
#include "featurestore/retire.h"

#include <stdlib.h>
#include <string.h>

#include "base/rcu.h"

enum { AHEAD = 16 };

/* ---- the thread ------------------------------------------------------------------------------ */

static void *run(void *arg)
{
    struct retire *retire = arg;
    pthread_setname_np(pthread_self(), "grace periods");
    pthread_mutex_lock(&retire->mutex);
    while (retire->runs) {
        if (retire->state != RETIRE_ASKED) {
            pthread_cond_wait(&retire->changed, &retire->mutex);
            continue;
        }
        pthread_mutex_unlock(&retire->mutex);
        rcu_wait();
        pthread_mutex_lock(&retire->mutex);
        retire->state = RETIRE_OVER;
        pthread_cond_broadcast(&retire->changed);
        pthread_mutex_unlock(&retire->mutex);
        retire->wake(retire->ctx);
        pthread_mutex_lock(&retire->mutex);
    }
    pthread_mutex_unlock(&retire->mutex);
    return NULL;
}

enum err_code retire_init(struct retire *retire, struct slabs *slabs, struct err *err)
{
    retire->slabs = slabs;
    bool made = pthread_mutex_init(&retire->mutex, NULL) == 0 &&
                pthread_cond_init(&retire->changed, NULL) == 0;
    return made ? ERR_OK : err_set(err, ERR_IO, "cannot make the lock of retired blocks");
}

void retire_deinit(struct retire *retire)
{
    ASSERT(!retire->runs && retire->list[0].count == 0 && retire->list[1].count == 0);
    pthread_cond_destroy(&retire->changed);
    pthread_mutex_destroy(&retire->mutex);
}

enum err_code retire_start(struct retire *retire, void (*wake)(void *ctx), void *ctx,
                           struct err *err)
{
    retire->wake = wake;
    retire->ctx = ctx;
    retire->runs = true;
    int failed = pthread_create(&retire->thread, NULL, run, retire);
    if (failed == 0)
        return ERR_OK;
    retire->runs = false;
    return err_set(err, ERR_IO, "cannot start the thread of grace periods: %s", strerror(failed));
}

void retire_stop(struct retire *retire)
{
    pthread_mutex_lock(&retire->mutex);
    bool ran = retire->runs;
    retire->runs = false;
    pthread_cond_broadcast(&retire->changed);
    pthread_mutex_unlock(&retire->mutex);
    if (!ran)
        return;
    pthread_join(retire->thread, NULL);
    retire->state = RETIRE_NONE; /* what waits is waited for by retire_flush */
}

/* ---- the owner ------------------------------------------------------------------------------- */

static struct retire_list *open_list(struct retire *retire)
{
    return &retire->list[retire->open];
}

static struct retire_list *waiting_list(struct retire *retire)
{
    return &retire->list[1 - retire->open];
}

static void give_back(struct retire *retire, struct retire_list *list)
{
    for (uint32_t i = 0; i < list->count; i++) {
        if (i + AHEAD < list->count) /* freeing writes into the block */
            __builtin_prefetch(list->block[i + AHEAD].block, 1);
        if (list->block[i].bytes > 0)
            slabs_free(retire->slabs, list->block[i].block, list->block[i].bytes);
        else
            free((void *)list->block[i].block);
    }
    list->count = 0;
}

/* True: the thread is idle, and the blocks of its last grace period have been freed. */
static bool take_back(struct retire *retire, bool waits)
{
    pthread_mutex_lock(&retire->mutex);
    while (waits && retire->state == RETIRE_ASKED)
        pthread_cond_wait(&retire->changed, &retire->mutex);
    bool is_over = retire->state == RETIRE_OVER;
    bool is_free = retire->state != RETIRE_ASKED;
    if (is_over)
        retire->state = RETIRE_NONE;
    pthread_mutex_unlock(&retire->mutex);
    if (is_over)
        give_back(retire, waiting_list(retire));
    return is_free;
}

/* Hands the open list to the thread, which waits for its grace period. */
static void hand_over(struct retire *retire)
{
    retire->open = 1 - retire->open;
    pthread_mutex_lock(&retire->mutex);
    retire->state = RETIRE_ASKED;
    pthread_cond_broadcast(&retire->changed);
    pthread_mutex_unlock(&retire->mutex);
}

void retire_pass(struct retire *retire)
{
    if (!retire->runs)
        retire_flush(retire);
    else if (take_back(retire, open_list(retire)->count == RETIRE_BLOCKS_MAX) &&
             open_list(retire)->count > 0)
        hand_over(retire);
}

void retire_flush(struct retire *retire)
{
    if (retire->runs)
        (void)take_back(retire, true);
    if (open_list(retire)->count == 0 && waiting_list(retire)->count == 0)
        return;
    rcu_wait();
    give_back(retire, waiting_list(retire));
    give_back(retire, open_list(retire));
}

void retire_block(struct retire *retire, const void *block, uint64_t bytes)
{
    if (block == NULL)
        return;
    if (open_list(retire)->count == RETIRE_BLOCKS_MAX)
        retire_pass(retire);
    struct retire_list *list = open_list(retire);
    list->block[list->count++] = (struct retired){block, bytes};
}

void retire_heap(struct retire *retire, const void *block)
{
    retire_block(retire, block, 0);
}
