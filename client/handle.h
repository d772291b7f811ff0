/* SPDX-License-Identifier: Apache-2.0 */
/* handle - struct decide_client, and how it is made from what the caller wants.  Threads: see
 * decide.h. */
#ifndef CLIENT_HANDLE_H
#define CLIENT_HANDLE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "client/decide.h"
#include "client/pool.h"

/* As struct decide_counters. */
struct client_counters {
    _Atomic uint64_t calls, ok, refused, timeouts, unreachable, protocol, invalid, nomem;
    _Atomic uint64_t fallbacks, retries, connects;
};

struct decide_client {
    struct client_pool pool;
    uint64_t timeout_us;
    char *token;           /* owned; NULL: none */
    const char **fallback; /* owned, one block with its texts; no duplicates */
    size_t fallback_count;
    struct client_counters counters;
};

#endif
