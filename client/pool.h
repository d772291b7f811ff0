/* SPDX-License-Identifier: Apache-2.0 */
/* pool - loops for blocking calls: each call in progress has one to itself, so that no thread waits
 * for another to read its reply.
 *
 * Last in, first out, so that a few connections stay warm.
 * Threads: any; one mutex, never held during network waits.
 * Limit: loops_max; further calls wait until a loop is returned. */
#ifndef CLIENT_POOL_H
#define CLIENT_POOL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "client/decide.h"
#include "client/fleet.h"
#include "client/loop.h"

struct client_pool {
    pthread_mutex_t mutex;
    pthread_cond_t changed;     /* a loop was returned */
    struct client_fleet *fleet; /* borrowed */
    _Atomic uint64_t *connects; /* borrowed */
    struct client_loop **loops; /* owned; loops_max of them, NULL until they are needed */
    uint32_t loops_max, loop_count;
    struct client_loop *idle;
};

enum decide_status client_pool_init(struct client_pool *pool, struct client_fleet *fleet,
                                    _Atomic uint64_t *connects, uint32_t loops_max);
void client_pool_deinit(struct client_pool *pool); /* fine on a zeroed pool */
void client_pool_forget_parent(struct client_pool *pool);

/* DECIDE_TIMEOUT: none was returned before the deadline; DECIDE_NOMEM. */
enum decide_status client_pool_borrow(struct client_pool *pool, uint64_t deadline_ns,
                                      struct client_loop **ret_loop);
void client_pool_return(struct client_pool *pool, struct client_loop *loop);

#endif
