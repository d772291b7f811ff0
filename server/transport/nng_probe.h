/* SPDX-License-Identifier: Apache-2.0 */
/* nng_probe - whether a listener of the SP protocols serves who connects, found out by a plain
 * socket.  Threads: any; a probe waits for its timeout at most. */
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
