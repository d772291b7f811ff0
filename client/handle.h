/* SPDX-License-Identifier: Apache-2.0 */
/* handle - struct decide_client, and its construction from the options.
 *
 * Threads: see decide.h.  After a fork the child's first call drops what it inherited: it closes
 * its copies of the sockets and starts without connections. */
#ifndef CLIENT_HANDLE_H
#define CLIENT_HANDLE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "client/async.h"
#include "client/decide.h"
#include "client/fleet.h"
#include "client/last_good.h"
#include "client/pool.h"

#define CLIENT_HEDGE_P95     UINT64_MAX /* of hedge_after_ns */
#define CLIENT_HEDGE_NEVER   (UINT64_MAX - 1)
#define CLIENT_HEDGE_QUARTER (UINT64_MAX - 2) /* of the time that is left to the call */

/* As struct decide_counters. */
struct client_counters {
    _Atomic uint64_t calls, ok, refused, timeouts, unreachable, protocol, invalid, nomem, cancelled;
    _Atomic uint64_t fallbacks, retries, connects, degraded, last_good, hedges, hedge_wins, late;
};

struct decide_client {
    struct client_fleet fleet;
    struct client_pool pool;
    struct client_async async;
    struct client_last_good last_good;
    _Atomic int64_t process_id; /* whose connections these are; 0 while a child resets them */
    uint64_t timeout_us;
    uint64_t hedge_after_ns; /* or one of CLIENT_HEDGE_* */
    uint32_t connections_max;
    char *token;           /* owned; NULL: none */
    const char **fallback; /* owned, one block with its texts; no duplicates */
    size_t fallback_count;
    struct client_counters counters;
};

static inline void client_count(_Atomic uint64_t *counter)
{
    /* Relaxed: counters order nothing. */
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* To be called first in every public function. */
void client_notice_fork(struct decide_client *client);

#endif
