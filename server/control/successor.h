/* SPDX-License-Identifier: Apache-2.0 */
/* successor - starts the process that is to take over, in the event loop of main, and waits until
 * it is ready without holding anything up.
 *
 * Threads: successor_ask on any; all else on main. */
#ifndef SERVER_CONTROL_SUCCESSOR_H
#define SERVER_CONTROL_SUCCESSOR_H

#include "server/control/handover.h"
#include "server/control/service.h"

struct event_base; /* libevent */
struct successor;

struct successor_options { /* all borrowed */
    struct event_base *base;
    char *const *argv; /* of this process */
    /* What is to be given; descriptors stay with the caller. */
    void (*fill_gift)(void *ctx, struct handover_gift *gift);
    void *gift_ctx;
    /* From before it is started to its end, if that comes before it is ready: what it reads must
     * stay where it is. */
    void (*hold)(void *ctx, bool held);
    void *hold_ctx;
    /* It is ready: this process is to stop.  Before the one who asked is told. */
    void (*on_ready)(void *ctx);
    void *ready_ctx;
};

MUST_CHECK enum err_code successor_create(const struct successor_options *options,
                                          struct successor **ret_successor, struct err *err);
/* False when one is being started already. */
bool successor_ask(struct successor *successor, service_restart_done_fn done, void *arg);
/* One that is not ready yet is stopped, and who asked is told; one that is, is left alone. */
void successor_cancel(struct successor *successor);
/* The log and the locks are free. */
void successor_release(struct successor *successor);
void successor_destroy(struct successor **successor);

#endif
