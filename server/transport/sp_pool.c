/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of input and calls with their reply buffers, kept for the next request. */
#include <stdlib.h>

#include "server/transport/sp_internal.h"

#define BLOCK_BYTES_MIN 4096
#define KEPT_BYTES_MAX  ((size_t)4 << 20)
#define KEPT_CALLS_MAX  32

_Static_assert(KEPT_CALLS_MAX >= SP_TURN_MESSAGES, "a full turn allocates nothing");
_Static_assert(BLOCK_BYTES_MIN <= SP_INPUT_BYTES, "the worker's block has a class");

/* Blocks come in powers of two; SP_BLOCK_CLASSES when there is none so large. */
static uint32_t class_of(size_t bytes)
{
    uint32_t class = 0;
    while (class < SP_BLOCK_CLASSES && ((size_t)BLOCK_BYTES_MIN << class) < bytes)
        class ++;
    return class;
}

struct sp_block *sp_block_take(struct sp_pool *pool, size_t bytes)
{
    uint32_t class = class_of(bytes);
    if (class == SP_BLOCK_CLASSES)
        return NULL;
    struct sp_block *block = pool->blocks[class];
    if (block != NULL) {
        pool->blocks[class] = block->next;
        pool->block_bytes -= block->capacity;
    } else {
        size_t capacity = (size_t)BLOCK_BYTES_MIN << class;
        block = malloc(sizeof *block + capacity);
        if (block == NULL)
            return NULL;
        block->capacity = capacity;
    }
    block->ref_count = 1;
    return block;
}

void sp_block_release(struct sp_pool *pool, struct sp_block *block)
{
    if (block == NULL || --block->ref_count > 0)
        return;
    if (pool == NULL || pool->block_bytes + block->capacity > KEPT_BYTES_MAX) {
        free(block);
        return;
    }
    uint32_t class = class_of(block->capacity);
    block->next = pool->blocks[class];
    pool->blocks[class] = block;
    pool->block_bytes += block->capacity;
}

struct sp_call *sp_call_take(struct sp_pool *pool)
{
    struct sp_call *call = pool->calls;
    if (call == NULL)
        return malloc(sizeof *call + CALL_REPLY_BYTES);
    pool->calls = call->next;
    pool->call_count--;
    return call;
}

void sp_call_release(struct sp_pool *pool, struct sp_call *call)
{
    if (pool->call_count == KEPT_CALLS_MAX) {
        free(call);
        return;
    }
    call->next = pool->calls;
    pool->calls = call;
    pool->call_count++;
}

void sp_pool_deinit(struct sp_pool *pool)
{
    for (uint32_t class = 0; class < SP_BLOCK_CLASSES; class ++) {
        while (pool->blocks[class] != NULL) {
            struct sp_block *block = pool->blocks[class];
            pool->blocks[class] = block->next;
            free(block);
        }
    }
    while (pool->calls != NULL) {
        struct sp_call *call = pool->calls;
        pool->calls = call->next;
        free(call);
    }
}
