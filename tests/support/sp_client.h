/* SPDX-License-Identifier: Apache-2.0 */
/* sp_client - speaks the SP protocols (REQ) by a plain blocking socket, well or badly on purpose.
 *
 * Framing: 8 bytes of handshake each way; then messages of u64 big-endian length and payload, over
 * ipc with a byte 01 in front.  A payload is a request id with the top bit set, and the body.
 * Everything waits at most SP_TIMEOUT_S.  Threads: one owner. */
#ifndef TESTS_SUPPORT_SP_CLIENT_H
#define TESTS_SUPPORT_SP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SP_TIMEOUT_S 20

struct sp_client {
    int fd;
    bool ipc;
};

/* Connects "tcp://127.0.0.1:PORT" or "ipc:///PATH"; false when that fails. */
bool sp_connect(struct sp_client *client, const char *url);
bool sp_handshake(struct sp_client *client);
bool sp_open(struct sp_client *client, const char *url); /* both */
void sp_close(struct sp_client *client);
void sp_reset(struct sp_client *client); /* closes with an RST */

bool sp_send_raw(struct sp_client *client, const void *bytes, size_t len);
/* The frame around `len` bytes that are not sent. */
bool sp_announce(struct sp_client *client, uint64_t len);
bool sp_send(struct sp_client *client, uint32_t id, const void *body, size_t len);
/* The body's length, or -1: closed, timeout, or more than `capacity`. */
ssize_t sp_receive(struct sp_client *client, uint32_t *ret_id, void *body, size_t capacity);
/* True when the other side closes, false when it sends or does nothing. */
bool sp_is_closed_by_peer(struct sp_client *client);
/* One request and its reply. */
ssize_t sp_ask(struct sp_client *client, const char *text, void *reply, size_t capacity);
/* True when a new client gets that reply of at most 64 bytes. */
bool sp_says(const char *url, const char *text, const char *expected);
/* True when a new client is served; the whole way, within SP_TIMEOUT_S. */
bool sp_serves(const char *url);

#endif
