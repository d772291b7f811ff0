/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "server/transport/nng_internal.h"

uint64_t nng_monotonic_ns(void)
{
    return clock_now_ns(clock_system());
}

/* True when the descriptor is ready for `events`, or broken, before the deadline. */
static bool wait_ready(int fd, short events, uint64_t deadline_ns)
{
    for (;;) {
        uint64_t now_ns = nng_monotonic_ns();
        if (now_ns >= deadline_ns)
            return false;
        struct pollfd poll_fd = {.fd = fd, .events = events};
        int ready = poll(&poll_fd, 1, (int)((deadline_ns - now_ns) / 1000000) + 1);
        if (ready > 0)
            return true;
        if (ready < 0 && errno != EINTR)
            return false;
    }
}

static enum nng_probe_result connect_to(int fd, const union nng_probe_address *address,
                                        socklen_t address_bytes, uint64_t deadline_ns)
{
    if (connect(fd, &address->any, address_bytes) == 0)
        return PROBE_ANSWERED;
    if (errno == EAGAIN)
        return PROBE_SILENT; /* a local socket whose queue is full */
    int error = errno;
    if (error == EINPROGRESS) {
        socklen_t error_bytes = sizeof error;
        if (!wait_ready(fd, POLLOUT, deadline_ns))
            return PROBE_SILENT;
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_bytes) != 0)
            return PROBE_IMPOSSIBLE;
    }
    if (error == 0)
        return PROBE_ANSWERED;
    return error == ECONNREFUSED || error == ENOENT ? PROBE_NOBODY : PROBE_IMPOSSIBLE;
}

/* A listener that went deaf still shakes hands and then leaves the connection lying.  One that
 * works hands it to the protocol, which closes it on a message that has no request id. */
static enum nng_probe_result offend(int fd, bool ipc, uint64_t deadline_ns)
{
    static const uint8_t handshake[8] = {0, 'S', 'P', 0, 0, 0x30, 0, 0};
    static const uint8_t empty_message[9] = {1}; /* ipc has a byte of kind before the length */
    uint8_t bytes[17];
    size_t empty_bytes = ipc ? 9 : 8;
    memcpy(bytes, handshake, sizeof handshake);
    memcpy(bytes + sizeof handshake, empty_message + (ipc ? 0 : 1), empty_bytes);
    if (send(fd, bytes, sizeof handshake + empty_bytes, MSG_NOSIGNAL) < 0)
        return PROBE_ANSWERED; /* closed by the other side: somebody is there */
    while (wait_ready(fd, POLLIN, deadline_ns)) {
        ssize_t n = read(fd, bytes, sizeof bytes);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
            return PROBE_ANSWERED;
    }
    return PROBE_SILENT;
}

enum nng_probe_result nng_probe(const union nng_probe_address *address, socklen_t address_bytes,
                                uint32_t timeout_ms)
{
    uint64_t deadline_ns = nng_monotonic_ns() + (uint64_t)timeout_ms * 1000000;
    int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return PROBE_IMPOSSIBLE;
    /* The listener needs a descriptor too: without one its silence says nothing. */
    int spare = dup(fd);
    enum nng_probe_result result = PROBE_IMPOSSIBLE;
    if (spare >= 0) {
        close(spare);
        result = connect_to(fd, address, address_bytes, deadline_ns);
        if (result == PROBE_ANSWERED)
            result = offend(fd, address->any.sa_family == AF_UNIX, deadline_ns);
    }
    close(fd);
    return result;
}
