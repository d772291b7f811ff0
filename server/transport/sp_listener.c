/* SPDX-License-Identifier: Apache-2.0 */
/* Listening sockets: bound without disturbing whoever is there already, or taken over from another
 * process. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "server/transport/address.h"
#include "server/transport/sp_internal.h"

/* A peer whose machine is gone is found out after 70 s of silence, or 30 s of unread replies. */
#define KEEPALIVE_IDLE_S     60
#define KEEPALIVE_INTERVAL_S 10
#define KEEPALIVE_PROBES     3
#define USER_TIMEOUT_MS      30000

static enum err_code failure(const char *address, int error, struct err *err)
{
    switch (error) {
    case EADDRINUSE:
        return err_set(err, ERR_BUSY, "address '%s' is in use by another process", address);
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
        return err_set(err, ERR_BAD_INPUT, "cannot listen on '%s': %s", address, strerror(error));
    default: return err_set(err, ERR_IO, "cannot listen on '%s': %s", address, strerror(error));
    }
}

/* Connections have them from their listener. */
static bool set_tcp_options(int fd)
{
    static const struct {
        int level, name, value;
    } options[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1},
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {SOL_SOCKET, SO_TIMESTAMPNS, 1}, /* so that waiting in the kernel counts as waiting */
        {IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S},
        {IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S},
        {IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT_MS},
    };
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        if (setsockopt(fd, options[i].level, options[i].name, &options[i].value,
                       sizeof options[i].value) != 0)
            return false;
    }
    return true;
}

/* ---- binding -------------------------------------------------------------------------- */

static enum err_code bind_tcp(struct sp_listener *listener, struct err *err)
{
    const int on = 1;
    struct addrinfo *found = NULL;
    enum err_code rc = address_resolve(listener->address, &found, err);
    if (rc != ERR_OK)
        return rc;
    listener->fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener->fd < 0 ||
        setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(listener->fd, found->ai_addr, found->ai_addrlen) != 0 ||
        listen(listener->fd, SOMAXCONN) != 0)
        rc = failure(listener->address, errno, err);
    freeaddrinfo(found);
    return rc;
}

static enum err_code bind_ipc(struct sp_listener *listener, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = listener->address + strlen(ADDRESS_IPC);
    enum err_code rc = address_check_ipc_path(path, err);
    if (rc != ERR_OK)
        return rc;
    memcpy(address.sun_path, path, strlen(path) + 1);
    unlink(path); /* nobody listens on it */
    listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener->fd < 0 ||
        bind(listener->fd, (const struct sockaddr *)&address, sizeof address) != 0)
        return failure(listener->address, errno, err);
    /* Nobody can connect before listen. */
    if (chmod(path, ADDRESS_IPC_MODE) != 0 || listen(listener->fd, SOMAXCONN) != 0) {
        rc = failure(listener->address, errno, err);
        unlink(path);
    }
    return rc;
}

/* ---- taking over ---------------------------------------------------------------------- */

static enum err_code take_over(struct sp_listener *listener, struct err *err)
{
    int fd = listener->inherited_fd;
    int family = 0, listens = 0;
    socklen_t family_bytes = sizeof family, listens_bytes = sizeof listens;
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &family_bytes) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &listens_bytes) != 0)
        return err_set(err, ERR_IO, "descriptor %d for '%s' is no socket: %s", fd,
                       listener->address, strerror(errno));
    bool fits = listener->ipc ? family == AF_UNIX : family == AF_INET || family == AF_INET6;
    if (!fits || listens == 0)
        return err_set(err, ERR_BAD_INPUT, "descriptor %d does not listen for '%s'", fd,
                       listener->address);
    if (fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
        return failure(listener->address, errno, err);
    listener->fd = fd;
    listener->inherited_fd = -1;
    return ERR_OK;
}

/* ---- what was bound ------------------------------------------------------------------- */

static void note_tcp(struct sp_listener *listener, const struct sockaddr_storage *bound)
{
    char host[INET6_ADDRSTRLEN] = "";
    if (bound->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)bound;
        inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
        snprintf(listener->address, sizeof listener->address, ADDRESS_TCP "%s:%u", host,
                 ntohs(in->sin_port));
    } else {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)bound;
        inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host);
        snprintf(listener->address, sizeof listener->address, ADDRESS_TCP "[%s]:%u", host,
                 ntohs(in6->sin6_port));
    }
    listener->local = address_is_loopback((const struct sockaddr *)bound);
}

static void note_ipc(struct sp_listener *listener)
{
    struct stat status;
    listener->local = true;
    if (lstat(listener->address + strlen(ADDRESS_IPC), &status) != 0)
        return;
    listener->path_device = status.st_dev;
    listener->path_inode = status.st_ino;
}

enum err_code sp_listener_open(struct sp_listener *listener, struct err *err)
{
    struct sockaddr_storage bound = {.ss_family = AF_UNSPEC};
    socklen_t bound_bytes = sizeof bound;
    enum err_code rc;
    if (listener->inherited_fd >= 0)
        rc = take_over(listener, err);
    else
        rc = listener->ipc ? bind_ipc(listener, err) : bind_tcp(listener, err);
    if (rc == ERR_OK && !listener->ipc &&
        (!set_tcp_options(listener->fd) ||
         getsockname(listener->fd, (struct sockaddr *)&bound, &bound_bytes) != 0))
        rc = failure(listener->address, errno, err);
    if (rc != ERR_OK) {
        sp_listener_close(listener);
        return rc;
    }
    if (listener->ipc)
        note_ipc(listener);
    else
        note_tcp(listener, &bound);
    return ERR_OK;
}

/* Whoever has taken the socket over still listens; what is left otherwise is a name only. */
static bool somebody_listens(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return true; /* perhaps: a stale name does no harm */
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    bool nobody = connect(fd, (const struct sockaddr *)&address, sizeof address) != 0 &&
                  errno == ECONNREFUSED;
    close(fd);
    return !nobody;
}

static void remove_path(const struct sp_listener *listener)
{
    const char *path = listener->address + strlen(ADDRESS_IPC);
    struct stat status;
    if (lstat(path, &status) == 0 && status.st_dev == listener->path_device &&
        status.st_ino == listener->path_inode && !somebody_listens(path))
        unlink(path);
}

void sp_listener_close(struct sp_listener *listener)
{
    if (listener->fd < 0)
        return;
    close(listener->fd);
    listener->fd = -1;
    if (listener->ipc && listener->path_inode != 0)
        remove_path(listener);
}
