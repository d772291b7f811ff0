/* SPDX-License-Identifier: Apache-2.0 */
#include "client/loop.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "client/clock.h"

enum decide_status client_loop_init(struct client_loop *loop, struct client_fleet *fleet,
                                    _Atomic uint64_t *connects, uint32_t conns_per_lane_max,
                                    int epoll_fd)
{
    *loop = (struct client_loop){.fleet = fleet,
                                 .connects = connects,
                                 .conns_per_lane_max = conns_per_lane_max,
                                 .epoll_fd = epoll_fd};
    loop->done_end = &loop->done;
    loop->lanes = calloc(fleet->site_count, sizeof *loop->lanes);
    return loop->lanes == NULL ? DECIDE_NOMEM : DECIDE_OK;
}

static void close_all(struct client_loop *loop)
{
    for (uint32_t i = 0; loop->lanes != NULL && i < loop->fleet->site_count; i++)
        for (struct client_conn *conn = loop->lanes[i].conns; conn != NULL; conn = conn->next)
            client_conn_close(conn);
    if (loop->epoll_fd >= 0)
        (void)close(loop->epoll_fd);
    loop->epoll_fd = -1;
}

void client_loop_deinit(struct client_loop *loop)
{
    close_all(loop);
    for (uint32_t i = 0; loop->lanes != NULL && i < loop->fleet->site_count; i++) {
        for (struct client_conn *conn = loop->lanes[i].conns, *next; conn != NULL; conn = next) {
            next = conn->next;
            client_conn_deinit(conn);
            free(conn);
        }
    }
    free(loop->lanes);
    loop->lanes = NULL;
    client_timers_deinit(&loop->timers);
}

void client_loop_forget_parent(struct client_loop *loop)
{
    /* One of the parent's threads may have been changing these: leak them rather than free. */
    close_all(loop);
    for (uint32_t i = 0; i < loop->fleet->site_count; i++)
        loop->lanes[i] = (struct client_lane){0};
    loop->timers = (struct client_timers){0};
    loop->broken = NULL;
    loop->done = NULL;
    loop->done_end = &loop->done;
}

/* Queues a failed connection for the next settle. */
static void break_conn(struct client_loop *loop, struct client_conn *conn,
                       enum decide_status status)
{
    if (conn->broken != DECIDE_OK)
        return;
    conn->broken = status;
    conn->next_broken = loop->broken;
    loop->broken = conn;
}

/* Watches for EPOLLOUT only while there are bytes to send. */
static void watch(struct client_loop *loop, struct client_conn *conn, bool is_new)
{
    bool wants_room = client_conn_wants_room(conn);
    if (loop->epoll_fd < 0 || (!is_new && wants_room == conn->watched_for_room))
        return;
    struct epoll_event event = {.events = EPOLLIN | (wants_room ? EPOLLOUT : 0U), .data.ptr = conn};
    if (epoll_ctl(loop->epoll_fd, is_new ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, conn->fd, &event) == 0) {
        conn->watched_for_room = wants_room;
        return;
    }
    client_conn_close(conn);
    snprintf(conn->error, sizeof conn->error, "it cannot be watched");
    break_conn(loop, conn, DECIDE_NOMEM);
}

static void push(struct client_loop *loop, struct client_conn *conn, uint64_t now_ns, bool is_new)
{
    enum decide_status status = client_conn_push(conn, now_ns);
    if (status != DECIDE_OK)
        break_conn(loop, conn, status);
    else
        watch(loop, conn, is_new);
}

/* Lower is better. */
static uint32_t preference(const struct client_conn *conn)
{
    uint32_t is_busy = conn->slot_count >= CLIENT_CONN_BUSY;
    uint32_t is_connecting = conn->state != CLIENT_CONN_READY;
    return (2 * is_busy + is_connecting) * CLIENT_CONN_SLOTS + conn->slot_count;
}

