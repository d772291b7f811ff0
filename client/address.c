/* SPDX-License-Identifier: Apache-2.0 */
#include "client/address.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#define REFUSE(status, ...) (snprintf(error, DECIDE_ERROR_BYTES, __VA_ARGS__), (status))

static enum decide_status parse_ipc(const char *url, struct client_address *address,
                                    char error[DECIDE_ERROR_BYTES])
{
    struct sockaddr_un *un = (struct sockaddr_un *)&address->socket_address;
    const char *path = url + strlen("ipc://");
    size_t len = strlen(path);
    if (path[0] != '/')
        return REFUSE(DECIDE_INVALID, "'%s': expected ipc:///PATH with an absolute path", url);
    if (len >= sizeof un->sun_path)
        return REFUSE(DECIDE_INVALID, "'%s': the path of a socket has at most %zu bytes, got %zu",
                      url, sizeof un->sun_path - 1, len);
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, path, len + 1);
    address->length = sizeof *un;
    address->ipc = true;
    return DECIDE_OK;
}

/* "HOST:PORT", "[IPV6]:PORT" into two strings. */
static bool split_host(const char *text, char host[CLIENT_URL_BYTES], char port[6])
{
    const char *colon = strrchr(text, ':');
    if (colon == NULL || colon == text)
        return false;
    size_t host_len = (size_t)(colon - text);
    if (text[0] == '[') {
        if (host_len < 3 || text[host_len - 1] != ']')
            return false;
        text++;
        host_len -= 2;
    } else if (memchr(text, ':', host_len) != NULL) {
        return false; /* an IPv6 address without brackets is ambiguous */
    }
    memcpy(host, text, host_len);
    host[host_len] = '\0';
    size_t port_len = strlen(colon + 1);
    if (port_len == 0 || port_len > 5 || strspn(colon + 1, "0123456789") != port_len)
        return false;
    memcpy(port, colon + 1, port_len + 1);
    unsigned value = 0;
    for (size_t i = 0; i < port_len; i++)
        value = value * 10 + (unsigned)(port[i] - '0');
    return value >= 1 && value <= 65535;
}

static enum decide_status resolve(const char *url, struct client_address *addresses,
                                  size_t *ret_count, char error[DECIDE_ERROR_BYTES])
{
    char host[CLIENT_URL_BYTES];
    char port[6];
    if (!split_host(url + strlen("tcp://"), host, port))
        return REFUSE(DECIDE_INVALID, "'%s': expected tcp://HOST:PORT with a port of 1..65535",
                      url);
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    int rc = getaddrinfo(host, port, &hints, &list);
    if (rc == EAI_MEMORY)
        return REFUSE(DECIDE_NOMEM, "out of memory");
    if (rc != 0)
        return REFUSE(DECIDE_UNREACHABLE, "'%s': cannot be resolved: %s", url, gai_strerror(rc));
    size_t count = 0;
    for (struct addrinfo *at = list; at != NULL && count < CLIENT_ADDRESSES_PER_URL;
         at = at->ai_next) {
        struct client_address *address = &addresses[count];
        if (at->ai_addrlen > sizeof address->socket_address)
            continue;
        *address = (struct client_address){.length = at->ai_addrlen};
        memcpy(address->url, url, strlen(url) + 1);
        memcpy(&address->socket_address, at->ai_addr, at->ai_addrlen);
        count++;
    }
    freeaddrinfo(list);
    *ret_count = count;
    return DECIDE_OK;
}

static enum decide_status parse_one(const char *url, struct client_address *addresses,
                                    size_t *ret_count, char error[DECIDE_ERROR_BYTES])
{
    if (strncmp(url, "tcp://", strlen("tcp://")) == 0)
        return resolve(url, addresses, ret_count, error);
    if (strncmp(url, "ipc://", strlen("ipc://")) != 0)
        return REFUSE(DECIDE_INVALID, "'%s': expected tcp://HOST:PORT or ipc:///PATH", url);
    addresses[0] = (struct client_address){0};
    memcpy(addresses[0].url, url, strlen(url) + 1);
    *ret_count = 1;
    return parse_ipc(url, &addresses[0], error);
}

enum decide_status client_addresses_parse(const char *urls,
                                          struct client_address addresses[CLIENT_ADDRESSES_MAX],
                                          size_t *ret_count, char error[DECIDE_ERROR_BYTES])
{
    size_t count = 0;
    size_t url_count = 0;
    for (const char *at = urls; at != NULL;) {
        const char *comma = strchr(at, ',');
        size_t len = comma == NULL ? strlen(at) : (size_t)(comma - at);
        for (; len > 0 && *at == ' '; at++)
            len--;
        while (len > 0 && at[len - 1] == ' ')
            len--;
        char url[CLIENT_URL_BYTES];
        if (len == 0 || len >= sizeof url)
            return REFUSE(DECIDE_INVALID, "address %zu of urls: expected 1..%d bytes, got %zu",
                          url_count + 1, CLIENT_URL_BYTES - 1, len);
        if (url_count++ == CLIENT_URLS_MAX)
            return REFUSE(DECIDE_INVALID, "urls: more than %d addresses", CLIENT_URLS_MAX);
        memcpy(url, at, len);
        url[len] = '\0';
        size_t added = 0;
        enum decide_status status = parse_one(url, &addresses[count], &added, error);
        if (status != DECIDE_OK)
            return status;
        count += added;
        at = comma == NULL ? NULL : comma + 1;
    }
    if (count == 0)
        return REFUSE(DECIDE_INVALID, "urls: no address is given");
    *ret_count = count;
    return DECIDE_OK;
}
