/* SPDX-License-Identifier: Apache-2.0 */
/* The replies of a connection, in the order in which they were completed. */
#include <errno.h>
#include <sys/socket.h>

#include "server/transport/sp_internal.h"

#define WRITE_REPLIES_MAX 64

void sp_output_add(struct sp_connection *connection, struct sp_call *call)
{
    size_t body_bytes = call->call.reply_bytes;
    ASSERT(body_bytes <= CALL_REPLY_BYTES);
    call->frame = sp_frame_put_head(call->body, body_bytes, call->stack_bytes, connection->ipc);
    call->frame_bytes = (size_t)(call->body - call->frame) + body_bytes;
    connection->reply_bytes += call->frame_bytes;
    STAILQ_INSERT_TAIL(&connection->replies, call, reply);
}

static void release_first(struct sp_connection *connection)
{
    struct sp_worker *worker = connection->worker;
    struct sp_call *call = STAILQ_FIRST(&connection->replies);
    STAILQ_REMOVE_HEAD(&connection->replies, reply);
    connection->reply_bytes -= call->frame_bytes;
    sp_worker_count_in_flight(worker, -1);
    sp_call_release(&worker->pool, call);
}

static void take_off(struct sp_connection *connection, size_t written_bytes)
{
    struct sp_call *call = STAILQ_FIRST(&connection->replies);
    while (call != NULL && call->frame_bytes <= written_bytes) {
        written_bytes -= call->frame_bytes;
        release_first(connection);
        call = STAILQ_FIRST(&connection->replies);
    }
    if (written_bytes == 0)
        return;
    call->frame += written_bytes;
    call->frame_bytes -= written_bytes;
    connection->reply_bytes -= written_bytes;
}

static ssize_t write_some(struct sp_connection *connection)
{
    struct iovec pieces[WRITE_REPLIES_MAX];
    struct msghdr message = {.msg_iov = pieces};
    struct sp_call *call;
    STAILQ_FOREACH(call, &connection->replies, reply)
    {
        if (message.msg_iovlen == WRITE_REPLIES_MAX)
            break;
        pieces[message.msg_iovlen++] =
            (struct iovec){.iov_base = (void *)call->frame, .iov_len = call->frame_bytes};
    }
    ssize_t n = sendmsg(connection->fd, &message, MSG_NOSIGNAL);
    if (n > 0) {
        take_off(connection, (size_t)n);
        metric_add(connection->worker->metrics, M_SOCKET_BYTES, BYTES_SENT, 0, (uint64_t)n);
    }
    return n;
}

static void wait_for_socket(struct sp_connection *connection, bool progress)
{
    struct sp_connection_list *stuck = &connection->worker->stuck;
    if (connection->writing && !progress)
        return;
    sp_connection_leave_halfway(connection);
    if (connection->writing)
        sp_worker_wait_over(stuck, connection);
    else if (event_add(&connection->writable, NULL) != 0)
        sp_connection_fail(connection, CLOSE_NO_MEMORY);
    connection->writing = true;
    sp_worker_wait(stuck, connection);
}

void sp_output_write(struct sp_connection *connection)
{
    bool progress = false;
    while (!STAILQ_EMPTY(&connection->replies)) {
        ssize_t n = write_some(connection);
        if (n >= 0) {
            progress = true;
        } else if (errno == EAGAIN) {
            wait_for_socket(connection, progress);
            return;
        } else if (errno != EINTR) {
            bool vanished = errno == EPIPE || errno == ECONNRESET;
            sp_connection_fail(connection, vanished ? CLOSE_PEER : CLOSE_ERROR);
            return;
        }
    }
    if (!connection->writing)
        return;
    connection->writing = false;
    event_del(&connection->writable);
    sp_worker_wait_over(&connection->worker->stuck, connection);
}

void sp_output_drop(struct sp_connection *connection)
{
    while (!STAILQ_EMPTY(&connection->replies))
        release_first(connection);
}
