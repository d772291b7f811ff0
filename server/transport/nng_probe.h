/* SPDX-License-Identifier: Apache-2.0 */
/* nng_probe - checks through a plain socket whether an SP listener answers the handshake.
 * Threads: any; a probe blocks for its timeout at most. */
#ifndef SERVER_TRANSPORT_NNG_PROBE_H
#define SERVER_TRANSPORT_NNG_PROBE_H

#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

union nng_probe_address {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_un un;
};

enum nng_probe_result {
    PROBE_ANSWERED,
    PROBE_SILENT,     /* the connection was taken, and then nothing happened in time */
    PROBE_NOBODY,     /* nobody listens there */
    PROBE_IMPOSSIBLE, /* no descriptor left, or the like: says nothing about the listener */
};
enum nng_probe_result nng_probe(const union nng_probe_address *address, socklen_t address_bytes,
                                uint32_t timeout_ms);

#endif
