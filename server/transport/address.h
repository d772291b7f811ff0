/* SPDX-License-Identifier: Apache-2.0 */
/* address - helpers for socket addresses, shared by the transports.  Threads: no state. */
#ifndef SERVER_TRANSPORT_ADDRESS_H
#define SERVER_TRANSPORT_ADDRESS_H

#include <netdb.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/err.h"

#define ADDRESS_TCP      "tcp://"
#define ADDRESS_IPC      "ipc://"
#define ADDRESS_IPC_MODE 0660

/* 127.0.0.0/8, ::1, and the former written as the latter. */
bool address_is_loopback(const struct sockaddr *address);

/* Who is at the other end of a connected socket: "http 192.0.2.7", "unix uid 1000 pid 4711". */
void address_name_peer(int fd, const char *scheme, char *buf, size_t buf_bytes);

/* Of "SCHEME://HOST:PORT", with a path behind it or without, and of "HOST:PORT".  HOST: a name, an
 * address (of IPv6: in brackets), or * for all.  The caller frees what is found (freeaddrinfo). */
MUST_CHECK enum err_code address_resolve(const char *address, struct addrinfo **ret_found,
                                         struct err *err);

/* 0: chosen by the system, or an address without one, such as ipc:// and inproc://. */
uint16_t address_port(const char *address);

/* That a listener could be opened there.  Nothing stays bound.  ERR_BUSY: somebody has it. */
MUST_CHECK enum err_code address_probe(const char *address, struct err *err);

/* That a listener may take the path: nothing is there, or a socket that nobody listens on.
 * ERR_BUSY: somebody does; ERR_EXISTS: a file that is no socket. */
MUST_CHECK enum err_code address_check_ipc_path(const char *path, struct err *err);

#endif
