/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/link.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "client/clock.h"

enum { IN_BYTES_MIN = 64 * 1024, OUT_BYTES_MIN = 64 * 1024 };

enum err_code link_resolve(const char *url, struct link_target *ret_target, struct err *err)
{
    struct client_address addresses[CLIENT_ADDRESSES_MAX];
    char error[DECIDE_ERROR_BYTES];
    size_t count = 0;
    if (strchr(url, ',') != NULL)
        return err_set(err, ERR_BAD_INPUT, "--url: expected one address to measure, got '%.200s'",
                       url);
    if (client_addresses_parse(url, addresses, &count, error) != DECIDE_OK)
        return err_set(err, ERR_BAD_INPUT, "--url: %s", error);
    ASSERT(count <= CLIENT_ADDRESSES_PER_URL);
    *ret_target = (struct link_target){.count = (uint32_t)count};
    memcpy(ret_target->addresses, addresses, count * sizeof addresses[0]);
    return ERR_OK;
}

static enum err_code open_one(struct link *link, const struct client_address *address,
                              struct err *err)
{
    enum decide_status status = client_conn_open(&link->conn, address);
    if (status == DECIDE_OK)
        status = client_conn_make_ready(&link->conn, client_now_ns() + LINK_CONNECT_NS_MAX);
    if (status == DECIDE_OK)
        return ERR_OK;
    client_conn_close(&link->conn);
    return err_set(err, ERR_IO, "%s: %s", address->url,
                   status == DECIDE_TIMEOUT ? "it does not greet in time" : link->conn.error);
}

enum err_code link_open(struct link *link, struct link_target *target, struct err *err)
{
    uint32_t count = target->is_settled ? 1 : target->count;
    enum err_code rc = ERR_IO;
    for (uint32_t i = 0; i < count && rc != ERR_OK; i++) {
        rc = open_one(link, &target->addresses[i], err);
        if (rc == ERR_OK && !target->is_settled) {
            target->addresses[0] = target->addresses[i];
            target->is_settled = true;
        }
    }
    link->out_used = link->out_sent = 0;
    link->in_used = link->in_taken = 0;
    return rc;
}

void link_close(struct link *link)
{
    client_conn_close(&link->conn);
}

void link_deinit(struct link *link)
{
    client_conn_deinit(&link->conn);
    free(link->out);
    free(link->in);
    *link = (struct link){.conn.fd = -1};
}

static bool reserve(uint8_t **bytes, size_t *capacity, size_t needed, size_t min)
{
    size_t larger = *capacity == 0 ? min : *capacity;
    while (larger < needed)
        larger *= 2;
    if (larger == *capacity)
        return true;
    uint8_t *grown = realloc(*bytes, larger);
    if (grown == NULL)
        return false;
    *bytes = grown;
    *capacity = larger;
    return true;
}

bool link_put(struct link *link, const uint8_t *frame, size_t len)
{
    if (!link_has_unsent(link))
        link->out_used = link->out_sent = 0;
    if (!reserve(&link->out, &link->out_capacity, link->out_used + len, OUT_BYTES_MIN))
        return false;
    memcpy(link->out + link->out_used, frame, len);
    link->out_used += len;
    return true;
}

bool link_flush(struct link *link)
{
    while (link_has_unsent(link)) {
        ssize_t sent = send(link->conn.fd, link->out + link->out_sent,
                            link->out_used - link->out_sent, MSG_NOSIGNAL);
        if (sent >= 0)
            link->out_sent += (size_t)sent;
        else if (errno != EINTR)
            return errno == EAGAIN;
    }
    return true;
}

bool link_fill(struct link *link)
{
    link->in_used -= link->in_taken;
    if (link->in_used > 0)
        memmove(link->in, link->in + link->in_taken, link->in_used);
    link->in_taken = 0;
    if (!reserve(&link->in, &link->in_capacity, link->in_used + 1, IN_BYTES_MIN))
        return false;
    ssize_t got;
    do
        got = recv(link->conn.fd, link->in + link->in_used, link->in_capacity - link->in_used, 0);
    while (got < 0 && errno == EINTR);
    if (got > 0)
        link->in_used += (size_t)got;
    return got > 0 || (got < 0 && errno == EAGAIN);
}

enum sp_state link_next(struct link *link, struct sp_message *ret_message)
{
    enum sp_state state = sp_parse(link->in + link->in_taken, link->in_used - link->in_taken,
                                   link->conn.ipc, LINK_REPLY_BYTES_MAX, ret_message);
    if (state == SP_MESSAGE)
        link->in_taken += ret_message->frame_bytes;
    return state;
}
