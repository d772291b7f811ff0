/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/sp_client.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define TOP_BIT 0x80000000U

static bool connect_tcp(struct sp_client *client, const char *host_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    char host[64];
    const char *colon = strrchr(host_port, ':');
    if (colon == NULL || (size_t)(colon - host_port) >= sizeof host)
        return false;
    memcpy(host, host_port, (size_t)(colon - host_port));
    host[colon - host_port] = '\0';
    address.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1)
        return false;
    int on = 1;
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return connect(client->fd, (struct sockaddr *)&address, sizeof address) == 0;
}

static bool connect_ipc(struct sp_client *client, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    client->ipc = true;
    client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return connect(client->fd, (struct sockaddr *)&address, sizeof address) == 0;
}

bool sp_connect(struct sp_client *client, const char *url)
{
    *client = (struct sp_client){.fd = -1};
    bool connected = strncmp(url, "ipc://", 6) == 0   ? connect_ipc(client, url + 6)
                     : strncmp(url, "tcp://", 6) == 0 ? connect_tcp(client, url + 6)
                                                      : false;
    if (!connected) {
        sp_close(client);
        return false;
    }
    struct timeval timeout = {.tv_sec = SP_TIMEOUT_S};
    setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    setsockopt(client->fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    return true;
}

bool sp_send_raw(struct sp_client *client, const void *bytes, size_t len)
{
    const char *at = bytes;
    while (len > 0) {
        ssize_t n = send(client->fd, at, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += n;
        len -= (size_t)n;
    }
    return true;
}

static bool receive_raw(struct sp_client *client, void *bytes, size_t len)
{
    char *at = bytes;
    while (len > 0) {
        ssize_t n = recv(client->fd, at, len, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += n;
        len -= (size_t)n;
    }
    return true;
}

bool sp_handshake(struct sp_client *client)
{
    static const uint8_t as_req[8] = {0, 'S', 'P', 0, 0, 0x30, 0, 0};
    static const uint8_t as_rep[8] = {0, 'S', 'P', 0, 0, 0x31, 0, 0};
    uint8_t answer[8];
    return sp_send_raw(client, as_req, sizeof as_req) &&
           receive_raw(client, answer, sizeof answer) && memcmp(answer, as_rep, sizeof as_rep) == 0;
}

bool sp_open(struct sp_client *client, const char *url)
{
    if (!sp_connect(client, url))
        return false;
    if (sp_handshake(client))
        return true;
    sp_close(client);
    return false;
}

void sp_close(struct sp_client *client)
{
    if (client->fd >= 0)
        close(client->fd);
    client->fd = -1;
}

void sp_reset(struct sp_client *client)
{
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    sp_close(client);
}

bool sp_announce(struct sp_client *client, uint64_t len)
{
    uint8_t frame[9] = {1};
    uint64_t big_endian = htobe64(len);
    memcpy(frame + 1, &big_endian, sizeof big_endian);
    return client->ipc ? sp_send_raw(client, frame, 9) : sp_send_raw(client, frame + 1, 8);
}

bool sp_send(struct sp_client *client, uint32_t id, const void *body, size_t len)
{
    uint32_t wire_id = htonl(id | TOP_BIT);
    return sp_announce(client, sizeof wire_id + len) &&
           sp_send_raw(client, &wire_id, sizeof wire_id) && sp_send_raw(client, body, len);
}

ssize_t sp_receive(struct sp_client *client, uint32_t *ret_id, void *body, size_t capacity)
{
    uint8_t kind = 1;
    uint64_t len = 0;
    uint32_t wire_id = 0;
    if ((client->ipc && !receive_raw(client, &kind, 1)) || kind != 1 ||
        !receive_raw(client, &len, sizeof len) || !receive_raw(client, &wire_id, sizeof wire_id))
        return -1;
    len = be64toh(len);
    if (len < sizeof wire_id || len - sizeof wire_id > capacity)
        return -1;
    len -= sizeof wire_id;
    *ret_id = ntohl(wire_id) & ~TOP_BIT;
    return receive_raw(client, body, len) ? (ssize_t)len : -1;
}

bool sp_is_closed_by_peer(struct sp_client *client)
{
    char byte;
    ssize_t n = recv(client->fd, &byte, 1, 0);
    return n == 0 || (n < 0 && errno == ECONNRESET);
}

ssize_t sp_ask(struct sp_client *client, const char *text, void *reply, size_t capacity)
{
    static _Atomic uint32_t last_id;
    uint32_t id = ++last_id & ~TOP_BIT;
    uint32_t got_id = 0;
    if (!sp_send(client, id, text, strlen(text)))
        return -1;
    ssize_t len = sp_receive(client, &got_id, reply, capacity);
    return got_id == id ? len : -1;
}

bool sp_says(const char *url, const char *text, const char *expected)
{
    struct sp_client client;
    char reply[64];
    if (!sp_open(&client, url))
        return false;
    ssize_t len = sp_ask(&client, text, reply, sizeof reply);
    sp_close(&client);
    return len == (ssize_t)strlen(expected) && memcmp(reply, expected, strlen(expected)) == 0;
}

bool sp_serves(const char *url)
{
    return sp_says(url, "alive?", "alive?");
}
