/* SPDX-License-Identifier: Apache-2.0 */
/* async - the submitted calls of a client: one loop that an epoll descriptor watches, with a timer
 * in it, so that one descriptor tells of both.
 *
 * Made when it is first needed.  Threads: any; one mutex, which is not held while a callback runs.
 * Limit: DECIDE_PENDING_MAX calls, those whose callback is due included. */
#ifndef CLIENT_ASYNC_H
#define CLIENT_ASYNC_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "client/loop.h"

struct client_async {
    pthread_mutex_t mutex;
    struct client_loop loop; /* its lanes are NULL until it is made */
    int timer_fd;            /* owned */
    uint64_t timer_ns;       /* what it is set to; UINT64_MAX: nothing */
    uint64_t ticket;         /* the newest */
    size_t pending_count;
    bool closing; /* nothing more is taken */
};

void client_async_init(struct client_async *async);
/* Ends what is in progress and calls every callback, which may submit in vain. */
void client_async_deinit(struct client_async *async);
void client_async_forget_parent(struct client_async *async);

/* The call is in memory of its own and becomes the async's; 0 when it does not. */
uint64_t client_async_submit(struct decide_client *client, struct client_call *call, bool is_ready);

#endif