/* The least loaded connection that is not busy; connected ones are preferred. */
static struct client_conn *find_open(struct client_lane *lane, uint64_t now_ns)
{
    struct client_conn *best = NULL;
    do {
        best = NULL;
        for (struct client_conn *conn = lane->conns; conn != NULL; conn = conn->next) {
            if (conn->retired && conn->live_count == 0)
                client_conn_refresh(conn, now_ns);
            if (client_conn_has_room(conn) && (best == NULL || preference(conn) < preference(best)))
                best = conn;
        }
        if (best != NULL)
            client_conn_refresh(best, now_ns);
    } while (best != NULL && !client_conn_has_room(best));
    return best;
}

/* A closed connection for the caller to open.  DECIDE_TIMEOUT: there is none. */
static enum decide_status find_closed(struct client_loop *loop, struct client_lane *lane,
                                      struct client_conn **ret_conn)
{
    for (struct client_conn *conn = lane->conns; conn != NULL; conn = conn->next) {
        if (conn->fd < 0 && conn->broken == DECIDE_OK) {
            *ret_conn = conn;
            return DECIDE_OK;
        }
    }
    if (lane->count == loop->conns_per_lane_max)
        return DECIDE_TIMEOUT;
    struct client_conn *conn = calloc(1, sizeof *conn);
    if (conn == NULL)
        return DECIDE_NOMEM;
    conn->fd = -1;
    conn->next = lane->conns;
    lane->conns = conn;
    lane->count++;
    *ret_conn = conn;
    return DECIDE_OK;
}

static enum decide_status open_further(struct client_loop *loop, uint32_t site,
                                       struct client_conn **ret_conn)
{
    enum decide_status status = find_closed(loop, &loop->lanes[site], ret_conn);
    if (status != DECIDE_OK)
        return status;
    status = client_conn_open(*ret_conn, &loop->fleet->sites[site].address);
    if (status != DECIDE_NOMEM)
        atomic_fetch_add_explicit(loop->connects, 1, memory_order_relaxed); /* orders nothing */
    return status;
}

enum decide_status client_loop_send(struct client_loop *loop, struct client_attempt *attempt,
                                    char shortage[CLIENT_CONN_ERROR_BYTES], uint64_t now_ns)
{
    struct client_conn *open = find_open(&loop->lanes[attempt->site], now_ns);
    struct client_conn *conn = open;
    enum decide_status status = DECIDE_OK;
    if (open == NULL || open->slot_count >= CLIENT_CONN_BUSY)
        status = open_further(loop, attempt->site, &conn);
    if (status != DECIDE_OK && open != NULL) { /* fall back to a busy one */
        status = DECIDE_OK;
        conn = open;
    }
    if (conn == NULL)
        return status;
    if (status == DECIDE_NOMEM) {
        memcpy(shortage, conn->error, CLIENT_CONN_ERROR_BYTES);
        return DECIDE_UNREACHABLE;
    }
    client_conn_add(conn, attempt);
    if (status == DECIDE_OK)
        push(loop, conn, now_ns, conn != open);
    else
        break_conn(loop, conn, status);
    return DECIDE_OK;
}

void client_loop_done(struct client_loop *loop, struct client_call *call)
{
    call->next_done = NULL;
    *loop->done_end = call;
    loop->done_end = &call->next_done;
}

/* To be called after any change to a call: updates its timer, or queues it if it has ended. */
static void put_in_place(struct client_loop *loop, struct client_call *call)
{
    if (!call->done) {
        client_timers_move(&loop->timers, call);
        return;
    }
    client_timers_remove(&loop->timers, call);
    if (call->callback != NULL)
        client_loop_done(loop, call);
}

static void step(struct client_loop *loop, struct client_call *call, uint64_t now_ns)
{
    client_call_step(call, loop, now_ns);
    put_in_place(loop, call);
}

