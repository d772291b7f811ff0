/* SPDX-License-Identifier: Apache-2.0 */
/* What arrives on a connection.  It is read into the worker's block; a connection gets a block of
 * its own only for the rest that could not be served in the turn, so that an idle one costs none,
 * and a large message costs twice what has arrived of it, whatever length it announces. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "server/transport/sp_internal.h"

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

void sp_input_receive(struct sp_connection *connection)
{
    struct sp_worker *worker = connection->worker;
    if (!have_room(connection)) {
        sp_connection_fail(connection, CLOSE_NO_MEMORY);
        return;
    }
    struct sp_block *block = connection->input;
    ssize_t n = recv(connection->fd, block->bytes + connection->input_end,
                     block->capacity - connection->input_end, 0);
    if (n > 0) {
        if (connection->input_begin == connection->input_end)
            connection->first_ns = worker->turn_ns;
        connection->rest_ns = worker->turn_ns;
        connection->input_end += (size_t)n;
        connection->ready = true;
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
