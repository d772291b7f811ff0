/* SPDX-License-Identifier: Apache-2.0 */
/* timers - the calls in progress of a loop, as a binary heap over client_call.wake_ns: calls[0] is
 * due first.  Threads: one owner.
 *
 * Invariant: calls[call->timer_index - 1] is the call; 0: it is not in the heap. */
#ifndef CLIENT_TIMERS_H
#define CLIENT_TIMERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct client_call;

struct client_timers {
    struct client_call **calls; /* owned */
    size_t count, capacity;
};

void client_timers_deinit(struct client_timers *timers);
/* False: out of memory. */
bool client_timers_add(struct client_timers *timers, struct client_call *call);
/* To be called after its wake_ns changed. */
void client_timers_move(struct client_timers *timers, struct client_call *call);
void client_timers_remove(struct client_timers *timers, struct client_call *call);

#endif