static void settle(struct client_loop *loop, uint64_t now_ns)
{
    while (loop->broken != NULL) {
        struct client_conn *conn = loop->broken;
        enum decide_status status = conn->broken;
        struct client_attempt *orphans[CLIENT_CONN_SLOTS + 1];
        char error[CLIENT_CONN_ERROR_BYTES];
        uint32_t count = 0;
        memcpy(error, conn->error, sizeof error);
        while ((orphans[count] = client_conn_orphan(conn)) != NULL)
            count++;
        loop->broken = conn->next_broken;
        conn->broken = DECIDE_OK; /* it may be reopened from here on */
        for (uint32_t i = 0; i < count; i++) {
            struct client_call *call = orphans[i]->call;
            client_call_lost(call, orphans[i], status, error, now_ns);
            step(loop, call, now_ns);
        }
    }
}

void client_loop_start(struct client_loop *loop, struct client_call *call, uint64_t now_ns)
{
    if (!client_timers_add(&loop->timers, call)) {
        client_call_end(call, DECIDE_NOMEM, "out of memory");
        if (call->callback != NULL)
            client_loop_done(loop, call);
        return;
    }
    step(loop, call, now_ns);
    settle(loop, now_ns);
}

void client_loop_ready(struct client_loop *loop, struct client_conn *conn, uint64_t now_ns)
{
    if (conn->fd < 0)
        return;
    enum decide_status status = DECIDE_OK;
    if (conn->state != CLIENT_CONN_CONNECTING)
        status = client_conn_pull(conn);
    while (status == DECIDE_OK) {
        struct client_attempt *attempt = NULL;
        const uint8_t *body = NULL;
        size_t body_bytes = 0;
        status = client_conn_next(conn, now_ns, &attempt, &body, &body_bytes);
        if (attempt == NULL)
            break;
        struct client_call *call = attempt->call;
        if (client_call_answered(call, attempt, body, body_bytes, now_ns) == DECIDE_PROTOCOL) {
            client_conn_close(conn);
            snprintf(conn->error, sizeof conn->error, "the peer sent what is no reply");
            break_conn(loop, conn, DECIDE_PROTOCOL); /* before the call may open it again */
        }
        step(loop, call, now_ns);
        if (conn->broken != DECIDE_OK)
            break;
    }
    if (status != DECIDE_OK)
        break_conn(loop, conn, status);
    else if (conn->fd >= 0)
        push(loop, conn, now_ns, false);
    settle(loop, now_ns);
}

void client_loop_turn(struct client_loop *loop, uint64_t now_ns)
{
    while (loop->timers.count > 0 && loop->timers.calls[0]->wake_ns <= now_ns)
        step(loop, loop->timers.calls[0], now_ns);
    settle(loop, now_ns);
}

void client_loop_wait(struct client_loop *loop, struct client_call *call)
{
    struct pollfd fds[CLIENT_CALL_ATTEMPTS];
    struct client_conn *conns[CLIENT_CALL_ATTEMPTS];
    nfds_t count = 0;
    for (size_t i = 0; i < CLIENT_CALL_ATTEMPTS; i++) {
        struct client_conn *conn = call->attempts[i].conn;
        if (conn == NULL)
            continue;
        conns[count] = conn;
        fds[count++] = (struct pollfd){
            .fd = conn->fd,
            .events = (short)(POLLIN | (client_conn_wants_room(conn) ? POLLOUT : 0))};
    }
    uint64_t now_ns = client_now_ns();
    struct timespec left = client_timespec(call->wake_ns > now_ns ? call->wake_ns - now_ns : 0);
    int ready_count = ppoll(fds, count, &left, NULL);
    now_ns = client_now_ns();
    for (nfds_t i = 0; ready_count > 0 && i < count; i++)
        if (fds[i].revents != 0)
            client_loop_ready(loop, conns[i], now_ns);
    client_loop_turn(loop, now_ns);
}

struct client_call *client_loop_take_done(struct client_loop *loop)
{
    struct client_call *call = loop->done;
    if (call == NULL)
        return NULL;
    loop->done = call->next_done;
    if (loop->done == NULL)
        loop->done_end = &loop->done;
    return call;
}

void client_loop_cancel(struct client_loop *loop, struct client_call *call)
{
    client_call_end(call, DECIDE_CANCELLED, "cancelled");
    put_in_place(loop, call);
}
