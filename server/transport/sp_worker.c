/* SPDX-License-Identifier: Apache-2.0 */
/* A worker's thread: its event loop, whose turn it is, and who has waited too long. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "server/transport/sp_internal.h"

#define MS_NS             UINT64_C(1000000)
#define COMPLETE_LIMIT_MS 1000 /* for deferred calls, when the server stops */

static const struct timeval at_once = {0};

static struct timeval timeval_of(uint64_t ns)
{
    return (struct timeval){.tv_sec = (time_t)(ns / 1000000000),
                            .tv_usec = (suseconds_t)(ns / 1000 % 1000000)};
}

/* All that the loop found ready when it woke up has waited since then. */
void sp_worker_begin(struct sp_worker *worker)
{
    if (worker->turn_is_over)
        worker->turn_ns = clock_now_ns(worker->server->options.clock);
    worker->turn_is_over = false;
}

void sp_worker_end(struct sp_worker *worker)
{
    worker->turn_is_over = event_base_get_num_events(worker->base, EVENT_BASE_COUNT_ACTIVE) == 0;
    if (worker->stopping && TAILQ_EMPTY(&worker->connections))
        event_base_loopbreak(worker->base);
}

/* ---- turns ---------------------------------------------------------------------------- */

void sp_worker_again(struct sp_connection *connection)
{
    struct sp_worker *worker = connection->worker;
    if (connection->in_again)
        return;
    connection->in_again = true;
    if (TAILQ_EMPTY(&worker->again))
        event_add(worker->again_event, &at_once);
    TAILQ_INSERT_TAIL(&worker->again, connection, again);
}

void sp_worker_take_turns(struct sp_worker *worker)
{
    struct sp_connection_list now = TAILQ_HEAD_INITIALIZER(now);
    TAILQ_CONCAT(&now, &worker->again, again);
    while (!TAILQ_EMPTY(&now)) {
        struct sp_connection *connection = TAILQ_FIRST(&now);
        TAILQ_REMOVE(&now, connection, again);
        connection->in_again = false;
        sp_connection_turn(connection);
    }
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    sp_worker_begin(arg);
    sp_worker_take_turns(arg);
    sp_worker_end(arg);
}

static void on_inbox(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    sp_worker_begin(arg);
    sp_inbox_look(arg);
    sp_worker_end(arg);
}

/* ---- waiting -------------------------------------------------------------------------- */

static uint64_t deadline_of(const struct sp_connection_list *list, uint32_t timeout_ms)
{
    const struct sp_connection *first = TAILQ_FIRST(list);
    return first == NULL ? UINT64_MAX : first->waiting_since_ns + timeout_ms * MS_NS;
}

static void arm_deadline(struct sp_worker *worker)
{
    const struct sp_server_options *options = &worker->server->options;
    uint64_t greeting_ns = deadline_of(&worker->greeting, options->handshake_timeout_ms);
    uint64_t halfway_ns = deadline_of(&worker->halfway, options->message_timeout_ms);
    uint64_t stuck_ns = deadline_of(&worker->stuck, options->send_timeout_ms);
    uint64_t deadline_ns = greeting_ns < stuck_ns ? greeting_ns : stuck_ns;
    deadline_ns = halfway_ns < deadline_ns ? halfway_ns : deadline_ns;
    if (deadline_ns == UINT64_MAX)
        return;
    uint64_t left_ns = deadline_ns > worker->turn_ns ? deadline_ns - worker->turn_ns : 0;
    struct timeval left = timeval_of(left_ns + MS_NS);
    event_add(worker->deadline_event, &left);
}

/* Since now, not since the loop woke up: what it did meanwhile is not the peer's fault. */
void sp_worker_wait(struct sp_connection_list *list, struct sp_connection *connection)
{
    bool is_first = TAILQ_EMPTY(list);
    connection->waiting_since_ns = clock_now_ns(connection->worker->server->options.clock);
    TAILQ_INSERT_TAIL(list, connection, wait);
    if (is_first)
        arm_deadline(connection->worker);
}

