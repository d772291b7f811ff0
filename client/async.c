/* SPDX-License-Identifier: Apache-2.0 */
#include "client/async.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "client/clock.h"
#include "client/handle.h"

enum { EVENTS_AT_ONCE = 64, ROUNDS_MAX = 16 };

void client_async_init(struct client_async *async)
{
    pthread_mutex_init(&async->mutex, NULL);
    async->timer_fd = -1;
    async->loop.epoll_fd = -1;
}

/* This and the following functions run under the mutex. */
static bool make(struct decide_client *client)
{
    struct client_async *async = &client->async;
    if (async->loop.epoll_fd >= 0)
        return true;
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    int timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_fd >= 0 && timer_fd >= 0 &&
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, timer_fd, &event) == 0 &&
        client_loop_init(&async->loop, &client->fleet, &client->counters.connects,
                         client->connections_max, epoll_fd) == DECIDE_OK) {
        async->timer_fd = timer_fd;
        async->timer_ns = UINT64_MAX;
        return true;
    }
    if (epoll_fd >= 0)
        (void)close(epoll_fd);
    if (timer_fd >= 0)
        (void)close(timer_fd);
    async->loop = (struct client_loop){.epoll_fd = -1};
    return false;
}

/* Arms the timer so that the descriptor becomes readable when the next call is due, or at once when
 * a callback is.  A timer set too early is left alone: it costs one idle turn. */
static void set_timer(struct client_async *async, uint64_t now_ns)
{
    struct client_loop *loop = &async->loop;
    uint64_t wanted_ns = loop->timers.count > 0 ? loop->timers.calls[0]->wake_ns : UINT64_MAX;
    if (loop->done != NULL)
        wanted_ns = 1;
    bool has_fired = async->timer_ns <= now_ns;
    if (wanted_ns >= async->timer_ns && !has_fired)
        return;
    async->timer_ns = wanted_ns;
    struct itimerspec when = {0};
    if (wanted_ns != UINT64_MAX)
        when.it_value = client_timespec(wanted_ns);
    (void)timerfd_settime(async->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

uint64_t client_async_submit(struct decide_client *client, struct client_call *call, bool is_ready)
{
    struct client_async *async = &client->async;
    uint64_t ticket = 0;
    pthread_mutex_lock(&async->mutex);
    if (!async->closing && async->pending_count < DECIDE_PENDING_MAX && make(client)) {
        uint64_t now_ns = client_now_ns();
        ticket = call->ticket = ++async->ticket;
        async->pending_count++;
        if (!is_ready)
            client_loop_done(&async->loop, call);
        else
            client_loop_start(&async->loop, call, now_ns);
        set_timer(async, now_ns);
    }
    pthread_mutex_unlock(&async->mutex);
    return ticket;
}

static void turn(struct client_async *async)
{
    struct epoll_event events[EVENTS_AT_ONCE];
    int count = EVENTS_AT_ONCE;
    for (int round = 0; round < ROUNDS_MAX && count == EVENTS_AT_ONCE; round++) {
        count = epoll_wait(async->loop.epoll_fd, events, EVENTS_AT_ONCE, 0);
        uint64_t now_ns = client_now_ns();
        for (int i = 0; i < count; i++)
            if (events[i].data.ptr != NULL)
                client_loop_ready(&async->loop, events[i].data.ptr, now_ns);
    }
    client_loop_turn(&async->loop, client_now_ns());
}

/* Runs the callbacks that are due now, but not those that become due meanwhile. */
static size_t call_back(struct client_async *async)
{
    size_t count = 0;
    for (size_t due = async->pending_count; due > 0; due--) {
        struct client_call *call = client_loop_take_done(&async->loop);
        if (call == NULL)
            break;
        async->pending_count--;
        pthread_mutex_unlock(&async->mutex);
        call->callback(call->reply, call->argument);
        free(call);
        count++;
        pthread_mutex_lock(&async->mutex);
    }
    return count;
}

size_t decide_process(struct decide_client *client)
{
    struct client_async *async = &client->async;
    size_t count = 0;
    client_notice_fork(client);
    pthread_mutex_lock(&async->mutex);
    if (async->loop.epoll_fd >= 0) {
        turn(async);
        count = call_back(async);
        set_timer(async, client_now_ns());
    }
    pthread_mutex_unlock(&async->mutex);
    return count;
}

int decide_fd(struct decide_client *client)
{
    client_notice_fork(client);
    pthread_mutex_lock(&client->async.mutex);
    int fd = make(client) ? client->async.loop.epoll_fd : -1;
    pthread_mutex_unlock(&client->async.mutex);
    return fd;
}

bool decide_cancel(struct decide_client *client, uint64_t ticket)
{
    struct client_async *async = &client->async;
    struct client_timers *timers = &async->loop.timers;
    struct client_call *call = NULL;
    client_notice_fork(client);
    pthread_mutex_lock(&async->mutex);
    for (size_t i = 0; i < timers->count && call == NULL; i++)
        if (timers->calls[i]->ticket == ticket)
            call = timers->calls[i];
    if (call != NULL) {
        client_loop_cancel(&async->loop, call);
        set_timer(async, client_now_ns());
    }
    pthread_mutex_unlock(&async->mutex);
    return call != NULL;
}

void client_async_deinit(struct client_async *async)
{
    pthread_mutex_lock(&async->mutex);
    async->closing = true;
    while (async->loop.timers.count > 0)
        client_loop_cancel(&async->loop, async->loop.timers.calls[0]);
    (void)call_back(async);
    pthread_mutex_unlock(&async->mutex);
    client_loop_deinit(&async->loop);
    if (async->timer_fd >= 0)
        (void)close(async->timer_fd);
    pthread_mutex_destroy(&async->mutex);
}

void client_async_forget_parent(struct client_async *async)
{
    pthread_mutex_init(&async->mutex, NULL);
    if (async->loop.lanes != NULL)
        client_loop_forget_parent(&async->loop);
    async->loop = (struct client_loop){.epoll_fd = -1};
    if (async->timer_fd >= 0)
        (void)close(async->timer_fd);
    async->timer_fd = -1;
    async->pending_count = 0;
}
