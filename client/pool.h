/* SPDX-License-Identifier: Apache-2.0 */
/* pool - which address a call goes to, and the connections that are kept open.
 *
 * Threads: any number; one mutex guards everything but the connections that are handed out, and is
 * never held while the network is waited for.  After a fork the child's first call forgets what it
 * inherited: it closes its copies of the sockets and starts with no connection.
 * Limit: connections_max per address; more calls wait until one is given back. */
#ifndef CLIENT_POOL_H
#define CLIENT_POOL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/address.h"
#include "client/conn.h"
#include "client/decide.h"
#include "client/health.h"

/* An address with its connections.  The lists are last in, first out, so that few connections stay
 * warm. */
struct client_site {
    struct client_address address;
    struct client_health health;
    uint64_t chosen_count_at;  /* the pool's count when it was chosen last */
    struct client_conn *conns; /* owned; connections_max of them */
    struct client_conn *ready; /* idle and clean */
    struct client_conn *slow;  /* idle, still connecting or owing a reply */
    struct client_conn *spare; /* closed */
};

struct client_pool {
    pthread_mutex_t mutex;
    pthread_cond_t changed;    /* a connection came back or an address recovered */
    struct client_site *sites; /* owned */
    size_t site_count;
    uint32_t connections_max;
    uint64_t chosen_count;
    _Atomic int64_t process_id; /* whose connections these are; 0 while a child resets them */
};

struct client_lease {
    struct client_site *site;
    struct client_conn *conn; /* open or closed: the borrower opens it */
    bool others;              /* another address could be asked now */
};

/* What the borrower learned about the address. */
enum client_outcome {
    CLIENT_OUTCOME_NONE,
    CLIENT_OUTCOME_FINE,
    CLIENT_OUTCOME_SLOW, /* the time ran out */
    CLIENT_OUTCOME_BAD   /* not to be asked for a while */
};

enum decide_status client_pool_init(struct client_pool *pool,
                                    const struct client_address *addresses, size_t count,
                                    uint32_t connections_max);
void client_pool_deinit(struct client_pool *pool); /* fine on a zeroed pool */

/* DECIDE_TIMEOUT, or DECIDE_UNREACHABLE at once when no address may be tried before the deadline.
 */
enum decide_status client_pool_borrow(struct client_pool *pool, uint64_t deadline_ns,
                                      struct client_lease *ret_lease);
void client_pool_return(struct client_pool *pool, const struct client_lease *lease,
                        enum client_outcome outcome);

#endif
