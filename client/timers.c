/* SPDX-License-Identifier: Apache-2.0 */
#include "client/timers.h"

#include <stdlib.h>

#include "client/call.h"

enum { CAPACITY_MIN = 4 };

static void put(struct client_timers *timers, size_t index, struct client_call *call)
{
    timers->calls[index] = call;
    call->timer_index = index + 1;
}

static void rise(struct client_timers *timers, size_t index)
{
    struct client_call *call = timers->calls[index];
    while (index > 0) {
        size_t parent = (index - 1) / 2;
        if (timers->calls[parent]->wake_ns <= call->wake_ns)
            break;
        put(timers, index, timers->calls[parent]);
        index = parent;
    }
    put(timers, index, call);
}

static void sink(struct client_timers *timers, size_t index)
{
    struct client_call *call = timers->calls[index];
    for (;;) {
        size_t child = 2 * index + 1;
        if (child + 1 < timers->count &&
            timers->calls[child + 1]->wake_ns < timers->calls[child]->wake_ns)
            child++;
        if (child >= timers->count || timers->calls[child]->wake_ns >= call->wake_ns)
            break;
        put(timers, index, timers->calls[child]);
        index = child;
    }
    put(timers, index, call);
}

void client_timers_deinit(struct client_timers *timers)
{
    free(timers->calls);
    *timers = (struct client_timers){0};
}

bool client_timers_add(struct client_timers *timers, struct client_call *call)
{
    if (timers->count == timers->capacity) {
        size_t capacity = timers->capacity == 0 ? CAPACITY_MIN : 2 * timers->capacity;
        struct client_call **calls = realloc(timers->calls, capacity * sizeof(*calls));
        if (calls == NULL)
            return false;
        timers->calls = calls;
        timers->capacity = capacity;
    }
    put(timers, timers->count++, call);
    rise(timers, timers->count - 1);
    return true;
}

void client_timers_move(struct client_timers *timers, struct client_call *call)
{
    rise(timers, call->timer_index - 1);
    sink(timers, call->timer_index - 1);
}

void client_timers_remove(struct client_timers *timers, struct client_call *call)
{
    size_t index = call->timer_index - 1;
    struct client_call *last = timers->calls[--timers->count];
    call->timer_index = 0;
    if (last == call)
        return;
    put(timers, index, last);
    client_timers_move(timers, last);
}
