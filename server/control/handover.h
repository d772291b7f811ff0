/* SPDX-License-Identifier: Apache-2.0 */
/* handover - a restart without a gap: the daemon starts its successor and gives it its listening
 * sockets and locks.
 *
 *   old                                     new
 *   spawns the new one, sends a gift   ->   takes descriptors; loads models, checkpoint and log,
 *                                           and follows the log while the old one writes
 *   drains, closes the log             <-   "ready", and which of the sockets it will use
 *   "released", waits                  ->   replays what is left, accepts connections
 *   ends                               <-   "serving"
 *
 * The listening sockets stay open all the time, so that connections wait in their queues and none
 * is refused.  When the new one ends before it is ready (a bad configuration, say), nothing has
 * happened to the old one.  When it ends after that and before it serves, the old one still has the
 * sockets and the locks, and starts again with them.  Locks are open file descriptions, which both
 * hold.  Messages go over a pair of sockets that the new one finds in the environment; its end of
 * it is the end of the new one.
 *
 * Threads: all on main.  Errors say what failed. */
#ifndef SERVER_CONTROL_HANDOVER_H
#define SERVER_CONTROL_HANDOVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

#define HANDOVER_SOCKETS_MAX   17 /* of the request sockets, and HTTP */
#define HANDOVER_ADDRESS_BYTES 256

/* What is given.  Descriptors are borrowed when giving, and owned by who took them. */
struct handover_gift {
    int data_lock_fd;
    int models_lock_fd; /* -1: the file system has no locks */
    uint32_t socket_count;
    struct {
        char address[HANDOVER_ADDRESS_BYTES]; /* as configured, which is how it is found again */
        int fd; /* a socket that listens there; where one cannot be given, something else */
    } socket[HANDOVER_SOCKETS_MAX];
};

void handover_gift_init(struct handover_gift *gift);
void handover_gift_close(struct handover_gift *gift); /* all descriptors that were not taken out */
/* Takes the descriptor for that address out of the gift; -1 when it has none. */
int handover_gift_take(struct handover_gift *gift, const char *address);
/* The locks, and the sockets whose bits are set, as descriptors of the copy's own.  One that cannot
 * be had is left out. */
void handover_gift_copy(const struct handover_gift *gift, uint32_t sockets,
                        struct handover_gift *ret_copy);

/* ---- the old one ---------------------------------------------------------------------------- */

struct handover_child {
    pid_t pid;
    int fd;           /* owned; readable when there is news */
    uint32_t sockets; /* those of the gift that it will use, a bit each; known when it is ready */
};

/* Where this program was started from; on main, before the first restart.  More do nothing: another
 * program may be there by now. */
MUST_CHECK enum err_code handover_note_program(struct err *err);
/* Starts `argv` (argv[0] is replaced by the program's path) and sends the gift. */
MUST_CHECK enum err_code handover_spawn(char *const *argv, const struct handover_gift *gift,
                                        struct handover_child *ret_child, struct err *err);
/* Whether it is ready: ERR_BUSY not yet, ERR_IO when it has ended; then how it did. */
MUST_CHECK enum err_code handover_child_news(struct handover_child *child, struct err *err);
/* It may write now. */
void handover_release(struct handover_child *child);
/* Waits until it serves, which closes `fd`.  ERR_BUSY: not within `wait_ms`.  ERR_IO: it has ended
 * before that, and is reaped; then how it did. */
MUST_CHECK enum err_code handover_await(struct handover_child *child, int wait_ms, struct err *err);
/* It is not to take over: kills and reaps it. */
void handover_abandon(struct handover_child *child);

/* ---- the new one ---------------------------------------------------------------------------- */

struct handover_parent {
    int fd; /* owned; -1: there is none.  To close it is to end: who failed leaves it to exit. */
    bool was_told_ready, has_released;
};

/* ERR_OK with fd -1 when nobody gives anything. */
MUST_CHECK enum err_code handover_take(struct handover_parent *parent, struct handover_gift *gift,
                                       struct err *err);
/* Once; more do nothing.  `sockets`: those of the gift that it will use, a bit each. */
void handover_tell_ready(struct handover_parent *parent, uint32_t sockets);
/* The old one has closed its log, or is gone. */
bool handover_is_released(struct handover_parent *parent);
/* The old one may end; closes `fd`.  Nothing without an old one. */
void handover_tell_serving(struct handover_parent *parent);

#endif
