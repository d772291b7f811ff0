/* SPDX-License-Identifier: Apache-2.0 */
/* successor - starts the process that is to take over, in the event loop of main, waits until it is
 * ready without holding anything up, and at the end of this one until it serves.
 *
 * Until then this process is the main one of the unit for systemd, and has what it needs to start
 * again: should the other one end, it does.  One that was started before something of what it reads
 * was changed does not take over: another one is started, and at the very end this process starts
 * again.
 *
 * Threads: successor_ask on any; all else on main. */
#ifndef SERVER_CONTROL_SUCCESSOR_H
#define SERVER_CONTROL_SUCCESSOR_H

#include "server/control/changes.h"
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
    struct changes *changes; /* of what it reads */
    /* It is ready: this process is to stop.  Before the one who asked is told. */
    void (*on_ready)(void *ctx);
    void *ready_ctx;
};

MUST_CHECK enum err_code successor_create(const struct successor_options *options,
                                          struct successor **ret_successor, struct err *err);
/* False when one is being started already. */
bool successor_ask(struct successor *successor, service_restart_done_fn done, void *arg);
/* It is stopped, whether it was ready or not, and who still waits for it is told. */
void successor_cancel(struct successor *successor);
/* The log is closed: the successor may have it, when there is one.  Waits until that one serves.
 * True: this process may end.  False: it is to start again, with what is in *ret_kept, since the
 * other one has ended, or did not serve within a minute and was stopped. */
MUST_CHECK bool successor_settle(struct successor *successor, struct handover_gift *ret_kept);
void successor_destroy(struct successor **successor);

#endif
