/* SPDX-License-Identifier: Apache-2.0 */
/* What an address names, and whether a listener could be opened there. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "base/num.h"
#include "server/transport/address.h"

#define HOST_BYTES    256
#define SCHEME_INPROC "inproc://"

/* HOST:PORT, without scheme and path. */
static struct text host_and_port(const char *address)
{
    const char *scheme = strstr(address, "://");
    const char *begin = scheme == NULL ? address : scheme + strlen("://");
    return (struct text){begin, (uint32_t)strcspn(begin, "/")};
}

static bool split(const char *address, struct text *ret_host, int64_t *ret_port)
{
    struct text both = host_and_port(address);
    uint32_t colon = both.len;
    while (colon > 0 && both.ptr[colon - 1] != ':')
        colon--;
    if (colon == 0)
        return false;
    *ret_host = (struct text){both.ptr, colon - 1};
    return num_parse_int((struct text){both.ptr + colon, both.len - colon}, 0, UINT16_MAX,
                         ret_port);
}

uint16_t address_port(const char *address)
{
    struct text host;
    int64_t port = 0;
    return split(address, &host, &port) ? (uint16_t)port : 0;
}

enum err_code address_resolve(const char *address, struct addrinfo **ret_found, struct err *err)
{
    const struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV,
                                   .ai_socktype = SOCK_STREAM};
    char name[HOST_BYTES], service[8];
    struct text host;
    int64_t port = 0;
    if (!split(address, &host, &port))
        return err_set(err, ERR_BAD_INPUT, "address '%s': expected tcp://HOST:PORT", address);
    struct text both = host_and_port(address);
    text_copy((struct text){host.ptr + host.len + 1, both.len - host.len - 1}, service,
              sizeof service);
    bool bracketed = host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']';
    text_copy((struct text){host.ptr + bracketed, host.len - 2 * bracketed}, name, sizeof name);
    bool any = name[0] == '\0' || strcmp(name, "*") == 0;
    int rc = getaddrinfo(any ? NULL : name, service, &hints, ret_found);
    if (rc == EAI_MEMORY)
        return err_set(err, ERR_NOMEM, "out of memory for address '%s'", address);
    if (rc != 0)
        return err_set(err, ERR_BAD_INPUT, "cannot listen on '%s': %s", address, gai_strerror(rc));
    return ERR_OK;
}

enum err_code address_probe(const char *address, struct err *err)
{
    const int on = 1;
    struct addrinfo *found = NULL;
    const char *path = strstr(address, ADDRESS_IPC); /* of nng+ipc:// too */
    if (path != NULL)
        return address_check_ipc_path(path + strlen(ADDRESS_IPC), err);
    if (strncmp(address, SCHEME_INPROC, strlen(SCHEME_INPROC)) == 0)
        return ERR_OK;
    enum err_code rc = address_resolve(address, &found, err);
    if (rc != ERR_OK)
        return rc;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    /* A socket that listens keeps others from its port already when they bind. */
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, found->ai_addr, found->ai_addrlen) != 0)
        rc = errno == EADDRINUSE
                 ? err_set(err, ERR_BUSY, "address '%s' is in use by another process", address)
                 : err_set(err, ERR_IO, "cannot listen on '%s': %s", address, strerror(errno));
    freeaddrinfo(found);
    if (fd >= 0)
        close(fd);
    return rc;
}
