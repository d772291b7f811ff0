/* SPDX-License-Identifier: Apache-2.0 */
/* address - turns "tcp://HOST:PORT" and "ipc:///PATH" into socket addresses.
 *
 * Threads: any.  Host names are resolved here, which may block.  A name with several addresses
 * yields several entries, in the resolver's order, CLIENT_ADDRESSES_PER_URL at most. */
#ifndef CLIENT_ADDRESS_H
#define CLIENT_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "client/decide.h"

#define CLIENT_URLS_MAX          16
#define CLIENT_ADDRESSES_PER_URL 4
#define CLIENT_ADDRESSES_MAX     (CLIENT_URLS_MAX * CLIENT_ADDRESSES_PER_URL)
#define CLIENT_URL_BYTES         256

struct client_address {
    char url[CLIENT_URL_BYTES]; /* as the caller wrote it, for messages */
    struct sockaddr_storage socket_address;
    socklen_t length;
    bool ipc;
};

/* `urls`: separated by commas, with optional blanks.  DECIDE_INVALID or DECIDE_UNREACHABLE (does
 * not resolve), with a message in `error`. */
enum decide_status client_addresses_parse(const char *urls,
                                          struct client_address addresses[CLIENT_ADDRESSES_MAX],
                                          size_t *ret_count, char error[DECIDE_ERROR_BYTES]);

#endif
