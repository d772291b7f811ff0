/* SPDX-License-Identifier: Apache-2.0 */
/* What arrives on a connection.  It is read into the worker's block; a connection gets a block of
 * its own only for the rest that could not be served in the turn, so that an idle one costs none,
 * and a large message costs twice what has arrived of it, whatever length it announces. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "server/transport/sp_internal.h"

#define KERNEL_WAIT_NS_MAX INT64_C(60000000000)

/* A connection's own block is full: deferred calls do not share it (sp_input_park sees to that). */
static bool make_room(struct sp_connection *connection)
{
    struct sp_pool *pool = &connection->worker->pool;
    struct sp_block *block = connection->input;
    size_t left = connection->input_end - connection->input_begin;
    if (connection->input_begin > 0) {
        memmove(block->bytes, block->bytes + connection->input_begin, left);
    } else {
        struct sp_block *larger = sp_block_take(pool, block->capacity + 1);
        if (larger == NULL)
            return false;
        memcpy(larger->bytes, block->bytes, left);
        sp_block_release(pool, block);
        connection->input = larger;
    }
    connection->input_begin = 0;
    connection->input_end = left;
    return true;
}

static bool have_room(struct sp_connection *connection)
{
    struct sp_worker *worker = connection->worker;
    if (connection->input != NULL)
        return connection->input_end < connection->input->capacity || make_room(connection);
    if (worker->input == NULL)
        worker->input = sp_block_take(&worker->pool, SP_INPUT_BYTES);
    connection->input = worker->input;
    return connection->input != NULL;
}

/* How long the bytes had been waiting in the kernel: a busy worker meets them late.  The stamp is
 * that of the newest of them.  Unix sockets have none. */
static uint64_t kernel_wait_ns(struct msghdr *message)
{
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL;
         part = CMSG_NXTHDR(message, part)) {
        struct timespec arrived, now;
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SO_TIMESTAMPNS)
            continue;
        memcpy(&arrived, CMSG_DATA(part), sizeof arrived);
        clock_gettime(CLOCK_REALTIME, &now); /* the clock that the kernel stamps with */
        int64_t wait_ns =
            (int64_t)(now.tv_sec - arrived.tv_sec) * 1000000000 + (now.tv_nsec - arrived.tv_nsec);
        /* It may have been set meanwhile. */
        return wait_ns < 0 || wait_ns > KERNEL_WAIT_NS_MAX ? 0 : (uint64_t)wait_ns;
    }
    return 0;
}

static ssize_t receive(struct sp_connection *connection, struct sp_block *block,
                       uint64_t *ret_wait_ns)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(struct timespec))];
    } control;
    struct iovec room = {.iov_base = block->bytes + connection->input_end,
                         .iov_len = block->capacity - connection->input_end};
    struct msghdr message = {.msg_iov = &room,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    ssize_t n = recvmsg(connection->fd, &message, 0);
    *ret_wait_ns = n > 0 ? kernel_wait_ns(&message) : 0;
    return n;
}

void sp_input_receive(struct sp_connection *connection)
{
    struct sp_worker *worker = connection->worker;
    if (!have_room(connection)) {
        sp_connection_fail(connection, CLOSE_NO_MEMORY);
        return;
    }
    struct sp_block *block = connection->input;
    uint64_t wait_ns = 0;
    ssize_t n = receive(connection, block, &wait_ns);
    if (n > 0) {
        uint64_t now_ns = clock_now_ns(worker->server->options.clock);
        uint64_t arrived_ns = now_ns > wait_ns ? now_ns - wait_ns : 0;
        if (arrived_ns > worker->turn_ns)
            arrived_ns = worker->turn_ns;
        /* After a full read these bytes follow those at once: the first came when the last of the
         * others had come. */
        if (connection->input_begin == connection->input_end)
            connection->first_ns = connection->read_was_full ? connection->rest_ns : arrived_ns;
        connection->rest_ns = arrived_ns;
        connection->input_end += (size_t)n;
        connection->read_was_full = connection->input_end == block->capacity;
        connection->ready = connection->received = true;
        metric_add(worker->metrics, M_SOCKET_BYTES, BYTES_RECEIVED, 0, (uint64_t)n);
    } else if (n == 0) {
        connection->input_ended = true;
    } else if (errno != EAGAIN && errno != EINTR) {
        sp_connection_fail(connection, errno == ECONNRESET ? CLOSE_PEER : CLOSE_ERROR);
    }
}

void sp_input_drop(struct sp_connection *connection)
{
    struct sp_worker *worker = connection->worker;
    struct sp_block *block = connection->input;
    connection->input = NULL;
    connection->input_begin = connection->input_end = 0;
    if (block == NULL || (block == worker->input && block->ref_count == 1))
        return;
    if (block == worker->input)
        worker->input = NULL; /* deferred calls keep it */
    sp_block_release(&worker->pool, block);
}

void sp_input_park(struct sp_connection *connection)
{
    struct sp_worker *worker = connection->worker;
    struct sp_block *block = connection->input;
    size_t left = connection->input_end - connection->input_begin;
    if (left == 0 || connection->input_ended) { /* the rest of a message will not come */
        sp_input_drop(connection);
        return;
    }
    if (block != worker->input && block->ref_count == 1)
        return;
    struct sp_block *own = sp_block_take(&worker->pool, left + 1);
    if (own == NULL) {
        sp_connection_fail(connection, CLOSE_NO_MEMORY);
        return;
    }
    memcpy(own->bytes, block->bytes + connection->input_begin, left);
    sp_input_drop(connection);
    connection->input = own;
    connection->input_end = left;
}
