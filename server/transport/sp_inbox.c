/* SPDX-License-Identifier: Apache-2.0 */
/* What other threads bring to a worker: connections, and calls that complete. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "server/transport/sp_internal.h"

enum err_code sp_inbox_open(struct sp_inbox **ret_inbox, struct err *err)
{
    struct sp_inbox *inbox = calloc(1, sizeof *inbox);
    if (inbox == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for a worker of the request socket");
    inbox->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (inbox->event_fd < 0) {
        free(inbox);
        return err_set(err, ERR_IO, "cannot open an eventfd: %s", strerror(errno));
    }
    pthread_mutex_init(&inbox->mutex, NULL);
    STAILQ_INIT(&inbox->calls);
    TAILQ_INIT(&inbox->arrivals);
    *ret_inbox = inbox;
    return ERR_OK;
}

static void free_orphan(struct sp_call *call)
{
    sp_block_release(NULL, call->block);
    free(call);
}

/* The mutex is held; it is released. */
static void unlock_and_free_if_last(struct sp_inbox *inbox)
{
    bool last = inbox->closed && inbox->outstanding_count == 0;
    pthread_mutex_unlock(&inbox->mutex);
    if (!last)
        return;
    close(inbox->event_fd);
    pthread_mutex_destroy(&inbox->mutex);
    free(inbox);
}

void sp_inbox_close(struct sp_inbox **inbox)
{
    struct sp_inbox *gone = *inbox;
    *inbox = NULL;
    if (gone == NULL)
        return;
    pthread_mutex_lock(&gone->mutex);
    gone->closed = true;
    while (!TAILQ_EMPTY(&gone->arrivals)) {
        struct sp_connection *late = TAILQ_FIRST(&gone->arrivals);
        bool full = false;
        TAILQ_REMOVE(&gone->arrivals, late, link);
        sp_server_count_connection(late->worker->server, false, &full);
        close(late->fd);
        free(late);
    }
    while (!STAILQ_EMPTY(&gone->calls)) {
        struct sp_call *call = STAILQ_FIRST(&gone->calls);
        STAILQ_REMOVE_HEAD(&gone->calls, returned);
        gone->outstanding_count--;
        free_orphan(call);
    }
    unlock_and_free_if_last(gone);
}

/* The mutex is held.  Written under it, so that the descriptor is still open. */
static void signal_worker(struct sp_inbox *inbox)
{
    if (!inbox->signalled)
        eventfd_write(inbox->event_fd, 1);
    inbox->signalled = true;
}

void sp_inbox_bring(struct sp_inbox *inbox, struct sp_connection *connection)
{
    pthread_mutex_lock(&inbox->mutex);
    TAILQ_INSERT_TAIL(&inbox->arrivals, connection, link);
    signal_worker(inbox);
    pthread_mutex_unlock(&inbox->mutex);
}

void sp_inbox_take_arrivals(struct sp_inbox *inbox, struct sp_connection_list *arrivals)
{
    pthread_mutex_lock(&inbox->mutex);
    TAILQ_CONCAT(arrivals, &inbox->arrivals, link);
    pthread_mutex_unlock(&inbox->mutex);
}

void sp_inbox_tell_role(struct sp_inbox *inbox)
{
    pthread_mutex_lock(&inbox->mutex);
    inbox->role_changed = true;
    signal_worker(inbox);
    pthread_mutex_unlock(&inbox->mutex);
}

void sp_inbox_stop(struct sp_inbox *inbox)
{
    pthread_mutex_lock(&inbox->mutex);
    inbox->stop = true;
    signal_worker(inbox);
    pthread_mutex_unlock(&inbox->mutex);
}

/* Any thread, and perhaps before the service has said that the call is deferred. */
void sp_call_complete(struct call *call)
{
    struct sp_call *done = call->owner;
    struct sp_inbox *inbox = done->inbox;
    pthread_mutex_lock(&inbox->mutex);
    if (inbox->closed) {
        inbox->outstanding_count--;
        free_orphan(done);
    } else {
        STAILQ_INSERT_TAIL(&inbox->calls, done, returned);
        signal_worker(inbox);
    }
    unlock_and_free_if_last(inbox);
}

void sp_call_defer(struct sp_connection *connection, struct sp_call *call)
{
    call->connection = connection;
    call->block = connection->input;
    call->block->ref_count++;
    TAILQ_INSERT_TAIL(&connection->deferred, call, link);
    connection->deferred_count++;
    pthread_mutex_lock(&call->inbox->mutex);
    call->inbox->outstanding_count++;
    pthread_mutex_unlock(&call->inbox->mutex);
}

/* Its reply is written in the connection's next turn, together with others that came back. */
static void take_back(struct sp_worker *worker, struct sp_call *call)
{
    struct sp_connection *connection = call->connection;
    sp_block_release(&worker->pool, call->block);
    if (connection == NULL) { /* nobody waits for the reply any more */
        sp_worker_count_in_flight(worker, -1);
        sp_call_release(&worker->pool, call);
        return;
    }
    TAILQ_REMOVE(&connection->deferred, call, link);
    connection->deferred_count--;
    sp_output_add(connection, call);
    sp_worker_again(connection);
}

void sp_inbox_look(struct sp_worker *worker)
{
    struct sp_inbox *inbox = worker->inbox;
    struct sp_call_queue calls = STAILQ_HEAD_INITIALIZER(calls);
    struct sp_connection_list arrivals = TAILQ_HEAD_INITIALIZER(arrivals);
    struct sp_call *call;
    eventfd_t unused;
    pthread_mutex_lock(&inbox->mutex);
    eventfd_read(inbox->event_fd, &unused);
    inbox->signalled = false;
    STAILQ_CONCAT(&calls, &inbox->calls);
    TAILQ_CONCAT(&arrivals, &inbox->arrivals, link);
    STAILQ_FOREACH(call, &calls, returned)
    inbox->outstanding_count--;
    bool role_changed = inbox->role_changed;
    inbox->role_changed = false;
    bool stop = inbox->stop;
    pthread_mutex_unlock(&inbox->mutex);
    if (role_changed)
        sp_accept_update(worker);
    while ((call = STAILQ_FIRST(&calls)) != NULL) {
        STAILQ_REMOVE_HEAD(&calls, returned);
        take_back(worker, call);
    }
    while (!TAILQ_EMPTY(&arrivals)) {
        struct sp_connection *connection = TAILQ_FIRST(&arrivals);
        TAILQ_REMOVE(&arrivals, connection, link);
        sp_connection_open(connection);
    }
    if (stop)
        sp_worker_stop(worker);
    sp_worker_take_turns(worker);
}
