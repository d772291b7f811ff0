/* SPDX-License-Identifier: Apache-2.0 */
/* async - the submitted calls of a client: one loop watched by an epoll descriptor that also holds
 * a timer, so that one descriptor signals both I/O and deadlines.
 *
 * Created on first use.  Threads: any; one mutex, which is not held while a callback runs.
 * Limit: DECIDE_PENDING_MAX calls, including those whose callback is still to run. */
#ifndef CLIENT_ASYNC_H
#define CLIENT_ASYNC_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "client/loop.h"

struct client_async {
    pthread_mutex_t mutex;
    struct client_loop loop; /* its lanes are NULL until it is created */
    int timer_fd;            /* owned */
    uint64_t timer_ns;       /* its expiry; UINT64_MAX: not armed */
    uint64_t ticket;         /* the newest */
    size_t pending_count;
    bool closing; /* no further calls are accepted */
};

void client_async_init(struct client_async *async);
/* Ends all calls in progress and runs every callback; submitting from one of them fails. */
void client_async_deinit(struct client_async *async);
void client_async_forget_parent(struct client_async *async);

/* Returns the call's ticket and takes ownership of `call` (heap allocated); 0: refused, and
 * ownership stays with the caller. */
uint64_t client_async_submit(struct decide_client *client, struct client_call *call, bool is_ready);

#endif