void sp_worker_wait_over(struct sp_connection_list *list, struct sp_connection *connection)
{
    TAILQ_REMOVE(list, connection, wait);
}

static void close_late(struct sp_worker *worker, struct sp_connection_list *list,
                       uint32_t timeout_ms, enum metric_close reason)
{
    while (deadline_of(list, timeout_ms) <= worker->turn_ns) {
        struct sp_connection *late = TAILQ_FIRST(list);
        sp_connection_fail(late, reason);
        sp_connection_close(late);
    }
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct sp_worker *worker = arg;
    const struct sp_server_options *options = &worker->server->options;
    sp_worker_begin(worker);
    close_late(worker, &worker->greeting, options->handshake_timeout_ms, CLOSE_HANDSHAKE);
    close_late(worker, &worker->halfway, options->message_timeout_ms, CLOSE_HALF_MESSAGE);
    close_late(worker, &worker->stuck, options->send_timeout_ms, CLOSE_SLOW_READER);
    arm_deadline(worker);
    sp_worker_end(worker);
}

static void on_heartbeat(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct sp_worker *worker = arg;
    sp_worker_begin(worker);
    atomic_fetch_add_explicit(&worker->progress, 1, memory_order_relaxed);
    sp_worker_end(worker);
}

/* ---- stopping ------------------------------------------------------------------------- */

static void on_stop_timeout(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct sp_worker *worker = arg;
    event_base_loopbreak(worker->base);
}

void sp_worker_stop(struct sp_worker *worker)
{
    if (worker->stopping)
        return;
    uint64_t limit_ms = COMPLETE_LIMIT_MS + worker->server->options.send_timeout_ms;
    struct timeval limit = timeval_of(limit_ms * MS_NS);
    struct sp_connection *connection = TAILQ_FIRST(&worker->connections);
    worker->stopping = true;
    sp_accept_let_go(worker->server);
    sp_accept_update(worker);
    event_add(worker->stop_event, &limit);
    while (connection != NULL) {
        struct sp_connection *next = TAILQ_NEXT(connection, link);
        sp_connection_stop(connection);
        connection = next;
    }
}

/* ---- the thread ----------------------------------------------------------------------- */

static void *run(void *arg)
{
    struct sp_worker *worker = arg;
    worker->turn_is_over = true;
    event_base_dispatch(worker->base);
    return NULL;
}

static struct event_base *new_base(void)
{
    struct event_config *config = event_config_new();
    struct event_base *base = NULL;
    /* One thread uses it, and what others bring comes through the inbox. */
    if (config != NULL && event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) == 0 &&
        event_config_set_flag(config, EVENT_BASE_FLAG_IGNORE_ENV) == 0)
        base = event_base_new_with_config(config);
    if (config != NULL)
        event_config_free(config);
    return base;
}

static bool open_events(struct sp_worker *worker)
{
    const struct timeval beat = timeval_of(worker->server->options.heartbeat_ms * MS_NS);
    worker->base = new_base();
    if (worker->base == NULL)
        return false;
    worker->inbox_event =
        event_new(worker->base, worker->inbox->event_fd, EV_READ | EV_PERSIST, on_inbox, worker);
    worker->again_event = event_new(worker->base, -1, 0, on_again, worker);
    worker->deadline_event = event_new(worker->base, -1, 0, on_deadline, worker);
    worker->heartbeat_event = event_new(worker->base, -1, EV_PERSIST, on_heartbeat, worker);
    worker->stop_event = event_new(worker->base, -1, 0, on_stop_timeout, worker);
    return worker->inbox_event != NULL && worker->again_event != NULL &&
           worker->deadline_event != NULL && worker->heartbeat_event != NULL &&
           worker->stop_event != NULL && event_add(worker->inbox_event, NULL) == 0 &&
           event_add(worker->heartbeat_event, &beat) == 0;
}

