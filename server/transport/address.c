/* SPDX-License-Identifier: Apache-2.0 */
#include "server/transport/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "server/transport/nng_probe.h"

#define OCCUPANT_TIMEOUT_MS 1000

bool address_is_loopback(const struct sockaddr *address)
{
    static const uint8_t mapped4[13] = {[10] = 0xff, [11] = 0xff, [12] = 127};
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)address;
        return (ntohl(in->sin_addr.s_addr) >> 24) == 127;
    }
    if (address->sa_family == AF_INET6) {
        const struct in6_addr *in6 = &((const struct sockaddr_in6 *)address)->sin6_addr;
        return IN6_IS_ADDR_LOOPBACK(in6) || memcmp(in6, mapped4, sizeof mapped4) == 0;
    }
    return false;
}

void address_name_peer(int fd, const char *scheme, char *buf, size_t buf_bytes)
{
    char host[INET6_ADDRSTRLEN] = "?";
    struct sockaddr_storage peer = {0};
    struct ucred who;
    socklen_t peer_bytes = sizeof peer, who_bytes = sizeof who;
    if (getpeername(fd, (struct sockaddr *)&peer, &peer_bytes) != 0)
        peer.ss_family = AF_UNSPEC;
    if (peer.ss_family == AF_INET)
        inet_ntop(AF_INET, &((struct sockaddr_in *)&peer)->sin_addr, host, sizeof host);
    else if (peer.ss_family == AF_INET6)
        inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&peer)->sin6_addr, host, sizeof host);
    if (peer.ss_family == AF_UNIX && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &who_bytes) == 0)
        snprintf(buf, buf_bytes, "unix uid %ld pid %ld", (long)who.uid, (long)who.pid);
    else
        snprintf(buf, buf_bytes, "%s %s", scheme, host);
}

/* Whoever is there is asked the whole question: a connection that breaks off in the handshake stops
 * the listener of an nng that has no remedy against its issue 1518. */
enum err_code address_check_ipc_path(const char *path, struct err *err)
{
    union nng_probe_address address = {.un = {.sun_family = AF_UNIX}};
    struct stat status;
    size_t path_bytes = strlen(path);
    if (path[0] != '/' || path_bytes >= sizeof address.un.sun_path)
        return err_set(err, ERR_BAD_INPUT,
                       "address '" ADDRESS_IPC
                       "%s': expected an absolute path of at most %zu bytes",
                       path, sizeof address.un.sun_path - 1);
    if (lstat(path, &status) != 0) {
        if (errno == ENOENT)
            return ERR_OK;
        return err_set(err, ERR_IO, "address '" ADDRESS_IPC "%s': %s", path, strerror(errno));
    }
    if (!S_ISSOCK(status.st_mode))
        return err_set(err, ERR_EXISTS,
                       "address '" ADDRESS_IPC "%s': there is a file of that name, not a socket",
                       path);
    memcpy(address.un.sun_path, path, path_bytes + 1);
    if (nng_probe(&address, sizeof address.un, OCCUPANT_TIMEOUT_MS) != PROBE_NOBODY)
        return err_set(err, ERR_BUSY, "address '" ADDRESS_IPC "%s' is in use by another process",
                       path);
    return ERR_OK;
}