enum err_code sp_worker_init(struct sp_worker *worker, struct sp_server *server, struct err *err)
{
    const struct sp_server_options *options = &server->options;
    worker->server = server;
    TAILQ_INIT(&worker->connections);
    TAILQ_INIT(&worker->greeting);
    TAILQ_INIT(&worker->halfway);
    TAILQ_INIT(&worker->stuck);
    TAILQ_INIT(&worker->again);
    enum err_code rc = sp_inbox_open(&worker->inbox, err);
    if (rc == ERR_OK)
        rc = metrics_slot(options->metrics, &worker->metrics, err);
    if (rc != ERR_OK)
        return rc;
    worker->input = sp_block_take(&worker->pool, SP_INPUT_BYTES);
    if (!open_events(worker) || worker->input == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for a worker of the request socket");
    worker->worker = options->claim_worker(options->claim_ctx);
    if (worker->worker == NULL)
        return err_set(err, ERR_LIMIT, "no worker is left for the request socket");
    return ERR_OK;
}

static enum err_code set_priority(pthread_t thread, int priority, struct err *err)
{
    int rc =
        pthread_setschedparam(thread, SCHED_RR, &(struct sched_param){.sched_priority = priority});
    if (rc == 0)
        return ERR_OK;
    return err_set(err, ERR_IO,
                   "workers_realtime_priority: the system refuses SCHED_RR with priority %d: %s; "
                   "it needs CAP_SYS_NICE or a limit (ulimit -r, LimitRTPRIO=) of %d or more",
                   priority, strerror(rc), priority);
}

enum err_code sp_server_check_priority(int priority, struct err *err)
{
    struct sched_param before;
    int policy = SCHED_OTHER;
    pthread_t self = pthread_self();
    int rc = pthread_getschedparam(self, &policy, &before);
    if (rc != 0)
        return err_set(err, ERR_IO, "cannot ask for this thread's priority: %s", strerror(rc));
    enum err_code code = set_priority(self, priority, err);
    if (code == ERR_OK)
        pthread_setschedparam(self, policy, &before);
    return code;
}

/* Whoever asks for it shall not believe to have it: a system that refuses it ends the start. */
static enum err_code take_priority(const struct sp_worker *worker, struct err *err)
{
    int priority = worker->server->options.realtime_priority;
    return priority == 0 ? ERR_OK : set_priority(worker->thread, priority, err);
}

enum err_code sp_worker_start(struct sp_worker *worker, struct err *err)
{
    sigset_t all;
    sigset_t before;
    char name[16];
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for main's loop */
    int rc = pthread_create(&worker->thread, NULL, run, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0)
        return err_set(err, ERR_IO, "cannot start a worker thread: %s", strerror(rc));
    worker->thread_runs = true;
    snprintf(name, sizeof name, "sp-worker-%u", (unsigned)(uint8_t)worker->index);
    pthread_setname_np(worker->thread, name);
    return take_priority(worker, err);
}

void sp_worker_join(struct sp_worker *worker)
{
    if (worker->thread_runs)
        pthread_join(worker->thread, NULL);
    worker->thread_runs = false;
    while (!TAILQ_EMPTY(&worker->connections)) {
        struct sp_connection *connection = TAILQ_FIRST(&worker->connections);
        sp_connection_fail(connection, CLOSE_STOPPED);
        sp_connection_close(connection);
    }
}

void sp_worker_deinit(struct sp_worker *worker)
{
    struct event *events[] = {worker->inbox_event, worker->again_event, worker->deadline_event,
                              worker->heartbeat_event, worker->stop_event};
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) {
        if (events[i] != NULL)
            event_free(events[i]);
    }
    sp_inbox_close(&worker->inbox);
    sp_block_release(&worker->pool, worker->input);
    sp_pool_deinit(&worker->pool);
    if (worker->base != NULL)
        event_base_free(worker->base);
}
